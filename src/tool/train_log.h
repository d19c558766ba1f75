/* The log of a training, --log DIR: a row an epoch in DIR/RUN.csv, and the same numbers as curves
 * for TensorBoard in DIR/RUN/events.out.tfevents.*. RUN is the name of the model's file; where DIR
 * has one of that name already, or the training writes another file of it, with -2, -3 .. behind
 * it, so that nothing is overwritten.
 *
 * A training is never lost by its log: what cannot be written waits until it can, and is warned of
 * once. A checkpoint keeps how far the log was, and who goes on from it cuts off what came later,
 * so that no epoch is there twice; what somebody has changed since is left alone, and a new run
 * begins. One caller at a time. */
#ifndef TOOL_TRAIN_LOG_H
#define TOOL_TRAIN_LOG_H

#include "base/err.h"
#include "train/checkpoint.h"
#include "train/trainer.h"
#include "train_progress.h"

struct train_log;

/* Whether there can be a log in dir, NULL being none; makes it in its parent. */
int train_log_check(const char *dir, struct err *e);

/* Goes on with the run that the position of a checkpoint names, or begins a new one; outs are the
 * files that the training writes, the model's first, others NULL where there are none. p must
 * outlive it. Errors name the path. */
int train_log_open(const char *dir, const char *const *outs, size_t n_outs,
                   const struct progress *p, const struct checkpoint_log *position,
                   struct train_log **ret_log, struct err *e);

/* These do nothing for NULL. */
void train_log_step(struct train_log *log, const struct train_report *report);
void train_log_epoch(struct train_log *log, const struct train_report *report,
                     const struct heldout *h);

/* Writes what waits, and says how far it is, for a checkpoint. */
void train_log_keep(struct train_log *log, struct checkpoint_log *ret_position);

void train_log_close(struct train_log *log);

#endif
