/* Reads members of JSON objects that strangers wrote, with messages that name the member by its
 * path: "WHAT: stages[2].stride: must be an integer in 1..8, not a string". The error of the reader
 * is set once, by the first failure. */
#ifndef SRC_MODEL_JSON_IN_H
#define SRC_MODEL_JSON_IN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct json_in {
    const char *what; /* the document, in messages */
    struct err *e;
};

enum { JSON_PATH_MAX = 160 };

/* The document as an object or array (type). No duplicate members, nothing behind the end, at most
 * max_items structural characters outside of strings, so that small texts cannot become large
 * memory. json_decref() by the caller; NULL with the error set. */
json_t *json_in_parse(const struct json_in *in, const char *text, size_t size, size_t max_items,
                      json_type type);

/* "path.member" or "path[index]" into ret_path. */
void json_in_path(char ret_path[JSON_PATH_MAX], const char *path, const char *member, size_t index);

/* ERR_FORMAT naming the first member of object that is not among the n known. */
int json_in_known(const struct json_in *in, const json_t *object, const char *path,
                  const char *const *known, size_t n);

/* A member that must be there, of a type; borrowed. NULL with the error set. */
json_t *json_in_member(const struct json_in *in, const json_t *object, const char *path,
                       const char *member, json_type type);

/* Integers and numbers within [low, high]; ERR_FORMAT for another type, ERR_RANGE outside. */
int json_in_int(const struct json_in *in, const json_t *object, const char *path,
                const char *member, int64_t low, int64_t high, int64_t *ret_value);
int json_in_number(const struct json_in *in, const json_t *object, const char *path,
                   const char *member, double low, double high, double *ret_value);

/* A string of less than size bytes, copied; ERR_FORMAT when it has control characters, since such
 * strings are printed. */
int json_in_string(const struct json_in *in, const json_t *object, const char *path,
                   const char *member, char *ret_text, size_t size);

/* The index of a string among the n names; ERR_UNSUPPORTED with the list of them. */
int json_in_choice(const struct json_in *in, const json_t *object, const char *path,
                   const char *member, const char *const *names, size_t n, int *ret_index);

/* Whether there are control characters in a UTF-8 text, those of U+0080..U+009F included. */
bool json_in_has_control(const char *s);

/* n printable characters of s at most, others as '?': what strangers wrote, fit for a message. */
const char *json_in_printable(char *ret_text, size_t size, const char *s);

#endif
