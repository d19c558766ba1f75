/* SHA-256 (FIPS 180-4), by nettle. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { SHA256_SIZE = 32, SHA256_HEX_SIZE = 65 /* with the NUL */ };

void sha256(const void *data, size_t size, uint8_t ret_digest[SHA256_SIZE]);
/* Of two pieces, one behind the other. */
void sha256_two(const void *first, size_t first_size, const void *second, size_t second_size,
                uint8_t ret_digest[SHA256_SIZE]);

void sha256_hex(const uint8_t digest[SHA256_SIZE], char ret_text[SHA256_HEX_SIZE]);

/* The digest of a regular file of at most max_bytes. Errors as of file_read() (base/file.h). */
int sha256_file(const char *path, size_t max_bytes, char ret_text[SHA256_HEX_SIZE], struct err *e);

#endif
