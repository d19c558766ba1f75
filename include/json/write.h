/* Writes JSON straight into a buffer, without building a tree first. Commas are the writer's
 * business. The first failure is kept in status, and later calls do nothing: a document is a chain
 * of calls with one check at the end. Equal calls make equal bytes. One thread at a time. */
#ifndef JSON_WRITE_H
#define JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "json/value.h"

struct json_writer {
    struct buf *buf;
    int status;    /* 0, ERR_LIMIT (the buffer's maximum) or -ENOMEM */
    bool spaced;   /* set after json_writer_init(): a blank behind every comma and colon */
    bool replaced; /* a string was not UTF-8 */
    bool comma;    /* the next member needs one before it */
    int indent;    /* of the line that the next member begins; -1: none */
};

void json_writer_init(struct json_writer *w, struct buf *buf);

/* key is NULL for the items of an array, and for the document itself. */
void json_write_open(struct json_writer *w, const char *key, char bracket); /* '{' or '[' */
void json_write_close(struct json_writer *w, char bracket);                 /* '}' or ']' */

/* Escaped; bytes that are not UTF-8 become U+FFFD. */
void json_write_string(struct json_writer *w, const char *key, const char *value);
void json_write_bool(struct json_writer *w, const char *key, bool value);
void json_write_null(struct json_writer *w, const char *key);
void json_write_int(struct json_writer *w, const char *key, int64_t value);

/* A string of digits past 2^53, where many readers round. */
void json_write_seed(struct json_writer *w, const char *key, uint64_t value);

/* The fewest digits that read back as this number (base/text.h), null when it is not finite:
 * json_write_float() those that a float needs; json_write_rounded() no more than so many, for what
 * was measured. */
void json_write_number(struct json_writer *w, const char *key, double value);
void json_write_float(struct json_writer *w, const char *key, float value);
void json_write_rounded(struct json_writer *w, const char *key, double value, int digits);

/* A value that was read, with all that is in it; the members of its objects in their order, or
 * sorted by name, so that equal values give equal text. */
void json_write_value(struct json_writer *w, const char *key, const struct json *value);
void json_write_sorted(struct json_writer *w, const char *key, const struct json *value);

/* The next member or item begins a line, behind so many blanks. */
void json_write_line(struct json_writer *w, int indent);

#endif
