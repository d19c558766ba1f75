/* CIFAR-10's layout, in made-up files: five files are one set in their order, one byte is the
 * label. What both kinds of CIFAR share is tested in test_dataset.c. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/file.h"
#include "data/dataset.h"

enum { RECORD = 3073 };

static char directory[64], source[80];

static void put(const char *name, const void *data, size_t size)
{
    char path[128];
    struct file_piece piece = {data, size};
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    assert_int_equal(file_write_atomic(path, &piece, 1, NULL), 0);
}

/* n records that begin at number `first`: label = number % 10, every byte a function of the number.
 */
static void put_records(const char *name, int first, int n)
{
    static uint8_t data[8 * RECORD];
    for (int i = 0; i < n; i++) {
        uint8_t *record = data + i * RECORD;
        record[0] = (uint8_t)((first + i) % 10);
        for (int k = 1; k < RECORD; k++) record[k] = (uint8_t)(k * 7 + (first + i) * 31);
    }
    put(name, data, (size_t)n * RECORD);
}

static int begin(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/ad-cifar10-XXXXXX");
    if (mkdtemp(directory) == NULL) return -1;
    snprintf(source, sizeof(source), "cifar10:%s", directory);
    static const char names[] =
        "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";
    put("batches.meta.txt", names, sizeof(names) - 1);
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof(name), "data_batch_%d.bin", i + 1);
        put_records(name, 3 * i, i == 4 ? 5 : 3);
    }
    put_records("test_batch.bin", 100, 2);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return file_remove_tree(directory, NULL);
}

static void test_records(void **state)
{
    (void)state;
    struct dataset *set;
    struct err e = {0};
    if (dataset_open(source, DATA_TRAIN, NULL, &set, &e) < 0) fail_msg("%s", e.text);
    assert_int_equal(dataset_count(set), 17);
    assert_int_equal(dataset_classes(set), 10);
    assert_string_equal(dataset_kind(set), "cifar10");
    assert_string_equal(dataset_label(set, 0), "airplane");
    assert_string_equal(dataset_label(set, 9), "truck");
    for (int i = 0; i < 17; i++) {
        assert_int_equal(dataset_class(set, (size_t)i), i % 10);
        const uint8_t *pixels = dataset_pixels(set, (size_t)i);
        for (int p = 0; p < 1024; p++) {
            for (int c = 0; c < 3; c++) {
                assert_int_equal(pixels[3 * p + c], (uint8_t)((1 + 1024 * c + p) * 7 + i * 31));
            }
        }
    }
    dataset_free(set);
    assert_int_equal(dataset_open(source, DATA_TEST, NULL, &set, &e), 0);
    assert_int_equal(dataset_count(set), 2);
    assert_int_equal(dataset_class(set, 1), 1);
    dataset_free(set);
}

static void assert_refused(int code, const char *words)
{
    struct dataset *set = NULL;
    struct err e = {0};
    int rc = dataset_open(source, DATA_TRAIN, NULL, &set, &e);
    if (rc != code || strstr(e.text, words) == NULL) {
        fail_msg("wanted %d with '%s', got %d: %s", code, words, rc, e.text);
    }
    assert_null(set);
}

static void test_broken(void **state)
{
    (void)state;
    static uint8_t record[RECORD + 1];
    char path[128];
    record[0] = 10;
    put("data_batch_4.bin", record, RECORD);
    assert_refused(ERR_FORMAT, "data_batch_4.bin: record 0 has the label 10");
    put("data_batch_4.bin", record, RECORD + 1);
    assert_refused(ERR_FORMAT, "data_batch_4.bin is 3074 bytes long");
    put("data_batch_4.bin", record, 0);
    assert_refused(ERR_FORMAT, "data_batch_4.bin is 0 bytes long");
    snprintf(path, sizeof(path), "%s/data_batch_4.bin", directory);
    assert_int_equal(remove(path), 0);
    assert_refused(-2, "data_batch_4.bin"); /* ENOENT */
    put_records("data_batch_4.bin", 9, 3);
    put("batches.meta.txt", "a\nb\n", 4);
    assert_refused(ERR_FORMAT, "holds 2 names, but CIFAR-10 has 10 classes");
    snprintf(path, sizeof(path), "%s/data_batch_1.bin", directory);
    assert_int_equal(remove(path), 0);
    assert_refused(ERR_NOT_FOUND, "there is no data_batch_1.bin");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_records, begin, end),
        cmocka_unit_test_setup_teardown(test_broken, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
