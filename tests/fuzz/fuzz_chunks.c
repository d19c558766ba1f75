/* A chunked body in pieces of any size: refused, or the same content and the same end as in one
 * piece; and what is accepted is one that a second reader, written from the grammar, accepts. */
#include "config.h"

#include <string.h>

#include "../../src/http/chunks.h"
#include "base/buf.h"
#include "fuzz.h"

/* Reads it in pieces; the code of the last piece, with the bytes used. */
static int read_all(const char *data, size_t size, size_t piece, struct buf *content,
                    size_t *ret_used)
{
    struct chunks chunks = {0};
    struct err e = {0};
    size_t at = 0;
    int rc = CHUNKS_MORE;
    while (rc == CHUNKS_MORE && at < size) {
        size_t used = 0, n = 0, left = size - at < piece ? size - at : piece;
        rc = chunks_take(&chunks, data + at, left, &used, &n, &e);
        if (rc < 0) {
            FUZZ_CHECK(rc == ERR_FORMAT && e.text[0] != '\0');
            return rc;
        }
        FUZZ_CHECK(used > 0 && used <= left && n <= used);
        FUZZ_CHECK(buf_append(content, data + at + used - n, n) == 0);
        at += used;
    }
    *ret_used = at;
    return rc;
}

static int hex(char ch)
{
    const char *digits = "0123456789abcdef", *at = strchr(digits, ch | 32);
    if (ch == '\0' || at == NULL || (ch >= 'G' && ch < 'a') || (unsigned char)ch < '0') return -1;
    return (int)(at - digits);
}

/* The end of a whole chunked body without extensions and trailer, NULL: it is none. */
static const char *plain_end(const char *at, const char *end, struct buf *content)
{
    for (;;) {
        size_t size = 0;
        const char *first = at;
        for (; at < end && hex(*at) >= 0; at++) {
            if (at - first == 15) return NULL;
            size = size * 16 + (size_t)hex(*at);
        }
        if (at == first || end - at < 2 || at[0] != '\r' || at[1] != '\n') return NULL;
        at += 2;
        if ((size_t)(end - at) < 2 || size > (size_t)(end - at) - 2) return NULL;
        if (buf_append(content, at, size) < 0) return NULL;
        at += size;
        if (at[0] != '\r' || at[1] != '\n') return NULL;
        at += 2;
        if (size == 0) return at;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    const char *text = (const char *)data + 1;
    struct buf whole, pieces, plain;
    size_t n = size - 1, used = 0, again = 0;
    buf_init(&whole, n);
    buf_init(&pieces, n);
    buf_init(&plain, n);
    int rc = read_all(text, n, n, &whole, &used);
    FUZZ_CHECK(rc == read_all(text, n, data[0] % 16 + 1, &pieces, &again));
    FUZZ_CHECK(rc < 0 || (used == again && whole.size == pieces.size));
    FUZZ_CHECK(rc < 0 || memcmp(buf_text(&whole), buf_text(&pieces), whole.size) == 0);
    const char *end = plain_end(text, text + n, &plain);
    if (end != NULL) {
        FUZZ_CHECK(rc == CHUNKS_END && used == (size_t)(end - text) && plain.size == whole.size);
        FUZZ_CHECK(memcmp(buf_text(&whole), buf_text(&plain), whole.size) == 0);
    }
    buf_release(&whole);
    buf_release(&pieces);
    buf_release(&plain);
    return 0;
}
