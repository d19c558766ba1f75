/* Documents, over jansson.
 *
 * jansson is recursive, and makes some hundred bytes of memory of an empty object's two or three:
 * nesting and number of values are bounded before it sees the text. Members that are there twice
 * are refused, because two readers may take different ones. */
#include "config.h"

#include "json/value.h"

#include <errno.h>

#include "base/text.h"
#include "tree.h"

enum json_kind json_kind_of(const struct json *value)
{
    switch (json_typeof(json_tree(value))) {
    case JSON_OBJECT:
        return JSON_KIND_OBJECT;
    case JSON_ARRAY:
        return JSON_KIND_ARRAY;
    case JSON_STRING:
        return JSON_KIND_STRING;
    case JSON_INTEGER:
        return JSON_KIND_INT;
    case JSON_REAL:
        return JSON_KIND_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_KIND_BOOL;
    default:
        return JSON_KIND_NULL;
    }
}

const char *json_kind_name(enum json_kind kind)
{
    static const char *const names[] = {
        [JSON_KIND_NULL] = "null",       [JSON_KIND_BOOL] = "a boolean",
        [JSON_KIND_INT] = "an integer",  [JSON_KIND_REAL] = "a number",
        [JSON_KIND_STRING] = "a string", [JSON_KIND_ARRAY] = "an array",
        [JSON_KIND_OBJECT] = "an object"};
    return names[kind];
}

/* Looks at what is outside of strings. Each value but the outermost follows a comma, or is the
 * first of its container, which counts even when it is empty. */
static int check_shape(const char *what, const char *text, size_t size,
                       const struct json_limits *limits, struct err *e)
{
    int depth = 0;
    size_t values = 1;
    bool quoted = false;
    if (size > limits->bytes) {
        return err_set(e, ERR_LIMIT, "%s: %zu bytes long, at most %zu", what, size, limits->bytes);
    }
    for (size_t i = 0; i < size; i++) {
        const char c = text[i];
        if (quoted) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                quoted = false;
            }
        } else if (c == '"') {
            quoted = true;
        } else if (c == '[' || c == '{' || c == ',') {
            if (c != ',' && ++depth > JSON_DEPTH_MAX) {
                return err_set(e, ERR_FORMAT, "%s: byte %zu: nested deeper than %d", what, i,
                               JSON_DEPTH_MAX);
            }
            if (++values > limits->values) {
                return err_set(e, ERR_FORMAT, "%s: byte %zu: more than %zu values", what, i,
                               limits->values);
            }
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return 0;
}

struct json *json_parse(const char *what, const char *text, size_t size,
                        const struct json_limits *limits, enum json_kind kind, struct err *e)
{
    if (check_shape(what, text, size, limits, e) < 0) return NULL;
    json_error_t error;
    json_t *tree = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (tree == NULL) {
        char reason[JSON_ERROR_TEXT_LENGTH];
        bool memory = json_error_code(&error) == json_error_out_of_memory;
        err_set(e, memory ? -ENOMEM : ERR_FORMAT, "%s: line %d, column %d: %s", what, error.line,
                error.column, text_printable(reason, sizeof(reason), error.text));
        return NULL;
    }
    struct json *document = (struct json *)(void *)tree;
    if (kind != JSON_KIND_ANY && json_kind_of(document) != kind) {
        err_set(e, ERR_FORMAT, "%s: must be %s, not %s", what, json_kind_name(kind),
                json_kind_name(json_kind_of(document)));
        json_decref(tree);
        return NULL;
    }
    return document;
}

void json_free(struct json *document)
{
    json_decref(json_tree(document));
}

bool json_is(const struct json *value, enum json_kind kind)
{
    return value != NULL && (kind == JSON_KIND_ANY || json_kind_of(value) == kind);
}

const struct json *json_get(const struct json *object, const char *name)
{
    return json_of_tree(json_object_get(json_tree(object), name));
}

const struct json *json_item(const struct json *array, size_t i)
{
    return json_of_tree(json_array_get(json_tree(array), i));
}

size_t json_count(const struct json *value)
{
    return json_is_array(json_tree(value)) ? json_array_size(json_tree(value))
                                           : json_object_size(json_tree(value));
}

bool json_next(const struct json *object, struct json_member *member)
{
    json_t *tree = json_tree(object);
    member->place =
        member->place == NULL ? json_object_iter(tree) : json_object_iter_next(tree, member->place);
    if (member->place == NULL) return false;
    member->name = json_object_iter_key(member->place);
    member->value = json_of_tree(json_object_iter_value(member->place));
    return true;
}

const char *json_text(const struct json *value)
{
    return json_string_value(json_tree(value));
}

size_t json_text_size(const struct json *value)
{
    return json_string_length(json_tree(value));
}

double json_number(const struct json *value, double otherwise)
{
    return json_is_number(json_tree(value)) ? json_number_value(json_tree(value)) : otherwise;
}

int64_t json_int(const struct json *value, int64_t otherwise)
{
    return json_is_integer(json_tree(value)) ? json_integer_value(json_tree(value)) : otherwise;
}

bool json_bool(const struct json *value, bool otherwise)
{
    return json_is_boolean(json_tree(value)) ? json_is_true(json_tree(value)) : otherwise;
}
