/* Thresholds of answers by confidence for a wish: the least cost for an accuracy, or the best
 * accuracy for a cost. Pure; any thread. */
#ifndef TRAIN_TUNE_H
#define TRAIN_TUNE_H

#include "base/err.h"
#include "train/early.h"

struct tune_wish {
    const struct early *early;
    unsigned exits; /* of which thresholds are sought: not the deepest, which always answers */
    const struct early_costs *costs;
    const struct early_heads *heads;
    double cost_max;  /* the mean cost of an image; INFINITY: the least that is to be had for.. */
    double right_min; /* ..so many images that are right, at least; of a cost 0 */
};

struct tune_result {
    struct early_rule rule;
    struct early_outcome outcome;
    double cost;
};

/* Tries every combination of as many quantiles of each exit's confidence, among the images that get
 * there, as make some 30,000 combinations; then each threshold again alone, at all its quantiles of
 * a thousandth, while that helps. The best rule: the most accurate, of equals the cheapest, within
 * cost_max; without that the cheapest, of equals the most accurate. ERR_RANGE: no rule costs so
 * little, *ret_result is the cheapest; -ENOMEM. */
int tune_search(const struct tune_wish *wish, struct tune_result *ret_result, struct err *e);

/* The rule of Huang et al., "Multi-Scale Dense Networks for Resource Efficient Image
 * Classification" (ICLR 2018), section 4.2, "budgeted batch classification": the k-th exit answers
 * a share of the images that is proportional to r^(k-1), r being the largest whose mean cost is
 * within cost_max. Thresholds are the quantiles that do that among the images that get there; no
 * label is looked at. Errors as above. */
int tune_budget_rule(const struct tune_wish *wish, struct tune_result *ret_result, struct err *e);

#endif
