/* CIFAR-10 and CIFAR-100 in their official binary layout (Krizhevsky 2009): records of one label
 * byte (CIFAR-10) or two (CIFAR-100: coarse, fine) and 3072 bytes of pixels, plane after plane
 * (red, green, blue), row-major. CIFAR-100's fine labels are its classes. CIFAR-10 cuts its
 * training images into five files, which are one set in their order.
 *
 * Planes are interleaved while reading, since everything else here works on [height][width][3]. The
 * number of records is whatever the files hold: cut-down sets are welcome, broken ones are not. */
#include "config.h"

#include "dataset.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, NAMES_MAX_BYTES = 64 * 1024, FILES_MAX = 5 };
enum { FILE_MAX_BYTES = 1 << 30 }; /* the official ones have at most 154 MB */

struct layout {
    const char *kind, *title;
    const char *inside; /* the directory that the archive unpacks */
    const char *names;
    const char *files[2][FILES_MAX]; /* train, test */
    size_t label_bytes;              /* the last one is the class */
    int classes, coarse_classes;     /* coarse: of the byte before; 0: there is none */
    float mean[3], std[3];           /* of the channels of the training images */
};

static const struct layout cifar10 = {
    .kind = "cifar10",
    .title = "CIFAR-10",
    .inside = "cifar-10-batches-bin",
    .names = "batches.meta.txt",
    .files = {{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
               "data_batch_5.bin"},
              {"test_batch.bin"}},
    .label_bytes = 1,
    .classes = 10,
    .mean = {0.4914f, 0.4822f, 0.4465f},
    .std = {0.2470f, 0.2435f, 0.2616f},
};

static const struct layout cifar100 = {
    .kind = "cifar100",
    .title = "CIFAR-100",
    .inside = "cifar-100-binary",
    .names = "fine_label_names.txt",
    .files = {{"train.bin"}, {"test.bin"}},
    .label_bytes = 2,
    .classes = 100,
    .coarse_classes = 20,
    .mean = {0.5071f, 0.4865f, 0.4409f},
    .std = {0.2673f, 0.2564f, 0.2762f},
};

static size_t record_size(const struct layout *l)
{
    return l->label_bytes + 3 * PLANE;
}

static int path_too_long(const struct layout *l, const char *dir, struct err *e)
{
    return err_set(e, -ENAMETOOLONG, "%s: the path %.200s... is too long", l->kind, dir);
}

/* The directory that holds the files: dir, or the one that the archive unpacks into it. */
static int find_directory(const struct layout *l, const char *dir, const char *file, char *ret_path,
                          size_t size, struct err *e)
{
    const char *const inside[] = {"", l->inside};
    char candidate[PATH_MAX], path[PATH_MAX];
    for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
        if (file_join(candidate, sizeof(candidate), dir, inside[i]) < 0 ||
            file_join(path, sizeof(path), candidate, file) < 0) {
            return path_too_long(l, dir, e);
        }
        if (!file_exists(path)) continue;
        if (strlen(candidate) >= size) break;
        strcpy(ret_path, candidate);
        return 0;
    }
    return err_set(
        e, ERR_NOT_FOUND,
        "%s: there is no %s in %.300s; name the directory %s of the binary version of %s", l->kind,
        file, dir, l->inside, l->title);
}

/* One name a line, exactly as many as there are classes. */
static int read_names(const struct layout *l, const char *path, struct dataset *set, struct err *e)
{
    size_t size, n = 0;
    int rc = file_read(path, NAMES_MAX_BYTES, &set->label_text, &size, e);
    if (rc < 0) return rc;
    set->labels = mem_new((size_t)l->classes, sizeof(*set->labels));
    if (set->labels == NULL) return err_set(e, -ENOMEM, "no memory for the names of %s", path);
    size_t bad = text_split_lines(set->label_text, size, set->labels, (size_t)l->classes, &n);
    for (size_t i = 0; bad == 0 && i < n && i < (size_t)l->classes; i++)
        if (set->labels[i][0] == '\0') bad = i + 1;
    if (bad > 0) {
        return err_set(e, ERR_FORMAT,
                       "%s: line %zu is empty or holds a byte of zero; it holds one "
                       "name a line",
                       path, bad);
    }
    if (n != (size_t)l->classes) {
        return err_set(e, ERR_FORMAT, "%s holds %zu names, but %s has %d classes", path, n,
                       l->title, l->classes);
    }
    set->n_classes = l->classes;
    return 0;
}

/* A file that has been read: mem_free() the data. */
struct content {
    char *data;
    size_t size;
};

/* The records of one file behind the `at` images that are there already. */
static int read_records(const struct layout *l, const char *path, const struct content *content,
                        size_t at, struct dataset *set, struct err *e)
{
    const size_t n = content->size / record_size(l);
    for (size_t i = 0; i < n; i++) {
        const unsigned char *record = (unsigned char *)content->data + i * record_size(l);
        const unsigned char *plane = record + l->label_bytes;
        uint8_t *pixels = set->pixels + (at + i) * 3 * PLANE;
        const int label = plane[-1], coarse = l->coarse_classes > 0 ? record[0] : -1;
        if (label >= l->classes || coarse >= l->coarse_classes) {
            const char *which = l->coarse_classes == 0 ? ""
                                : label >= l->classes  ? "fine "
                                                       : "coarse ";
            return err_set(e, ERR_FORMAT,
                           "%s: record %zu has the %slabel %d, which must be below %d; the file is "
                           "damaged or not %s",
                           path, i, which, label >= l->classes ? label : coarse,
                           label >= l->classes ? l->classes : l->coarse_classes, l->title);
        }
        set->classes[at + i] = label;
        for (size_t p = 0; p < PLANE; p++) {
            for (size_t c = 0; c < 3; c++) pixels[3 * p + c] = plane[c * PLANE + p];
        }
    }
    return 0;
}

/* Reads all files of the part, and counts their records. */
static int read_files(const struct layout *l, const char *dir, enum data_part part,
                      struct content contents[FILES_MAX], size_t *ret_count, struct err *e)
{
    char path[PATH_MAX];
    size_t count = 0;
    for (int i = 0; i < FILES_MAX && l->files[part][i] != NULL; i++) {
        if (file_join(path, sizeof(path), dir, l->files[part][i]) < 0)
            return path_too_long(l, dir, e);
        int rc = file_read(path, FILE_MAX_BYTES, &contents[i].data, &contents[i].size, e);
        if (rc < 0) return rc;
        if (contents[i].size == 0 || contents[i].size % record_size(l) != 0) {
            return err_set(
                e, ERR_FORMAT,
                "%s is %zu bytes long, which is not a positive multiple of the %zu bytes of a "
                "record of %s; it is damaged or something else, fetch it again",
                path, contents[i].size, record_size(l), l->title);
        }
        count += contents[i].size / record_size(l);
    }
    if (count > UINT32_MAX) {
        return err_set(e, ERR_LIMIT, "%s holds more than %" PRIu32 " images", dir, UINT32_MAX);
    }
    *ret_count = count;
    return 0;
}

static int read_part(const struct layout *l, const char *dir, enum data_part part,
                     struct dataset *set, struct err *e)
{
    struct content contents[FILES_MAX] = {{0}};
    char path[PATH_MAX];
    size_t at = 0, count = 0;
    int rc = read_files(l, dir, part, contents, &count, e);
    if (rc < 0) goto out;
    set->count = count;
    set->pixels = mem_new_aligned(count, 3 * PLANE);
    set->classes = mem_new(count, sizeof(*set->classes));
    if (set->pixels == NULL || set->classes == NULL) {
        rc = err_set(e, -ENOMEM, "no memory for the %zu images of %s", count, dir);
        goto out;
    }
    for (int i = 0; rc == 0 && i < FILES_MAX && l->files[part][i] != NULL; i++) {
        (void)file_join(path, sizeof(path), dir, l->files[part][i]); /* it fitted before */
        rc = read_records(l, path, &contents[i], at, set, e);
        at += contents[i].size / record_size(l);
    }
out:
    for (int i = 0; i < FILES_MAX; i++) {
        mem_free(contents[i].data);
    }
    return rc;
}

static int cifar_read(const struct layout *l, const char *dir, enum data_part part,
                      struct dataset *set, struct err *e)
{
    char found[PATH_MAX], path[PATH_MAX];
    int rc = find_directory(l, dir, l->files[part][0], found, sizeof(found), e);
    if (rc < 0) return rc;
    if (file_join(path, sizeof(path), found, l->names) < 0) return path_too_long(l, found, e);
    rc = read_names(l, path, set, e);
    if (rc == 0) rc = read_part(l, found, part, set, e);
    if (rc < 0) return rc;
    set->width = set->height = SIDE;
    memcpy(set->mean, l->mean, sizeof(set->mean));
    memcpy(set->std, l->std, sizeof(set->std));
    return 0;
}

int cifar10_read(const char *dir, enum data_part part, const struct dataset_options *options,
                 struct dataset *set, struct err *e)
{
    (void)options; /* of files that are images each */
    return cifar_read(&cifar10, dir, part, set, e);
}

int cifar100_read(const char *dir, enum data_part part, const struct dataset_options *options,
                  struct dataset *set, struct err *e)
{
    (void)options; /* of files that are images each */
    return cifar_read(&cifar100, dir, part, set, e);
}
