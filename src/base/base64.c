/* Base64 by nettle's decoder, which skips white space and insists on the padding: what was left out
 * is put in. */
#include "config.h"

#include "base/base64.h"

#include <nettle/base64.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"

size_t base64_decoded_max(size_t length)
{
    return length / 4 * 3 + 3; /* nettle may write what begins a group before it is complete */
}

static bool is_of_urls(const char *text, size_t length)
{
    return memchr(text, '-', length) != NULL || memchr(text, '_', length) != NULL;
}

/* Whether the text is at an end, or at one where only its padding is missing. */
static bool ends(struct base64_decode_ctx *state, const char *text, size_t length)
{
    uint8_t none;
    if (base64_decode_final(state)) return true;
    if (memchr(text, '=', length) != NULL) return false;
    for (int i = 0; i < 2; i++) {
        if (base64_decode_single(state, &none, '=') < 0) return false;
        if (base64_decode_final(state)) return true;
    }
    return false;
}

int base64_decode(const char *text, size_t length, void *ret_data, size_t *ret_size)
{
    struct base64_decode_ctx state;
    size_t size = base64_decoded_max(length);
    if (is_of_urls(text, length))
        base64url_decode_init(&state);
    else
        base64_decode_init(&state);
    if (!base64_decode_update(&state, &size, ret_data, length, text)) return ERR_FORMAT;
    if (!ends(&state, text, length)) return ERR_FORMAT;
    *ret_size = size;
    return 0;
}
