/* Random Erasing (Zhong et al., AAAI 2020, algorithm 1), with the paper's constants: an area of 2
 * to 40 % of the image's, a ratio of height to width from 0.3 to 1 / 0.3, a corner anywhere; what
 * does not fit is drawn anew. What is erased becomes random bytes (RE-R, which the paper takes). */
#include "config.h"

#include "augment.h"

#include <math.h>
#include <stddef.h>

#include "base/rng.h"

#define AREA_LOW 0.02
#define AREA_HIGH 0.4
#define RATIO_LOW 0.3

/* The paper's loop has no end; after these the image stays whole. A try fits with a probability of
 * about a half, so that never happens but in images of a few pixels. */
enum { TRIES = 100 };

static double between(struct rng *rng, double low, double high)
{
    return low + (high - low) * rng_uniform(rng);
}

void erase(uint8_t *image, int width, int height, int thousandths, uint64_t seed, uint32_t epoch,
           uint32_t sample)
{
    struct rng rng;
    rng_init(&rng, seed, RNG_ERASING, epoch, sample);
    if (rng_uniform(&rng) * 1000 >= thousandths) return;
    for (int i = 0; i < TRIES; i++) {
        const double area = between(&rng, AREA_LOW, AREA_HIGH) * width * height;
        const double ratio = between(&rng, RATIO_LOW, 1 / RATIO_LOW);
        const int h = (int)round(sqrt(area * ratio)), w = (int)round(sqrt(area / ratio));
        const int left = (int)rng_below(&rng, (uint32_t)width),
                  top = (int)rng_below(&rng, (uint32_t)height);
        if (left + w > width || top + h > height) continue;
        for (int y = top; y < top + h; y++) {
            uint8_t *row = image + ((ptrdiff_t)y * width + left) * 3;
            for (int k = 0; k < 3 * w; k++) row[k] = (uint8_t)(rng_u32(&rng) >> 24);
        }
        return;
    }
}
