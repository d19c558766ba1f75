/* A JSON document: text from strangers parsed within bounds, and plain looks at its values, for
 * readers that take what they find. Those that must say what is wrong and where have json/read.h.
 *
 * A document is a tree that never changes: values inside of it are borrowed, and live until the
 * document is freed. Looking at nothing (NULL) is fine and finds nothing. Any thread, several at a
 * time. */
#ifndef JSON_VALUE_H
#define JSON_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct json;

enum json_kind {
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_INT, /* written without point and exponent, and fits into 64 bits */
    JSON_KIND_REAL,
    JSON_KIND_STRING,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT,
    JSON_KIND_ANY /* asked for only */
};

enum { JSON_DEPTH_MAX = 16 };

struct json_limits {
    size_t bytes;  /* of the text */
    size_t values; /* small texts must not become large memory: "[[],[],.." takes fifty times it */
};

/* The document, for json_free(), whose outermost value is of the kind; a byte order mark before it
 * is ignored. NULL with *e beginning with
 * `what`: ERR_FORMAT (broken, with line and column; the same member twice; a NUL or bytes that are
 * not UTF-8 in a string; deeper than JSON_DEPTH_MAX; more values; of another kind), ERR_LIMIT (more
 * bytes) or -ENOMEM. */
struct json *json_parse(const char *what, const char *text, size_t size,
                        const struct json_limits *limits, enum json_kind kind, struct err *e);
void json_free(struct json *document);

/* false when there is no value. */
bool json_is(const struct json *value, enum json_kind kind);

/* A member of an object, an item of an array; NULL when it is not there. */
const struct json *json_get(const struct json *object, const char *name);
const struct json *json_item(const struct json *array, size_t i);

/* Items of an array, members of an object; 0 of everything else. */
size_t json_count(const struct json *value);

/* The members in the order of the text: begin with an empty struct, until false. */
struct json_member {
    const char *name;
    const struct json *value;
    void *place; /* the reader's */
};
bool json_next(const struct json *object, struct json_member *member);

/* A string's text, which holds no NUL, and NULL for everything else; its bytes. */
const char *json_text(const struct json *value);
size_t json_text_size(const struct json *value);

/* A number (of both kinds), an integer, a boolean; `otherwise` for everything else. */
double json_number(const struct json *value, double otherwise);
int64_t json_int(const struct json *value, int64_t otherwise);
bool json_bool(const struct json *value, bool otherwise);

#endif
