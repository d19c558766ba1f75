/* What answers a request under `auto` at each border of a model, and what that takes; how much each
 * of them knows of some images (train/early.h). */
#ifndef TOOL_ANSWERS_H
#define TOOL_ANSWERS_H

#include "base/err.h"
#include "model/model.h"
#include "train/early.h"
#include "train/evaluate.h"

/* The best classifier by held-out accuracy, of equals the cheaper one; not calibrated: the deepest.
 */
int answers_best(const struct model *model);

/* The heads that a classifier is made of. */
unsigned answers_heads(const struct model *model, int classifier);

/* Those of the exits under `auto`; `rest` is what answers in the end. */
struct early_heads answers_all_heads(const struct model *model, int rest);

/* The exits that have learned, and those of them that may answer in the place of the best
 * classifier where a loss against it is bounded (rule 12 of doc/sla.md). */
unsigned answers_learned(const struct model *model);
unsigned answers_before(const struct model *model, int best);

/* Everybody's confidence, with the best classifier for the rest. Blends the logits
 * (logits_blend()). NULL with -ENOMEM in *e; early_free(). */
struct early *answers_early(const struct model *model, struct logits *logits, struct err *e);

#endif
