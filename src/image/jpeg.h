/* JPEGs by libjpeg-turbo. */
#ifndef SRC_IMAGE_JPEG_H
#define SRC_IMAGE_JPEG_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "image/image.h"

/* Decodes a JPEG whose header image_probe() took and whose limits were checked, upright, into the
 * arena. Errors as image_decode(). */
int jpeg_decode(const uint8_t *bytes, size_t size, const struct image_info *info,
                const struct image_decoding *decoding, struct arena *arena, struct image *ret_image,
                struct err *e);

#endif
