/* AutoAugment's ranges, and RandAugment, which draws from them without a policy.
 *
 * The paper has K = 14 operations (identity instead of AutoAugment's inversion, which it leaves
 * out), all of one magnitude. What a magnitude is differs between the codes that use its name; here
 * it counts in thirtieths of AutoAugment's ranges, as torchvision has it, and every direction is
 * drawn. What moves in from outside is grey, 128, as in the authors' code. */
#include "config.h"

#include "augment.h"

#include <assert.h>
#include <math.h>

#include "base/rng.h"
#include "recipe/augment.h"

double augment_value(enum augment_op op, int magnitude, int steps, bool negative, int width,
                     int height)
{
    const double sign = negative ? -1 : 1;
    switch (op) {
    case AUGMENT_SHEAR_X:
    case AUGMENT_SHEAR_Y:
        return sign * (0.3 * magnitude / steps);
    case AUGMENT_TRANSLATE_X:
        return sign * (150.0 / 331 * magnitude / steps) * width;
    case AUGMENT_TRANSLATE_Y:
        return sign * (150.0 / 331 * magnitude / steps) * height;
    case AUGMENT_ROTATE:
        return sign * (30.0 * magnitude / steps);
    case AUGMENT_COLOR:
    case AUGMENT_CONTRAST:
    case AUGMENT_BRIGHTNESS:
    case AUGMENT_SHARPNESS:
        return 1 + sign * (0.9 * magnitude / steps);
    case AUGMENT_POSTERIZE: /* numpy rounds halves to even, but none occurs in 9 steps or 30 */
        return floor(8 - 4.0 * magnitude / steps + 0.5);
    case AUGMENT_SOLARIZE:
        return 256 - 256.0 * magnitude / steps;
    case AUGMENT_AUTOCONTRAST:
    case AUGMENT_EQUALIZE:
    case AUGMENT_INVERT:
    case AUGMENT_IDENTITY:
    case AUGMENT_OPS:
        break;
    }
    return 0;
}

void augment_apply(enum augment_op op, int magnitude, bool negative, uint8_t *image,
                   uint8_t *scratch, int width, int height)
{
    const struct augment_style style = {AUGMENT_GREY, true};
    assert(magnitude >= 0 && magnitude < AUGMENT_MAGNITUDES);
    const double value = augment_value(op, magnitude, AUGMENT_MAGNITUDES - 1,
                                       negative && op != AUGMENT_ROTATE, width, height);
    augment_perform(op, value, style, image, scratch, width, height);
}

void randaugment(uint8_t *image, uint8_t *scratch, int width, int height, int n, int magnitude,
                 uint64_t seed, uint32_t epoch, uint32_t sample)
{
    static const enum augment_op ops[] = {
        AUGMENT_IDENTITY,    AUGMENT_AUTOCONTRAST, AUGMENT_EQUALIZE,  AUGMENT_ROTATE,
        AUGMENT_SOLARIZE,    AUGMENT_COLOR,        AUGMENT_POSTERIZE, AUGMENT_CONTRAST,
        AUGMENT_BRIGHTNESS,  AUGMENT_SHARPNESS,    AUGMENT_SHEAR_X,   AUGMENT_SHEAR_Y,
        AUGMENT_TRANSLATE_X, AUGMENT_TRANSLATE_Y};
    enum { OPS = sizeof(ops) / sizeof(ops[0]) };
    const struct augment_style style = {AUGMENT_GREY, false};
    struct rng rng;
    rng_init(&rng, seed, RNG_RANDAUGMENT, epoch, sample);
    for (int i = 0; i < n; i++) {
        const enum augment_op op = ops[rng_below(&rng, OPS)];
        const bool negative = rng_below(&rng, 2) == 1;
        const double value =
            augment_value(op, magnitude, AUGMENT_MAGNITUDE_MAX, negative, width, height);
        augment_perform(op, value, style, image, scratch, width, height);
    }
}
