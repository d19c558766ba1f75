/* Base64 by nettle's decoder, which skips white space and insists on the padding. */
#include "config.h"

#include "base/base64.h"

#include <nettle/base64.h>
#include <stdint.h>

#include "base/err.h"

size_t base64_decoded_max(size_t length)
{
    return length / 4 * 3 + 3; /* nettle may write what begins a group before it is complete */
}

int base64_decode(const char *text, size_t length, void *ret_data, size_t *ret_size)
{
    struct base64_decode_ctx state;
    size_t size = base64_decoded_max(length);
    base64_decode_init(&state);
    if (!base64_decode_update(&state, &size, ret_data, length, text)) return ERR_FORMAT;
    if (!base64_decode_final(&state)) return ERR_FORMAT;
    *ret_size = size;
    return 0;
}
