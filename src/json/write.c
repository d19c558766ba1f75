/* The writer. It remembers whether the innermost container has a member already, which needs no
 * stack, because after closing a container the one around it has one. */
#include "config.h"

#include "json/write.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "tree.h"

void json_writer_init(struct json_writer *w, struct buf *buf)
{
    *w = (struct json_writer){.buf = buf, .indent = -1};
}

static void put(struct json_writer *w, const void *data, size_t size)
{
    if (w->status == 0) w->status = buf_append(w->buf, data, size);
}

static void put_text(struct json_writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_string(struct json_writer *w, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *s = (const unsigned char *)text;
    size_t left = strlen(text);
    put(w, "\"", 1);
    while (left > 0) {
        size_t plain = 0;
        while (plain < left && s[plain] >= ' ' && s[plain] < 0x7f && s[plain] != '"' &&
               s[plain] != '\\')
            plain++;
        put(w, s, plain);
        s += plain;
        left -= plain;
        if (left == 0) break;
        size_t n = text_utf8_length((const char *)s, left);
        if (*s == '"' || *s == '\\') {
            const char pair[2] = {'\\', (char)*s};
            put(w, pair, sizeof(pair));
        } else if (*s < ' ' || *s == 0x7f) {
            const char code[6] = {'\\', 'u', '0', '0', hex[*s >> 4], hex[*s & 15]};
            put(w, code, sizeof(code));
        } else if (n == 0) {
            put_text(w, "\xef\xbf\xbd");
            w->replaced = true;
            n = 1;
        } else {
            put(w, s, n);
        }
        s += n;
        left -= n;
    }
    put(w, "\"", 1);
}

/* What stands before a value. */
static void start(struct json_writer *w, const char *key)
{
    if (w->comma) put(w, ",", 1);
    if (w->indent >= 0) {
        put(w, "\n", 1);
        for (int i = 0; i < w->indent; i++) put(w, " ", 1);
    } else if (w->comma && w->spaced) {
        put(w, " ", 1);
    }
    w->comma = true;
    w->indent = -1;
    if (key == NULL) return;
    put_string(w, key);
    put_text(w, w->spaced ? ": " : ":");
}

void json_write_open(struct json_writer *w, const char *key, char bracket)
{
    start(w, key);
    put(w, &bracket, 1);
    w->comma = false;
}

void json_write_close(struct json_writer *w, char bracket)
{
    put(w, &bracket, 1);
    w->comma = true;
}

void json_write_string(struct json_writer *w, const char *key, const char *value)
{
    start(w, key);
    put_string(w, value);
}

void json_write_bool(struct json_writer *w, const char *key, bool value)
{
    start(w, key);
    put_text(w, value ? "true" : "false");
}

void json_write_null(struct json_writer *w, const char *key)
{
    start(w, key);
    put_text(w, "null");
}

void json_write_int(struct json_writer *w, const char *key, int64_t value)
{
    char text[TEXT_NUMBER_MAX];
    snprintf(text, sizeof(text), "%" PRId64, value);
    start(w, key);
    put_text(w, text);
}

void json_write_seed(struct json_writer *w, const char *key, uint64_t value)
{
    char text[TEXT_NUMBER_MAX];
    const bool exact = value <= UINT64_C(1) << 53;
    snprintf(text, sizeof(text), exact ? "%" PRIu64 : "\"%" PRIu64 "\"", value);
    start(w, key);
    put_text(w, text);
}

/* Minus zero is zero: as an integer, which "-0" reads as, it would be. */
static double unsigned_zero(double value)
{
    return value == 0 ? 0 : value;
}

void json_write_number(struct json_writer *w, const char *key, double value)
{
    char text[TEXT_NUMBER_MAX];
    start(w, key);
    put_text(w, isfinite(value) ? text_double(unsigned_zero(value), text) : "null");
}

void json_write_float(struct json_writer *w, const char *key, float value)
{
    char text[TEXT_NUMBER_MAX];
    start(w, key);
    put_text(w, isfinite(value) ? text_float((float)unsigned_zero((double)value), text) : "null");
}

void json_write_rounded(struct json_writer *w, const char *key, double value, int digits)
{
    char text[TEXT_NUMBER_MAX];
    start(w, key);
    put_text(w, isfinite(value) ? text_rounded(unsigned_zero(value), digits, text) : "null");
}

static int compare_names(const void *a, const void *b)
{
    const struct json_member *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static void write_value(struct json_writer *w, const char *key, const struct json *value,
                        bool sorted);

static void write_sorted_members(struct json_writer *w, const struct json *object)
{
    size_t n = 0, count = json_count(object);
    struct json_member *members = mem_new(count, sizeof(*members)), m = {0};
    if (members == NULL) {
        if (w->status == 0) w->status = -ENOMEM;
        return;
    }
    while (json_next(object, &m)) members[n++] = m;
    qsort(members, n, sizeof(*members), compare_names);
    for (size_t i = 0; i < n; i++) write_value(w, members[i].name, members[i].value, true);
    mem_free(members);
}

/* Recursive as deep as documents are read: JSON_DEPTH_MAX. */
static void write_value(struct json_writer *w, const char *key, const struct json *value,
                        bool sorted)
{
    switch (json_kind_of(value)) {
    case JSON_KIND_OBJECT:
        json_write_open(w, key, '{');
        if (sorted) {
            write_sorted_members(w, value);
        } else {
            for (struct json_member m = {0}; json_next(value, &m);) {
                write_value(w, m.name, m.value, sorted);
            }
        }
        json_write_close(w, '}');
        break;
    case JSON_KIND_ARRAY:
        json_write_open(w, key, '[');
        for (size_t i = 0; i < json_count(value); i++) {
            write_value(w, NULL, json_item(value, i), sorted);
        }
        json_write_close(w, ']');
        break;
    case JSON_KIND_STRING:
        json_write_string(w, key, json_text(value));
        break;
    case JSON_KIND_INT:
        json_write_int(w, key, json_int(value, 0));
        break;
    case JSON_KIND_REAL:
        json_write_number(w, key, json_number(value, 0));
        break;
    case JSON_KIND_BOOL:
        json_write_bool(w, key, json_bool(value, false));
        break;
    default:
        json_write_null(w, key);
        break;
    }
}

void json_write_value(struct json_writer *w, const char *key, const struct json *value)
{
    write_value(w, key, value, false);
}

void json_write_sorted(struct json_writer *w, const char *key, const struct json *value)
{
    write_value(w, key, value, true);
}

void json_write_line(struct json_writer *w, int indent)
{
    w->indent = indent;
}
