/* CIFAR-100 itself, where it is (shared/data or AUTODIDACT_DATA): counts, classes in equal numbers,
 * and the constants that training normalises with. Its own program, since only a whole one can be
 * skipped. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/file.h"
#include "data/dataset.h"

static char source[1100];

static void test_train(void **state)
{
    (void)state;
    struct dataset *set;
    struct err e = {0};
    if (dataset_open(source, DATA_TRAIN, NULL, &set, &e) < 0) fail_msg("%s", e.text);
    assert_int_equal(dataset_count(set), 50000);
    assert_string_equal(dataset_label(set, 0), "apple");
    assert_string_equal(dataset_label(set, 99), "worm");
    int counts[100] = {0};
    uint64_t sum[3] = {0}, squares[3] = {0};
    for (size_t i = 0; i < 50000; i++) {
        const uint8_t *p = dataset_pixels(set, i);
        counts[dataset_class(set, i)]++;
        for (size_t k = 0; k < 1024; k++) {
            for (size_t c = 0; c < 3; c++, p++) {
                sum[c] += *p;
                squares[c] += (uint64_t)*p * *p;
            }
        }
    }
    for (int i = 0; i < 100; i++) assert_int_equal(counts[i], 500);
    float mean[3], std[3];
    dataset_normalisation(set, mean, std);
    for (int c = 0; c < 3; c++) {
        const double n = 50000.0 * 1024, m = (double)sum[c] / n;
        const double deviation = sqrt((double)squares[c] / n - m * m);
        assert_true(fabs(m / 255 - (double)mean[c]) < 1e-4);
        assert_true(fabs(deviation / 255 - (double)std[c]) < 1e-4);
    }
    dataset_free(set);
}

/* Whole classes again, other images. */
static void test_test(void **state)
{
    (void)state;
    struct dataset *set;
    struct err e = {0};
    if (dataset_open(source, DATA_TEST, NULL, &set, &e) < 0) fail_msg("%s", e.text);
    assert_int_equal(dataset_count(set), 10000);
    int counts[100] = {0};
    for (size_t i = 0; i < 10000; i++) counts[dataset_class(set, i)]++;
    for (int i = 0; i < 100; i++) assert_int_equal(counts[i], 100);
    dataset_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_train),
        cmocka_unit_test(test_test),
    };
    const char *top = getenv("AUTODIDACT_DATA");
    char path[1024];
    snprintf(path, sizeof(path), "%s/cifar-100-binary", top != NULL ? top : "../shared/data");
    snprintf(source, sizeof(source), "cifar100:%s", path);
    if (!file_exists(path)) {
        printf("1..0 # SKIP there is no %s\n", path);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
