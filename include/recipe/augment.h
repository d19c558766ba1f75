/* The words of --augment as bits. What they do to an image is data/batch.h's. Any thread. */
#ifndef RECIPE_AUGMENT_H
#define RECIPE_AUGMENT_H

#include "base/err.h"

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

#endif
