/* Writing JSON straight into a buffer: what answers need, without building a tree first. Every function
 * returns the buffer's code, so that a document is a chain of calls with one check at the end (a buffer
 * that failed once fails on). */
#ifndef HTTP_JSON_OUT_H
#define HTTP_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct json_out {
    struct buf *buf;
    int rc;      /* the first failure */
    bool comma;  /* the next member needs one before it */
};

void json_out_init(struct json_out *out, struct buf *buf);

/* key is NULL inside of arrays. Strings: invalid UTF-8 becomes U+FFFD. Numbers that are not finite become
 * null. */
void json_out_open(struct json_out *out, const char *key, char bracket); /* '{' or '[' */
void json_out_close(struct json_out *out, char bracket);                 /* '}' or ']' */
void json_out_string(struct json_out *out, const char *key, const char *value);
void json_out_integer(struct json_out *out, const char *key, long long value);
void json_out_number(struct json_out *out, const char *key, double value, int digits);
void json_out_bool(struct json_out *out, const char *key, bool value);
void json_out_null(struct json_out *out, const char *key);

#endif
