/* Cancelling a job: a queued one ends in the database, one in work is asked to end on the loop. */
#include "config.h"

#include "jobs/jobs.h"

#include "base/clock.h"
#include "base/mem.h"
#include "errand.h"
#include "state.h"

static void cancel(struct errand *errand, struct db *db)
{
    struct job_row row;
    int rc = job_table_get(db, errand->id, &row, &errand->error);
    if (rc < 0) return;
    char reason[REASON_MAX];
    struct job_row now = row; /* borrows its texts */
    untold_apply(&errand->jobs->untold, &now, reason);
    if (job_state_is_final(now.state)) {
        err_set(&errand->error, ERR_CONFLICT, "job %lld has ended: it is %s", (long long)row.id,
                job_state_name(now.state));
    } else if (row.state == JOB_QUEUED) {
        row.state = JOB_CANCELLED;
        row.finished_ns = clock_real();
        mem_free(row.reason);
        row.reason = mem_strdup("cancelled on request");
        rc = job_table_update(db, &row, &errand->error);
    } else {
        errand->in_work = true;
    }
    job_row_release(&row);
    if (errand->error.code == 0) errand_read_job(errand, db);
}

static void after_cancel(struct errand *errand)
{
    struct run *run = errand->jobs->run;
    if (errand->in_work && run != NULL && run->phase != RUN_PREPARING && run->row.id == errand->id)
        run_cancel(run);
    if (!errand->in_work && errand->error.code == 0) {
        jobs_metrics_ended(&errand->jobs->metrics, JOB_CANCELLED);
        jobs_tell(errand->jobs, errand->id, NULL);
    }
    errand_add_progress(errand);
}

void jobs_cancel(struct jobs *jobs, int64_t id, jobs_done_fn *done, void *arg)
{
    const struct errand errand = {
        .work = cancel, .after = after_cancel, .done = done, .arg = arg, .id = id};
    errand_post(jobs, &errand);
}
