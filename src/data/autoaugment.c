/* AutoAugment's policy for CIFAR-10 (Cubuk et al., CVPR 2019, table 7) and Cutout: what is drawn.
 *
 * Both have streams of random numbers of their own, keyed by (seed, epoch, sample), and draw
 * everything whether it is used or not, so that neither changes what the other or a crop draws. The
 * policy's rotation never turns clockwise: the code that published results were made with has no
 * sign there. */
#include "config.h"

#include "augment.h"

#include <stddef.h>
#include <string.h>

#include "base/rng.h"

/* Two operations, each with its probability in tenths and its magnitude. */
static const struct sub_policy {
    struct {
        enum augment_op op;
        int tenths, magnitude;
    } operations[2];
} policy[] = {
    {{{AUGMENT_INVERT, 1, 7}, {AUGMENT_CONTRAST, 2, 6}}},
    {{{AUGMENT_ROTATE, 7, 2}, {AUGMENT_TRANSLATE_X, 3, 9}}},
    {{{AUGMENT_SHARPNESS, 8, 1}, {AUGMENT_SHARPNESS, 9, 3}}},
    {{{AUGMENT_SHEAR_Y, 5, 8}, {AUGMENT_TRANSLATE_Y, 7, 9}}},
    {{{AUGMENT_AUTOCONTRAST, 5, 8}, {AUGMENT_EQUALIZE, 9, 2}}},
    {{{AUGMENT_SHEAR_Y, 2, 7}, {AUGMENT_POSTERIZE, 3, 7}}},
    {{{AUGMENT_COLOR, 4, 3}, {AUGMENT_BRIGHTNESS, 6, 7}}},
    {{{AUGMENT_SHARPNESS, 3, 9}, {AUGMENT_BRIGHTNESS, 7, 9}}},
    {{{AUGMENT_EQUALIZE, 6, 5}, {AUGMENT_EQUALIZE, 5, 1}}},
    {{{AUGMENT_CONTRAST, 6, 7}, {AUGMENT_SHARPNESS, 6, 5}}},
    {{{AUGMENT_COLOR, 7, 7}, {AUGMENT_TRANSLATE_X, 5, 8}}},
    {{{AUGMENT_EQUALIZE, 3, 7}, {AUGMENT_AUTOCONTRAST, 4, 8}}},
    {{{AUGMENT_TRANSLATE_Y, 4, 3}, {AUGMENT_SHARPNESS, 2, 6}}},
    {{{AUGMENT_BRIGHTNESS, 9, 6}, {AUGMENT_COLOR, 2, 8}}},
    {{{AUGMENT_SOLARIZE, 5, 2}, {AUGMENT_INVERT, 0, 3}}},
    {{{AUGMENT_EQUALIZE, 2, 0}, {AUGMENT_AUTOCONTRAST, 6, 0}}},
    {{{AUGMENT_EQUALIZE, 2, 8}, {AUGMENT_EQUALIZE, 6, 4}}},
    {{{AUGMENT_COLOR, 9, 9}, {AUGMENT_EQUALIZE, 6, 6}}},
    {{{AUGMENT_AUTOCONTRAST, 8, 4}, {AUGMENT_SOLARIZE, 2, 8}}},
    {{{AUGMENT_BRIGHTNESS, 1, 3}, {AUGMENT_COLOR, 7, 0}}},
    {{{AUGMENT_SOLARIZE, 4, 5}, {AUGMENT_AUTOCONTRAST, 9, 3}}},
    {{{AUGMENT_TRANSLATE_Y, 9, 9}, {AUGMENT_TRANSLATE_Y, 7, 9}}},
    {{{AUGMENT_AUTOCONTRAST, 9, 2}, {AUGMENT_SOLARIZE, 8, 3}}},
    {{{AUGMENT_EQUALIZE, 8, 8}, {AUGMENT_INVERT, 1, 3}}},
    {{{AUGMENT_TRANSLATE_Y, 7, 9}, {AUGMENT_AUTOCONTRAST, 9, 1}}},
};

enum { SUB_POLICIES = sizeof(policy) / sizeof(policy[0]) };
_Static_assert(SUB_POLICIES == 25, "the paper has 25");

void autoaugment(uint8_t *image, uint8_t *scratch, int width, int height, uint64_t seed,
                 uint32_t epoch, uint32_t sample)
{
    struct rng rng;
    rng_init(&rng, seed, RNG_AUTOAUGMENT, epoch, sample);
    const struct sub_policy *p = &policy[rng_below(&rng, SUB_POLICIES)];
    for (int i = 0; i < 2; i++) {
        bool is_done = (int)rng_below(&rng, 10) < p->operations[i].tenths;
        bool negative = rng_below(&rng, 2) == 1;
        if (!is_done) continue;
        augment_apply(p->operations[i].op, p->operations[i].magnitude, negative, image, scratch,
                      width, height);
    }
}

void cutout(uint8_t *image, int width, int height, uint64_t seed, uint32_t epoch, uint32_t sample)
{
    struct rng rng;
    rng_init(&rng, seed, RNG_CUTOUT, epoch, sample);
    const int y = (int)rng_below(&rng, (uint32_t)height), x = (int)rng_below(&rng, (uint32_t)width);
    const int half = (width < height ? width : height) / 4;
    const int top = y > half ? y - half : 0, bottom = y + half < height ? y + half : height;
    const int left = x > half ? x - half : 0, right = x + half < width ? x + half : width;
    for (int row = top; row < bottom; row++) {
        memset(image + ((ptrdiff_t)row * width + left) * 3, 0, (size_t)(right - left) * 3);
    }
}
