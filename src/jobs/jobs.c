/* The life of the jobs: made, started, and
 * stopped when neither a run nor an errand is on its way any more. */
#include "config.h"

#include "jobs/jobs.h"

#include <errno.h>

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
        jobs->pause = loop_timer_new(loop, run_wake, jobs);
        if (jobs->grace == NULL || jobs->pause == NULL)
            rc = err_set(e, -ENOMEM, "jobs: out of memory");
    }
    if (rc < 0) {
        loop_timer_free(jobs->grace);
        loop_timer_free(jobs->pause);
        jobs_options_release(&jobs->options);
        mem_free(jobs);
        return rc;
    }
    pthread_mutex_init(&jobs->untold.lock, NULL);
    jobs->loop = loop;
    jobs->store = store;
    jobs->registry = registry;
    jobs_metrics_init(&jobs->metrics, metrics);
    *ret_jobs = jobs;
    return 0;
}

void jobs_start(struct jobs *jobs)
{
    jobs->started = true;
    run_next(jobs);
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
    loop_timer_free(jobs->pause);
    pthread_mutex_destroy(&jobs->untold.lock);
    jobs_options_release(&jobs->options);
    mem_free(jobs);
}
