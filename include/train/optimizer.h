/* Optimizers over every tensor that is trained: SGD with momentum or AdamW, in PyTorch's forms
 * (kernel/kernel.h has both), as the recipe has it. Heads that do not learn are left as they are,
 * decay included. Owns what it keeps of the steps before, its moments. One caller at a time. */
#ifndef TRAIN_OPTIMIZER_H
#define TRAIN_OPTIMIZER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "nn/net.h"
#include "recipe/recipe.h"

struct optimizer;

enum { OPTIMIZER_MOMENTS_MAX = 2 };

/* How many moments the recipe's optimizer keeps of a parameter, and their names as PyTorch has
 * them: "momentum", or "exp_avg" and "exp_avg_sq". */
size_t optimizer_moments(const struct recipe *recipe);
const char *optimizer_moment_name(const struct recipe *recipe, size_t moment);

/* One step: of how many, from 1; its learning rate; the factor of the gradient. */
struct optimizer_step {
    int64_t number;
    double rate, scale;
};

/* exits: bit i set when exit i learns; the trunk does unless the recipe has it frozen. All must
 * outlive it. NULL when out of memory. */
struct optimizer *optimizer_new(const struct net *net, const struct recipe *recipe, unsigned exits,
                                struct pool *pool, const struct kernels *kernels, struct err *e);
void optimizer_free(struct optimizer *optimizer);

/* A moment, [net_trained_size], zero at first; in the layout of the parameter block. */
float *optimizer_moment(struct optimizer *optimizer, size_t moment);

/* The sum of the squares of the gradient of all that learns: the same bits for any number of
 * threads. */
double optimizer_square(struct optimizer *optimizer, const float *dparams);

/* The factor that brings a gradient of such a sum of squares down to the recipe's greatest norm, 1
 * where it is not above it (Pascanu, Mikolov and Bengio 2013, algorithm 1; with the 1e-6 that
 * PyTorch's clip_grad_norm_() adds to the norm). */
double optimizer_clip(const struct recipe *recipe, double square);

/* One step on params[0, net_trained_size). dparams is not changed. */
void optimizer_step(struct optimizer *optimizer, const struct optimizer_step *step,
                    const float *dparams, float *params);

/* The same for n parameters that are in no block and have moments of their own, [moments][n];
 * decays: whether weight decay is of them. Any thread. */
void optimizer_move(const struct kernels *kernels, const struct recipe *recipe,
                    const struct optimizer_step *step, bool decays, size_t n, const float *dw,
                    float *const moments[OPTIMIZER_MOMENTS_MAX], float *w);

#endif
