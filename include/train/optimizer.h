/* SGD with momentum and weight decay on every tensor that is trained, without Nesterov (PyTorch's
 * form): g += decay w; v = momentum v + g; w -= rate v, with decay and momentum of the recipe.
 * Heads that do not learn are left as they are, decay included. Owns the velocity v. One caller at
 * a time. */
#ifndef TRAIN_OPTIMIZER_H
#define TRAIN_OPTIMIZER_H

#include <stddef.h>

#include "base/err.h"
#include "base/pool.h"
#include "nn/net.h"
#include "recipe/recipe.h"

struct optimizer;

/* exits: bit i set when exit i learns. All must outlive it. NULL when out of memory. */
struct optimizer *optimizer_new(const struct net *net, unsigned exits, struct pool *pool,
                                const struct kernels *kernels, struct err *e);
void optimizer_free(struct optimizer *optimizer);

/* The velocity, [net_trained_size], zero at first; in the layout of the parameter block. */
float *optimizer_velocity(struct optimizer *optimizer);

/* One step on params[0, net_trained_size). dparams is not changed. */
void optimizer_step(struct optimizer *optimizer, const struct recipe *recipe, double rate,
                    const float *dparams, float *params);

/* The same for n parameters that are in no block and have a velocity of their own. Any thread. */
void optimizer_move(const struct kernels *kernels, const struct recipe *recipe, double rate,
                    size_t n, const float *dw, float *velocity, float *w);

#endif
