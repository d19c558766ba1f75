/* Images: JPEG or PNG bytes -> 8-bit RGB pixels, JPEG by libjpeg-turbo, PNG by stb_image, within
 * limits that are checked before anything is decoded.
 *
 * The pixels come from an arena; what decoding takes besides is bounded by what image_price() says
 * and freed. Greyscale, palettes, CMYK and 16 bits become 8-bit RGB, transparency is dropped; an
 * image is turned upright by its Exif orientation (JPEG's APP1, PNG's eXIf), as people see it. A
 * JPEG is decoded no larger than it is wanted: at 1/2, 1/4 or 1/8 of its sides, without computing
 * the rest.
 *
 * Complete image data is an image, whatever is odd beside it: colour profiles, text, checksums of
 * what is not used, a missing end marker. Incomplete image data is not one. Any thread. */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "image/format.h"
#include "image/probe.h"

/* Of a JPEG whose pixel data end before its pixels do. What is missing of an accepted one is grey,
 * or repeats. PNGs that are cut short are always refused, and of arithmetic-coded JPEGs only a
 * missing end is seen: their data may end early by design (T.81, D.1.8). */
enum image_truncated { IMAGE_TRUNCATED_REFUSE, IMAGE_TRUNCATED_ACCEPT };

struct image_limits {
    size_t bytes_max;     /* of the encoded image */
    uint64_t pixels_max;  /* width * height */
    int side_max;         /* at most IMAGE_SIDE_MAX */
    size_t memory_max;    /* bytes that decoding takes by image_price() */
    uint64_t samples_max; /* of a JPEG in several scans: samples of the components of each scan,
                             added up over all scans, and IMAGE_SCAN_SAMPLES for each of them */
    enum image_truncated truncated;
};

enum {
    IMAGE_SIDE_MAX = 65500, /* the decoders' own */
    IMAGE_SCAN_SAMPLES = 1 << 14,
};

/* 24 MiB, 50 million pixels ("48 megapixels" of a phone are 8064x6048), sides of 16,384; 512 MiB;
 * 2^30 samples, which take about a second: a progressive JPEG of 50 million pixels has 430 to 800
 * million in the ten scans that encoders make. Truncated images are refused. */
extern const struct image_limits image_limits_default;

/* A part of an image, in its pixels; edges may lie between them. */
struct image_box {
    double left, top, width, height;
};

struct image {
    int width, height;           /* of pixels */
    uint8_t *pixels;             /* [height][width][3], owned by the arena */
    int full_width, full_height; /* of the image, upright, before it was shrunk */
    int shrink;                  /* 1, 2, 4 or 8 */
    struct image_box shown;      /* where the image is in the pixels: all of them, but of a shrunk
                                    one the last of a row or column may be a part of one */
};

/* An image that is in memory already. */
struct image image_of_pixels(int width, int height, uint8_t *pixels);

struct image_decoding {
    const struct image_limits *limits;
    struct image_want want;
    bool (*stop)(void *arg); /* asked between rows and scans of a JPEG; NULL: never ends early */
    void *stop_arg;
};

/* Whether an image of this size may be taken. ERR_RANGE: no size; ERR_LIMIT: too large. */
int image_check_size(int width, int height, const struct image_limits *limits, struct err *e);

/* Bytes and header against the limits. ERR_LIMIT, with a message that says which. */
int image_check_limits(const struct image_info *info, const struct image_limits *limits,
                       struct image_want want, struct err *e);

/* Bytes of arena that decoding an image of this size takes at most. */
size_t image_arena_bytes(int width, int height);

/* Probes, checks the limits and decodes. Errors as image_probe() and image_check_limits(), and
 * ERR_CANCELLED when stop said so, -ENOMEM when memory or the arena is too small. */
int image_decode(const void *bytes, size_t size, const struct image_decoding *decoding,
                 struct arena *arena, struct image *ret_image, struct err *e);

#endif
