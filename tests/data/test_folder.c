/* A folder of images a class: what is taken, in which order, and what is refused with which words.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "data/batch.h"
#include "data/dataset.h"
#include "../../src/data/dataset.h"
#include "fake_folder.h"

static struct dataset *open_part(enum data_part part)
{
    struct dataset *set = NULL;
    struct err e = {0};
    if (dataset_open(folder_source, part, NULL, &set, &e) < 0) fail_msg("%s", e.text);
    return set;
}

static void assert_refused(enum data_part part, int code, const char *words)
{
    struct dataset *set = NULL;
    struct err e = {0};
    int rc = dataset_open(folder_source, part, NULL, &set, &e);
    if (rc != code || e.code != code || strstr(e.text, words) == NULL) {
        fail_msg("wanted %d with '%s', got %d: %s", code, words, rc, e.text);
    }
    assert_null(set);
}

static void test_order(void **state)
{
    (void)state;
    static const struct {
        const char *file, *label;
        int width, height;
    } expected[] = {{"train/Dog/images/x.jpg", "Dog", 19, 13},
                    {"train/ant/1.png", "ant", 1, 1},
                    {"train/cat/a.PNG", "cat", 9, 7},
                    {"train/cat/b.jpg", "cat", 34, 21},
                    {"train/cat/c.jpeg", "cat", 13, 19}};
    struct dataset *set = open_part(DATA_TRAIN);
    assert_string_equal(dataset_kind(set), "folder");
    assert_int_equal(dataset_width(set), 0);
    assert_int_equal(dataset_classes(set), 3);
    assert_int_equal(dataset_count(set), 5);
    for (size_t i = 0; i < 5; i++) {
        char path[256];
        struct image image;
        struct err e = {0};
        folder_path(expected[i].file, path);
        assert_string_equal(dataset_file(set, i), path);
        assert_string_equal(dataset_label(set, dataset_class(set, i)), expected[i].label);
        struct arena *arena = arena_new(dataset_image_bytes(set, i));
        assert_int_equal(dataset_image(set, i, (struct image_want){0, 0}, arena, &image, &e), 0);
        assert_int_equal(image.width, expected[i].width);
        assert_int_equal(image.height, expected[i].height);
        arena_free(arena);
    }
    size_t size;
    char *bytes = folder_vector("rgb8.png", &size);
    assert_true(dataset_key(set, 2) == dataset_content_key(bytes, size, 0));
    mem_free(bytes);
    dataset_free(set);
}

/* Classes of the other part have the numbers that they have in train, also when some are missing.
 */
static void test_other_part(void **state)
{
    (void)state;
    struct dataset *set = open_part(DATA_TEST);
    assert_int_equal(dataset_classes(set), 3);
    assert_int_equal(dataset_count(set), 1);
    assert_int_equal(dataset_class(set, 0), 2);
    dataset_free(set);

    folder_put("val/bird/v.jpg", "rgb444.jpg");
    assert_refused(DATA_TEST, ERR_FORMAT, "val: bird is no class of the training images");

    /* test stands in for val, and val alone will do for an evaluation. */
    char from[256], to[256];
    folder_path("val", from);
    assert_int_equal(file_remove_tree(from, NULL), 0);
    assert_refused(DATA_TEST, ERR_NOT_FOUND, "no directory val or test");
    folder_put("test/ant/t.png", "one.png");
    set = open_part(DATA_TEST);
    assert_int_equal(dataset_class(set, 0), 1);
    dataset_free(set);
    folder_path("train", from);
    folder_path("elsewhere", to);
    assert_int_equal(rename(from, to), 0);
    set = open_part(DATA_TEST);
    assert_int_equal(dataset_classes(set), 1);
    dataset_free(set);
    assert_refused(DATA_TRAIN, ERR_NOT_FOUND, "no directory train");
}

/* What is no picture is passed over; hidden names too; links are followed. */
static void test_entries(void **state)
{
    (void)state;
    char from[256], to[256];
    folder_write("train/cat/boxes.txt", "x", 1);
    folder_write("train/cat/Thumbs.db", "x", 1);
    folder_write("train/cat/.hidden.jpg", "x", 1);
    folder_write("train/.git/x.jpg", "x", 1);
    folder_write("train/readme.jpg", "x", 1); /* not in a class */
    folder_path("train/cat/b.jpg", from);
    folder_path("train/cat/link.jpg", to);
    assert_int_equal(symlink(from, to), 0);
    folder_path("train/ant", from);
    folder_path("train/bee", to);
    assert_int_equal(symlink(from, to), 0);
    struct dataset *set = open_part(DATA_TRAIN);
    assert_int_equal(dataset_count(set), 7);
    assert_int_equal(dataset_classes(set), 4);
    dataset_free(set);
}

static void test_bad_entries(void **state)
{
    (void)state;
    static const struct {
        const char *name, *vector; /* no vector: a text */
        int code;
        const char *words[2];
    } bad[] = {
        {"train/cat/k.jpg", "cut.jpg", ERR_FORMAT, {"cat/k.jpg", "cut short"}},
        {"train/cat/k.jpg", "bad_stream.png", ERR_FORMAT, {"cat/k.jpg", "damaged"}},
        {"train/cat/k.png", NULL, ERR_UNSUPPORTED, {"cat/k.png", "neither a JPEG nor a PNG"}},
        {"train/ant/k.webp", NULL, ERR_UNSUPPORTED, {"ant/k.webp", "only JPEG and PNG"}},
        {"train/ant/k.GIF", NULL, ERR_UNSUPPORTED, {"ant/k.GIF", "only JPEG and PNG"}},
        {"train/empty/notes.txt", NULL, ERR_FORMAT, {"train/empty", "no JPEG or PNG image"}},
        {"train/k.jpg/x.jpg/y", NULL, ERR_FORMAT, {"train/k.jpg/x.jpg", "no regular file"}},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char path[256];
        if (bad[i].vector != NULL) {
            folder_put(bad[i].name, bad[i].vector);
        } else {
            folder_write(bad[i].name, "text", 4);
        }
        assert_refused(DATA_TRAIN, bad[i].code, bad[i].words[0]);
        assert_refused(DATA_TRAIN, bad[i].code, bad[i].words[1]);
        folder_path(bad[i].name, path);
        assert_int_equal(remove(path), 0);
        if (strstr(bad[i].name, "empty") != NULL || i == 6) { /* the class, too */
            path[strcspn(path + strlen(folder_directory) + 7, "/") + strlen(folder_directory) + 7] =
                '\0';
            assert_int_equal(file_remove_tree(path, NULL), 0);
        }
    }
    folder_write("train/cat/zero.jpg", "", 0);
    assert_refused(DATA_TRAIN, ERR_FORMAT, "cat/zero.jpg: the file is empty");
}

static void test_links_and_pipes(void **state)
{
    (void)state;
    char path[256];
    folder_path("train/cat/lost.jpg", path);
    assert_int_equal(symlink("/does/not/exist", path), 0);
    assert_refused(DATA_TRAIN, -ENOENT, "cat/lost.jpg");
    assert_refused(DATA_TRAIN, -ENOENT, "leads nowhere");
    assert_int_equal(remove(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0); /* opening it would wait for ever */
    assert_refused(DATA_TRAIN, ERR_FORMAT, "no regular file");
}

/* The bound holds before anything is read: the file here is a hole. */
static void test_limits(void **state)
{
    (void)state;
    char path[256];
    folder_write("train/cat/huge.jpg", "x", 1);
    folder_path("train/cat/huge.jpg", path);
    assert_int_equal(truncate(path, (24 << 20) + 1), 0);
    assert_refused(DATA_TRAIN, ERR_LIMIT, "cat/huge.jpg: it is 25165825 bytes long");
}

/* A crop may ask for all pixels of an image at any step of a training, so the memory that these
 * take is asked about when the folder is opened: 400 MB of coefficients alone would do. */
static void test_limits_of_all_pixels(void **state)
{
    (void)state;
    enum { HIGH = 7000, WIDE = 7142, COMPONENTS = 4 };
    uint8_t bytes[64] = {0xff, 0xd8, /* a progressive CMYK image */
                         0xff, 0xc2, 0, 20, 8, HIGH >> 8, HIGH & 255, WIDE >> 8, WIDE & 255};
    size_t size = 11;
    bytes[size++] = COMPONENTS;
    for (uint8_t i = 0; i < COMPONENTS; i++) {
        const uint8_t component[3] = {i, 0x11, 0};
        memcpy(bytes + size, component, sizeof(component));
        size += sizeof(component);
    }
    const uint8_t scan[10] = {0xff, 0xda, 0, 8, 1, 0, 0, 0, 0, 0};
    memcpy(bytes + size, scan, sizeof(scan));
    folder_write("train/cat/large.jpg", bytes, size + sizeof(scan));
    assert_refused(DATA_TRAIN, ERR_LIMIT, "MiB of memory");
}

/* Keys follow the content, whatever the file is called and wherever it stands; the digest says that
 * it has moved. */
static void test_key_and_digest(void **state)
{
    (void)state;
    static const char *const moves[][2] = {{"train/cat/a.PNG", "train/cat/z.png"},
                                           {"train/cat/b.jpg", "train/Dog/images/b.jpg"}};
    char before[SHA256_HEX_SIZE], after[SHA256_HEX_SIZE];
    uint64_t sum = 0;
    struct dataset *set = open_part(DATA_TRAIN);
    dataset_digest(set, before);
    for (size_t i = 0; i < dataset_count(set); i++) sum += dataset_key(set, i);
    dataset_free(set);
    for (int k = 0; k < 2; k++) {
        char from[256], to[256];
        uint64_t same = 0;
        folder_path(moves[k][0], from);
        folder_path(moves[k][1], to);
        assert_int_equal(rename(from, to), 0);
        set = open_part(DATA_TRAIN);
        dataset_digest(set, after);
        assert_string_not_equal(before, after);
        for (size_t i = 0; i < dataset_count(set); i++) same += dataset_key(set, i);
        assert_true(same == sum);
        dataset_free(set);
    }
}

/* What was said of broken images. */
struct told {
    size_t n;
    char texts[8][ERR_TEXT_MAX];
};

static void note_broken(void *arg, const char *text)
{
    struct told *told = arg;
    if (told->n < 8) snprintf(told->texts[told->n], sizeof(told->texts[0]), "%s", text);
    told->n++;
}

/* All broken images are named at once, in their order; as many as are allowed are left out. */
static void test_broken(void **state)
{
    (void)state;
    static const char *const expected[] = {"Dog/images/a.webp: only JPEG and PNG",
                                           "cat/aa.jpg: the file is empty",
                                           "cat/b2.jpg: ", "cat/lost.jpg: "};
    struct told told = {0};
    struct dataset_options options = {.broken = note_broken, .broken_arg = &told};
    char path[256], whole[SHA256_HEX_SIZE], rest[SHA256_HEX_SIZE];
    struct dataset *set = open_part(DATA_TRAIN);
    struct err e = {0};
    dataset_digest(set, whole);
    dataset_free(set);
    folder_write("train/Dog/images/a.webp", "x", 1);
    folder_write("train/cat/aa.jpg", "", 0);
    folder_put("train/cat/b2.jpg", "cut.jpg");
    folder_path("train/cat/lost.jpg", path);
    assert_int_equal(symlink("/does/not/exist", path), 0);
    for (options.broken_max = 0; options.broken_max < 6; options.broken_max++) {
        told.n = 0;
        int rc = dataset_open(folder_source, DATA_TRAIN, &options, &set, &e);
        assert_int_equal(told.n, 4);
        for (int i = 0; i < 4; i++) {
            if (strstr(told.texts[i], expected[i]) == NULL)
                fail_msg("'%s' is not in '%s'", expected[i], told.texts[i]);
        }
        if (options.broken_max < 4) {
            assert_int_equal(rc, ERR_UNSUPPORTED);
            assert_non_null(strstr(e.text, expected[0]));
            assert_non_null(strstr(e.text, "and 3 more of 9 images cannot be read"));
            assert_non_null(strstr(e.text, "--skip-broken 4"));
            continue;
        }
        assert_int_equal(rc, 0);
        assert_int_equal(dataset_count(set), 5);
        assert_int_equal(dataset_skipped(set), 4);
        dataset_digest(set, rest);
        assert_string_equal(rest, whole); /* as if they were not there */
        dataset_free(set);
    }
    folder_path("train/ant/1.png", path); /* the only one of its class */
    assert_int_equal(truncate(path, 20), 0);
    assert_int_equal(dataset_open(folder_source, DATA_TRAIN, &options, &set, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "no image of the class ant can be read"));
}

/* Of many broken ones a hundred are named, and how many there are. */
static void test_many_broken(void **state)
{
    (void)state;
    struct told told = {0};
    const struct dataset_options options = {
        .broken_max = 129, .broken = note_broken, .broken_arg = &told};
    struct dataset *set;
    struct err e = {0};
    for (int i = 0; i < 130; i++) {
        char name[64];
        snprintf(name, sizeof(name), "train/cat/bad%03d.jpg", i);
        folder_write(name, "text", 4);
    }
    assert_true(dataset_open(folder_source, DATA_TRAIN, &options, &set, &e) < 0);
    assert_int_equal(told.n, DATASET_BROKEN_TOLD);
    assert_non_null(strstr(told.texts[0], "bad000.jpg"));
    assert_non_null(strstr(e.text, "and 129 more of 135 images"));
}

/* A file that is replaced while the set is in use is found out, one that is only touched is not. */
static void test_changed(void **state)
{
    (void)state;
    char path[256];
    struct image image;
    struct err e = {0};
    const struct image_want all = {0, 0};
    struct dataset *set = open_part(DATA_TRAIN);
    struct arena *arena = arena_new(1 << 20);
    folder_path("train/cat/b.jpg", path);
    const struct timespec times[2] = {{.tv_sec = 12345}, {.tv_sec = 12345}};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_int_equal(dataset_image(set, 3, all, arena, &image, &e), 0);
    folder_put("train/cat/b.jpg", "grey.jpg");
    assert_int_equal(dataset_image(set, 3, all, arena, &image, &e), ERR_CONFLICT);
    assert_non_null(strstr(e.text, "cat/b.jpg: the file has changed"));
    assert_int_equal(remove(path), 0);
    assert_int_equal(dataset_image(set, 3, all, arena, &image, &e), -ENOENT);
    assert_non_null(strstr(e.text, "cat/b.jpg"));
    arena_free(arena);
    dataset_free(set);
}

struct swapping {
    char path[256], kept[2][256], next[256];
    atomic_bool over;
};

/* Now one, now the other file stands at the path. */
static void *swap_main(void *arg)
{
    struct swapping *s = arg;
    for (int i = 1; !atomic_load(&s->over); i ^= 1) {
        if (link(s->kept[i], s->next) < 0 || rename(s->next, s->path) < 0) abort();
    }
    return NULL;
}

/* What is read is what was there when the set was opened, or an error, however fast files are
 * exchanged for others of as many bytes. */
static void test_exchanged(void **state)
{
    (void)state;
    static struct swapping s;
    size_t size, read_size;
    char *own = folder_vector("rgb420.jpg", &size), *read;
    struct err e = {0};
    pthread_t thread;
    struct dataset *set = open_part(DATA_TRAIN);
    folder_path("train/cat/b.jpg", s.path);
    folder_path("next", s.next);
    folder_path("own", s.kept[0]);
    folder_path("other", s.kept[1]);
    assert_int_equal(link(s.path, s.kept[0]), 0);
    char *other = folder_vector("rgb420.jpg", &size);
    other[size / 2] ^= 1;
    folder_write("other", other, size);
    atomic_store(&s.over, false);
    assert_int_equal(pthread_create(&thread, NULL, swap_main, &s), 0);
    int wrong = 0, whole = 0;
    for (int i = 0; i < 5000 || whole == 0; i++) {
        int rc = dataset_file_read(&set->files[3], &read, &read_size, &e);
        wrong += rc != 0 && rc != ERR_CONFLICT;
        if (rc < 0) continue;
        wrong += read_size != size || memcmp(read, own, size) != 0;
        whole++;
        mem_free(read);
    }
    atomic_store(&s.over, true);
    pthread_join(thread, NULL);
    assert_int_equal(wrong, 0);
    mem_free(own);
    mem_free(other);
    dataset_free(set);
}

/* One that is replaced by an image of other sides, of as many bytes and from the same moment: what
 * is cut out of it must lie within it. */
static void test_other_sides(void **state)
{
    (void)state;
    static float input[16 * 16 * 3];
    static const struct preprocess p = {16,        16,       PREPROCESS_COVER, PREPROCESS_BILINEAR,
                                        {0, 0, 0}, {1, 1, 1}};
    static const struct augment cut = {.words = AUGMENT_RESIZED_CROP, .scale = 900};
    char path[256];
    size_t size, at = 0;
    struct stat st;
    struct err e = {0};
    struct dataset *set = open_part(DATA_TRAIN);
    char *jpeg = folder_vector("rgb420.jpg", &size);
    while (memcmp(jpeg + at, "\xff\xc0", 2) != 0) at++;
    assert_memory_equal(jpeg + at + 5, "\0\25\0\42", 4);
    jpeg[at + 6] -= 4; /* 30x17: as many blocks */
    jpeg[at + 8] -= 4;
    folder_path("train/cat/b.jpg", path);
    assert_int_equal(batch_sample(set, 3, &p, &cut, 1, 1, input, &e), 0);
    assert_int_equal(stat(path, &st), 0);
    folder_write("train/cat/b.jpg", jpeg, size);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    for (uint32_t epoch = 0; epoch < 10; epoch++) {
        assert_int_equal(batch_sample(set, 3, &p, &cut, 1, epoch, input, &e), ERR_CONFLICT);
        assert_non_null(strstr(e.text, "cat/b.jpg: the file has changed"));
    }
    mem_free(jpeg);
    dataset_free(set);
}

static void test_no_memory(void **state)
{
    (void)state;
    int survived = 0;
    for (unsigned n = 1;; n++) {
        struct dataset *set = NULL;
        struct err e = {0};
        mem_fail_at(n);
        int rc = dataset_open(folder_source, DATA_TRAIN, NULL, &set, &e);
        bool fired = mem_fail_left() == 0;
        mem_fail_at(0);
        if (!fired) {
            assert_int_equal(rc, 0);
            assert_true(n > 30);
            dataset_free(set);
            break;
        }
        if (rc == 0) { /* cpu_count() has other ways when it gets no memory */
            assert_true(++survived <= 4);
            dataset_free(set);
            continue;
        }
        if (rc != -ENOMEM) fail_msg("allocation %u: %d %s", n, rc, e.text);
        assert_null(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, folder_begin, folder_end),
        cmocka_unit_test_setup_teardown(test_other_part, folder_begin, folder_end),
        cmocka_unit_test_setup_teardown(test_entries, folder_begin, folder_end),
        cmocka_unit_test_setup_teardown(test_bad_entries, folder_begin, folder_end),
        cmocka_unit_test_setup_teardown(test_links_and_pipes, folder_begin, folder_end),
        cmocka_unit_test_setup_teardown(test_limits, folder_begin, folder_end),
        cmocka_unit_test_setup_teardown(test_limits_of_all_pixels, folder_begin, folder_end),
        cmocka_unit_test_setup_teardown(test_key_and_digest, folder_begin, folder_end),
        cmocka_unit_test_setup_teardown(test_broken, folder_begin, folder_end),
        cmocka_unit_test_setup_teardown(test_many_broken, folder_begin, folder_end),
        cmocka_unit_test_setup_teardown(test_changed, folder_begin, folder_end),
        cmocka_unit_test_setup_teardown(test_exchanged, folder_begin, folder_end),
        cmocka_unit_test_setup_teardown(test_other_sides, folder_begin, folder_end),
        cmocka_unit_test_setup_teardown(test_no_memory, folder_begin, folder_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
