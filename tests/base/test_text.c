/* UTF-8 against a decoder by the book, numbers against all shorter texts. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "base/text.h"

/* RFC 3629 section 3 read literally: the bits of a sequence make a number that needs just so many
 * bytes. */
static size_t by_the_book(const unsigned char *s, size_t size)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
    if (n < 2 || n > size) return n < 2 ? n : 0;
    uint32_t value = s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if (s[i] >> 6 != 2) return 0;
        value = value << 6 | (s[i] & 0x3f);
    }
    bool surrogate = value >= 0xd800 && value <= 0xdfff;
    return value < least[n] || value > 0x10ffff || surrogate ? 0 : n;
}

static void test_utf8(void **state)
{
    (void)state;
    static const unsigned char last[] = {0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff};
    size_t valid = 0;
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            for (size_t c = 0; c < sizeof(last); c++) {
                for (size_t d = 0; d < sizeof(last); d++) {
                    const unsigned char s[4] = {(unsigned char)a, (unsigned char)b, last[c],
                                                last[d]};
                    for (size_t size = 1; size <= 4; size++) {
                        size_t n = by_the_book(s, size);
                        assert_int_equal(text_utf8_length((const char *)s, size), n);
                        valid += n > 2;
                    }
                }
            }
        }
    }
    assert_true(valid > 1000);
}

/* It reads back, and no text of fewer digits does. */
static void check_double(double value)
{
    char text[TEXT_NUMBER_MAX], shorter[TEXT_NUMBER_MAX + 8];
    assert_ptr_equal(text_double(value, text), text);
    if (strtod(text, NULL) != value) fail_msg("%s is not %.17g", text, value);
    for (int n = 1; n < 15; n++) {
        snprintf(shorter, sizeof(shorter), "%.*e", n - 1, value);
        if (strtod(shorter, NULL) != value) continue;
        snprintf(shorter, sizeof(shorter), "%.*g", n, value);
        if (strchr(shorter, 'e') == NULL) assert_string_equal(text, shorter);
        break;
    }
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {0.1, "0.1"},
                 {5000, "5000"},
                 {-3, "-3"},
                 {1e-5, "1e-05"},
                 {5e-4, "0.0005"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {1e300, "1e+300"},
                 {123456789012345, "123456789012345"}};
    char text[TEXT_NUMBER_MAX];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(text_double(cases[i].value, text), cases[i].text);
    }
    assert_string_equal(text_float(0.1f, text), "0.1");
    assert_string_equal(text_float(0.4465f, text), "0.4465");
    struct rng r;
    rng_init(&r, 4, RNG_TEST, 0, 0);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = (uint64_t)rng_u32(&r) << 32 | rng_u32(&r);
        double value;
        float small;
        memcpy(&value, &bits, sizeof(value));
        memcpy(&small, &bits, sizeof(small));
        if (isfinite(value)) check_double(value);
        check_double((double)rng_below(&r, 100000) / 1000);
        if (isfinite(small)) assert_true(strtof(text_float(small, text), NULL) == small);
    }
}

static void test_read_back(void **state)
{
    (void)state;
    int64_t whole = 7;
    uint64_t seed = 7;
    double real = 7;
    static const char *const none[] = {"",  " 1", "1 ", "\t1", "x",  "1x",
                                       "-", "+",  ".",  "1,5", "0x", "\xc2\xb9"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_false(text_to_int(none[i], &whole));
        assert_false(text_to_unsigned(none[i], &seed));
        assert_false(text_to_real(none[i], &real));
    }
    assert_false(text_to_int("9223372036854775808", &whole));
    assert_false(text_to_int("1.0", &whole));
    assert_false(text_to_unsigned("18446744073709551616", &seed));
    assert_false(text_to_unsigned("-1", &seed));
    assert_false(text_to_real("nan", &real));
    assert_false(text_to_real("1e999", &real));
    assert_true(whole == 7 && seed == 7 && real == 7);
    assert_true(text_to_int("-9223372036854775808", &whole) && whole == INT64_MIN);
    assert_true(text_to_unsigned("18446744073709551615", &seed) && seed == UINT64_MAX);
    assert_true(text_to_real("-5e-4", &real) && real == -5e-4);
}

static void test_distance(void **state)
{
    (void)state;
    char longest[TEXT_DISTANCE_MAX + 1], longer[TEXT_DISTANCE_MAX + 2];
    memset(longest, 'a', sizeof(longest));
    memset(longer, 'a', sizeof(longer));
    longest[TEXT_DISTANCE_MAX] = longer[TEXT_DISTANCE_MAX + 1] = '\0';
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {
        {"", "", 0},     {"a", "", 1},           {"batch", "batch", 0},    {"bacth", "batch", 2},
        {"lr", "rl", 2}, {"epoch", "epochs", 1}, {"kitten", "sitting", 3}, {"mixup", "warmup", 4}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(text_distance(cases[i].a, cases[i].b), cases[i].distance);
        assert_int_equal(text_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
    assert_int_equal(text_distance(longest, longest), 0);
    assert_int_equal(text_distance(longest, longer), TEXT_DISTANCE_MAX);
    assert_int_equal(text_distance(longer, longest), TEXT_DISTANCE_MAX);
}

/* Whatever editor wrote it. */
static void test_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text, *lines;
        size_t count;
    } cases[] = {
        {"", "", 0},
        {"\n\n", "", 0},
        {"a\nb", "a|b|", 2},
        {"a\nb\n", "a|b|", 2},
        {"\xef\xbb\xbf"
         "a\r\nb c \t\r\n\r\n\n",
         "a|b c|", 2},
        {"\xef\xbb\xbf", "", 0},
        {"\n a\n\nb\n", "| a||b|", 4},
        {"a\xef\xbb\xbf\n", "a\xef\xbb\xbf|", 1},
        {"1\n2\n3\n4\n5\n", "1|2|3|4|", 5}, /* no more than there is room for */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64], joined[64] = "", *lines[4];
        size_t count = 99;
        strcpy(text, cases[i].text);
        assert_int_equal(text_split_lines(text, strlen(text), lines, 4, &count), 0);
        assert_int_equal(count, cases[i].count);
        for (size_t k = 0; k < count && k < 4; k++) strcat(strcat(joined, lines[k]), "|");
        assert_string_equal(joined, cases[i].lines);
    }
    char zero[] = "a\nb\0c\nd", *lines[4];
    size_t count;
    assert_int_equal(text_split_lines(zero, sizeof(zero) - 1, lines, 4, &count), 2);
    char end[] = "a\nb\0"; /* behind the last letter, where it looks like the end */
    assert_int_equal(text_split_lines(end, sizeof(end) - 1, lines, 4, &count), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8),      cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_read_back), cmocka_unit_test(test_distance),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
