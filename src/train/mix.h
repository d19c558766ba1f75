/* Mixup (Zhang et al., ICLR 2018): images and labels of a batch are mixed in pairs. Any thread but
 * where a pool works. */
#ifndef TRAIN_MIX_H
#define TRAIN_MIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/pool.h"
#include "recipe/recipe.h"

/* Whether the recipe asks for it. */
bool mix_is_on(const struct recipe *recipe);

/* The share of an image's own in a step's mixtures, from Beta(a, a) with the recipe's a, where it
 * is on. A function of its arguments. */
double mix_share(const struct recipe *recipe, uint32_t epoch, uint32_t step);

/* Image i of n becomes share * itself + (1 - share) * image n - 1 - i, in place; [n][size]. The
 * batch's order is random, so its pairs are; the middle one of an odd number stays. */
void mix_images(float *images, size_t n, size_t size, double share, struct pool *pool);

/* The labels that are mixed in: others[i] = labels[n - 1 - i]. */
void mix_labels(const int32_t *labels, size_t n, int32_t *others);

#endif
