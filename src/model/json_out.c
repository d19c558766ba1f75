/* The JSON writer. jansson writes 17 digits for every real (0.1 becomes 0.10000000000000001), which
 * nobody wants to read in a model file, so the little that is needed stands here. */
#include "config.h"

#include "json_out.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"

void json_out_init(struct json_out *out, size_t max_bytes)
{
    buf_init(&out->text, max_bytes);
    out->status = 0;
}

void json_out_release(struct json_out *out)
{
    buf_release(&out->text);
}

static void append(struct json_out *out, const char *text, size_t size)
{
    if (out->status == 0) out->status = buf_append(&out->text, text, size);
}

void json_out_raw(struct json_out *out, const char *text)
{
    append(out, text, strlen(text));
}

void json_out_string(struct json_out *out, const char *s)
{
    const char *end = s + strlen(s);
    append(out, "\"", 1);
    for (const unsigned char *p = (const unsigned char *)s; *p != '\0';) {
        size_t n = text_utf8_length((const char *)p, (size_t)(end - (const char *)p));
        char escape[8];
        if (n == 0) {
            if (out->status == 0) out->status = ERR_FORMAT;
            return;
        }
        if (*p == '"' || *p == '\\') {
            snprintf(escape, sizeof(escape), "\\%c", *p);
            json_out_raw(out, escape);
        } else if (*p < 0x20 || *p == 0x7f) {
            snprintf(escape, sizeof(escape), "\\u%04x", *p);
            json_out_raw(out, escape);
        } else {
            append(out, (const char *)p, n);
        }
        p += n;
    }
    append(out, "\"", 1);
}

void json_out_int(struct json_out *out, int64_t value)
{
    char text[32];
    snprintf(text, sizeof(text), "%" PRId64, value);
    json_out_raw(out, text);
}

void json_out_seed(struct json_out *out, uint64_t value)
{
    char text[32];
    bool exact = value <= UINT64_C(1) << 53;
    snprintf(text, sizeof(text), exact ? "%" PRIu64 : "\"%" PRIu64 "\"", value);
    json_out_raw(out, text);
}

void json_out_double(struct json_out *out, double value)
{
    char text[TEXT_NUMBER_MAX];
    assert(isfinite(value));
    json_out_raw(out, text_double(value, text));
}

void json_out_float(struct json_out *out, float value)
{
    char text[TEXT_NUMBER_MAX];
    assert(isfinite(value));
    json_out_raw(out, text_float(value, text));
}
