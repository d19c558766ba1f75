/* What is written can be read and means the same, in as few digits as do it. */
#include "config.h"

#include <errno.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../seeded.h"
#include "base/mem.h"
#include "json/write.h"
#include "parse.h"

static void document(struct json_writer *w)
{
    json_write_open(w, NULL, '{');
    json_write_string(w, "text", "a\"b\\c\n\x7f\x01/");
    json_write_int(w, "least", INT64_MIN);
    json_write_number(w, "real", 0.0375);
    json_write_float(w, "float", 0.1f);
    json_write_rounded(w, "third", 1.0 / 3, 4);
    json_write_number(w, "none", NAN);
    json_write_float(w, "endless", -INFINITY);
    json_write_rounded(w, "unknown", NAN, 3);
    json_write_seed(w, "seed", UINT64_C(1) << 53);
    json_write_seed(w, "large", UINT64_MAX);
    json_write_bool(w, "yes", true);
    json_write_null(w, "null");
    json_write_open(w, "list", '[');
    json_write_close(w, ']');
    json_write_open(w, "nested", '[');
    json_write_int(w, NULL, 1);
    json_write_open(w, NULL, '{');
    json_write_close(w, '}');
    json_write_bool(w, NULL, false);
    json_write_close(w, ']');
    json_write_close(w, '}');
}

static void writes(void **state)
{
    (void)state;
    struct buf out;
    struct json_writer w;
    buf_init(&out, 10000);
    json_writer_init(&w, &out);
    document(&w);
    assert_int_equal(w.status, 0);
    assert_string_equal(
        buf_text(&out),
        "{\"text\":\"a\\\"b\\\\c\\u000a\\u007f\\u0001/\",\"least\":-9223372036854775808,"
        "\"real\":0.0375,\"float\":0.1,\"third\":0.3333,\"none\":null,\"endless\":null,"
        "\"unknown\":null,\"seed\":9007199254740992,\"large\":\"18446744073709551615\","
        "\"yes\":true,\"null\":null,\"list\":[],\"nested\":[1,{},false]}");
    buf_release(&out);
}

static void spaces_and_lines(void **state)
{
    (void)state;
    struct buf out;
    struct json_writer w;
    buf_init(&out, 10000);
    json_writer_init(&w, &out);
    w.spaced = true;
    json_write_open(&w, NULL, '{');
    json_write_int(&w, "a", 1);
    json_write_int(&w, "b", 2);
    json_write_line(&w, 1);
    json_write_open(&w, "c", '[');
    json_write_line(&w, 2);
    json_write_int(&w, NULL, 3);
    json_write_int(&w, NULL, 4);
    json_write_close(&w, ']');
    json_write_close(&w, '}');
    assert_string_equal(buf_text(&out), "{\"a\": 1, \"b\": 2,\n \"c\": [\n  3, 4]}");
    buf_release(&out);
}

/* Any bytes as a string: valid JSON comes out; valid UTF-8 comes back as it was. */
static void any_string(void **state)
{
    (void)state;
    static const unsigned char likely[] = {0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xed, 0xa0,
                                           0x80, 0xf0, 0x9f, 0x98, 0x80, 0xf4, 0x8f,
                                           0xbf, 0xc0, 0xe0, '"',  '\\'};
    struct rng rng = seeded(6);
    for (int round = 0; round < 20000; round++) {
        char text[20];
        size_t n = rng_below(&rng, sizeof(text));
        struct buf out;
        struct json_writer w;
        struct err e = {0};
        for (size_t i = 0; i < n; i++) {
            text[i] = (char)(rng_below(&rng, 3) > 0 ? likely[rng_below(&rng, sizeof(likely))]
                                                    : 1 + rng_below(&rng, 255));
        }
        text[n] = '\0';
        buf_init(&out, 1000);
        json_writer_init(&w, &out);
        json_write_string(&w, NULL, text);
        assert_int_equal(w.status, 0);
        struct json *read = parse(buf_text(&out), &e);
        assert_non_null(read);
        if (w.replaced)
            assert_non_null(strstr(json_text(read), "\xef\xbf\xbd"));
        else
            assert_string_equal(json_text(read), text);
        json_free(read);
        buf_release(&out);
    }
}

/* The text of a number, which reads back through a document as the same one. */
static const char *number_text(double value, char ret_text[64])
{
    struct buf out;
    struct json_writer w;
    struct err e = {0};
    buf_init(&out, 63);
    json_writer_init(&w, &out);
    json_write_number(&w, NULL, value);
    assert_int_equal(w.status, 0);
    strcpy(ret_text, buf_text(&out));
    struct json *read = parse(ret_text, &e);
    if (read == NULL || json_number(read, NAN) != value)
        fail_msg("%s is not %.17g", ret_text, value);
    json_free(read);
    buf_release(&out);
    return ret_text;
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } rows[] = {{0.0375, "0.0375"},
                {5e-4, "0.0005"},
                {0.1 + 0.2, "0.30000000000000004"},
                {1e300, "1e+300"},
                {-1e-7, "-1e-07"},
                {DBL_TRUE_MIN, "5e-324"},
                {DBL_MAX, "1.7976931348623157e+308"},
                {0, "0"},
                {-0.0, "0"},
                {100, "100"},
                {9007199254740993.0, "9007199254740992"}};
    char text[64];
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strcmp(rows[i].text, number_text(rows[i].value, text)) != 0)
            fail_msg("%s instead of %s", text, rows[i].text);
    }
    struct rng rng = seeded(8);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = (uint64_t)rng_u32(&rng) << 32 | rng_u32(&rng);
        double value;
        if (i % 4 == 0) bits &= UINT64_C(0x800fffffffffffff) >> rng_below(&rng, 52); /* denormal */
        memcpy(&value, &bits, sizeof(value));
        if (isfinite(value)) number_text(value, text);
        number_text((double)(int32_t)rng_u32(&rng), text);
        assert_null(strpbrk(text, ".e"));
    }
}

/* A locale with a comma changes nothing. */
static void locale(void **state)
{
    (void)state;
    static const char *const with_comma[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "nl_NL.UTF-8"};
    size_t i = 0;
    while (i < 4 && setlocale(LC_NUMERIC, with_comma[i]) == NULL) i++;
    if (i == 4) skip();
    char text[64];
    assert_string_equal(number_text(-1234.5, text), "-1234.5");
    assert_string_equal(number_text(1.5e-9, text), "1.5e-09");
    setlocale(LC_NUMERIC, "C");
}

static void values(void **state)
{
    (void)state;
    static const char text[] =
        "{\"z\":[1,2.5,\"s\\u00e9\",null,true,{}],\"a\":{\"d\":0.1,\"c\":-7}}";
    struct err e = {0};
    struct buf out;
    struct json_writer w;
    struct json *json = parse(text, &e);
    buf_init(&out, 1000);
    json_writer_init(&w, &out);
    json_write_value(&w, NULL, json);
    assert_string_equal(buf_text(&out),
                        "{\"z\":[1,2.5,\"s\xc3\xa9\",null,true,{}],\"a\":{\"d\":0.1,\"c\":-7}}");
    buf_clear(&out);
    json_writer_init(&w, &out);
    json_write_open(&w, NULL, '[');
    json_write_sorted(&w, NULL, json);
    json_write_value(&w, NULL, json_get(json, "a"));
    json_write_close(&w, ']');
    assert_string_equal(buf_text(&out), "[{\"a\":{\"c\":-7,\"d\":0.1},\"z\":[1,2.5,\"s\xc3\xa9\","
                                        "null,true,{}]},{\"d\":0.1,\"c\":-7}]");
    /* Sorting takes memory. */
    buf_clear(&out);
    json_writer_init(&w, &out);
    mem_fail_at(1);
    json_write_sorted(&w, NULL, json);
    mem_fail_at(0);
    assert_int_equal(w.status, -ENOMEM);
    buf_release(&out);
    json_free(json);
}

static void too_small(void **state)
{
    (void)state;
    struct buf out;
    struct json_writer w;
    buf_init(&out, 10000);
    json_writer_init(&w, &out);
    document(&w);
    const size_t needed = out.size;
    buf_release(&out);
    for (size_t max = 0; max < needed + 2; max++) {
        buf_init(&out, max);
        json_writer_init(&w, &out);
        document(&w);
        assert_int_equal(w.status, max < needed ? ERR_LIMIT : 0);
        buf_release(&out);
    }
    buf_init(&out, 10000);
    json_writer_init(&w, &out);
    mem_fail_at(1);
    document(&w);
    mem_fail_at(0);
    assert_int_equal(w.status, -ENOMEM); /* the first failure stays */
    assert_int_equal(out.size, 0);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes),     cmocka_unit_test(spaces_and_lines),
        cmocka_unit_test(any_string), cmocka_unit_test(numbers),
        cmocka_unit_test(locale),     cmocka_unit_test(values),
        cmocka_unit_test(too_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
