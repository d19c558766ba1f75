/* Data sets: what the files say is what is there; files that lie are named. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/mem.h"
#include "data/dataset.h"
#include "fake_cifar.h"

static void assert_refused(const char *source, enum data_part part, int code, const char *words)
{
    struct dataset *set = NULL;
    struct err e = {0};
    int rc = dataset_open(source, part, NULL, &set, &e);
    if (rc != code || e.code != code || strstr(e.text, words) == NULL) {
        fail_msg("wanted %d with '%s', got %d: %s", code, words, rc, e.text);
    }
    assert_null(set);
}

static void test_records(void **state)
{
    (void)state;
    static const uint32_t which[] = {5, 0, 9};
    struct dataset *set;
    struct err e = {0};
    fake_write_records("train.bin", which, 3);
    fake_write_records("test.bin", which + 1, 1);
    assert_int_equal(dataset_open(fake_source, DATA_TRAIN, NULL, &set, &e), 0);
    assert_int_equal(dataset_count(set), 3);
    assert_int_equal(dataset_width(set), 32);
    assert_int_equal(dataset_height(set), 32);
    assert_int_equal(dataset_classes(set), 100);
    assert_string_equal(dataset_kind(set), "cifar100");
    assert_string_equal(dataset_label(set, 0), "class_0");
    assert_string_equal(dataset_label(set, 99), "class_99");
    for (size_t i = 0; i < 3; i++) {
        uint8_t record[FAKE_RECORD];
        fake_record(which[i], record);
        assert_int_equal(dataset_class(set, i), record[1]);
        const uint8_t *pixels = dataset_pixels(set, i);
        for (size_t p = 0; p < 1024; p++) {
            for (size_t c = 0; c < 3; c++)
                assert_int_equal(pixels[3 * p + c], record[2 + 1024 * c + p]);
        }
    }
    dataset_free(set);

    assert_int_equal(dataset_open(fake_source, DATA_TEST, NULL, &set, &e), 0);
    assert_int_equal(dataset_count(set), 1);
    dataset_free(set);
    dataset_free(NULL);
}

/* The directory above the one of the archive will do; so will a slash at the end, and names
 * that Windows' editors saved. */
static void test_places(void **state)
{
    (void)state;
    static const uint32_t which[] = {1};
    char kept[64], source[128];
    struct dataset *set;
    struct err e = {0};
    strcpy(kept, fake_directory);
    snprintf(fake_directory, sizeof(fake_directory), "%s/cifar-100-binary", kept);
    assert_int_equal(mkdir(fake_directory, 0700), 0);
    fake_write_names(100, " \r\n", "\xef\xbb\xbf");
    fake_write_records("test.bin", which, 1);
    strcpy(fake_directory, kept);

    snprintf(source, sizeof(source), "cifar100:%s/", kept);
    assert_int_equal(dataset_open(source, DATA_TEST, NULL, &set, &e), 0);
    assert_string_equal(dataset_label(set, 0), "class_0");
    assert_string_equal(dataset_label(set, 42), "class_42");
    dataset_free(set);
    snprintf(source, sizeof(source), "cifar100:%s/cifar-100-binary", kept);
    assert_int_equal(dataset_open(source, DATA_TEST, NULL, &set, &e), 0);
    dataset_free(set);
}

static void test_bad_source(void **state)
{
    (void)state;
    assert_refused("cifar100", DATA_TRAIN, ERR_USAGE, "cifar100:DIR");
    assert_refused("cifar100:", DATA_TRAIN, ERR_USAGE, "cifar100:DIR");
    assert_refused("", DATA_TRAIN, ERR_USAGE, "cifar100:DIR");
    assert_refused("mnist:/tmp", DATA_TRAIN, ERR_USAGE, "unknown kind; known are cifar100:DIR");
    assert_refused("cifar:/tmp", DATA_TRAIN, ERR_USAGE, "unknown kind");
    assert_refused("cifar1000:/tmp", DATA_TRAIN, ERR_USAGE, "unknown kind");
    assert_refused("cifar100:/does/not/exist", DATA_TRAIN, ERR_NOT_FOUND,
                   "train.bin in /does/not/exist");
    assert_refused(fake_source, DATA_TEST, ERR_NOT_FOUND, "test.bin");
    char longest[5000] = "cifar100:";
    memset(longest + 9, 'x', sizeof(longest) - 10);
    longest[sizeof(longest) - 1] = '\0';
    assert_refused(longest, DATA_TRAIN, -ENAMETOOLONG, "too long");
}

static void test_bad_files(void **state)
{
    (void)state;
    static const uint32_t which[] = {3, 4};
    uint8_t data[2 * FAKE_RECORD];
    fake_record(3, data);
    fake_record(4, data + FAKE_RECORD);
    static const size_t lengths[] = {0, 1, 3073, 3075, 2 * 3074 - 1};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        char words[64];
        fake_write("train.bin", data, lengths[i]);
        snprintf(words, sizeof(words), "train.bin is %zu bytes long", lengths[i]);
        assert_refused(fake_source, DATA_TRAIN, ERR_FORMAT, words);
        assert_refused(fake_source, DATA_TRAIN, ERR_FORMAT, "3074");
        assert_refused(fake_source, DATA_TRAIN, ERR_FORMAT, "fetch it again");
    }
    data[FAKE_RECORD + 1] = 100;
    fake_write("train.bin", data, sizeof(data));
    assert_refused(fake_source, DATA_TRAIN, ERR_FORMAT, "record 1 has the fine label 100");
    data[FAKE_RECORD + 1] = 99;
    data[0] = 20;
    fake_write("train.bin", data, sizeof(data));
    assert_refused(fake_source, DATA_TRAIN, ERR_FORMAT, "record 0 has the coarse label 20");

    fake_write_records("train.bin", which, 2);
    fake_write_names(99, "\n", "");
    assert_refused(fake_source, DATA_TRAIN, ERR_FORMAT, "fine_label_names.txt holds 99 names");
    fake_write("fine_label_names.txt", "a\n\nb", 4);
    assert_refused(fake_source, DATA_TRAIN, ERR_FORMAT, "line 2 is empty");
    fake_write_names(101, "\n", "");
    assert_refused(fake_source, DATA_TRAIN, ERR_FORMAT, "holds 101 names");
    fake_write("fine_label_names.txt", "", 0);
    assert_refused(fake_source, DATA_TRAIN, ERR_FORMAT, "holds 0 names");
}

static void test_no_memory(void **state)
{
    (void)state;
    static const uint32_t which[] = {3, 4};
    fake_write_records("train.bin", which, 2);
    for (unsigned n = 1;; n++) {
        struct dataset *set = NULL;
        struct err e = {0};
        mem_fail_at(n);
        int rc = dataset_open(fake_source, DATA_TRAIN, NULL, &set, &e);
        bool fired = mem_fail_left() == 0;
        mem_fail_at(0);
        if (!fired) {
            assert_int_equal(rc, 0);
            assert_true(n > 4);
            dataset_free(set);
            break;
        }
        assert_int_equal(rc, -ENOMEM);
        assert_null(set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_records, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(test_places, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(test_bad_source, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(test_bad_files, fake_begin, fake_end),
        cmocka_unit_test_setup_teardown(test_no_memory, fake_begin, fake_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
