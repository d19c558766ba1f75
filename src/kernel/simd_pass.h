/* A pass: one direction of a convolution as a correlation of a source with taps, and in which of
 * the four ways of simd_conv.c its images are taken. simd_pass.c. */
#ifndef KERNEL_SIMD_PASS_H
#define KERNEL_SIMD_PASS_H

#include "simd_axis.h"

/* A whole direction of a convolution. With pairs, two channels of the source are one float that
 * holds two bfloat16, made on the way into scratch: `channels` counts pairs, and the rest of this
 * file takes them for floats. */
struct pass {
    size_t channels, outputs; /* of the source, of what is computed */
    size_t given_channels;    /* of the source as it comes */
    size_t begin, end;        /* the outputs of this part, whole blocks */
    bool pairs;
    int phases; /* in each direction */
    bool back;
    const struct conv_geometry *g;
    int source_height, source_width, out_height, out_width;
    int low, high; /* frame of zeros above/left and below/right that all phases together need */
};

struct pass ISA(pass_of)(const struct conv_geometry *g, bool back);
#if HAS_BF16
struct pass ISA(pass_pairs_of)(const struct conv_geometry *g, bool back); /* with pairs */
#endif
struct axis ISA(pass_axis)(const struct pass *p, bool vertical, int phase);
size_t ISA(pass_scratch)(const struct pass *p); /* floats */

/* Fewest images that the grouped way takes at once, and pixels at most that the way by taps does.
 */
enum { GROUP_FEWEST = 6, TAPS_PIXELS = 96 };

/* Images that the grouped way takes at once; 0: not this way. */
size_t ISA(pass_group)(const struct pass *p);

/* Images of the flat way that are worked on before the next block of outputs, and slices of the
 * taps, by rows, that all outputs go through before the next one. */
size_t ISA(pass_flat_images)(const struct pass *p);
int ISA(pass_slices)(const struct pass *p);

/* Images that may be computed by taps, fewer than a group. */
size_t ISA(pass_taps_images)(const struct pass *p);

static inline size_t pass_image(const struct pass *p)
{
    return (size_t)p->source_height * (size_t)p->source_width * p->channels;
}

static inline bool pass_is_flat(const struct pass *p)
{
    return p->low == 0 && p->high == 0;
}

/* Packed weights: [phase][block of outputs][tap row][tap column][channel][lane]. simd_pack.c. */
static inline size_t outputs_padded(const struct pass *p)
{
    return (p->outputs + LANES - 1) / LANES * LANES;
}

static inline size_t block_width(const struct pass *p, size_t first_output)
{
    return min_size(outputs_padded(p) - first_output, BLOCK);
}

#endif
