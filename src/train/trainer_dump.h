/* What a step writes down of itself (trainer_dump_next()); nothing where nobody asked, or on other
 * ranks than the first. In the order of a step. */
#ifndef TRAIN_TRAINER_DUMP_H
#define TRAIN_TRAINER_DUMP_H

#include "base/err.h"
#include "nn/loss.h"
#include "train/objective.h"
#include "trainer_parts.h"

/* Once the batch is drawn and mixed: the images, and all that the step will move. */
void trainer_dump_begin(struct trainer *t);

/* Behind the forward pass of a micro-batch: what it aimed at, and what was said. */
void trainer_dump_part(struct trainer *t, int64_t part, const struct loss_targets *targets);

/* Once the batch's mean gradient is there; before: the epoch's sums before this step. */
void trainer_dump_gradient(struct trainer *t, double loss, const struct objective_sums *before);

/* Behind the update: what it moved to. Writes the file, and forgets it. */
int trainer_dump_end(struct trainer *t, double rate, struct err *e);

#endif
