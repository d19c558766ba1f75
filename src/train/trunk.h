/* A trunk that does not learn: the sections of a network, computed as they are served (running
 * statistics, norms folded), whose ends are what heads are trained on. One caller at a time. */
#ifndef TRAIN_TRUNK_H
#define TRAIN_TRUNK_H

#include "base/err.h"
#include "base/pool.h"
#include "nn/grad.h"
#include "recipe/recipe.h"

struct trunk;

/* Everything must outlive it. NULL when out of memory. */
struct trunk *trunk_new(const struct net *net, const struct recipe *recipe, struct pool *pool,
                        const struct kernels *kernels, struct err *e);
void trunk_free(struct trunk *trunk);
size_t trunk_bytes(const struct trunk *trunk);

/* Makes the trunk of these parameters, the net's block, once they are what they stay; nothing when
 * that has been done. -ENOMEM. */
int trunk_settle(struct trunk *trunk, const float *params, struct err *e);
/* The parameters have become others: it must settle again. */
void trunk_unsettle(struct trunk *trunk);

/* Takes a micro-batch of grad_input() through the sections; their ends stand in grad_end(), where
 * grad_forward() of a grad without a trunk begins. */
void trunk_pass(struct trunk *trunk, struct grad *grad);

#endif
