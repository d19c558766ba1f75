/* What the header of an image says, and what decoding it will take: so that an image is refused or
 * planned for before anything of it is decoded. Pure; any thread; some microseconds (of a JPEG in
 * several scans 256 KiB are walked over at most). */
#ifndef IMAGE_PROBE_H
#define IMAGE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/format.h"

enum { IMAGE_COMPONENTS_MAX = 4 };

struct image_info {
    enum image_format format; /* IMAGE_JPEG or IMAGE_PNG */
    size_t bytes;             /* of the encoded image */
    int width, height;        /* as stored */
    int orientation;          /* of a JPEG: Exif's, 1..8; from 5 on the sides are exchanged */
    int channels, depth;      /* 1..4, of 1..16 bits; a palette is one channel */
    bool interlaced;          /* PNG */
    bool palette;             /* PNG */
    bool progressive;         /* JPEG */
    bool arithmetic;          /* JPEG: coded so, instead of by Huffman */
    bool multiscan;           /* JPEG: progressive, or components one after the other */

    /* Of a JPEG: samples of one pass over each component, padded to blocks; the bytes of all its
     * coefficients; and of the scans that were walked over how many, their samples, and whether
     * that was the whole file. */
    uint64_t component_samples[IMAGE_COMPONENTS_MAX];
    uint64_t coefficient_bytes;
    unsigned scans;
    uint64_t scan_samples;
    size_t scan_bytes;
    bool scans_walked;
};

/* ERR_UNSUPPORTED: another format, which the message names, or a kind of JPEG or PNG that is not
 * decoded; ERR_FORMAT: broken. Limits are not looked at. */
int image_probe(const void *bytes, size_t size, struct image_info *ret_info, struct err *e);

/* The sides that an image, upright, must keep at least while it is decoded; {0, 0}: all of them. */
struct image_want {
    int width, height;
};

/* By how much each side may be divided: 1, 2, 4 or 8, the largest that leaves what is wanted. Of a
 * PNG always 1. */
int image_shrink(const struct image_info *info, struct image_want want);

struct image_price {
    size_t memory_bytes;  /* that decoding has allocated at most at a time, the result included;
                             malloc may keep a quarter of it beside, of what was freed */
    uint64_t coded_bytes; /* to go through the entropy decoder or inflate */
    uint64_t samples;     /* that it makes of them, in all scans: where JPEGs were not walked over
                             to their end, an estimate */
    uint64_t pixels;      /* of the result */
};

void image_price(const struct image_info *info, struct image_want want, struct image_price *ret);

#endif
