/* Inside the jobs layer: what a struct jobs holds, and the run of the present job: one attempt at
 * it, from the queue to an outcome. Loop thread, but for what says "store thread". */
#ifndef JOBS_STATE_H
#define JOBS_STATE_H

#include <limits.h>
#include <pthread.h>

#include "base/buf.h"
#include "base/retry.h"
#include "jobs/jobs.h"
#include "loop/child.h"
#include "loop/timer.h"
#include "judge.h"
#include "outcome.h"
#include "progress.h"
#include "request.h"
#include "recipe/recipe.h"
#include "store/job_table.h"

/* The phases of a run; run.c has the table of what each does and what follows. */
enum run_phase {
    RUN_PREPARING,    /* store: next job of the queue, directory, command; marked running */
    RUN_TRAINING,     /* child: autodidact train */
    RUN_NOTING,       /* store: marked evaluating; what is it to be compared with? */
    RUN_EVAL_RESULT,  /* child: autodidact eval of the result */
    RUN_EVAL_SERVING, /* child: autodidact eval of the serving version */
    RUN_CONCLUDING,   /* store: judged, registered, put into service, marked */
    RUN_PHASES
};

/* Whether somebody asked for the job's end, and when. Loop thread. */
enum run_cancel {
    RUN_NOT_CANCELLED,
    RUN_CANCELLED,      /* the next border between two phases sees it */
    RUN_CANCELLED_LATE, /* while it was concluded: counts only if the job is queued again */
};

enum { EVALUATION_MAX = 16 << 20, PROGRESS_MAX = 4096 };

struct run {
    struct jobs *jobs;
    struct store_task task; /* of the phases on the store thread, which own all below meanwhile */
    struct loop_call back;
    enum run_phase phase, next; /* next: what follows unless the outcome is set */
    struct outcome outcome;
    enum run_cancel cancel;
    struct job_row row;
    struct json *request;
    char directory[PATH_MAX], log[PATH_MAX], result[PATH_MAX], spec[PATH_MAX], data[PATH_MAX];
    struct command command; /* of the next child */
    struct command eval_serving;
    int64_t serving_version;    /* compared with; 0: none serves */
    struct holdout holdout;     /* of the result */
    char hindrance[REASON_MAX]; /* "" or why the two cannot be compared */
    char note[REASON_MAX];      /* "" or what a reader of the judgement must know */
    struct json *result_figures, *serving_figures;
    struct buf out; /* stdout of an evaluation */
    struct child *child;
    struct progress progress;
    char hitch[ERR_TEXT_MAX]; /* why the phase is to be entered again; "": it is not */
    bool waiting;             /* for that */
    bool concluded;           /* the row says how it ended, but perhaps not the database */
};

/* How a job ended that the database does not know of yet, since the disk takes nothing. */
struct untold {
    pthread_mutex_t lock; /* what follows; written on the store thread */
    int64_t id;           /* 0: none */
    enum job_state state;
    int64_t finished_ns, version;
    char reason[REASON_MAX];
};

struct jobs_metrics {
    struct metric *running, *epoch, *epochs, *loss, *img_per_s, *last_success;
    struct metric_family *accuracy, *ended;
};

struct jobs {
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct jobs_options options; /* strings are ours */
    struct jobs_metrics metrics;
    struct loop_timer *grace; /* between a child's SIGTERM and SIGKILL */
    struct run *run;          /* the present one, or NULL */
    struct loop_timer *pause; /* before a phase is entered again */
    struct retry retry;       /* the pauses */
    struct retry kills;       /* those after children that were killed */
    struct untold untold;
    bool recovered;              /* the store thread's: what a dead daemon left is queued again */
    struct retry epoch_failures; /* the store thread's */
    size_t errands;              /* on their way to the store and back */
    struct jobs_watch *watches;
    bool started;
    bool stopping;
    void (*stopped)(void *arg);
    void *stopped_arg;
};

/* A copy with every path filled in and `directory` absolute; to be released whatever is
 * returned (options.c). */
int jobs_options_copy(const struct jobs_options *options, struct jobs_options *ret, struct err *e);
void jobs_options_release(struct jobs_options *options);

/* Calls `stopped` when it is wanted and nothing is on its way any more (jobs.c). */
void jobs_check_stopped(struct jobs *jobs);

/* Tells those who watch a job (watch.c); progress NULL: its state or its epochs have changed. */
void jobs_tell(struct jobs *jobs, int64_t id, const struct progress *progress);

/* What the database will say of a job once it can be written (untold.c). */
void untold_set(struct untold *untold, const struct job_row *row);
void untold_clear(struct untold *untold);
/* Changes the row, of which it frees nothing that it borrows; reason: room for its text. */
void untold_apply(struct untold *untold, struct job_row *row, char reason[REASON_MAX]);

/* The pause is over; arg: the jobs. */
void run_wake(void *arg);

/* Looks for a queued job, unless one runs. */
void run_next(struct jobs *jobs);

/* The grace time of the present run's child is over; arg: the jobs. */
void run_kill_child(void *arg);

/* Asks the present run to end: the job is cancelled, or queued again when the daemon stops. */
void run_cancel(struct run *run);
void run_stop(struct run *run);

/* The store's half of a run (run_store.c), on the store thread. Each leaves its result in the run.
 */
void run_prepare(struct run *run, struct db *db);
void run_note(struct run *run, struct db *db);
void run_conclude(struct run *run, struct db *db);

/* A job's members, without the braces around them (document.c). */
void job_write(const struct job_row *row, struct json_writer *w);

/* An object of the database, for json_free(); NULL when it is none. */
struct json *job_stored(const char *text, struct err *e);

/* metrics.c */
void jobs_metrics_init(struct jobs_metrics *m, struct metrics *metrics);
void jobs_metrics_progress(struct jobs_metrics *m, const struct progress *progress);
void jobs_metrics_ended(struct jobs_metrics *m, enum job_state state);

#endif
