/* What the JSON Lines of `autodidact train` say. A line that says nothing we know is left out: the
 * child may be newer than this program, and libraries print on stdout too. Pure. */
#ifndef JOBS_PROGRESS_H
#define JOBS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "json/write.h"
#include "model/model.h"

enum progress_event {
    PROGRESS_NOTHING,
    PROGRESS_START,
    PROGRESS_STEP,
    PROGRESS_EPOCH,
    PROGRESS_DONE
};

struct progress {
    int64_t epoch, epochs, step, steps;
    double loss, rate, img_per_s, eta_s; /* 0: not known */
    int n_exits;                         /* of the last epoch's figures; 0: none yet */
    unsigned untrained;                  /* bit i: exit i has not learned */
    double top1[SPEC_SECTIONS_MAX], ensemble_top1;
};

/* Reads a line into *progress; what a line does not say stays as it was. */
enum progress_event progress_read(struct progress *progress, const char *line, size_t size);

/* What the line of a step says, as an object: the member `key`, or an element when that is NULL. */
void progress_write(const struct progress *progress, struct json_writer *w, const char *key);

/* What is kept of an epoch: its line without what it says of the whole training. */
void progress_write_epoch(const struct progress *progress, struct json_writer *w);

#endif
