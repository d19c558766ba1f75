/* Writing JSON straight into a buffer: what answers need, without building a tree first. Every
 * function returns the buffer's code, so that a document is a chain of calls with one check at the
 * end (a buffer that failed once fails on). */
#ifndef HTTP_JSON_TEXT_H
#define HTTP_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct json_text {
    struct buf *buf;
    int rc;     /* the first failure */
    bool comma; /* the next member needs one before it */
};

void json_text_init(struct json_text *out, struct buf *buf);

/* key is NULL inside of arrays. Strings: invalid UTF-8 becomes U+FFFD. Numbers that are not finite
 * become null. */
void json_text_open(struct json_text *out, const char *key, char bracket); /* '{' or '[' */
void json_text_close(struct json_text *out, char bracket);                 /* '}' or ']' */
void json_text_string(struct json_text *out, const char *key, const char *value);
void json_text_integer(struct json_text *out, const char *key, long long value);
void json_text_number(struct json_text *out, const char *key, double value, int digits);
void json_text_bool(struct json_text *out, const char *key, bool value);
void json_text_null(struct json_text *out, const char *key);

#endif
