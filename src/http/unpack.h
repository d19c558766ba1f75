/* Taking off a body's content coding (RFC 9110, 8.4.1), bit by bit and within a bound: a small body
 * can hold a thousand times its size. One thread at a time. */
#ifndef HTTP_UNPACK_H
#define HTTP_UNPACK_H

#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "coding.h"

struct unpacker;

/* The packed data must stay as long as the unpacker. coding: not CODING_IDENTITY. NULL: out of
 * memory. */
struct unpacker *unpacker_new(enum coding coding, const void *data, size_t size);
void unpacker_free(struct unpacker *unpacker);

/* Adds to `out` what comes next, at_most so many bytes in this call: 1 there is more, 0 that was
 * all. ERR_FORMAT: broken, cut short, or something behind its end; ERR_LIMIT: past the buffer's
 * maximum; -ENOMEM. */
int unpacker_run(struct unpacker *unpacker, size_t at_most, struct buf *out, struct err *e);

#endif
