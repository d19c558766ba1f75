/* How a job ended, while the database cannot be told: who asks gets the truth. One at most, since a
 * run ends before the next one begins. */
#include "config.h"

#include <stdio.h>

#include "state.h"

void untold_set(struct untold *untold, const struct job_row *row)
{
    pthread_mutex_lock(&untold->lock);
    untold->id = row->id;
    untold->state = row->state;
    untold->finished_ns = row->finished_ns;
    untold->version = row->version;
    snprintf(untold->reason, sizeof(untold->reason), "%s", row->reason != NULL ? row->reason : "");
    pthread_mutex_unlock(&untold->lock);
}

void untold_clear(struct untold *untold)
{
    pthread_mutex_lock(&untold->lock);
    untold->id = 0;
    pthread_mutex_unlock(&untold->lock);
}

void untold_apply(struct untold *untold, struct job_row *row, char reason[REASON_MAX])
{
    pthread_mutex_lock(&untold->lock);
    if (untold->id == row->id) {
        row->state = untold->state;
        row->finished_ns = untold->finished_ns;
        row->version = untold->version;
        snprintf(reason, REASON_MAX, "%s", untold->reason);
        if (reason[0] != '\0') row->reason = reason;
    }
    pthread_mutex_unlock(&untold->lock);
}
