/* What a training says while it runs: a bar on a terminal, one line an epoch, JSON Lines, nothing.
 * It measures speed by the clock; nothing that it says comes back into the training. */
#ifndef TOOL_TRAIN_PROGRESS_H
#define TOOL_TRAIN_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "model/model.h"
#include "recipe/draft.h"
#include "train/trainer.h"

enum progress_mode { PROGRESS_BAR, PROGRESS_LINES, PROGRESS_JSON, PROGRESS_NONE };

/* What is trained, of what and how: what the event start says. */
struct progress_about {
    struct recipe recipe; /* with the threads that there are */
    const char *network, *data;
    int width, classes;
    size_t params;    /* that learn */
    unsigned exits;   /* bit i: exit i learns */
    unsigned learned; /* and what it says counts: it has figures */
    size_t n_train, n_holdout;
    const char *parent, *teacher; /* SHA-256, or NULL */
};

struct progress {
    struct progress_about about;
    enum progress_mode mode;
    int64_t epochs, steps, epoch_steps, batch;
    int64_t window_ns, window_step; /* where the present measurement began */
    int64_t said_ns;                /* the last line or bar */
    double img_per_s;               /* smoothed; 0: not known yet */
    struct train_report last;
    size_t n_warnings;
    struct recipe_warning warnings[RECIPE_WARNINGS_MAX];
};

/* What held-out images say; n_exits 0: there are none. */
struct heldout {
    int n_exits;
    unsigned untrained; /* of struct training: exits without figures */
    struct training_figures exits[SPEC_SECTIONS_MAX], ensemble;
    double balanced[SPEC_SECTIONS_MAX], ensemble_balanced; /* accuracy, see evaluate.h */
};

/* "bar", "json", "none", or NULL: a bar when stderr is a terminal, else one line an epoch. */
int progress_mode_parse(const char *text, enum progress_mode *ret_mode, struct err *e);

void progress_start(struct progress *p, int64_t step);
void progress_step(struct progress *p, const struct train_report *report);
void progress_epoch(struct progress *p, const struct train_report *report, const struct heldout *h);
void progress_done(struct progress *p, const char *path, const struct heldout *h);

/* A JSON line (train_events.c). h, path: NULL where there are none. */
enum progress_event { EVENT_START, EVENT_STEP, EVENT_EPOCH, EVENT_DONE };
void progress_print_event(struct progress *p, enum progress_event event,
                          const struct train_report *report, const struct heldout *h,
                          const char *path);

/* Members of the line of a step or an epoch: how it goes, and how fast. */
struct json_writer;
void progress_write_speed(const struct progress *p, const struct train_report *report, double loss,
                          struct json_writer *w);

/* Instead of the bar while there is none: what takes long. Nothing in other modes. */
void progress_note(const struct progress *p, const char *text);

/* Ends the line of the bar, before something else is printed. */
void progress_clear(const struct progress *p);

#endif
