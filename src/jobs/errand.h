/* An errand: what somebody asks of the jobs, on its way to the store and back.
 *
 * It goes to a store thread (to the reading one when it only looks something up, so that nobody who
 * asks waits for a model that is put into service), where work() fills the answer's text or the
 * error. It comes back to the loop, where after() adds what the loop alone knows, and done() gets
 * the answer. Each kind is made in a file of its own: answer.c, create.c, cancel.c. */
#ifndef JOBS_ERRAND_H
#define JOBS_ERRAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/sha256.h"
#include "jobs/jobs.h"
#include "json/value.h"
#include "loop/loop.h"
#include "store/store.h"
#include "store/version_table.h"

enum {
    ERRAND_DOCUMENT_MAX = 64 << 20,
    ERRAND_KEY_MAX = 255,
    ERRAND_REFERENCE_MAX = VERSION_MODEL_MAX + 32 /* NAME/VERSION */
};

/* The end of the job in a document that is in work, before its brace: what the loop alone knows of
 * it belongs there. There is one such job at most. id 0: none. */
struct hole {
    int64_t id;
    size_t at;
};

struct errand {
    struct store_task task;
    struct loop_call back;
    struct jobs *jobs;
    bool reading;                                       /* work() only looks something up */
    void (*work)(struct errand *errand, struct db *db); /* store thread */
    void (*after)(struct errand *errand);               /* loop thread; may be NULL */
    jobs_done_fn *done;                                 /* may be NULL */
    void *arg;
    int64_t id;            /* of the job; a new one has it from work() */
    int64_t before, limit; /* of a list */

    /* Of a new job. init, teacher: NAME/VERSION, or "". */
    struct json *request;
    char digest[SHA256_HEX_SIZE], key[ERRAND_KEY_MAX + 1];
    char init[ERRAND_REFERENCE_MAX], teacher[ERRAND_REFERENCE_MAX];

    bool in_work; /* the job that is to be cancelled */

    /* What work() leaves. */
    struct buf text;
    struct hole hole;
    bool finished; /* the job has ended */
    struct err error;
};

/* Sends a copy of *values; loop thread. Without memory, done() gets the error at once. request is
 * owned from here on. */
void errand_post(struct jobs *jobs, const struct errand *values);

/* A negative code becomes the errand's error, unless it has a better one. Returns code. */
int errand_fail(struct errand *errand, int code);

/* work: the document of job `id`, with its epochs, and whether it has ended (answer.c). Store
 * thread. */
void errand_read_job(struct errand *errand, struct db *db);

/* after: the progress of the present run into the document, where it belongs (answer.c). Loop
 * thread. */
void errand_add_progress(struct errand *errand);

#endif
