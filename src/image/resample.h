/* Resampling of 8-bit RGB pixels by a triangle filter, as preprocess_apply() uses it. */
#ifndef SRC_IMAGE_RESAMPLE_H
#define SRC_IMAGE_RESAMPLE_H

#include "base/arena.h"
#include "image/image.h"

/* The box of `image`, which it must contain, as out_height x out_width pixels in ret_pixels
 * [out_height][out_width][3]. Scratch from the arena: at most resample_arena_bytes(). 0 or -ENOMEM.
 */
int resample(const struct image *image, struct image_box box, int out_width, int out_height,
             struct arena *arena, uint8_t *ret_pixels);

size_t resample_arena_bytes(int width, int height, int out_width, int out_height);

#endif
