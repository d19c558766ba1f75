/* The life of the jobs: made, started after what the last daemon left running is queued again, and
 * stopped when neither a run nor an errand is on its way any more. */
#include "config.h"

#include "jobs/jobs.h"

#include <errno.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "errand.h"
#include "state.h"

int jobs_new(struct loop *loop, struct store *store, struct registry *registry,
             struct metrics *metrics, const struct jobs_options *options, struct jobs **ret_jobs,
             struct err *e)
{
    struct jobs *jobs = mem_new(1, sizeof(*jobs));
    if (jobs == NULL) return err_set(e, -ENOMEM, "jobs: out of memory");
    int rc = jobs_options_copy(options, &jobs->options, e);
    if (rc == 0) {
        jobs->grace = loop_timer_new(loop, run_kill_child, jobs);
        if (jobs->grace == NULL) rc = err_set(e, -ENOMEM, "jobs: out of memory");
    }
    if (rc < 0) {
        jobs_options_release(&jobs->options);
        mem_free(jobs);
        return rc;
    }
    jobs->loop = loop;
    jobs->store = store;
    jobs->registry = registry;
    jobs_metrics_init(&jobs->metrics, metrics);
    *ret_jobs = jobs;
    return 0;
}

static void recover(struct errand *errand, struct db *db)
{
    int rc =
        job_table_recover(db, errand->jobs->options.attempts_max, clock_real(), &errand->error);
    if (rc > 0) log_info("jobs: %d that the last daemon left running", rc);
    if (rc < 0)
        log_error("jobs: cannot go on with those of the last daemon: %s", errand->error.text);
}

static void after_recover(struct errand *errand)
{
    run_next(errand->jobs);
}

void jobs_start(struct jobs *jobs)
{
    const struct errand errand = {.work = recover, .after = after_recover};
    jobs->started = true;
    errand_post(jobs, &errand);
}

void jobs_stop(struct jobs *jobs, void (*stopped)(void *arg), void *arg)
{
    jobs->stopping = true;
    jobs->stopped = stopped;
    jobs->stopped_arg = arg;
    if (jobs->run != NULL) run_stop(jobs->run);
    jobs_check_stopped(jobs);
}

void jobs_check_stopped(struct jobs *jobs)
{
    void (*stopped)(void *arg) = jobs->stopped;
    if (stopped == NULL || jobs->run != NULL || jobs->errands > 0) return;
    jobs->stopped = NULL; /* once */
    stopped(jobs->stopped_arg);
}

void jobs_free(struct jobs *jobs)
{
    if (jobs == NULL) return;
    loop_timer_free(jobs->grace);
    jobs_options_release(&jobs->options);
    mem_free(jobs);
}
