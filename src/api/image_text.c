/* Where the data of an URL hold something percent-encoded, as a URL's may, they are decoded into a
 * copy first; that is rare enough for a copy. */
#include "config.h"

#include "image_text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/base64.h"

/* Up to which of an URL's bytes its comma must come: media types are short. */
enum { HEAD_MAX = 1024 };

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static int percent_decode(const char *text, size_t length, struct arena *arena, char **ret_text,
                          size_t *ret_length, struct err *e)
{
    char *to = arena_alloc(arena, length, 1);
    size_t n = 0;
    if (to == NULL) return err_set(e, ERR_BUSY, "out of memory for the image");
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '%') {
            to[n++] = text[i];
            continue;
        }
        const int high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
        const int low = i + 2 < length ? hex_digit(text[i + 2]) : -1;
        if (high < 0 || low < 0)
            return err_set(e, ERR_FORMAT, "the data: URL has a %% without two hexadecimal digits");
        to[n++] = (char)(high << 4 | low);
        i += 2;
    }
    *ret_text = to;
    *ret_length = n;
    return 0;
}

static int decode_base64(const char *text, size_t length, struct arena *arena,
                         const void **ret_bytes, size_t *ret_size, struct err *e)
{
    void *bytes = arena_alloc(arena, base64_decoded_max(length), 1);
    size_t size;
    if (bytes == NULL) return err_set(e, ERR_BUSY, "out of memory for the image");
    if (base64_decode(text, length, bytes, &size) < 0)
        return err_set(e, ERR_FORMAT, "no valid base64 (RFC 4648, sections 4 and 5)");
    *ret_bytes = bytes;
    *ret_size = size;
    return 0;
}

/* Whether the head of an URL, "data:image/png;base64", ends so. */
static bool head_says_base64(const char *head, size_t length)
{
    static const char word[] = "base64";
    const size_t n = sizeof(word) - 1;
    while (length > 0 && head[length - 1] == ' ') length--;
    if (length < n || strncasecmp(head + length - n, word, n) != 0) return false;
    length -= n;
    while (length > 0 && head[length - 1] == ' ') length--;
    return length > 0 && head[length - 1] == ';';
}

static int decode_url(const char *text, size_t length, struct arena *arena, const void **ret_bytes,
                      size_t *ret_size, struct err *e)
{
    const char *comma = memchr(text, ',', length < HEAD_MAX ? length : HEAD_MAX);
    if (comma == NULL) return err_set(e, ERR_FORMAT, "the data: URL has no comma before its data");
    const bool base64 = head_says_base64(text, (size_t)(comma - text));
    const char *data = comma + 1;
    size_t size = length - (size_t)(data - text);
    if (!base64 || memchr(data, '%', size) != NULL) {
        char *decoded = NULL;
        int rc = percent_decode(data, size, arena, &decoded, &size, e);
        if (rc < 0) return rc;
        data = decoded;
    }
    if (base64) return decode_base64(data, size, arena, ret_bytes, ret_size, e);
    *ret_bytes = data;
    *ret_size = size;
    return 0;
}

int image_text_decode(const char *text, size_t length, struct arena *arena, const void **ret_bytes,
                      size_t *ret_size, struct err *e)
{
    static const char scheme[] = "data:";
    while (length > 0 && strchr(" \t\r\n", *text) != NULL && *text != '\0') text++, length--;
    const bool url =
        length >= sizeof(scheme) - 1 && strncasecmp(text, scheme, sizeof(scheme) - 1) == 0;
    const void *bytes;
    size_t size;
    int rc = url ? decode_url(text, length, arena, &bytes, &size, e)
                 : decode_base64(text, length, arena, &bytes, &size, e);
    if (rc < 0) return rc;
    if (size == 0) return err_set(e, ERR_FORMAT, "the image is empty");
    *ret_bytes = bytes;
    *ret_size = size;
    return 0;
}
