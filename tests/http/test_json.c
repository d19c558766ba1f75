/* JSON in and out: what is written can be read by jansson and means the same; what strangers send
 * is refused with its place. */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "http/json_body.h"
#include "http/json_text.h"
#include "../../src/http/problem.h"
#include "../seeded.h"
#include "base/mem.h"
#include "http/exchange.h"

static void document(struct json_text *json)
{
    json_text_open(json, NULL, '{');
    json_text_string(json, "text", "a\"b\\c\n\x7f\x01/");
    json_text_integer(json, "least", INT64_MIN);
    json_text_number(json, "real", 0.1, 17);
    json_text_number(json, "none", NAN, 5);
    json_text_bool(json, "yes", true);
    json_text_null(json, "null");
    json_text_open(json, "list", '[');
    json_text_close(json, ']');
    json_text_open(json, "nested", '[');
    json_text_integer(json, NULL, 1);
    json_text_open(json, NULL, '{');
    json_text_close(json, '}');
    json_text_bool(json, NULL, false);
    json_text_close(json, ']');
    json_text_close(json, '}');
}

static void writes(void **state)
{
    (void)state;
    struct buf out;
    struct json_text json;
    buf_init(&out, 10000);
    json_text_init(&json, &out);
    document(&json);
    assert_int_equal(json.rc, 0);
    assert_string_equal(
        buf_text(&out),
        "{\"text\":\"a\\\"b\\\\c\\u000a\\u007f\\u0001/\",\"least\":-9223372036854775808,"
        "\"real\":0.10000000000000001,\"none\":null,\"yes\":true,\"null\":null,\"list\":[],"
        "\"nested\":[1,{},false]}");
    buf_release(&out);
}

/* Any bytes as a string: valid JSON comes out; valid UTF-8 comes back as it was. */
static void any_string(void **state)
{
    (void)state;
    struct rng rng = seeded(6);
    for (int round = 0; round < 20000; round++) {
        char text[20];
        size_t n = rng_below(&rng, sizeof(text));
        struct buf out;
        struct json_text json;
        for (size_t i = 0; i < n; i++) {
            static const unsigned char likely[] = {0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xed, 0xa0,
                                                   0x80, 0xf0, 0x9f, 0x98, 0x80, 0xf4, 0x8f,
                                                   0xbf, 0xc0, 0xe0, '"',  '\\'};
            text[i] = (char)(rng_below(&rng, 3) > 0 ? likely[rng_below(&rng, sizeof(likely))]
                                                    : 1 + rng_below(&rng, 255));
        }
        text[n] = '\0';
        buf_init(&out, 1000);
        json_text_init(&json, &out);
        json_text_open(&json, NULL, '[');
        json_text_string(&json, NULL, text);
        json_text_close(&json, ']');
        assert_int_equal(json.rc, 0);
        json_t *read = json_loads(buf_text(&out), 0, NULL);
        assert_non_null(read);
        const char *got = json_string_value(json_array_get(read, 0));
        json_t *valid = json_string(text); /* NULL when it is no UTF-8 */
        if (valid != NULL)
            assert_string_equal(got, text);
        else
            assert_non_null(strstr(got, "\xef\xbf\xbd"));
        json_decref(valid);
        json_decref(read);
        buf_release(&out);
    }
}

static void too_small(void **state)
{
    (void)state;
    for (size_t max = 0; max < 200; max++) {
        struct buf out;
        struct json_text json;
        buf_init(&out, max);
        json_text_init(&json, &out);
        document(&json);
        assert_true(json.rc == ERR_LIMIT || out.size > 150);
        buf_release(&out);
    }
    struct buf out;
    struct json_text json;
    buf_init(&out, 10000);
    json_text_init(&json, &out);
    mem_fail_at(1);
    document(&json);
    mem_fail_at(0);
    assert_int_equal(json.rc, -ENOMEM); /* the first failure stays */
    buf_release(&out);
}

static void reads(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"", "JSON"},
        {"[1]", "object"},
        {"{\"a\":1,\"a\":2}", "line 1"},
        {"{\"a\":1}x", "line 1"},
        {"{\"a\":\n[1,}", "line 2"},
        {"{\"a\":[[[[[[[[[[[[[[[[[1", "deeper"},
        {"nul", "JSON"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {0};
        assert_null(json_body_object(bad[i].text, strlen(bad[i].text), &e));
        assert_int_equal(e.code, ERR_FORMAT);
        assert_non_null(strstr(e.text, bad[i].words));
    }
    /* Brackets in strings are no nesting, escaped quotes do not end them. */
    const char *good = "{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[{{{{{{\\\"[[\",\"b\":[[[[]]]]}";
    struct err e = {0};
    json_t *json = json_body_object(good, strlen(good), &e);
    assert_non_null(json);
    json_decref(json);
}

/* A list of n empty objects as the member "a". */
static int read_many(size_t n, const char *value, struct err *e)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_puts(&text, "{\"a\":[");
    for (size_t i = 0; i < n; i++) buf_printf(&text, "%s%s", i > 0 ? "," : "", value);
    buf_puts(&text, "]}");
    json_t *json = json_body_object(buf_text(&text), text.size, e);
    if (json != NULL) assert_int_equal(json_array_size(json_object_get(json, "a")), n);
    json_decref(json);
    buf_release(&text);
    return json != NULL ? 0 : e->code;
}

/* Memory: a body of empty objects would take a hundred times its size. */
static void wide(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(read_many(4096, "{}", &e), 0);
    assert_int_equal(read_many(JSON_BODY_VALUES_MAX - 2, "0", &e), 0);
    assert_int_equal(read_many(JSON_BODY_VALUES_MAX + 1, "0", &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "more than"));
    assert_int_equal(read_many(JSON_BODY_VALUES_MAX / 2 + 1, "{}", &e), ERR_FORMAT);
    assert_int_equal(read_many(100000, "\",,,,,[[\"", &e), ERR_FORMAT);
    assert_int_equal(
        read_many(1000,
                  "\",,,,,{}{}{}{}{}[],,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\"",
                  &e),
        0);
}

static void problems(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 1000);
    assert_int_equal(problem_write(&out, 404, "no \"x\""), 0);
    json_t *read = json_loads(buf_text(&out), 0, NULL);
    assert_string_equal(json_string_value(json_object_get(read, "type")), "about:blank");
    assert_string_equal(json_string_value(json_object_get(read, "title")), "Not Found");
    assert_string_equal(json_string_value(json_object_get(read, "detail")), "no \"x\"");
    assert_string_equal(json_string_value(json_object_get(read, "error")), "no \"x\"");
    assert_int_equal(json_integer_value(json_object_get(read, "status")), 404);
    assert_int_equal(json_object_size(read), 5);
    json_decref(read);
    buf_release(&out);
    assert_int_equal(problem_status(ERR_DEADLINE), 504);
    assert_int_equal(problem_status(-ENOMEM), 503);
    assert_int_equal(problem_status(-EIO), 500);
    assert_int_equal(problem_status(ERR_LIMIT), 413);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes), cmocka_unit_test(any_string), cmocka_unit_test(too_small),
        cmocka_unit_test(reads),  cmocka_unit_test(wide),       cmocka_unit_test(problems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
