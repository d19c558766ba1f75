/* A guide: the frozen network that a student learns from. It answers in inference mode (running
 * statistics) to the batch that the student sees, and compares maps at the ends of sections where
 * the method says so. Of its maps nothing is kept: they are compared while they are in the cache.
 * One caller at a time. */
#ifndef TRAIN_GUIDE_H
#define TRAIN_GUIDE_H

#include "base/err.h"
#include "base/pool.h"
#include "nn/grad.h"
#include "nn/plan.h"
#include "recipe/recipe.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"

struct guide;

/* Bit i: the method compares maps at the end of the student's section i. With attention all of
 * them; with a hint the one in the middle of the network, which ends the section (n - 1) / 2 of n,
 * from 0: the second of four. */
unsigned guide_borders(const struct method *method, const struct net *student);

/* Student and teacher take the same images and classes; attention needs as many sections.
 * ERR_CONFLICT says what does not fit. */
int guide_check(const struct method *method, const struct net *student, const struct net *teacher,
                struct err *e);

/* Everything must outlive it. The hint's regressor begins from the seed. */
struct guide *guide_new(const struct recipe *recipe, const struct net *student,
                        const struct plan *teacher, struct pool *pool,
                        const struct kernels *kernels, struct err *e);
void guide_free(struct guide *guide);
size_t guide_bytes(const struct guide *guide);

/* After the student's grad_forward() on a micro-batch: takes the same input through the
 * teacher, adds the gradients of what is compared to the student's borders, keeps that of the
 * regressor. Returns the value of these terms; guide_logits() [batch][classes] are then the
 * teacher's. */
double guide_pass(struct guide *guide, struct grad *student);
const float *guide_logits(const struct guide *guide);

/* The sum of the squares of the regressor's gradient, 0 without one; and one step of the optimizer
 * on it. */
double guide_square(const struct guide *guide);
void guide_step(struct guide *guide, const struct optimizer_step *step);

/* The regressor and what belongs to it, [rows = teacher's channels][student's channels] and then
 * [rows] biases; NULL and 0 without one. The gradient is guide_pass()'s. */
float *guide_regressor(struct guide *guide, size_t *ret_size);
float *guide_dregressor(struct guide *guide);

/* The state for a checkpoint; returns how many arrays. */
enum { GUIDE_ARRAYS_MAX = 1 + OPTIMIZER_MOMENTS_MAX };
size_t guide_state(struct guide *guide, struct checkpoint_array ret_arrays[GUIDE_ARRAYS_MAX]);

#endif
