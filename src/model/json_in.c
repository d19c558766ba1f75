/* The JSON reader's checks, over jansson.
 *
 * jansson bounds the depth (2048) but not the memory: "[[],[],..." takes some fifty times its text.
 * The number of items is therefore counted in the text before it is parsed. */
#include "config.h"

#include "json_in.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

const char *json_in_printable(char *ret_text, size_t size, const char *s)
{
    size_t n = 0;
    for (; s[n] != '\0' && n + 1 < size; n++) {
        ret_text[n] = s[n] >= 0x20 && s[n] < 0x7f ? s[n] : '?';
    }
    ret_text[n] = '\0';
    return ret_text;
}

bool json_in_has_control(const char *s)
{
    for (const unsigned char *u = (const unsigned char *)s; *u != '\0'; u++) {
        if (*u < 0x20 || *u == 0x7f || (u[0] == 0xc2 && u[1] < 0xa0)) return true;
    }
    return false;
}

/* Structural characters outside of strings: each begins or ends an item. */
static size_t count_items(const char *text, size_t size)
{
    size_t n = 0;
    bool quoted = false;
    for (size_t i = 0; i < size; i++) {
        if (quoted) {
            if (text[i] == '\\') {
                i++;
            } else if (text[i] == '"') {
                quoted = false;
            }
        } else if (text[i] == '"') {
            quoted = true;
        } else if (text[i] == '{' || text[i] == '[' || text[i] == ',') {
            n++;
        }
    }
    return n;
}

static const char *type_name(json_type type)
{
    switch (type) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

json_t *json_in_parse(const struct json_in *in, const char *text, size_t size, size_t max_items,
                      json_type type)
{
    if (count_items(text, size) > max_items) {
        err_set(in->e, ERR_LIMIT, "%s: more than %zu values", in->what, max_items);
        return NULL;
    }
    json_error_t error;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        char reason[JSON_ERROR_TEXT_LENGTH];
        bool memory = json_error_code(&error) == json_error_out_of_memory;
        err_set(in->e, memory ? -ENOMEM : ERR_FORMAT, "%s: line %d, column %d: %s", in->what,
                error.line, error.column, json_in_printable(reason, sizeof(reason), error.text));
        return NULL;
    }
    if (json_typeof(root) != type) {
        err_set(in->e, ERR_FORMAT, "%s: must be %s, not %s", in->what, type_name(type),
                type_name(json_typeof(root)));
        json_decref(root);
        return NULL;
    }
    return root;
}

void json_in_path(char ret_path[JSON_PATH_MAX], const char *path, const char *member, size_t index)
{
    if (member == NULL) {
        snprintf(ret_path, JSON_PATH_MAX, "%.100s[%zu]", path, index);
    } else {
        char shown[48];
        snprintf(ret_path, JSON_PATH_MAX, "%.100s%s%s", path, *path != '\0' ? "." : "",
                 json_in_printable(shown, sizeof(shown), member));
    }
}

int json_in_known(const struct json_in *in, const json_t *object, const char *path,
                  const char *const *known, size_t n)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)object, key, value) {
        size_t i = 0;
        while (i < n && strcmp(known[i], key) != 0) i++;
        if (i < n) continue;

        char at[JSON_PATH_MAX], list[256] = "";
        for (i = 0; i < n; i++) {
            size_t used = strlen(list);
            snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? ", " : "", known[i]);
        }
        json_in_path(at, path, key, 0);
        return err_set(in->e, ERR_FORMAT, "%s: %s: unknown member; known here are %s", in->what, at,
                       list);
    }
    return 0;
}

/* expected: what the message says must stand there. */
static json_t *member_of(const struct json_in *in, const json_t *object, const char *path,
                         const char *member, const char *expected)
{
    json_t *value = json_object_get(object, member);
    if (value == NULL) {
        char at[JSON_PATH_MAX];
        json_in_path(at, path, member, 0);
        err_set(in->e, ERR_FORMAT, "%s: %s: missing; it must be %s", in->what, at, expected);
    }
    return value;
}

static int wrong_type(const struct json_in *in, const char *path, const char *member,
                      const json_t *value, const char *expected)
{
    char at[JSON_PATH_MAX];
    json_in_path(at, path, member, 0);
    return err_set(in->e, ERR_FORMAT, "%s: %s: must be %s, not %s", in->what, at, expected,
                   type_name(json_typeof(value)));
}

json_t *json_in_member(const struct json_in *in, const json_t *object, const char *path,
                       const char *member, json_type type)
{
    json_t *value = member_of(in, object, path, member, type_name(type));
    if (value == NULL || json_typeof(value) == type) return value;
    wrong_type(in, path, member, value, type_name(type));
    return NULL;
}

int json_in_int(const struct json_in *in, const json_t *object, const char *path,
                const char *member, int64_t low, int64_t high, int64_t *ret_value)
{
    char expected[80];
    snprintf(expected, sizeof(expected), "an integer in %" PRId64 "..%" PRId64, low, high);
    const json_t *value = member_of(in, object, path, member, expected);
    if (value == NULL) return ERR_FORMAT;
    if (!json_is_integer(value)) return wrong_type(in, path, member, value, expected);
    int64_t number = json_integer_value(value);
    if (number < low || number > high) {
        char at[JSON_PATH_MAX];
        json_in_path(at, path, member, 0);
        return err_set(in->e, ERR_RANGE, "%s: %s: must be %s, not %" PRId64, in->what, at, expected,
                       number);
    }
    *ret_value = number;
    return 0;
}

int json_in_number(const struct json_in *in, const json_t *object, const char *path,
                   const char *member, double low, double high, double *ret_value)
{
    char expected[80];
    snprintf(expected, sizeof(expected), "a number in %g..%g", low, high);
    const json_t *value = member_of(in, object, path, member, expected);
    if (value == NULL) return ERR_FORMAT;
    if (!json_is_number(value)) return wrong_type(in, path, member, value, expected);
    double number = json_number_value(value);
    if (!(number >= low && number <= high)) {
        char at[JSON_PATH_MAX];
        json_in_path(at, path, member, 0);
        return err_set(in->e, ERR_RANGE, "%s: %s: must be %s, not %g", in->what, at, expected,
                       number);
    }
    *ret_value = number;
    return 0;
}

int json_in_string(const struct json_in *in, const json_t *object, const char *path,
                   const char *member, char *ret_text, size_t size)
{
    const json_t *value = json_in_member(in, object, path, member, JSON_STRING);
    if (value == NULL) return ERR_FORMAT;
    size_t length = json_string_length(value);
    if (length >= size) {
        char at[JSON_PATH_MAX];
        json_in_path(at, path, member, 0);
        return err_set(in->e, ERR_LIMIT, "%s: %s: %zu bytes long, at most %zu", in->what, at,
                       length, size - 1);
    }
    if (json_in_has_control(json_string_value(value))) {
        char at[JSON_PATH_MAX];
        json_in_path(at, path, member, 0);
        return err_set(in->e, ERR_FORMAT, "%s: %s: control characters are not allowed", in->what,
                       at);
    }
    memcpy(ret_text, json_string_value(value), length + 1);
    return 0;
}

int json_in_choice(const struct json_in *in, const json_t *object, const char *path,
                   const char *member, const char *const *names, size_t n, int *ret_index)
{
    char expected[256] = "one of";
    for (size_t i = 0; i < n; i++) {
        size_t used = strlen(expected);
        snprintf(expected + used, sizeof(expected) - used, "%s \"%s\"", i > 0 ? "," : "", names[i]);
    }
    const json_t *value = member_of(in, object, path, member, expected);
    if (value == NULL) return ERR_FORMAT;
    if (!json_is_string(value)) return wrong_type(in, path, member, value, expected);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(names[i], json_string_value(value)) == 0) {
            *ret_index = (int)i;
            return 0;
        }
    }
    char at[JSON_PATH_MAX], shown[48];
    json_in_path(at, path, member, 0);
    return err_set(in->e, ERR_UNSUPPORTED, "%s: %s: must be %s, not \"%s\"", in->what, at, expected,
                   json_in_printable(shown, sizeof(shown), json_string_value(value)));
}
