/* The words of --augment. What they do to an image is data/batch.h's. Any thread. */
#ifndef RECIPE_AUGMENT_H
#define RECIPE_AUGMENT_H

#include "base/err.h"

enum {
    /* Pad by an eighth of the side (4 of 32) with black, random crop of the input's size. */
    AUGMENT_CROP = 1,
    AUGMENT_FLIP = 2,   /* mirrored left-right with probability 1/2 */
    AUGMENT_AUTO = 4,   /* AutoAugment's CIFAR-10 policy; what moves in from outside is grey, 128 */
    AUGMENT_CUTOUT = 8, /* a black square of half the shorter side, anywhere */
    AUGMENT_FILL_GREY = 16, /* crop pads with grey, 128, instead of black */
    /* Before all others: a random part of the image, resized to the input. */
    AUGMENT_RESIZED_CROP = 32,
    AUGMENT_REFLECT = 64,           /* crop pads with the image mirrored at its borders */
    AUGMENT_ALTERNATING_FLIP = 128, /* mirrored in every other epoch, the first one by chance */
    AUGMENT_TRIVIAL = 256,          /* TrivialAugment: one operation, of any strength */
    AUGMENT_RAND = 512,             /* RandAugment: some operations, all of one strength */
    AUGMENT_ERASING = 1024,         /* random numbers in a rectangle */
};

/* Which words, and the values behind them; values of words that are not there are zero. */
struct augment {
    unsigned words; /* the bits above; 0: none */
    int scale;      /* of AUGMENT_RESIZED_CROP: the least share of the area, thousandths */
    int operations, magnitude; /* of AUGMENT_RAND: how many; of 30 */
    int erasing;               /* of AUGMENT_ERASING: its probability in thousandths */
};

enum {
    AUGMENT_TEXT_MAX = 144,
    AUGMENT_SCALE_DEFAULT = 80,
    AUGMENT_OPERATIONS_DEFAULT = 2,
    AUGMENT_MAGNITUDE_DEFAULT = 9,
    AUGMENT_MAGNITUDE_MAX = 30,
    AUGMENT_ERASING_DEFAULT = 500,
};

/* "crop,flip", "resizedcrop:0.25,flip", "none". ERR_RANGE names the word that is unknown, the value
 * that is none, or the words that do not go together. */
int augment_parse(const char *text, struct augment *ret_augment, struct err *e);

/* The text that augment_parse() reads back. */
void augment_format(const struct augment *augment, char ret_text[AUGMENT_TEXT_MAX]);

#endif
