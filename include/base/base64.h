/* Base64 (RFC 4648 sections 4 and 5), by nettle. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>

/* Bytes that decoding `length` characters can give at most. */
size_t base64_decoded_max(size_t length);

/* Decodes text into ret_data, which has room for base64_decoded_max(length). White space may stand
 * anywhere; the alphabet is the common one or that of URLs, not both in one text; the padding is
 * whole or left out. The number of bytes is stored; 0 or ERR_FORMAT. */
int base64_decode(const char *text, size_t length, void *ret_data, size_t *ret_size);

#endif
