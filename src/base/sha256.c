/* SHA-256 by nettle: of a block, and of a file in pieces, since a model need not fit into memory.
 */
#include "config.h"

#include "base/sha256.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <unistd.h>

#include "base/file.h"

_Static_assert(SHA256_SIZE == SHA256_DIGEST_SIZE, "one digest, two names");

void sha256_two(const void *first, size_t first_size, const void *second, size_t second_size,
                uint8_t ret_digest[SHA256_SIZE])
{
    struct sha256_ctx state;
    sha256_init(&state);
    if (first_size > 0) sha256_update(&state, first_size, first);
    if (second_size > 0) sha256_update(&state, second_size, second);
    sha256_digest(&state, SHA256_SIZE, ret_digest);
}

void sha256(const void *data, size_t size, uint8_t ret_digest[SHA256_SIZE])
{
    sha256_two(data, size, NULL, 0, ret_digest);
}

void sha256_hex(const uint8_t digest[SHA256_SIZE], char ret_text[SHA256_HEX_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SHA256_SIZE; i++) {
        ret_text[2 * i] = digits[digest[i] >> 4];
        ret_text[2 * i + 1] = digits[digest[i] & 15];
    }
    ret_text[SHA256_HEX_SIZE - 1] = '\0';
}

int sha256_file(const char *path, size_t max_bytes, char ret_text[SHA256_HEX_SIZE], struct err *e)
{
    int64_t length;
    int fd = file_open(path, &length, e);
    if (fd < 0) return fd;

    struct sha256_ctx state;
    sha256_init(&state);
    unsigned char piece[16 * 1024];
    size_t left = max_bytes < SIZE_MAX ? max_bytes + 1 : max_bytes;
    int rc = 0;
    for (;;) {
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) rc = err_set(e, -errno, "cannot read %s: %s", path, err_text(-errno));
        if (n <= 0) break;
        left = (size_t)n <= left ? left - (size_t)n : 0;
        if (left == 0) {
            rc = err_set(e, ERR_LIMIT, "%s is larger than the %zu bytes allowed here", path,
                         max_bytes);
            break;
        }
        sha256_update(&state, (size_t)n, piece);
    }
    close(fd);
    if (rc < 0) return rc;
    uint8_t digest[SHA256_SIZE];
    sha256_digest(&state, SHA256_SIZE, digest);
    sha256_hex(digest, ret_text);
    return 0;
}
