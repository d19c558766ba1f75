/* What a log says of an epoch: names and numbers, in the same order in every epoch of a training.
 * The names are the columns of its table and the tags of its curves. Pure. */
#ifndef TOOL_LOG_ROW_H
#define TOOL_LOG_ROW_H

#include <stdbool.h>
#include <stddef.h>

#include "nn/spec.h"
#include "train/objective.h"
#include "train_progress.h"

enum {
    LOG_NAME_MAX = 40,
    LOG_CELLS_MAX = 12 + (OBJECTIVE_TERMS + 5) * SPEC_SECTIONS_MAX,
};

struct log_cell {
    char name[LOG_NAME_MAX]; /* "lr", "accuracy/exit_4" */
    double value;            /* NaN: not known */
    bool is_term;            /* of the loss; 0 is a term that this training does not have */
};

struct log_row {
    size_t n;
    struct log_cell cells[LOG_CELLS_MAX];
};

/* The epoch whose last step r is, and what the held-out images say behind it; seconds is what it
 * took. r NULL: no number is known, for the names. */
void log_row_make(const struct progress *p, const struct train_report *r, const struct heldout *h,
                  double seconds, struct log_row *ret_row);

/* Columns that others look for. */
#define LOG_EPOCH "epoch"
#define LOG_STEP "step"

#endif
