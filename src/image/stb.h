/* stb_image behind a fence: one call, no state left behind. */
#ifndef SRC_IMAGE_STB_H
#define SRC_IMAGE_STB_H

#include <stddef.h>

#include "check.h"
#include "image/image.h"

enum { STB_SIDE_MAX = 8192 }; /* the decoder's own limit, whatever is configured */

/* Decodes a file that jpeg_check() or png_check() has passed into the arena, upright. header is
 * what the check gave: size, orientation, bytes of heap at most. ERR_FORMAT, ERR_LIMIT past the
 * budget, -ENOMEM. */
int stb_decode(const void *bytes, size_t size, const struct image_header *header,
               struct arena *arena, struct image *ret_image, struct err *e);

#endif
