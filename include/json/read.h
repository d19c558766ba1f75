/* Reads documents of strangers member by member, with messages that name what is wrong by its
 * place: "spec: stages[2].stride: must be an integer in 1..8, not a string".
 *
 * A place is a value and how one comes to it: it refers to the place around it, which therefore
 * stays where it is meanwhile, on the stack of who reads. Functions look at a member of the object
 * at a place; with NULL for the member's name, at the value there itself. They return 0, or the
 * code of the error that they have set: ERR_FORMAT where something is missing or of another kind,
 * and what is said with each. Results are set on success only. */
#ifndef JSON_READ_H
#define JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "json/value.h"

struct json_place {
    const struct json *value;
    const char *what;               /* the document, in messages */
    struct err *e;                  /* may be NULL */
    const struct json_place *outer; /* NULL: this is the document */
    const char *name;               /* of the member; NULL: an item */
    size_t index;                   /* of the item */
};

struct json_place json_root(const struct json *document, const char *what, struct err *e);

/* A member of an object, maybe missing. */
struct json_place json_place_member(const struct json_place *object, const char *name);

/* The items of an array in turn: i is below json_count(array->value). */
struct json_place json_place_item(const struct json_place *array, size_t i);

/* Fails when the object has a member that is not among the n known. */
int json_read_known(const struct json_place *object, const char *const *known, size_t n);

int json_read_object(const struct json_place *at, const char *name, struct json_place *ret_object);

/* An array of min to max items; ERR_RANGE. */
int json_read_array(const struct json_place *at, const char *name, size_t min, size_t max,
                    struct json_place *ret_array);

/* Within [low, high]; ERR_RANGE. A number is of either kind. */
int json_read_int(const struct json_place *at, const char *name, int64_t low, int64_t high,
                  int64_t *ret_value);
int json_read_number(const struct json_place *at, const char *name, double low, double high,
                     double *ret_value);

int json_read_bool(const struct json_place *at, const char *name, bool *ret_value);

/* A string of less than size bytes, copied; ERR_LIMIT. Control characters are refused, since such
 * strings are printed. */
int json_read_string(const struct json_place *at, const char *name, char *ret_text, size_t size);

/* The index of a string among the n choices; ERR_UNSUPPORTED with the list of them. */
int json_read_choice(const struct json_place *at, const char *name, const char *const *choices,
                     size_t n, int *ret_index);

/* What only the caller can see: sets "what: place: message" and returns code. */
int json_read_fail(const struct json_place *at, const char *name, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
