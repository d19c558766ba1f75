/* Writes JSON text. Numbers are as short as they can be while reading back to the same value; that,
 * and a fixed order of members, is why files are the same bytes for the same content. The first
 * failure is kept in status, later calls do nothing: only the end needs a check. */
#ifndef SRC_MODEL_JSON_OUT_H
#define SRC_MODEL_JSON_OUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct json_out {
    struct buf text;
    int status; /* 0, -ENOMEM, ERR_LIMIT, ERR_FORMAT: a string that is not UTF-8 */
};

void json_out_init(struct json_out *out, size_t max_bytes);
void json_out_release(struct json_out *out);

void json_out_raw(struct json_out *out,
                  const char *text); /* braces, commas, names that need no escape */
void json_out_string(struct json_out *out, const char *s); /* quoted and escaped */
void json_out_int(struct json_out *out, int64_t value);
void json_out_seed(struct json_out *out,
                   uint64_t value); /* a string past 2^53, where readers round */
void json_out_double(struct json_out *out, double value); /* finite */
void json_out_float(struct json_out *out, float value);   /* finite; digits that a float needs */

#endif
