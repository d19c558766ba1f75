/* How a run ends. A run has one outcome, which is set once, by whoever finds out; the first stays.
 */
#ifndef JOBS_OUTCOME_H
#define JOBS_OUTCOME_H

#include <stdbool.h>

#include "store/job_table.h"

enum outcome_kind {
    OUTCOME_OPEN,          /* it goes on */
    OUTCOME_EMPTY,         /* there was no job in the queue */
    OUTCOME_SUCCEEDED,     /* a version: it serves, or waits for a person */
    OUTCOME_REJECTED,      /* judged worse than what serves */
    OUTCOME_CANCELLED,     /* on request */
    OUTCOME_INTERRUPTED,   /* the daemon stops: back into the queue, no attempt is used up */
    OUTCOME_KILLED,        /* by a signal, with attempts left: back into the queue */
    OUTCOME_FAILED_SIGNAL, /* the same at the last attempt */
    OUTCOME_FAILED_EXIT,   /* a process gave up; the last line of its log says why */
    OUTCOME_FAILED_START,  /* a process could not be started */
    OUTCOME_FAILED_STORE,  /* request, files or database: not prepared, compared or registered */
};

enum { REASON_MAX = 512 };

struct outcome {
    enum outcome_kind kind;
    char reason[REASON_MAX]; /* for the job's document; "" where the job goes on */
};

/* Nothing when it is set already. */
void outcome_set(struct outcome *outcome, enum outcome_kind kind, const char *reason, ...)
    __attribute__((format(printf, 3, 4)));

/* The job's state after it; not of OPEN and EMPTY. */
enum job_state outcome_state(enum outcome_kind kind);

/* Appends the last words of a process, bytes of its log. */
void outcome_add_words(struct outcome *outcome, const char *words);

#endif
