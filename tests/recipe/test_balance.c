/* Weights of classes and classifiers: texts, and the weights that numbers of images give, against
 * the paper's formula. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../near.h"

#include "recipe/balance.h"

static struct class_balance classes_of(const char *text)
{
    struct class_balance w;
    struct err e = {0};
    if (class_balance_parse(text, &w, &e) < 0) fail_msg("%s", e.text);
    return w;
}

static void test_class_texts(void **state)
{
    (void)state;
    const char *good[] = {"none",        "inverse", "effective:0.999",
                          "effective:0", "0=0",     "3=2.5,17=0.5"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char text[BALANCE_TEXT_MAX];
        const struct class_balance w = classes_of(good[i]);
        class_balance_format(&w, text);
        assert_string_equal(text, good[i]);
    }
    const char *bad[] = {"",
                         "balanced",
                         "effective",
                         "effective:",
                         "effective:1",
                         "effective:-1",
                         "3",
                         "3=",
                         "=1",
                         "3=-1",
                         "3=nan",
                         "3=1,",
                         "3=1,3=2",
                         "3=1,2=1",
                         "3=1 ",
                         "-1=1",
                         "99999999999=1",
                         "1=1,2=1,3=1,4=1,5=1,6=1,7=1,8=1,9=1,10=1,11=1,12=1,13=1,14=1,15=1,16=1,"
                         "17=1",
                         "1=1.23456789012345,2=1.23456789012345,3=1.23456789012345,4=1.234567890123"
                         "45,5=1.23456789012345,6=1.23456789012345,7=1.23456789012345"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct class_balance w = {.n = 77};
        struct err e = {0};
        assert_int_equal(class_balance_parse(bad[i], &w, &e), ERR_RANGE);
        assert_non_null(strstr(e.text, "it takes none, inverse"));
        assert_int_equal(w.n, 77);
    }
}

static void test_exit_texts(void **state)
{
    (void)state;
    const char *good[] = {"equal", "1", "0.5,0.75,2,1"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char text[BALANCE_TEXT_MAX];
        struct exit_balance w;
        struct err e = {0};
        assert_int_equal(exit_balance_parse(good[i], &w, &e), 0);
        exit_balance_format(&w, text);
        assert_string_equal(text, good[i]);
        assert_true(exit_weight(&w, 1) == (i == 2 ? 0.75 : 1));
    }
    const char *bad[] = {"",    "0",  "1,0,1", "1,",  ",1",
                         "1;2", "-1", "inf",   "all", "1,1,1,1,1,1,1,1,1,1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct exit_balance w = {.n = 77};
        struct err e = {0};
        assert_int_equal(exit_balance_parse(bad[i], &w, &e), ERR_RANGE);
        assert_int_equal(w.n, 77);
    }
}

/* Their mean over the images is 1; between two classes they are as the formula has them. */
static void check_numbers(const char *text, double beta, bool inverse)
{
    const size_t images[] = {500, 50, 5, 0};
    const struct class_balance w = classes_of(text);
    struct err e = {0};
    float weights[4];
    double mean = 0, raw[3];
    assert_int_equal(class_balance_make(&w, images, 4, weights, &e), 0);
    for (int k = 0; k < 3; k++) {
        const double n = (double)images[k];
        raw[k] = inverse ? 1 / n : (1 - beta) / (1 - pow(beta, n));
        mean += n * (double)weights[k] / 555;
        assert_near((double)weights[k] / (double)weights[0], raw[k] / raw[0], 1e-4);
    }
    assert_near(mean, 1, 1e-6);
    assert_true(weights[3] == 0);
}

static void test_weights(void **state)
{
    (void)state;
    check_numbers("inverse", 0, true);
    check_numbers("effective:0.99", 0.99, false);
    check_numbers("effective:0.9999", 0.9999, false);
    const struct class_balance w = classes_of("1=0.5,3=2");
    const size_t images[] = {1, 2, 3, 4, 5};
    const float wanted[] = {1, 0.5F, 1, 2, 1};
    float weights[5];
    struct err e = {0};
    assert_int_equal(class_balance_make(&w, images, 5, weights, &e), 0);
    assert_memory_equal(weights, wanted, sizeof(wanted));
    assert_int_equal(class_balance_make(&w, images, 3, weights, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "no class 3: they are 0 to 2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_class_texts),
                                       cmocka_unit_test(test_exit_texts),
                                       cmocka_unit_test(test_weights)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
