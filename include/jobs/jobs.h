/* Jobs: retraining in the background, one at a time.
 *
 * A job trains in a child process (`autodidact train`), which is followed by its JSON Lines; its
 * result is then judged by `autodidact eval` of both models on the same held-out images, registered
 * as the next version and put into service, or rejected. The queue and the history stand in the
 * database; what is going on right now is in memory. Everything here is called on the loop thread
 * and calls back on it. */
#ifndef JOBS_JOBS_H
#define JOBS_JOBS_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/metric.h"
#include "json/value.h"
#include "loop/loop.h"
#include "registry/registry.h"
#include "store/store.h"

struct jobs;

struct jobs_options {
    const char *directory; /* STATE/jobs: ID/ below it is the child's own place */
    const char *program;   /* the tool; NULL or "": `autodidact` beside this program's file */
    const char *launcher;  /* words that start it for a training, like "mpirun -np 2"; NULL or "":
                              none */
    const char *data_root; /* data of jobs lies below it; NULL or "": jobs are refused */
    const char
        *spec_directory; /* NAME.json of jobs' "spec"; NULL or "": where the models are installed */
    const char *choices; /* the file in which trainings keep what they measured of the machine; NULL
                          * or "": where the tool does by itself */
    double margin;       /* how much worse than the serving model's deepest top-1 */
    int64_t threads;     /* --threads of the children unless the job says; 0: one a processor */
    int niceness;        /* of the children */
    bool idle;           /* they get what nothing else wants, whatever their niceness */
    int64_t queue_max;   /* jobs waiting */
    int64_t attempts_max; /* starts of one job's training */
    int64_t grace_ns;     /* between SIGTERM and SIGKILL */
};

/* margin 0.01, niceness 10, idle, queue 100, attempts 3, grace 10 s; the rest empty. */
void jobs_options_default(struct jobs_options *options);

/* The program that trains: `given`, or the tool beside this one where that is empty or NULL.
 * mem_free(); NULL when out of memory. */
char *jobs_program(const char *given);

/* The file of a launcher's first word, which is its path or a name that is looked for in PATH; ""
 * for one without words. Errors say what was looked for, without the option: -ENOENT, -EACCES..,
 * ERR_UNSUPPORTED for a relative path. */
int jobs_launcher_find(const char *launcher, char ret_path[PATH_MAX], struct err *e);

/* Options are copied. metrics may be NULL. Nothing runs before jobs_start(). */
int jobs_new(struct loop *loop, struct store *store, struct registry *registry,
             struct metrics *metrics, const struct jobs_options *options, struct jobs **ret_jobs,
             struct err *e);

/* Queues again what a dead daemon left running, and begins. */
void jobs_start(struct jobs *jobs);

/* The end of the program: starts nothing more; a running child is told to write its checkpoint and
 * stop (killed after the grace time), and its job stays queued, so that the next start goes on from
 * there. stopped(arg) is called on the loop, maybe at once, when no child is left and every call
 * was answered. Then jobs_free(); it follows stopped(), or a jobs_start() never made, and no call
 * is made between the two. */
void jobs_stop(struct jobs *jobs, void (*stopped)(void *arg), void *arg);
void jobs_free(struct jobs *jobs);

/* What a call has found. */
struct jobs_answer {
    struct buf *text; /* a JSON document; the callee may take its memory (buf_take()) */
    int64_t id;       /* of the job; 0: a list of them */
    bool finished;    /* the job has ended */
};

/* Called once, on the loop thread: with an answer, or with NULL and the error. */
typedef void jobs_done_fn(void *arg, const struct jobs_answer *answer, const struct err *error);

/* A new job. body is read before the call returns. key: the Idempotency-Key, or NULL. The answer is
 * the job. Errors: ERR_FORMAT and ERR_RANGE name the member, ERR_NOT_FOUND (spec, init model),
 * ERR_UNSUPPORTED (the key came with another payload before; no data_root), ERR_BUSY (queue full).
 */
void jobs_create(struct jobs *jobs, const struct json *body, const char *key, jobs_done_fn *done,
                 void *arg);

/* One job with its epochs and, while it runs, its progress. ERR_NOT_FOUND. */
void jobs_get(struct jobs *jobs, int64_t id, jobs_done_fn *done, void *arg);

/* {"jobs":[..]}: at most limit jobs with an id below `before` (0: all), latest first, without
 * epochs. */
void jobs_list(struct jobs *jobs, int64_t before, int64_t limit, jobs_done_fn *done, void *arg);

/* Cancels: a queued job at once, a running one is asked to stop. The answer is the job; one that
 * has ended: ERR_CONFLICT. */
void jobs_cancel(struct jobs *jobs, int64_t id, jobs_done_fn *done, void *arg);

/* News of a job while it is worked on, for those who show it. The structure is the caller's and
 * stays until jobs_unwatch(). */
struct jobs_watch {
    int64_t id;
    /* progress: what has changed, a JSON document in one line; NULL: state or epochs have, and
     * jobs_get() tells them. It may write and call, but not unwatch another. */
    void (*news)(struct jobs_watch *watch, const char *progress);
    struct jobs_watch *previous, *next;
};
void jobs_watch(struct jobs *jobs, struct jobs_watch *watch);
void jobs_unwatch(struct jobs *jobs, struct jobs_watch *watch);

#endif
