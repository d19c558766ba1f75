/* Augmentations of bytes: the operations of AutoAugment with PIL's semantics, the policies that
 * draw from them, and what is put over an image. Images are [height][width][3] RGB. Pure functions
 * of their arguments, which allocate nothing; scratch has the image's size. Any thread. */
#ifndef DATA_AUGMENT_H
#define DATA_AUGMENT_H

#include <stdbool.h>
#include <stdint.h>

enum augment_op {
    AUGMENT_SHEAR_X,
    AUGMENT_SHEAR_Y,
    AUGMENT_TRANSLATE_X,
    AUGMENT_TRANSLATE_Y,
    AUGMENT_ROTATE,
    AUGMENT_COLOR,
    AUGMENT_CONTRAST,
    AUGMENT_BRIGHTNESS,
    AUGMENT_SHARPNESS,
    AUGMENT_POSTERIZE,
    AUGMENT_SOLARIZE,
    AUGMENT_AUTOCONTRAST,
    AUGMENT_EQUALIZE,
    AUGMENT_INVERT,
    AUGMENT_IDENTITY,
    AUGMENT_OPS,
};

enum { AUGMENT_GREY = 128, AUGMENT_MAGNITUDES = 10 };

/* How geometry fills in. */
struct augment_style {
    uint8_t outside; /* what moves in, in all channels */
    bool bicubic;    /* shears; else everything takes the nearest pixel */
};

/* An operation with the value that PIL takes: the factor of a shear; a shift in pixels, to the left
 * or up; degrees, counter-clockwise; the factor of an enhancement (1: none); the bits that are
 * kept; the threshold from which on a byte is inverted. Nothing for the others. On the image in
 * place. */
void augment_perform(enum augment_op op, double value, struct augment_style style, uint8_t *image,
                     uint8_t *scratch, int width, int height);

/* The value of an operation at `magnitude` of `steps` of its range (Cubuk et al., CVPR 2019, table
 * 6, CIFAR's). negative turns the direction of geometry round and makes the four enhancements
 * weaken instead of strengthen. */
double augment_value(enum augment_op op, int magnitude, int steps, bool negative, int width,
                     int height);

/* One operation of AutoAugment with a magnitude of 0..9; rotation has one direction. */
void augment_apply(enum augment_op op, int magnitude, bool negative, uint8_t *image,
                   uint8_t *scratch, int width, int height);

/* Geometry (augment_geometry.c): the pixel at (x, y) of out is what stands at
 * (a[0] x + a[1] y + a[2], a[3] x + a[4] y + a[5]) of in, centres at halves. */
void augment_affine_nearest(const double a[6], const uint8_t *in, int width, int height,
                            uint8_t outside, uint8_t *out);
void augment_affine_bicubic(const double a[6], const uint8_t *in, int width, int height,
                            uint8_t outside, uint8_t *out);

/* One of CIFAR's 25 pairs of operations, each done with its probability: chosen by (seed, epoch,
 * sample). */
void autoaugment(uint8_t *image, uint8_t *scratch, int width, int height, uint64_t seed,
                 uint32_t epoch, uint32_t sample);

/* One operation of the wide space, of any strength (Mueller and Hutter, "TrivialAugment", ICCV
 * 2021; trivialaugment.c has the ranges). */
void trivialaugment(uint8_t *image, uint8_t *scratch, int width, int height, uint64_t seed,
                    uint32_t epoch, uint32_t sample);

/* n operations one after the other, each at `magnitude` of AUGMENT_MAGNITUDE_MAX (Cubuk et al.,
 * "RandAugment", NeurIPS 2020). */
void randaugment(uint8_t *image, uint8_t *scratch, int width, int height, int n, int magnitude,
                 uint64_t seed, uint32_t epoch, uint32_t sample);

/* Random bytes in a random rectangle, with a probability in thousandths (Zhong et al., "Random
 * Erasing Data Augmentation", AAAI 2020, algorithm 1). */
void erase(uint8_t *image, int width, int height, int thousandths, uint64_t seed, uint32_t epoch,
           uint32_t sample);

/* Black in a square whose side is half of the image's shorter one (16 of 32) and whose centre is
 * any pixel, clipped at the borders (DeVries and Taylor 2017). */
void cutout(uint8_t *image, int width, int height, uint64_t seed, uint32_t epoch, uint32_t sample);

#endif
