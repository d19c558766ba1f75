/* What a network's sections and heads take on this machine, for policy's cost table. */
#ifndef SERVE_MEASURE_H
#define SERVE_MEASURE_H

#include "base/err.h"
#include "nn/plan.h"
#include "policy/cost.h"

/* Measures on this thread: every section and head at the table's sizes up to batch_max, the best of
 * a few runs after a warm-up. budget_s bounds the time roughly: sizes that do not fit any more are
 * extrapolated from the largest that did. exec must be for batch_max images. *ret_cost is the
 * caller's, for cost_free(). -ENOMEM. */
int measure_cost(struct exec *exec, const struct net *net, int batch_max, double budget_s,
                 struct cost **ret_cost, struct err *e);

#endif
