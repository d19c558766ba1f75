/* TrivialAugment (Mueller and Hutter, ICCV 2021): one operation of K = 14, of a strength of 31,
 * both evenly, and nothing to tune. Ranges, roundings and the black that moves in are those of the
 * wide space in the authors' code: strengths of pixels, degrees, bits and thresholds are cut off to
 * whole numbers. */
#include "config.h"

#include "augment.h"

#include "base/rng.h"

enum { STRENGTH_MAX = 30 };

/* `strength` of STRENGTH_MAX of a range that ends at `end`, as a whole number. */
static int part(int end, int strength)
{
    return end * strength / STRENGTH_MAX;
}

static double wide_value(enum augment_op op, int strength, double sign)
{
    switch (op) {
    case AUGMENT_SHEAR_X:
    case AUGMENT_SHEAR_Y:
        return sign * (strength * 0.99 / STRENGTH_MAX);
    case AUGMENT_TRANSLATE_X:
    case AUGMENT_TRANSLATE_Y:
        return sign * part(32, strength);
    case AUGMENT_ROTATE:
        return sign * part(135, strength);
    case AUGMENT_COLOR:
    case AUGMENT_CONTRAST:
    case AUGMENT_BRIGHTNESS:
    case AUGMENT_SHARPNESS:
        return 0.01 + strength * (2.0 - 0.01) / STRENGTH_MAX;
    case AUGMENT_POSTERIZE:
        return 8 - part(6, strength);
    case AUGMENT_SOLARIZE:
        return 256 - part(256, strength);
    case AUGMENT_AUTOCONTRAST:
    case AUGMENT_EQUALIZE:
    case AUGMENT_INVERT:
    case AUGMENT_IDENTITY:
    case AUGMENT_OPS:
        break;
    }
    return 0;
}

void trivialaugment(uint8_t *image, uint8_t *scratch, int width, int height, uint64_t seed,
                    uint32_t epoch, uint32_t sample)
{
    static const enum augment_op ops[] = {
        AUGMENT_IDENTITY,    AUGMENT_AUTOCONTRAST, AUGMENT_EQUALIZE,  AUGMENT_ROTATE,
        AUGMENT_SOLARIZE,    AUGMENT_COLOR,        AUGMENT_POSTERIZE, AUGMENT_CONTRAST,
        AUGMENT_BRIGHTNESS,  AUGMENT_SHARPNESS,    AUGMENT_SHEAR_X,   AUGMENT_SHEAR_Y,
        AUGMENT_TRANSLATE_X, AUGMENT_TRANSLATE_Y};
    enum { OPS = sizeof(ops) / sizeof(ops[0]) };
    const struct augment_style style = {0, false};
    struct rng rng;
    rng_init(&rng, seed, RNG_TRIVIALAUGMENT, epoch, sample);
    const enum augment_op op = ops[rng_below(&rng, OPS)];
    const int strength = (int)rng_below(&rng, STRENGTH_MAX + 1);
    const double sign = rng_below(&rng, 2) == 1 ? -1 : 1;
    augment_perform(op, wide_value(op, strength, sign), style, image, scratch, width, height);
}
