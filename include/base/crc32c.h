/* CRC-32C (Castagnoli), as iSCSI has it (RFC 3720, appendix B.4, and section 12.1): tells whether
 * bytes are those that were written, not whether somebody meant it. Any thread. */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of the bytes behind those whose CRC is given; 0 where these are the first. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

#endif
