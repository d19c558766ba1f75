/* Documents, over jansson.
 *
 * jansson is recursive, and makes some hundred bytes of memory of an empty object's two or three:
 * nesting and number of values are bounded before it sees the text. Members that are there twice
 * are refused, because two readers may take different ones. */
#include "config.h"

#include "json/value.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdalign.h>

#include "base/mem.h"
#include "base/text.h"
#include "tree.h"

/* --- jansson's memory ------------------------------------------------------------------------- */

/* jansson takes memory that is missing for a broken text, leaves members out or stops at an
 * assertion. So a parse that finds none is left at once, by a jump, and what it has allocated is
 * known: the blocks of a document are a ring. Nothing allocates but a parse. */
struct block {
    struct block *previous, *next;
};
_Static_assert(sizeof(struct block) % alignof(max_align_t) == 0, "what follows it is aligned");

static _Thread_local struct {
    struct block ring; /* this one is in it while the document is parsed */
    jmp_buf starved;
} parse;

static void take_out(struct block *block)
{
    block->previous->next = block->next;
    block->next->previous = block->previous;
}

static void *allocate(size_t size)
{
    size_t bytes;
    struct block *block = NULL;
    if (mem_size(size, 1, sizeof(*block), &bytes) == 0) block = mem_new(bytes, 1);
    if (block == NULL) longjmp(parse.starved, 1);
    *block = (struct block){parse.ring.previous, &parse.ring};
    block->previous->next = block;
    block->next->previous = block;
    return block + 1;
}

static void release(void *memory)
{
    if (memory == NULL) return;
    struct block *block = (struct block *)memory - 1;
    take_out(block);
    mem_free(block);
}

static void use_our_memory(void)
{
    json_set_alloc_funcs(allocate, release);
}

/* -ENOMEM, or 0 and what jansson makes of the text: NULL with the error when it is broken. */
static int load(const char *text, size_t size, json_t **ret_tree, json_error_t *ret_error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, use_our_memory);
    parse.ring = (struct block){&parse.ring, &parse.ring};
    if (setjmp(parse.starved) != 0) {
        while (parse.ring.next != &parse.ring) release(parse.ring.next + 1);
        return -ENOMEM;
    }
    *ret_tree = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, ret_error);
    take_out(&parse.ring);
    return 0;
}

/* --- documents -------------------------------------------------------------------------------- */

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
    /* RFC 8259 section 8.1 lets who reads it ignore a byte order mark. */
    size_t mark = text_mark_length(text, size);
    text += mark, size -= mark;
    if (check_shape(what, text, size, limits, e) < 0) return NULL;
    json_error_t error;
    json_t *tree = NULL;
    if (load(text, size, &tree, &error) < 0) {
        err_set(e, -ENOMEM, "%s: out of memory", what);
        return NULL;
    }
    if (tree == NULL) {
        char reason[JSON_ERROR_TEXT_LENGTH];
        err_set(e, ERR_FORMAT, "%s: line %d, column %d: %s", what, error.line, error.column,
                text_printable(reason, sizeof(reason), error.text));
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
