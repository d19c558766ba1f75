/* What computing costs: a table (section or head, batch size) -> seconds, measured when a model is
 * published, times a slow-down factor that is learned while running (other load, other clock rates;
 * ALERT, ATC 2020, does the same). Not thread-safe: the engine's lock guards it. */
#ifndef SERVE_COST_H
#define SERVE_COST_H

#include "base/err.h"
#include "nn/plan.h"
#include "way.h"

struct cost;

/* Measures on this thread: every section and head at batch sizes 1, 2, 4 .. and batch_max, the best
 * of a few runs after a warm-up. budget_s bounds the time roughly: sizes that do not fit any more
 * are extrapolated from the largest that did. exec must be for batch_max images. */
int cost_measure(struct exec *exec, const struct net *net, int batch_max, double budget_s,
                 struct cost **ret_cost, struct err *e);

/* A table from known figures: a batch of b takes b times what one image takes. Never learns, so
 * that predictions from it can be relied on (tests, costs taken from elsewhere). NULL: out of
 * memory. */
struct cost *cost_new_linear(int sections, int batch_max, const double *section_s,
                             const double *head_s);
void cost_free(struct cost *cost);

/* Predicted seconds, slow-down included; linear between the sizes measured. 1 <= batch; more than
 * batch_max counts as several batches. */
double cost_section(const struct cost *cost, int section, int batch);
double cost_head(const struct cost *cost, int exit, int batch);

/* A batch all the way: sections first..way->last and the heads that the way runs there. */
double cost_way(const struct cost *cost, const struct way *way, int first, int batch);

/* A batch of one up to and including the answer of a classifier (exit or MODEL_ENSEMBLE). */
double cost_answer(const struct cost *cost, int classifier);

/* What was predicted by the functions above took so long. */
void cost_learn(struct cost *cost, double predicted_s, double measured_s);
double cost_slow_down(const struct cost *cost);

#endif
