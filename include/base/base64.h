/* Base64 (RFC 4648 section 4), by nettle. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include <stddef.h>

/* Bytes that decoding `length` characters can give at most. */
size_t base64_decoded_max(size_t length);

/* Decodes text (white space allowed, padding required) into ret_data, which has room for
 * base64_decoded_max(length). The number of bytes is stored; 0 or ERR_FORMAT. */
int base64_decode(const char *text, size_t length, void *ret_data, size_t *ret_size);

#endif
