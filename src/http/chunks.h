/* The chunked transfer coding (RFC 9112, section 7.1), read strictly: sizes are hexadecimal digits
 * and nothing else, lines end in CR LF, extensions and trailer fields are checked, bounded and
 * thrown away. Pure; any thread. */
#ifndef HTTP_CHUNKS_H
#define HTTP_CHUNKS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum {
    CHUNKS_LINE_MAX = 1024,    /* bytes of a chunk's line: its size and extensions */
    CHUNKS_TRAILER_MAX = 8192, /* bytes of all trailer fields */
    CHUNKS_MORE = 0,
    CHUNKS_END = 1,
};

/* Where in the coding a body is; begins zeroed. */
struct chunks {
    int state;
    int digits;      /* of the size */
    uint64_t left;   /* bytes of the chunk's data; its size while that is read */
    size_t overhead; /* bytes of the line, or of the trailer */
};

/* Takes from `data`. *ret_used bytes of it are done with; *ret_size bytes of content, 0 at most
 * times, end there: they are the last of those used. CHUNKS_END: the body is over; CHUNKS_MORE:
 * call again with what is left, or with what comes next; ERR_FORMAT: this is no chunked body. */
int chunks_take(struct chunks *chunks, const char *data, size_t size, size_t *ret_used,
                size_t *ret_size, struct err *e);

#endif
