/* Over zlib's inflate, which checks the formats' checksums and lengths. gzip's format lets several
 * members follow each other, and their contents are one (RFC 1952, 2.2). */
#include "config.h"

#include "unpack.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <zlib.h>

#include "base/mem.h"
#include "zlib_memory.h"

enum {
    PIECE = 32 << 10,
    WINDOW_BITS = 15,        /* the largest: what any packer may have used */
    WINDOW_GZIP = 16 + 15,   /* zlib.h: plus 16 for gzip's format */
    WINDOW_RAW = -15,        /* negative for none */
    ZLIB_HEADER = 2,         /* bytes */
    INPUT_MAX = UINT_MAX / 2 /* at a time */
};

struct unpacker {
    z_stream z;
    enum coding coding;
    const unsigned char *at, *end; /* what the stream has not been given */
    unsigned char piece[PIECE];
};

/* RFC 1950, 2.2: method 8, a window of up to 32 KiB, and a check that makes it a multiple of 31. No
 * packer begins a bare stream (RFC 1951) so: bits that nobody uses would be set. */
static bool has_zlib_header(const unsigned char *data, size_t size)
{
    return size >= ZLIB_HEADER && (data[0] & 0x0f) == Z_DEFLATED && data[0] >> 4 <= 7 &&
           (data[0] << 8 | data[1]) % 31 == 0;
}

struct unpacker *unpacker_new(enum coding coding, const void *data, size_t size)
{
    struct unpacker *u = mem_new(1, sizeof(*u));
    if (u == NULL) return NULL;
    u->coding = coding;
    u->at = data;
    u->end = u->at + size;
    u->z = (z_stream){.zalloc = zlib_allocate, .zfree = zlib_free};
    const int window = coding == CODING_GZIP         ? WINDOW_GZIP
                       : has_zlib_header(data, size) ? WINDOW_BITS
                                                     : WINDOW_RAW;
    if (inflateInit2(&u->z, window) == Z_OK) return u;
    mem_free(u);
    return NULL;
}

void unpacker_free(struct unpacker *u)
{
    if (u == NULL) return;
    inflateEnd(&u->z);
    mem_free(u);
}

static const char *name_of(const struct unpacker *u)
{
    return u->coding == CODING_GZIP ? "gzip" : "deflate";
}

static void feed(struct unpacker *u)
{
    if (u->z.avail_in > 0) return;
    const size_t left = (size_t)(u->end - u->at);
    u->z.next_in = (unsigned char *)u->at; /* only read */
    u->z.avail_in = (unsigned)(left < INPUT_MAX ? left : INPUT_MAX);
    u->at += u->z.avail_in;
}

/* A stream has ended: 1 another member follows, 0 nothing does. */
static int after_end(struct unpacker *u, struct err *e)
{
    feed(u);
    if (u->z.avail_in == 0) return 0;
    const bool another = u->coding == CODING_GZIP && u->z.next_in[0] == 0x1f;
    if (another && inflateReset(&u->z) == Z_OK) return 1;
    return err_set(e, ERR_FORMAT, "the body goes on behind the end of its %s coding", name_of(u));
}

/* Up to a piece: 1 there is more, 0 that was all. */
static int run_piece(struct unpacker *u, size_t at_most, struct buf *out, struct err *e)
{
    feed(u);
    u->z.next_out = u->piece;
    u->z.avail_out = (unsigned)(at_most < PIECE ? at_most : PIECE);
    const unsigned before = u->z.avail_out;
    const int rc = inflate(&u->z, Z_NO_FLUSH);
    if (rc == Z_MEM_ERROR) return err_set(e, -ENOMEM, "out of memory for the body");
    if (rc == Z_BUF_ERROR)
        return err_set(e, ERR_FORMAT, "the body is cut short: its %s coding has no end",
                       name_of(u));
    if (rc != Z_OK && rc != Z_STREAM_END)
        return err_set(e, ERR_FORMAT, "the body is not %s: %s", name_of(u),
                       u->z.msg != NULL ? u->z.msg : "it asks for a dictionary");
    const int added = buf_append(out, u->piece, before - u->z.avail_out);
    if (added == ERR_LIMIT)
        return err_set(e, added,
                       "the unpacked body has more than the %zu bytes that are taken here",
                       out->max);
    if (added < 0) return err_set(e, added, "out of memory for the body");
    return rc == Z_STREAM_END ? after_end(u, e) : 1;
}

int unpacker_run(struct unpacker *u, size_t at_most, struct buf *out, struct err *e)
{
    const size_t before = out->size;
    int rc = 1;
    while (rc == 1 && out->size - before < at_most)
        rc = run_piece(u, at_most - (out->size - before), out, e);
    return rc;
}
