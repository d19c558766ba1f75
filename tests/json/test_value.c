/* Documents: what is refused and with what words, bounds, memory, plain looks. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "parse.h"

enum { VALUES_MAX = 1 << 10 };

static struct json *parse_small(const char *text, size_t size, struct err *e)
{
    static const struct json_limits limits = {1 << 20, VALUES_MAX};
    return json_parse("doc", text, size, &limits, JSON_KIND_OBJECT, e);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"", "doc: line 1"},
        {"[1]", "doc: must be an object, not an array"},
        {"1", "doc: must be an object, not an integer"},
        {"null", "not null"},
        {"{\"a\":1,\"a\":2}", "line 1"},
        {"{\"a\":1}x", "line 1"},
        {"{\"a\":\n[1,}", "line 2, column 4"},
        {"{\"a\":[[[[[[[[[[[[[[[[1", "byte 20: nested deeper than 16"},
        {"nul", "doc: line 1"},
        {"{\"a\":\"\\u0000\"}", "doc: line 1"},
        {"{\"a\":\"\xff\"}", "doc: line 1"},
        {"{\"a\":123456789012345678901}", "doc: line 1"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {0};
        assert_null(parse_small(bad[i].text, strlen(bad[i].text), &e));
        assert_int_equal(e.code, ERR_FORMAT);
        if (strstr(e.text, bad[i].words) == NULL) fail_msg("%s: %s", bad[i].text, e.text);
    }
    /* A NUL in the text; nothing is read behind the size. */
    struct err e = {0};
    assert_null(parse_small("{\"a\":\"\0\"}", 9, &e));
    assert_int_equal(e.code, ERR_FORMAT);
    struct json *cut = parse_small("{\"a\":1}xyz", 7, &e);
    assert_non_null(cut);
    json_free(cut);
    /* A byte order mark at the beginning, one of them, and only there. */
    struct json *marked = parse_small("\xef\xbb\xbf{\"a\":1}", 10, &e);
    assert_non_null(marked);
    json_free(marked);
    assert_null(parse_small("\xef\xbb\xbf\xef\xbb\xbf{\"a\":1}", 13, &e));
    assert_null(parse_small("{\xef\xbb\xbf\"a\":1}", 10, &e));
    assert_null(parse_small("\xef\xbb\xbf", 3, &e));
}

/* Brackets in strings are no nesting, escaped quotes do not end them. */
static void strings_are_no_shape(void **state)
{
    (void)state;
    static const char good[] =
        "{\"a\":\"[[[[[[[[[[[[[[[[[[[[[[{{{{{{\\\"[[\\\\\",\"b\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}";
    struct err e = {0};
    struct json *json = parse_small(good, strlen(good), &e);
    assert_non_null(json);
    json_free(json);
}

/* A list of n values as the member "a". */
static int read_many(size_t n, const char *value, struct err *e)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_puts(&text, "{\"a\":[");
    for (size_t i = 0; i < n; i++) buf_printf(&text, "%s%s", i > 0 ? "," : "", value);
    buf_puts(&text, "]}");
    struct json *json = parse_small(buf_text(&text), text.size, e);
    if (json != NULL) assert_int_equal(json_count(json_get(json, "a")), n);
    json_free(json);
    buf_release(&text);
    return json != NULL ? 0 : e->code;
}

static void bounds(void **state)
{
    (void)state;
    struct err e = {0};
    assert_int_equal(read_many(VALUES_MAX / 2 - 2, "{}", &e), 0);
    assert_int_equal(read_many(VALUES_MAX - 2, "0", &e), 0);
    assert_int_equal(read_many(VALUES_MAX - 1, "0", &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "more than 1024 values"));
    assert_int_equal(read_many(VALUES_MAX / 2, "{}", &e), ERR_FORMAT);
    assert_int_equal(read_many(VALUES_MAX, "\",,,,,[[\"", &e), ERR_FORMAT);
    assert_int_equal(read_many(100, "\",,,,,{}{}{}{}{}[],,,,,,,,,,,,,,,,,,,,\"", &e), 0);
    char *large = mem_new((1 << 20) + 1, 1);
    assert_non_null(large);
    assert_null(parse_small(large, (1 << 20) + 1, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    mem_free(large);
}

static void looks(void **state)
{
    (void)state;
    struct err e = {0};
    struct json *json =
        parse("{\"z\":1,\"a\":[2.5,\"t\\u00e9xt\",true,null,-9223372036854775808]}", &e);
    const struct json *a = json_get(json, "a");
    assert_int_equal(json_count(json), 2);
    assert_int_equal(json_count(a), 5);
    assert_true(json_is(a, JSON_KIND_ARRAY) && json_is(a, JSON_KIND_ANY));
    assert_false(json_is(a, JSON_KIND_OBJECT));
    assert_true(json_number(json_item(a, 0), 0) == 2.5);
    assert_true(json_number(json_get(json, "z"), 0) == 1);
    assert_int_equal(json_int(json_item(a, 0), 7), 7); /* no integer */
    assert_string_equal(json_text(json_item(a, 1)), "t\xc3\xa9xt");
    assert_int_equal(json_text_size(json_item(a, 1)), 5);
    assert_true(json_bool(json_item(a, 2), false));
    assert_true(json_bool(json_item(a, 3), true));
    assert_true(json_is(json_item(a, 3), JSON_KIND_NULL));
    assert_true(json_int(json_item(a, 4), 0) == INT64_MIN);

    static const char *const names[] = {"z", "a"};
    size_t n = 0;
    for (struct json_member m = {0}; json_next(json, &m); n++) {
        assert_string_equal(m.name, names[n]);
        assert_ptr_equal(m.value, json_get(json, names[n]));
    }
    assert_int_equal(n, 2);

    /* Nothing is found in nothing. */
    assert_null(json_get(NULL, "a"));
    assert_null(json_get(a, "a"));
    assert_null(json_item(json, 0));
    assert_null(json_item(a, 5));
    assert_null(json_text(NULL));
    assert_int_equal(json_count(NULL) + json_count(json_item(a, 1)) + json_text_size(a), 0);
    assert_false(json_is(NULL, JSON_KIND_ANY));
    struct json_member m = {0};
    assert_false(json_next(NULL, &m) || json_next(a, &m));
    json_free(json);
    json_free(NULL);
}

/* Whatever allocation fails: no document, nothing is lost (which the sanitizers see), and the next
 * one is read as if nothing had been. */
static void memory_runs_out(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\":[1,2.5,{\"b\":\"some text with \\\"escapes\\u00e9\\n\\ud83d\\ude00 that is longer "
        "than "
        "what a buffer begins with, and a little more\"}],\"a longer name than most\":null,"
        "\"c\":1,\"d\":2,\"e\":3,\"f\":4,\"g\":5,\"h\":6,\"i\":7,\"j\":8,\"k\":9}";
    unsigned n = 1;
    for (struct json *json = NULL; json == NULL; n++) {
        struct err e = {0};
        mem_fail_at(n);
        json = parse(text, &e);
        mem_fail_at(0);
        assert_int_equal(e.code, json == NULL ? -ENOMEM : 0);
        if (json != NULL) assert_int_equal(json_count(json), 11);
        if (json == NULL) {
            assert_null(parse("[1]x", &e));
            assert_int_equal(e.code, ERR_FORMAT);
        } else {
            json_free(json);
            break;
        }
    }
    assert_true(n > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses), cmocka_unit_test(strings_are_no_shape), cmocka_unit_test(bounds),
        cmocka_unit_test(looks),   cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
