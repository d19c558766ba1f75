/* The run of a job, on the loop thread.
 *
 *   RUN_PREPARING  --(queue empty)--> gone
 *        | start_training()            \--(cannot be started)--> conclude()
 *   RUN_TRAINING   --(cancelled, failed, killed)--> conclude()
 *        | to_store(RUN_NOTING)
 *   RUN_NOTING     --(nothing to judge by)--> conclude()
 *        | start_evaluation()
 *   RUN_EVAL_RESULT, RUN_EVAL_SERVING
 *        | conclude()
 *   RUN_CONCLUDING --> gone, and the next job of the queue
 *
 * A phase is either a child or a task of the store; between two of them all decisions are made
 * here, in one place for each. What is asked meanwhile (cancel, stop) is a flag that the next
 * decision reads. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "state.h"

static void store_done(struct loop_call *call);

/* ---- phases on the store thread ---- */

static void store_run(struct store_task *task, struct db *db)
{
    struct run *run = (struct run *)(void *)((char *)task - offsetof(struct run, task));
    switch (run->phase) {
    case RUN_PREPARING:
        run_prepare(run, db);
        break;
    case RUN_NOTING:
        run_note(run, db);
        break;
    default:
        run_conclude(run, db);
        break;
    }
    loop_post(run->jobs->loop, &run->call);
}

static void to_store(struct run *run, enum run_phase phase)
{
    run->phase = phase;
    run->task.run = store_run;
    run->call.fn = store_done;
    store_post(run->jobs->store, &run->task);
}

static void conclude(struct run *run)
{
    to_store(run, RUN_CONCLUDING);
}

static void free_run(struct run *run)
{
    job_row_release(&run->row);
    json_free(run->request);
    json_free(run->result_figures);
    json_free(run->serving_figures);
    command_release(&run->command);
    command_release(&run->eval_serving);
    buf_release(&run->out);
    mem_free(run);
}

/* ---- epochs ---- */

enum { EPOCH_MAX = 64 << 10 };

struct epoch_task {
    struct store_task task;
    int64_t job, epoch;
    char *document; /* ours */
};

static void store_epoch(struct store_task *task, struct db *db)
{
    struct epoch_task *t = (struct epoch_task *)task; /* the first member */
    struct err e = {0};
    if (job_table_add_epoch(db, t->job, t->epoch, t->document, &e) < 0)
        log_error("job %lld: epoch %lld is not in the history: %s", (long long)t->job,
                  (long long)t->epoch, e.text);
    mem_free(t->document);
    mem_free(t);
}

static void keep_epoch(struct run *run)
{
    struct epoch_task *t = mem_new(1, sizeof(*t));
    struct buf document;
    struct json_writer w;
    buf_init(&document, EPOCH_MAX);
    json_writer_init(&w, &document);
    progress_write_epoch(&run->progress, &w);
    char *text = w.status == 0 ? buf_take(&document) : NULL;
    buf_release(&document);
    if (t == NULL || text == NULL) {
        log_error("job %lld: epoch %lld is not in the history: out of memory",
                  (long long)run->row.id, (long long)run->progress.epoch);
        mem_free(text);
        mem_free(t);
        return;
    }
    *t = (struct epoch_task){{store_epoch, NULL}, run->row.id, run->progress.epoch, text};
    store_post(run->jobs->store, &t->task);
}

/* ---- children ---- */

static void line_of_child(void *arg, const char *text, size_t size)
{
    struct run *run = arg;
    if (run->phase != RUN_TRAINING) { /* the figures are the last object that it prints */
        buf_append(&run->out, text, size);
        buf_puts(&run->out, "\n");
        return;
    }
    enum progress_event event = progress_read(&run->progress, text, size);
    if (event == PROGRESS_NOTHING) return;
    jobs_metrics_progress(&run->jobs->metrics, &run->progress);
    if (event == PROGRESS_EPOCH) keep_epoch(run);
    jobs_tell(run->jobs, run->row.id, event == PROGRESS_EPOCH ? NULL : &run->progress);
}

static void training_ended(struct run *run, int exit_code, int signal);
static void evaluation_ended(struct run *run, int exit_code, int signal);

static void child_ended(void *arg, int exit_code, int signal)
{
    struct run *run = arg;
    run->child = NULL;
    loop_timer_stop(run->jobs->grace);
    if (run->phase == RUN_TRAINING)
        training_ended(run, exit_code, signal);
    else
        evaluation_ended(run, exit_code, signal);
}

static void start_child(struct run *run, enum run_phase phase, struct command *command)
{
    static const struct child_calls calls = {line_of_child, child_ended};
    struct err e = {0};
    const struct child_options options = {(const char *const *)command->words, run->directory,
                                          run->log, run->jobs->options.niceness};
    run->phase = phase;
    buf_clear(&run->out);
    if (child_start(run->jobs->loop, &options, &calls, run, &run->child, &e) < 0) {
        snprintf(run->failure, sizeof(run->failure), "%s", e.text);
        conclude(run);
        return;
    }
    log_debug("job %lld: started process %ld", (long long)run->row.id, child_pid(run->child));
}

void run_kill_child(void *arg)
{
    const struct jobs *jobs = arg;
    if (jobs->run != NULL && jobs->run->child != NULL) {
        log_warning("job %lld: its process did not stop in time and is killed",
                    (long long)jobs->run->row.id);
        child_signal(jobs->run->child, SIGKILL);
    }
}

static void end_child(struct run *run)
{
    if (run->child == NULL) return; /* between two children: the next decision sees the flag */
    child_signal(run->child, SIGTERM);
    loop_timer_start(run->jobs->grace, run->jobs->options.grace_ns / CLOCK_MS, 0);
}

void run_cancel(struct run *run)
{
    if (run->phase == RUN_CONCLUDING) run->cancelled_late = true;
    if (run->cancelled || run->phase == RUN_CONCLUDING) return;
    run->cancelled = true;
    end_child(run);
}

void run_stop(struct run *run)
{
    end_child(run);
}

/* Decides what the flags say. true: the run is on its way to its end. */
static bool interrupted(struct run *run)
{
    if (!run->cancelled && !run->jobs->stopping) return false;
    if (!run->cancelled) run->again = run->orderly = true;
    conclude(run);
    return true;
}

/* A process that a signal killed (out of memory, most likely) has another try from its checkpoint.
 */
static void killed(struct run *run, const char *what, int signal)
{
    if (run->row.attempts < run->jobs->options.attempts_max) {
        log_warning("job %lld: its %s was killed by signal %d; trying again (attempt %lld of %lld)",
                    (long long)run->row.id, what, signal, (long long)run->row.attempts + 1,
                    (long long)run->jobs->options.attempts_max);
        run->again = true;
    } else {
        snprintf(run->failure, sizeof(run->failure),
                 "its %s was killed by signal %d, at attempt %lld of %lld", what, signal,
                 (long long)run->row.attempts, (long long)run->jobs->options.attempts_max);
    }
    conclude(run);
}

static void training_ended(struct run *run, int exit_code, int signal)
{
    if (exit_code == 0 && !run->cancelled) {
        if (run->jobs->stopping)
            interrupted(run);
        else
            to_store(run, RUN_NOTING);
        return;
    }
    if (interrupted(run)) return;
    if (signal != 0) {
        killed(run, "training", signal);
        return;
    }
    snprintf(run->failure, sizeof(run->failure), "the training ended with exit code %d", exit_code);
    conclude(run);
}

static void start_evaluation(struct run *run)
{
    if (run->evaluates)
        start_child(run, RUN_EVAL_RESULT, &run->command);
    else
        conclude(run);
}

static void evaluation_ended(struct run *run, int exit_code, int signal)
{
    bool serving = run->phase == RUN_EVAL_SERVING;
    if (interrupted(run)) return;
    if (signal != 0) {
        killed(run, "evaluation", signal);
        return;
    }
    static const struct json_limits limits = {EVALUATION_MAX, 1 << 12};
    struct json *figures = exit_code == 0
                               ? json_parse("evaluation", buf_text(&run->out), run->out.size,
                                            &limits, JSON_KIND_OBJECT, NULL)
                               : NULL;
    if (serving) {
        run->serving_figures = figures;
        if (figures == NULL)
            snprintf(run->hindrance, sizeof(run->hindrance),
                     "the serving version %lld cannot be evaluated on "
                     "the same images",
                     (long long)run->serving_version);
    } else {
        run->result_figures = figures;
        if (figures == NULL) {
            snprintf(run->failure, sizeof(run->failure),
                     "the evaluation of the result ended with exit code %d", exit_code);
        } else if (run->eval_serving.n > 0) {
            start_child(run, RUN_EVAL_SERVING, &run->eval_serving);
            return;
        }
    }
    conclude(run);
}

/* ---- from one phase to the next ---- */

static void prepared(struct run *run)
{
    struct jobs *jobs = run->jobs;
    if (run->idle) {
        jobs->run = NULL;
        free_run(run);
        jobs_check_stopped(jobs);
        return;
    }
    metric_set(jobs->metrics.running, 1);
    jobs_tell(jobs, run->row.id, NULL);
    if (run->failure[0] != '\0') {
        conclude(run);
        return;
    }
    if (interrupted(run)) return;
    if (run->trained) {
        to_store(run, RUN_NOTING);
        return;
    }
    log_info("job %lld: training model %s, attempt %lld", (long long)run->row.id, run->row.model,
             (long long)run->row.attempts);
    start_child(run, RUN_TRAINING, &run->command);
}

static void noted(struct run *run)
{
    jobs_tell(run->jobs, run->row.id, NULL);
    if (run->failure[0] != '\0')
        conclude(run);
    else if (!interrupted(run))
        start_evaluation(run);
}

static void concluded(struct run *run)
{
    struct jobs *jobs = run->jobs;
    const struct job_row *row = &run->row;
    metric_set(jobs->metrics.running, 0);
    if (job_state_is_final(row->state)) {
        jobs_metrics_ended(&jobs->metrics, row->state);
        log_info("job %lld: %s%s%s", (long long)row->id, job_state_name(row->state),
                 row->reason != NULL ? ": " : "", row->reason != NULL ? row->reason : "");
    }
    /* Promised to somebody before the run went back into the queue; the store takes this first. */
    if (run->cancelled_late && row->state == JOB_QUEUED) jobs_cancel(jobs, row->id, NULL, NULL);
    int64_t id = row->id;
    jobs->run = NULL;
    free_run(run);
    jobs_tell(jobs, id, NULL);
    run_next(jobs);
    jobs_check_stopped(jobs);
}

static void store_done(struct loop_call *call)
{
    struct run *run = (struct run *)(void *)((char *)call - offsetof(struct run, call));
    switch (run->phase) {
    case RUN_PREPARING:
        prepared(run);
        break;
    case RUN_NOTING:
        noted(run);
        break;
    default:
        concluded(run);
        break;
    }
}

void run_next(struct jobs *jobs)
{
    if (jobs->run != NULL || jobs->stopping || !jobs->started) return;
    struct run *run = mem_new(1, sizeof(*run));
    if (run == NULL) {
        log_error("jobs: out of memory; the queue waits for the next job that comes");
        return;
    }
    run->jobs = jobs;
    buf_init(&run->out, EVALUATION_MAX);
    jobs->run = run;
    to_store(run, RUN_PREPARING);
}
