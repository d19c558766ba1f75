/* Augmentations of bytes: the operations of AutoAugment with PIL's semantics, its policy, Cutout.
 * Images are [height][width][3] RGB. Pure functions of their arguments, which allocate nothing. Any
 * thread. */
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
    AUGMENT_OPS,
};

enum { AUGMENT_GREY = 128, AUGMENT_MAGNITUDES = 10 };

/* One operation with a magnitude of 0..9 (Cubuk et al., CVPR 2019, table 6, CIFAR's ranges in ten
 * steps), on the image in place; scratch has the image's size. negative turns the direction of
 * shears and translations round and makes the four enhancements weaken instead of strengthen; the
 * others, rotation among them, have one direction. What moves in from outside is AUGMENT_GREY. */
void augment_apply(enum augment_op op, int magnitude, bool negative, uint8_t *image,
                   uint8_t *scratch, int width, int height);

/* Geometry (augment_geometry.c): the pixel at (x, y) of out is what stands at
 * (a[0] x + a[1] y + a[2], a[3] x + a[4] y + a[5]) of in, centres at halves. */
void augment_affine_nearest(const double a[6], const uint8_t *in, int width, int height,
                            uint8_t *out);
void augment_affine_bicubic(const double a[6], const uint8_t *in, int width, int height,
                            uint8_t *out);

/* One of CIFAR's 25 pairs of operations, each done with its probability: chosen by (seed, epoch,
 * sample). */
void autoaugment(uint8_t *image, uint8_t *scratch, int width, int height, uint64_t seed,
                 uint32_t epoch, uint32_t sample);

/* Black in a square whose side is half of the image's shorter one (16 of 32) and whose centre is
 * any pixel, clipped at the borders (DeVries and Taylor 2017). */
void cutout(uint8_t *image, int width, int height, uint64_t seed, uint32_t epoch, uint32_t sample);

#endif
