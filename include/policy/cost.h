/* What computing costs: a table (section or head, batch size) -> seconds, filled with what was
 * measured when a version was published, times a slow-down factor that is learned while running
 * (other load, other clock rates; ALERT, ATC 2020, does the same) and ages towards 1, which is what
 * was measured. What a section takes when idle workers help is learned apart. Not thread-safe. */
#ifndef POLICY_COST_H
#define POLICY_COST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "policy/way.h"

struct cost;

/* A table of zeros for the sizes 1, 2, 4 .. and batch_max, that learns. NULL: out of memory. */
struct cost *cost_new(int sections, int batch_max);

/* A table from known figures: a batch of b takes b times what one image takes. Never learns, so
 * that predictions from it can be relied on (tests, costs taken from elsewhere). NULL: out of
 * memory. */
struct cost *cost_new_linear(int sections, int batch_max, const double *section_s,
                             const double *head_s);
void cost_free(struct cost *cost);

enum { COST_SIZES_MAX = 18 };

/* The sizes of the table, ascending; the index counts them from 0. At most COST_SIZES_MAX. */
int cost_sizes(const struct cost *cost);
int cost_size(const struct cost *cost, int index);

/* A measurement: what section `section` and its head took for a batch of that size. The least of
 * several counts. */
void cost_measured(struct cost *cost, int index, int section, double section_s, double head_s);

/* What was not measured: as the size before it, in proportion. index > 0. */
void cost_extrapolate(struct cost *cost, int index);

/* Predicted seconds, slow-down included; linear between the sizes. 1 <= batch; more than batch_max
 * counts as several batches. */
double cost_section(const struct cost *cost, int section, int batch);
double cost_head(const struct cost *cost, int exit, int batch);

/* A batch all the way: sections first..way->last and the heads that the way has there. */
double cost_way(const struct cost *cost, const struct way *way, int first, int batch);

/* A batch of one up to and including the last of these heads (bit s: exit s), at least one. */
double cost_answer(const struct cost *cost, unsigned heads);

/* What was predicted by the functions above took so long; helped: other workers did a part. */
void cost_learn(struct cost *cost, double predicted_s, double measured_s, bool helped,
                int64_t now_ns);

/* Without evidence the factors are half forgotten after COST_FORGET_NS: to be called now and then,
 * since predictions do not know the time. */
#define COST_FORGET_NS (CLOCK_SECOND / 2)
void cost_age(struct cost *cost, int64_t now_ns);

double cost_slow_down(const struct cost *cost);

/* What a section takes with the help of idle workers, as a part of what it takes alone: at most 1,
 * which it is until somebody has helped. */
double cost_helped(const struct cost *cost);

#endif
