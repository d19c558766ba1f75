/* The JSON writer. jansson writes 17 digits for every real (0.1 becomes 0.10000000000000001), which
 * nobody wants to read in a model file, so the little that is needed stands here. */
#include "config.h"

#include "json_out.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

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

/* Bytes of the UTF-8 sequence at s (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF);
 * 0 when there is none. */
static size_t utf8_length(const unsigned char *s)
{
    size_t n = s[0] < 0x80   ? 1
               : s[0] < 0xc2 ? 0
               : s[0] < 0xe0 ? 2
               : s[0] < 0xf0 ? 3
               : s[0] < 0xf5 ? 4
                             : 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0; /* the NUL at the end, too */
    }
    if (s[0] == 0xe0 && s[1] < 0xa0) return 0;
    if (s[0] == 0xed && s[1] > 0x9f) return 0;
    if (s[0] == 0xf0 && s[1] < 0x90) return 0;
    if (s[0] == 0xf4 && s[1] > 0x8f) return 0;
    return n;
}

void json_out_string(struct json_out *out, const char *s)
{
    append(out, "\"", 1);
    for (const unsigned char *p = (const unsigned char *)s; *p != '\0';) {
        size_t n = utf8_length(p);
        char escape[8];
        if (n == 0) {
            if (out->status == 0) out->status = ERR_FORMAT;
            return;
        }
        if (*p == '"' || *p == '\\') {
            snprintf(escape, sizeof escape, "\\%c", *p);
            json_out_raw(out, escape);
        } else if (*p < 0x20 || *p == 0x7f) {
            snprintf(escape, sizeof escape, "\\u%04x", *p);
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
    snprintf(text, sizeof text, "%" PRId64, value);
    json_out_raw(out, text);
}

void json_out_seed(struct json_out *out, uint64_t value)
{
    char text[32];
    bool exact = value <= UINT64_C(1) << 53;
    snprintf(text, sizeof text, exact ? "%" PRIu64 : "\"%" PRIu64 "\"", value);
    json_out_raw(out, text);
}

/* The fewest digits that read back as value; single: as a float. */
static void put_shortest(struct json_out *out, double value, bool single)
{
    char text[40];
    assert(isfinite(value));
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value) break;
    }
    json_out_raw(out, text);
}

void json_out_double(struct json_out *out, double value)
{
    put_shortest(out, value, false);
}

void json_out_float(struct json_out *out, float value)
{
    put_shortest(out, (double)value, true);
}
