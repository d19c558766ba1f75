/* stb_image behind a fence: one call, no state left behind. */
#ifndef SRC_IMAGE_STB_H
#define SRC_IMAGE_STB_H

#include "base/arena.h"
#include "base/err.h"
#include "image/image.h"
#include "png.h"

/* Decodes a PNG that png_open() has passed into the arena, upright. ERR_FORMAT, ERR_LIMIT past
 * png_heap_bytes(), -ENOMEM. */
int stb_decode(struct png *png, struct arena *arena, struct image *ret_image, struct err *e);

#endif
