/* What a classifier takes for what: how many images of each class it puts into each, from logits.
 * Pure; any thread. */
#ifndef TRAIN_CONFUSION_H
#define TRAIN_CONFUSION_H

#include <stdint.h>

#include "train/evaluate.h"

/* counts[label][class of the greatest logit] of a classifier as logits_of() has it; cleared first.
 */
void confusion_count(const struct logits *logits, int classifier, uint32_t *ret_counts);

#endif
