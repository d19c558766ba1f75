/* Batches: the order of an epoch and the augmented, normalised input of a sample. Everything random
 * is a function of (seed, epoch, sample, purpose), so that a resumed run sees the same batches. */
#ifndef DATA_BATCH_H
#define DATA_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/dataset.h"
#include "image/preprocess.h"

/* In the order in which they are done. */
enum {
    /* Pad by an eighth of the side (4 of 32) with black, random crop of the input's size. */
    AUGMENT_CROP = 1,
    AUGMENT_FLIP = 2,   /* mirrored left-right with probability 1/2 */
    AUGMENT_AUTO = 4,   /* AutoAugment's CIFAR-10 policy; what moves in from outside is grey, 128 */
    AUGMENT_CUTOUT = 8, /* a black square of half the shorter side, anywhere */
    AUGMENT_FILL_GREY = 16, /* crop pads with grey, 128, instead of black */
    /* Before all others: a random part of the image, resized to the input. The bits from
     * AUGMENT_SCALE_SHIFT on are the least share of its area, in thousandths; 0: the default. */
    AUGMENT_RESIZED_CROP = 32,
    AUGMENT_SCALE_SHIFT = 16,
    AUGMENT_SCALE_DEFAULT = 80,
};

enum { AUGMENT_TEXT_MAX = 64 };

/* "crop,flip", "resizedcrop:0.25,flip", "none" -> bits; ERR_RANGE names the word that is unknown.
 */
int augment_parse(const char *text, unsigned *ret_bits, struct err *e);

/* The text that augment_parse() reads back. */
void augment_format(unsigned bits, char ret_text[AUGMENT_TEXT_MAX]);

/* The least share of the image's area that AUGMENT_RESIZED_CROP shows. */
double augment_scale(unsigned bits);

/* Fisher-Yates for an epoch: indices[0..n) becomes a permutation of source[0..n). */
void batch_order(const uint32_t *source, size_t n, uint64_t seed, uint32_t epoch,
                 uint32_t *indices);

/* The input of sample i of the set in an epoch, [height][width][3] of p. An image of another size
 * is resized as serving does it; with augment 0 the input is exactly what serving computes.
 * -ENOMEM, which a set of pixels of the input's size never gives. Any thread. */
int batch_sample(const struct dataset *set, size_t i, const struct preprocess *p, unsigned augment,
                 uint64_t seed, uint32_t epoch, float *ret_input, struct err *e);

#endif
