/* The run of a job, on the loop thread.
 *
 *   RUN_PREPARING --(the queue is empty)--> gone
 *        | --(the result is there)--> RUN_NOTING
 *   RUN_TRAINING
 *        |
 *   RUN_NOTING --(no images to judge by)--> RUN_CONCLUDING
 *        |
 *   RUN_EVAL_RESULT --(nothing serves)--> RUN_CONCLUDING
 *        |
 *   RUN_EVAL_SERVING
 *        |
 *   RUN_CONCLUDING --> gone, and the next job of the queue
 *
 * A phase is either a task of the store or a child; the table below says which, and what looks at
 * its end. That sets run->next, or the outcome; then go_on() enters the next phase, or
 * RUN_CONCLUDING from anywhere once there is an outcome. What is asked meanwhile (cancel, stop)
 * becomes an outcome there.
 *
 * What fails and may work later (a full disk, no memory for a process) decides nothing: the run
 * waits in its phase and enters it again, after pauses that grow, until it is told to stop. So does
 * the queue after a child that something killed, which may have been for want of memory. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "launcher.h"
#include "state.h"

static void training_ended(struct run *run, int exit_code);
static void result_evaluated(struct run *run, int exit_code);
static void serving_evaluated(struct run *run, int exit_code);
static void prepared(struct run *run);
static void noted(struct run *run);
static void concluded(struct run *run);

static const struct phase {
    void (*work)(struct run *run, struct db *db);  /* on the store thread; NULL: a child works */
    void (*worked)(struct run *run);               /* on the loop, after work() */
    const char *child;                             /* its name in messages */
    void (*ended)(struct run *run, int exit_code); /* after the child, unless a signal killed it */
} phases[RUN_PHASES] = {
    [RUN_PREPARING] = {.work = run_prepare, .worked = prepared},
    [RUN_TRAINING] = {.child = "training", .ended = training_ended},
    [RUN_NOTING] = {.work = run_note, .worked = noted},
    [RUN_EVAL_RESULT] = {.child = "evaluation", .ended = result_evaluated},
    [RUN_EVAL_SERVING] = {.child = "evaluation", .ended = serving_evaluated},
    [RUN_CONCLUDING] = {.work = run_conclude, .worked = concluded},
};

static void start_child(struct run *run);
static void go_on_waiting(struct run *run);

/* ---- from one phase to the next ---- */

static void on_store(struct store_task *task, struct db *db)
{
    struct run *run = (struct run *)(void *)((char *)task - offsetof(struct run, task));
    phases[run->phase].work(run, db);
    loop_post(run->jobs->loop, &run->back);
}

/* The phase is entered again after a while. */
static void put_off(struct run *run)
{
    struct jobs *jobs = run->jobs;
    if (retry_failed(&jobs->retry, run->hitch)) {
        const char *state = run->concluded ? job_state_name(run->row.state) : "what comes next";
        if (run->phase == RUN_PREPARING)
            log_error("jobs: the queue waits: %s", run->hitch);
        else
            log_error("job %lld: %s waits: %s", (long long)run->row.id, state, run->hitch);
    }
    run->waiting = true;
    if (jobs->stopping)
        go_on_waiting(run);
    else
        loop_timer_start(jobs->pause, jobs->retry.pause_ns / CLOCK_MS, 0);
}

static void back_on_loop(struct loop_call *back)
{
    struct run *run = (struct run *)(void *)((char *)back - offsetof(struct run, back));
    if (run->hitch[0] != '\0' && !(run->jobs->stopping && run->phase == RUN_CONCLUDING)) {
        put_off(run);
        return;
    }
    if (run->hitch[0] != '\0')
        log_error("job %lld: cannot note that it is %s: %s", (long long)run->row.id,
                  job_state_name(run->row.state), run->hitch);
    else if (retry_worked(&run->jobs->retry))
        log_info("jobs: what had to wait is done");
    phases[run->phase].worked(run);
}

static void enter(struct run *run, enum run_phase phase)
{
    run->phase = phase;
    run->next = phase + 1;
    run->hitch[0] = '\0';
    if (phases[phase].work == NULL) {
        start_child(run);
        return;
    }
    run->task.run = on_store;
    run->back.fn = back_on_loop;
    store_post(run->jobs->store, &run->task);
}

/* What somebody asked for becomes the outcome, unless there is one. true: there is one now. */
static bool is_decided(struct run *run)
{
    if (run->cancel == RUN_CANCELLED)
        outcome_set(&run->outcome, OUTCOME_CANCELLED, "cancelled on request");
    else if (run->jobs->stopping)
        outcome_set(&run->outcome, OUTCOME_INTERRUPTED, "%s", "");
    return run->outcome.kind != OUTCOME_OPEN;
}

static void go_on(struct run *run)
{
    enter(run, is_decided(run) ? RUN_CONCLUDING : run->next);
}

static void drop(struct run *run);

/* The pause is over, or somebody wants the run to end. */
static void go_on_waiting(struct run *run)
{
    run->waiting = false;
    loop_timer_stop(run->jobs->pause);
    if (run->phase == RUN_PREPARING && run->jobs->stopping) {
        drop(run);
        return;
    }
    if (run->cancel == RUN_CANCELLED_LATE && !run->concluded) run->cancel = RUN_CANCELLED;
    bool over = run->phase != RUN_PREPARING && !run->concluded && is_decided(run);
    enter(run, over ? RUN_CONCLUDING : run->phase);
}

void run_wake(void *arg)
{
    struct jobs *jobs = arg;
    if (jobs->run == NULL)
        run_next(jobs);
    else if (jobs->run->waiting)
        go_on_waiting(jobs->run);
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
    char *document;         /* ours */
    struct retry *failures; /* of the store thread: one line for a cause */
};

static void store_epoch(struct store_task *task, struct db *db)
{
    struct epoch_task *t = (struct epoch_task *)task; /* the first member */
    struct err e = {0};
    int rc = job_table_add_epoch(db, t->job, t->epoch, t->document, &e);
    if (rc == 0)
        retry_worked(t->failures);
    else if (retry_failed(t->failures, e.text))
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
    *t = (struct epoch_task){
        {store_epoch, NULL}, run->row.id, run->progress.epoch, text, &run->jobs->epoch_failures};
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

/* A process that a signal killed (out of memory, most likely) has another try from its checkpoint.
 */
static void killed(struct run *run, const char *what, int signal)
{
    const long long attempts = run->row.attempts, attempts_max = run->jobs->options.attempts_max;
    if (attempts < attempts_max) {
        log_warning("job %lld: its %s was killed by signal %d; trying again (attempt %lld of %lld)",
                    (long long)run->row.id, what, signal, attempts + 1, attempts_max);
        outcome_set(&run->outcome, OUTCOME_KILLED, "%s", "");
    } else {
        outcome_set(&run->outcome, OUTCOME_FAILED_SIGNAL,
                    "its %s was killed by signal %d, at attempt %lld of %lld", what, signal,
                    attempts, attempts_max);
    }
}

static void child_ended(void *arg, int exit_code, int signal)
{
    struct run *run = arg;
    const struct phase *phase = &phases[run->phase];
    run->child = NULL;
    loop_timer_stop(run->jobs->grace);
    if (run->phase == RUN_TRAINING && run->jobs->options.launcher[0] != '\0' && signal == 0)
        signal = launcher_signal(exit_code);
    if (!is_decided(run)) {
        if (signal != 0)
            killed(run, phase->child, signal);
        else
            phase->ended(run, exit_code);
    }
    go_on(run);
}

static void start_child(struct run *run)
{
    static const struct child_calls calls = {line_of_child, child_ended};
    struct command *command = run->phase == RUN_EVAL_SERVING ? &run->eval_serving : &run->command;
    struct err e = {0};
    const struct child_options options = {(const char *const *)command->words, run->directory,
                                          run->log, run->jobs->options.niceness,
                                          run->jobs->options.idle};
    buf_clear(&run->out);
    int rc = child_start(run->jobs->loop, &options, &calls, run, &run->child, &e);
    if (err_is_passing(rc)) {
        snprintf(run->hitch, sizeof(run->hitch), "%s", e.text);
        put_off(run);
        return;
    }
    if (rc < 0) {
        outcome_set(&run->outcome, OUTCOME_FAILED_START, "%s", e.text);
        go_on(run);
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
    if (run->cancel != RUN_NOT_CANCELLED) return;
    run->cancel = run->phase == RUN_CONCLUDING ? RUN_CANCELLED_LATE : RUN_CANCELLED;
    if (run->cancel == RUN_CANCELLED) end_child(run);
    if (run->waiting) go_on_waiting(run);
}

void run_stop(struct run *run)
{
    end_child(run);
    if (run->waiting) go_on_waiting(run);
}

/* ---- the ends of phases ---- */

static void training_ended(struct run *run, int exit_code)
{
    if (exit_code == 0) return;
    outcome_set(&run->outcome, OUTCOME_FAILED_EXIT, "the training ended with exit code %d",
                exit_code);
}

/* What an evaluation printed; NULL when it is none. */
static struct json *figures_of(const struct run *run, int exit_code)
{
    static const struct json_limits limits = {EVALUATION_MAX, 1 << 20};
    if (exit_code != 0) return NULL;
    return json_parse("evaluation", buf_text(&run->out), run->out.size, &limits, JSON_KIND_OBJECT,
                      NULL);
}

static void result_evaluated(struct run *run, int exit_code)
{
    run->result_figures = figures_of(run, exit_code);
    if (run->result_figures == NULL) {
        outcome_set(&run->outcome, OUTCOME_FAILED_EXIT,
                    "the evaluation of the result ended with exit code %d", exit_code);
    }
    if (run->eval_serving.n == 0) run->next = RUN_CONCLUDING;
}

static void serving_evaluated(struct run *run, int exit_code)
{
    run->serving_figures = figures_of(run, exit_code);
    if (run->serving_figures != NULL) return;
    snprintf(run->hindrance, sizeof(run->hindrance),
             "the serving version %lld cannot be evaluated on the same images",
             (long long)run->serving_version);
}

static void drop(struct run *run)
{
    struct jobs *jobs = run->jobs;
    jobs->run = NULL;
    free_run(run);
    jobs_check_stopped(jobs);
}

static void prepared(struct run *run)
{
    struct jobs *jobs = run->jobs;
    if (run->outcome.kind == OUTCOME_EMPTY) {
        drop(run);
        return;
    }
    metric_set(jobs->metrics.running, 1);
    jobs_tell(jobs, run->row.id, NULL);
    if (!is_decided(run) && run->next == RUN_TRAINING) {
        log_info("job %lld: training model %s, attempt %lld", (long long)run->row.id,
                 run->row.model, (long long)run->row.attempts);
    }
    go_on(run);
}

static void noted(struct run *run)
{
    jobs_tell(run->jobs, run->row.id, NULL);
    go_on(run);
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
    if (run->cancel == RUN_CANCELLED_LATE && row->state == JOB_QUEUED)
        jobs_cancel(jobs, row->id, NULL, NULL);
    int64_t id = row->id;
    bool was_killed = run->outcome.kind == OUTCOME_KILLED;
    jobs->run = NULL;
    free_run(run);
    jobs_tell(jobs, id, NULL);
    if (was_killed) {
        retry_failed(&jobs->kills, "");
        loop_timer_start(jobs->pause, jobs->kills.pause_ns / CLOCK_MS, 0);
    } else {
        retry_worked(&jobs->kills);
        run_next(jobs);
    }
    jobs_check_stopped(jobs);
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
    enter(run, RUN_PREPARING);
}
