/* Outcomes: one place that sets them, one table of what they make of a job. */
#include "config.h"

#include "outcome.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void outcome_set(struct outcome *outcome, enum outcome_kind kind, const char *reason, ...)
{
    va_list values;
    if (outcome->kind != OUTCOME_OPEN) return;
    outcome->kind = kind;
    va_start(values, reason);
    vsnprintf(outcome->reason, sizeof(outcome->reason), reason, values);
    va_end(values);
}

enum job_state outcome_state(enum outcome_kind kind)
{
    static const enum job_state states[] = {
        [OUTCOME_SUCCEEDED] = JOB_SUCCEEDED, [OUTCOME_REJECTED] = JOB_REJECTED,
        [OUTCOME_CANCELLED] = JOB_CANCELLED, [OUTCOME_INTERRUPTED] = JOB_QUEUED,
        [OUTCOME_KILLED] = JOB_QUEUED,       [OUTCOME_FAILED_SIGNAL] = JOB_FAILED,
        [OUTCOME_FAILED_EXIT] = JOB_FAILED,  [OUTCOME_FAILED_START] = JOB_FAILED,
        [OUTCOME_FAILED_STORE] = JOB_FAILED,
    };
    assert(kind > OUTCOME_EMPTY);
    return states[kind];
}

void outcome_add_words(struct outcome *outcome, const char *words)
{
    size_t used = strlen(outcome->reason);
    snprintf(outcome->reason + used, sizeof(outcome->reason) - used, ": %s", words);
    /* It becomes JSON, which is UTF-8; the log may hold anything. */
    for (char *p = outcome->reason; *p != '\0'; p++) {
        if ((unsigned char)*p >= 0x80 || (unsigned char)*p < ' ') *p = '?';
    }
}
