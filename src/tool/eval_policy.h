/* What answers by confidence give on a set of images, as the daemon would give them under `auto`:
 * accuracy, cost in multiply-accumulates and in time of this machine, and who answers. Of the
 * model's thresholds, of its levels of SLA-Max-Loss, and of a least confidence (SLA-Min-Confidence)
 * from 0 to 1, which is the whole curve between the first exit and the best classifier. */
#ifndef TOOL_EVAL_POLICY_H
#define TOOL_EVAL_POLICY_H

#include <stdbool.h>

#include "base/err.h"
#include "json/write.h"
#include "model/model.h"
#include "train/early.h"
#include "train/evaluate.h"

enum { EVAL_POLICY_POINTS = 104 };

struct eval_policy_point {
    double confidence; /* the least one; of the model's thresholds 0 */
    struct early_outcome outcome;
    double macs, ms; /* means over the images */
};

/* A classifier that answers all images, as SLA-Classifier asks for: its own heads run, no other. */
struct eval_policy_fixed {
    int classifier;
    double top1, macs, ms;
};

struct eval_policy {
    int n_exits;
    int best; /* the classifier of the best held-out accuracy, which answers what is never sure */
    bool has_thresholds;
    int n_levels; /* SLA-Max-Loss, as the model has them */
    double max_loss[MODEL_LEVELS_MAX];
    struct eval_policy_point levels[MODEL_LEVELS_MAX];
    struct eval_policy_point thresholds, curve[EVAL_POLICY_POINTS];
    struct eval_policy_fixed fixed[SPEC_SECTIONS_MAX + 1]; /* exits that have learned, ensemble */
    int n_fixed;
};

/* From the logits of the model by the plan, with the calibration that the model has. Blends the
 * logits (logits_blend()). -ENOMEM. */
int eval_policy_make(const struct model *model, const struct plan *plan, struct logits *logits,
                     struct eval_policy *ret_policy, struct err *e);

/* As the member "policy" of an object; as a table. */
void eval_policy_write(struct json_writer *w, const struct eval_policy *policy);
void eval_policy_print(const struct eval_policy *policy);

#endif
