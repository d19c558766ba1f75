/* Mixup (Zhang et al., ICLR 2018) and CutMix (Yun et al., ICCV 2019): images and labels of a batch
 * are mixed in pairs. Any thread but where a pool works. */
#ifndef TRAIN_MIX_H
#define TRAIN_MIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "nn/net.h"
#include "recipe/recipe.h"

/* What one step does with its images. */
struct mix {
    enum { MIX_NOTHING, MIX_BLEND, MIX_CUT } kind;
    double share;                 /* of an image's own labels, exactly what its own pixels are */
    int top, left, height, width; /* of MIX_CUT: what is exchanged */
};

/* Whether the recipe asks for any. */
bool mix_is_on(const struct recipe *recipe);

/* A function of its arguments. Mixup's share is from Beta(a, a). CutMix (equations 1 and 2 of the
 * paper) draws a share s alike, and a rectangle of sqrt(1 - s) of both sides around any pixel,
 * clipped; then the share is what is left of the area. */
struct mix mix_draw(const struct recipe *recipe, uint32_t epoch, uint32_t step, struct shape image);

/* Image i of n is mixed with image n - 1 - i, both at once, in place; [n][height][width][channels].
 * The batch's order is random, so its pairs are; the middle one of an odd number stays. */
void mix_images(const struct mix *mix, float *images, size_t n, struct shape image,
                struct pool *pool);

/* The labels that are mixed in: others[i] = labels[n - 1 - i]. */
void mix_labels(const int32_t *labels, size_t n, int32_t *others);

#endif
