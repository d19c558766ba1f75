/* Images: JPEG or PNG bytes -> 8-bit RGB pixels, by stb_image, with every size checked before
 * anything is decoded. The pixels come from an arena; what decoding takes besides is counted
 * against a budget that the size of the image gives, and freed. Greyscale, palettes and 16 bits
 * become 8-bit RGB, alpha is dropped; an image is turned upright by its Exif orientation (JPEG's
 * APP1, PNG's eXIf), as people see it. CMYK, 12-bit, lossless and arithmetic JPEGs are refused with
 * a message that says so, and so are files that end early. Any thread. */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

enum image_format { IMAGE_JPEG, IMAGE_PNG };

struct image_limits {
    size_t bytes_max;    /* of the encoded image */
    uint64_t pixels_max; /* width * height */
    int side_max;
};

/* 16 MiB, 25 megapixels, 8192. */
extern const struct image_limits image_limits_default;

struct image {
    int width, height;
    uint8_t *pixels; /* [height][width][3], owned by the arena */
};

/* What the first bytes say the content is; ERR_UNSUPPORTED when it is neither JPEG nor PNG. */
int image_format_of(const void *bytes, size_t size, enum image_format *ret_format, struct err *e);

/* Whether an image of this size may be taken. ERR_RANGE: no size; ERR_LIMIT: too large. */
int image_check_size(int width, int height, const struct image_limits *limits, struct err *e);

/* Reads the header only (of a JPEG up to its frame) and checks it against the limits. The size is
 * that of the stored pixels; the orientation may exchange width and height.
 * ERR_UNSUPPORTED: not JPEG or PNG; ERR_LIMIT: too large; ERR_FORMAT: broken. */
int image_probe(const void *bytes, size_t size, const struct image_limits *limits, int *ret_width,
                int *ret_height, struct err *e);

/* Bytes of arena that decoding an image of this size takes at most. */
size_t image_arena_bytes(int width, int height, size_t encoded_size);

/* Probes and decodes. Errors as image_probe(), and -ENOMEM when the arena is too small. */
int image_decode(const void *bytes, size_t size, const struct image_limits *limits,
                 struct arena *arena, struct image *ret_image, struct err *e);

#endif
