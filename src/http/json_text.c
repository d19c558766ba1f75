/* Writing JSON. Commas are the writer's business: it remembers whether the innermost container has
 * a member already, which needs no stack, because after closing a container the one around it has
 * one. */
#include "config.h"

#include "http/json_text.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"

void json_text_init(struct json_text *out, struct buf *buf)
{
    *out = (struct json_text){.buf = buf};
}

static void put(struct json_text *out, const void *data, size_t size)
{
    if (out->rc == 0) out->rc = buf_append(out->buf, data, size);
}

static void put_string(struct json_text *out, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *s = (const unsigned char *)text;
    size_t left = strlen(text);
    put(out, "\"", 1);
    while (left > 0) {
        size_t plain = 0;
        while (plain < left && s[plain] >= ' ' && s[plain] < 0x7f && s[plain] != '"' &&
               s[plain] != '\\')
            plain++;
        put(out, s, plain);
        s += plain;
        left -= plain;
        if (left == 0) break;
        size_t n = text_utf8_length((const char *)s, left);
        if (*s == '"' || *s == '\\') {
            char pair[2] = {'\\', (char)*s};
            put(out, pair, 2);
        } else if (*s < ' ' || *s == 0x7f) {
            char code[6] = {'\\', 'u', '0', '0', hex[*s >> 4], hex[*s & 15]};
            put(out, code, 6);
        } else if (n == 0) {
            put(out, "\xef\xbf\xbd", 3);
            n = 1;
        } else {
            put(out, s, n);
        }
        s += n;
        left -= n;
    }
    put(out, "\"", 1);
}

static void start(struct json_text *out, const char *key)
{
    if (out->comma) put(out, ",", 1);
    out->comma = true;
    if (key == NULL) return;
    put_string(out, key);
    put(out, ":", 1);
}

void json_text_open(struct json_text *out, const char *key, char bracket)
{
    start(out, key);
    put(out, &bracket, 1);
    out->comma = false;
}

void json_text_close(struct json_text *out, char bracket)
{
    put(out, &bracket, 1);
    out->comma = true;
}

void json_text_string(struct json_text *out, const char *key, const char *value)
{
    start(out, key);
    put_string(out, value);
}

void json_text_integer(struct json_text *out, const char *key, long long value)
{
    start(out, key);
    if (out->rc == 0) out->rc = buf_printf(out->buf, "%lld", value);
}

void json_text_number(struct json_text *out, const char *key, double value, int digits)
{
    start(out, key);
    if (!isfinite(value))
        put(out, "null", 4);
    else if (out->rc == 0)
        out->rc = buf_printf(out->buf, "%.*g", digits, value);
}

void json_text_bool(struct json_text *out, const char *key, bool value)
{
    start(out, key);
    put(out, value ? "true" : "false", value ? 4 : 5);
}

void json_text_null(struct json_text *out, const char *key)
{
    start(out, key);
    put(out, "null", 4);
}
