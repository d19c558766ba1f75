/* Places, and the checks of values that stand there. A path is only made when it is needed, which
 * is when something is wrong. */
#include "config.h"

#include "json/read.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "tree.h"

enum { PATH_TEXT_MAX = 160, NAME_SHOWN_MAX = 96, EXPECTED_MAX = 256 };

struct json_place json_root(const struct json *document, const char *what, struct err *e)
{
    return (struct json_place){.value = document, .what = what, .e = e};
}

struct json_place json_place_item(const struct json_place *array, size_t i)
{
    return (struct json_place){.value = json_item(array->value, i),
                               .what = array->what,
                               .e = array->e,
                               .outer = array,
                               .index = i};
}

struct json_place json_place_member(const struct json_place *object, const char *name)
{
    return (struct json_place){.value = json_get(object->value, name),
                               .what = object->what,
                               .e = object->e,
                               .outer = object,
                               .name = name};
}

static struct json_place place_of(const struct json_place *at, const char *name)
{
    return name != NULL ? json_place_member(at, name) : *at;
}

/* Appends to a text of size bytes as much as fits. */
static void __attribute__((format(printf, 3, 4)))
append(char *text, size_t size, const char *format, ...)
{
    size_t used = strlen(text);
    va_list values;
    va_start(values, format);
    vsnprintf(text + used, size - used, format, values);
    va_end(values);
}

/* ": stages[2].stride"; nothing for the document itself. */
static void append_path(const struct json_place *place, char *text, size_t size)
{
    char shown[NAME_SHOWN_MAX];
    if (place->outer == NULL) return;
    append_path(place->outer, text, size);
    const bool first = text[0] == '\0';
    if (place->name == NULL) {
        append(text, size, "%s[%zu]", first ? ": " : "", place->index);
    } else {
        append(text, size, "%s%s", first ? ": " : ".",
               text_printable(shown, sizeof(shown), place->name));
    }
}

__attribute__((format(printf, 3, 0))) static int fail(const struct json_place *place, int code,
                                                      const char *format, va_list values)
{
    char path[PATH_TEXT_MAX] = "", message[ERR_TEXT_MAX];
    append_path(place, path, sizeof(path));
    vsnprintf(message, sizeof(message), format, values);
    return err_set(place->e, code, "%s%s: %s", place->what, path, message);
}

int json_read_fail(const struct json_place *at, const char *name, int code, const char *format, ...)
{
    const struct json_place place = place_of(at, name);
    va_list values;
    va_start(values, format);
    int rc = fail(&place, code, format, values);
    va_end(values);
    return rc;
}

/* Another kind than what is expected, or nothing at all. */
static int wrong_kind(const struct json_place *place, const char *expected)
{
    if (place->value == NULL) {
        return json_read_fail(place, NULL, ERR_FORMAT, "missing; it must be %s", expected);
    }
    return json_read_fail(place, NULL, ERR_FORMAT, "must be %s, not %s", expected,
                          json_kind_name(json_kind_of(place->value)));
}

int json_read_known(const struct json_place *object, const char *const *known, size_t n)
{
    for (struct json_member m = {0}; json_next(object->value, &m);) {
        char list[EXPECTED_MAX] = "";
        size_t i = 0;
        while (i < n && strcmp(known[i], m.name) != 0) i++;
        if (i < n) continue;
        for (i = 0; i < n; i++) append(list, sizeof(list), "%s%s", i > 0 ? ", " : "", known[i]);
        return json_read_fail(object, m.name, ERR_FORMAT, "unknown member; known here are %s",
                              list);
    }
    return 0;
}

int json_read_object(const struct json_place *at, const char *name, struct json_place *ret_object)
{
    const struct json_place place = place_of(at, name);
    if (!json_is(place.value, JSON_KIND_OBJECT)) return wrong_kind(&place, "an object");
    *ret_object = place;
    return 0;
}

int json_read_array(const struct json_place *at, const char *name, size_t min, size_t max,
                    struct json_place *ret_array)
{
    const struct json_place place = place_of(at, name);
    if (!json_is(place.value, JSON_KIND_ARRAY)) return wrong_kind(&place, "an array");
    const size_t n = json_count(place.value);
    if (n >= min && n <= max) {
        *ret_array = place;
        return 0;
    }
    if (min == max) {
        return json_read_fail(&place, NULL, ERR_RANGE, "must have %zu items, not %zu", min, n);
    }
    return json_read_fail(&place, NULL, ERR_RANGE, "must have %zu to %zu items, not %zu", min, max,
                          n);
}

int json_read_int(const struct json_place *at, const char *name, int64_t low, int64_t high,
                  int64_t *ret_value)
{
    const struct json_place place = place_of(at, name);
    const int64_t value = json_int(place.value, low);
    if (json_is(place.value, JSON_KIND_INT) && value >= low && value <= high) {
        *ret_value = value;
        return 0;
    }
    char expected[EXPECTED_MAX];
    snprintf(expected, sizeof(expected), "an integer in %" PRId64 "..%" PRId64, low, high);
    if (!json_is(place.value, JSON_KIND_INT)) return wrong_kind(&place, expected);
    return json_read_fail(&place, NULL, ERR_RANGE, "must be %s, not %" PRId64, expected, value);
}

int json_read_number(const struct json_place *at, const char *name, double low, double high,
                     double *ret_value)
{
    const struct json_place place = place_of(at, name);
    const bool good = json_is(place.value, JSON_KIND_INT) || json_is(place.value, JSON_KIND_REAL);
    const double value = json_number(place.value, low);
    if (good && value >= low && value <= high) {
        *ret_value = value;
        return 0;
    }
    char expected[EXPECTED_MAX];
    snprintf(expected, sizeof(expected), "a number in %g..%g", low, high);
    if (!good) return wrong_kind(&place, expected);
    return json_read_fail(&place, NULL, ERR_RANGE, "must be %s, not %g", expected, value);
}

int json_read_bool(const struct json_place *at, const char *name, bool *ret_value)
{
    const struct json_place place = place_of(at, name);
    if (!json_is(place.value, JSON_KIND_BOOL)) return wrong_kind(&place, "a boolean");
    *ret_value = json_bool(place.value, false);
    return 0;
}

int json_read_string(const struct json_place *at, const char *name, char *ret_text, size_t size)
{
    const struct json_place place = place_of(at, name);
    const char *text = json_text(place.value);
    if (text == NULL) return wrong_kind(&place, "a string");
    const size_t length = json_text_size(place.value);
    if (length >= size) {
        return json_read_fail(&place, NULL, ERR_LIMIT, "%zu bytes long, at most %zu", length,
                              size - 1);
    }
    if (text_has_control(text)) {
        return json_read_fail(&place, NULL, ERR_FORMAT, "control characters are not allowed");
    }
    memcpy(ret_text, text, length + 1);
    return 0;
}

int json_read_choice(const struct json_place *at, const char *name, const char *const *choices,
                     size_t n, int *ret_index)
{
    const struct json_place place = place_of(at, name);
    const char *text = json_text(place.value);
    for (size_t i = 0; text != NULL && i < n; i++) {
        if (strcmp(choices[i], text) != 0) continue;
        *ret_index = (int)i;
        return 0;
    }
    char expected[EXPECTED_MAX] = "one of", shown[NAME_SHOWN_MAX];
    for (size_t i = 0; i < n; i++) {
        append(expected, sizeof(expected), "%s \"%s\"", i > 0 ? "," : "", choices[i]);
    }
    if (text == NULL) return wrong_kind(&place, expected);
    return json_read_fail(&place, NULL, ERR_UNSUPPORTED, "must be %s, not \"%s\"", expected,
                          text_printable(shown, sizeof(shown), text));
}
