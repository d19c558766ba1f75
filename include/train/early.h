/* Answers by confidence: which classifier answers each image when sections run one after the other
 * and the first exit that is sure enough stops, as the daemon does it under `auto` (doc/sla.md),
 * and what that costs. From logits that are known already, so that a rule is judged in a moment,
 * and a whole curve of them in a few. Pure; any thread. */
#ifndef TRAIN_EARLY_H
#define TRAIN_EARLY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "nn/spec.h"
#include "train/evaluate.h"

struct early; /* who is how sure and who is right, of n images */

/* Nobody is sure of anything yet. NULL when out of memory. early_free(NULL) is fine. */
struct early *early_new(size_t n, int n_exits, struct err *e);
void early_free(struct early *early);

/* What answers behind exit `place`, and at place n_exits what answers where no exit was sure
 * enough: a classifier as logits_of() has it, whose logits are divided by the temperature before
 * the softmax. The logits are not needed afterwards. */
void early_put(struct early *early, int place, const struct logits *logits, int classifier,
               double temperature);

#define EARLY_NEVER 2.0 /* a confidence that no softmax reaches */

/* A rule: exit i answers what no exit before it has answered where its confidence is at least
 * thresholds[i]. Past 1 is never, and then its head need not run. */
struct early_rule {
    double thresholds[SPEC_SECTIONS_MAX];
};

/* One least confidence for the exits of a mask (SLA-Min-Confidence). */
struct early_rule early_rule_confidence(unsigned exits, double confidence);

struct early_outcome {
    double top1;
    double share[SPEC_SECTIONS_MAX]; /* of the images, that exit i answers */
    double rest;                     /* that no exit was sure enough of */
    /* Images that this gets wrong and that what answers the rest gets right, and the other way:
     * (lost - won) / n is what it costs of accuracy against that one. */
    size_t lost, won;
};

/* Zeros where there are no images. */
struct early_outcome early_judge(const struct early *early, const struct early_rule *rule);

/* How many images and exits there are, the calibrated confidence of exit i in an image, and whether
 * place i (early_put()) is right. */
size_t early_images(const struct early *early);
int early_exits(const struct early *early);
double early_confidence(const struct early *early, size_t image, int exit);
bool early_right(const struct early *early, size_t image, int place);

/* Which heads a rule takes: exit i asks for those of the mask tried[i] where it may answer, and
 * what answers the rest for `rest`. */
struct early_heads {
    unsigned tried[SPEC_SECTIONS_MAX], rest;
};
unsigned early_rule_heads(const struct early_heads *heads, const struct early_rule *rule);

/* The parts of a cost, in any unit: sections of the trunk and heads. */
struct early_costs {
    int n_exits;
    double sections[SPEC_SECTIONS_MAX], heads[SPEC_SECTIONS_MAX];
};

/* What an image costs that exit i answers (n_exits: that nobody does): the sections so far, and the
 * heads of the mask so far. */
double early_cost(const struct early_costs *costs, unsigned heads, int exit);

/* The mean of that over the images of an outcome. */
double early_mean_cost(const struct early_costs *costs, unsigned heads,
                       const struct early_outcome *outcome);

#endif
