/* The structure of image files, checked before a decoder sees them. */
#ifndef SRC_IMAGE_CHECK_H
#define SRC_IMAGE_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct image_header {
    int width, height;              /* as stored */
    int orientation;                /* 1..8 (exif.h); of a PNG known only after the check */
    size_t budget;                  /* bytes of heap that decoding may take; set by the checks */
    size_t palette_at, palette_end; /* of the PLTE chunk of a paletted PNG; 0 otherwise */
};

/* Size and kind from the first bytes: ERR_FORMAT broken, ERR_UNSUPPORTED well formed but not
 * decoded here (CMYK, 12 bits, arithmetic coding..). */
int jpeg_header(const uint8_t *bytes, size_t size, struct image_header *ret, struct err *e);
int png_header(const uint8_t *bytes, size_t size, struct image_header *ret, struct err *e);

/* The same, and everything behind it up to the end marker: nothing missing, tables sound. */
int jpeg_check(const uint8_t *bytes, size_t size, struct image_header *ret, struct err *e);
int png_check(const uint8_t *bytes, size_t size, struct image_header *ret, struct err *e);

/* A copy of a paletted PNG whose palette has all 256 entries, the missing ones black: an index past
 * the palette would make stb_image read memory that nobody wrote. mem_free(); NULL: out of memory.
 */
uint8_t *png_pad_palette(const uint8_t *bytes, size_t size, const struct image_header *header,
                         size_t *ret_size);

#endif
