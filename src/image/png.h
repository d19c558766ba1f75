/* A PNG's chunks, checked, and as the decoder reads them. */
#ifndef SRC_IMAGE_PNG_H
#define SRC_IMAGE_PNG_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/probe.h"

enum {
    PNG_PALETTE_SIZE = 3 * 256,
    PNG_HEAD_MAX = 33 + 12 + PNG_PALETTE_SIZE + 8, /* before the data */
};

struct png {
    const uint8_t *bytes; /* the file */
    size_t size;
    struct image_info *info;
    size_t palette_at, palette_size; /* of the palette's bytes */
    size_t data_at, data_size;       /* the first chunk with pixel data; bytes in all of them */

    uint8_t head[PNG_HEAD_MAX]; /* of what png_read() gives, and how far it is */
    size_t head_size, head_at;
    size_t next, next_at; /* chunk with data, bytes of it that are out */
    size_t data_given, tail_at;
};

/* Walks over the chunks. info is what png_header() gave; its orientation is set. The file has to
 * stay. ERR_FORMAT: cut inside the pixel data or before, a wrong checksum, a chunk out of place;
 * ERR_UNSUPPORTED: a chunk that one must know to decode. */
int png_open(struct png *png, const uint8_t *bytes, size_t size, struct image_info *info,
             struct err *e);

/* The next bytes, at most size, of a PNG with the same pixels and nothing else; 0 at its end. */
size_t png_read(struct png *png, uint8_t *to, size_t size);

#endif
