/* Members read by place: a table of documents with the message that each must give. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "json/read.h"
#include "parse.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

struct content {
    int64_t whole;
    double number;
    bool yes;
    char text[8];
    int colour;
    int64_t strides[2];
};

static int read_stages(const struct json_place *root, struct content *ret)
{
    struct json_place stages, stage;
    int rc = json_read_array(root, "stages", 1, 2, &stages);
    for (size_t i = 0; rc == 0 && i < json_count(stages.value); i++) {
        const struct json_place item = json_place_item(&stages, i);
        rc = json_read_object(&item, NULL, &stage);
        if (rc == 0) rc = json_read_int(&stage, "stride", 1, 8, &ret->strides[i]);
    }
    return rc;
}

static int read_content(const struct json_place *root, struct content *ret)
{
    static const char *const known[] = {"whole", "number", "yes", "text", "colour", "stages"};
    static const char *const colours[] = {"red", "green"};
    int rc = json_read_known(root, known, COUNT(known));
    if (rc == 0) rc = json_read_int(root, "whole", -5, 5, &ret->whole);
    if (rc == 0) rc = json_read_number(root, "number", 0, 1, &ret->number);
    if (rc == 0) rc = json_read_bool(root, "yes", &ret->yes);
    if (rc == 0) rc = json_read_string(root, "text", ret->text, sizeof(ret->text));
    if (rc == 0) rc = json_read_choice(root, "colour", colours, COUNT(colours), &ret->colour);
    if (rc == 0 && json_get(root->value, "stages") != NULL) rc = read_stages(root, ret);
    if (rc == 0 && ret->whole == 4) {
        rc = json_read_fail(root, "whole", ERR_CONFLICT, "%d is %s", 4, "taken");
    }
    return rc;
}

static int read_text(const char *text, struct content *ret, struct err *e)
{
    struct json *json = parse(text, e);
    assert_non_null(json);
    const struct json_place root = json_root(json, "doc", e);
    int rc = read_content(&root, ret);
    assert_int_equal(rc, e->code);
    json_free(json);
    return rc;
}

#define REST ",\"number\":0.5,\"yes\":true,\"text\":\"abc\",\"colour\":\"green\""

static void reads(void **state)
{
    (void)state;
    struct err e = {0};
    struct content c = {0};
    assert_int_equal(
        read_text("{\"whole\":-5" REST ",\"stages\":[{\"stride\":8},{\"stride\":1}]}", &c, &e), 0);
    assert_int_equal(c.whole, -5);
    assert_true(c.number == 0.5 && c.yes);
    assert_string_equal(c.text, "abc");
    assert_int_equal(c.colour, 1);
    assert_int_equal(c.strides[0], 8);
    assert_int_equal(c.strides[1], 1);
}

static void says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *message;
    } rows[] = {
        {"{\"who\\u0007le\":1}", ERR_FORMAT,
         "doc: who?le: unknown member; known here are whole, number, yes, text, colour, stages"},
        {"{}", ERR_FORMAT, "doc: whole: missing; it must be an integer in -5..5"},
        {"{\"whole\":\"1\"}", ERR_FORMAT, "doc: whole: must be an integer in -5..5, not a string"},
        {"{\"whole\":1.0}", ERR_FORMAT, "doc: whole: must be an integer in -5..5, not a number"},
        {"{\"whole\":6}", ERR_RANGE, "doc: whole: must be an integer in -5..5, not 6"},
        {"{\"whole\":1,\"number\":null}", ERR_FORMAT,
         "doc: number: must be a number in 0..1, not null"},
        {"{\"whole\":1,\"number\":1.5}", ERR_RANGE,
         "doc: number: must be a number in 0..1, not 1.5"},
        {"{\"whole\":1,\"number\":1,\"yes\":1}", ERR_FORMAT,
         "doc: yes: must be a boolean, not an integer"},
        {"{\"whole\":1,\"number\":1,\"yes\":true,\"text\":\"12345678\"}", ERR_LIMIT,
         "doc: text: 8 bytes long, at most 7"},
        {"{\"whole\":1,\"number\":1,\"yes\":true,\"text\":\"\\u0085\"}", ERR_FORMAT,
         "doc: text: control characters are not allowed"},
        {"{\"whole\":1,\"number\":1,\"yes\":true,\"text\":[]}", ERR_FORMAT,
         "doc: text: must be a string, not an array"},
        {"{\"whole\":1,\"number\":1,\"yes\":true,\"text\":\"\",\"colour\":\"r\\u00e9d\"}",
         ERR_UNSUPPORTED, "doc: colour: must be one of \"red\", \"green\", not \"r??d\""},
        {"{\"whole\":1,\"number\":1,\"yes\":true,\"text\":\"\",\"colour\":{}}", ERR_FORMAT,
         "doc: colour: must be one of \"red\", \"green\", not an object"},
        {"{\"whole\":1" REST ",\"stages\":[]}", ERR_RANGE,
         "doc: stages: must have 1 to 2 items, not 0"},
        {"{\"whole\":1" REST ",\"stages\":{}}", ERR_FORMAT,
         "doc: stages: must be an array, not an object"},
        {"{\"whole\":1" REST ",\"stages\":[{\"stride\":1},2]}", ERR_FORMAT,
         "doc: stages[1]: must be an object, not an integer"},
        {"{\"whole\":1" REST ",\"stages\":[{\"stride\":1},{\"stride\":\"2\"}]}", ERR_FORMAT,
         "doc: stages[1].stride: must be an integer in 1..8, not a string"},
        {"{\"whole\":4" REST "}", ERR_CONFLICT, "doc: whole: 4 is taken"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        struct content c = {0};
        assert_int_equal(read_text(rows[i].text, &c, &e), rows[i].code);
        assert_string_equal(e.text, rows[i].message);
    }
}

/* A long path is cut, not written past its end; the root has none. */
static void long_paths(void **state)
{
    (void)state;
    struct err e = {0};
    char text[1024] = "{\"";
    struct json_place outer, inner;
    int64_t number;
    memset(text + 2, 'a', 600);
    strcpy(text + 602, "\":{\"b\":[[]]}}");
    struct json *json = parse(text, &e);
    struct json_member m = {0};
    const struct json_place root = json_root(json, "doc", &e);
    assert_true(json_next(json, &m));
    assert_int_equal(json_read_object(&root, m.name, &outer), 0);
    assert_int_equal(json_read_array(&outer, "b", 1, 1, &inner), 0);
    const struct json_place item = json_place_item(&inner, 0);
    assert_int_equal(json_read_int(&item, NULL, 0, 1, &number), ERR_FORMAT);
    assert_non_null(strstr(e.text, "aaa.b[0]: must be an integer in 0..1, not an array"));
    assert_int_equal(json_read_int(&root, NULL, 0, 1, &number), ERR_FORMAT);
    assert_string_equal(e.text, "doc: must be an integer in 0..1, not an object");
    json_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(long_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
