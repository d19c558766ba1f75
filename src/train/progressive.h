/* What a network answered an epoch ago to each image that it is trained on (PS-KD: Kim et al.,
 * "Self-Knowledge Distillation with Progressive Refinement of Targets", ICCV 2021): one vector of
 * probabilities an image, taken from the training pass itself, augmented as it was, as the authors'
 * code does. One caller at a time. */
#ifndef TRAIN_PROGRESSIVE_H
#define TRAIN_PROGRESSIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/dataset.h"
#include "recipe/recipe.h"
#include "train/ranks.h"

struct progressive;

/* Whether the recipe asks for it. */
bool progressive_is_on(const struct recipe *recipe);

/* At first each image was answered with its label. Everything must outlive it. ERR_LIMIT when
 * the set has too many images of too many classes, -ENOMEM. */
struct progressive *progressive_new(const struct dataset *set, const struct recipe *recipe,
                                    struct ranks *ranks, struct err *e);
void progressive_free(struct progressive *progressive);
size_t progressive_bytes(const struct progressive *progressive);

/* The share of these answers in an image's targets: alpha_T t / T with t of T epochs, from 1
 * (equation 6). */
double progressive_share(const struct recipe *recipe, int64_t epoch);

/* The answers to images indices[0..n) of the set, [n][classes]; valid until the next call. n is at
 * most a micro-batch. */
const float *progressive_answers(struct progressive *progressive, const uint32_t *indices,
                                 size_t n);

/* By all ranks with n images each: what they answer now, as logits [n][classes], is kept by all for
 * the next epoch, since an image is then another rank's. */
void progressive_keep(struct progressive *progressive, const uint32_t *indices, size_t n,
                      const float *logits);

/* The state for a checkpoint: ret_count numbers. Single precision, so that a resumed training has
 * the same ones; 20 MB for CIFAR-100. */
float *progressive_values(struct progressive *progressive, size_t *ret_count);

#endif
