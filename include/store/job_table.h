/* Jobs and the history of their epochs. On the store thread; what changes nothing, on the reading
 * one too. Rows that are read are whole: states are states, models have names. */
#ifndef STORE_JOB_TABLE_H
#define STORE_JOB_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/db.h"

enum job_state {
    JOB_QUEUED,     /* waits for its turn, or to go on after a restart */
    JOB_RUNNING,    /* `autodidact train` */
    JOB_EVALUATING, /* `autodidact eval` of the result and of the serving model */
    JOB_SUCCEEDED,  /* promoted, or it waits for a person to activate it */
    JOB_REJECTED,   /* worse than the serving model by more than the margin */
    JOB_FAILED,
    JOB_CANCELLED,
};

const char *job_state_name(enum job_state state);
bool job_state_is_final(enum job_state state);

struct job_row {
    int64_t id; /* 1, 2, .. in the order of creation; never used again */
    enum job_state state;
    char *model;                                 /* the name under which the result is published */
    char *request;                               /* what was asked, as JSON */
    int64_t created_ns, started_ns, finished_ns; /* real time; 0: not yet */
    int64_t attempts;                            /* how often its training was started */
    int64_t version;                             /* that the result became; 0: none */
    char *judgement;                             /* figures of both models, as JSON; or NULL */
    char *reason;                                /* why it ended as it did, one sentence; or NULL */
};
void job_row_release(struct job_row *row);

/* Adds a queued job. key: NULL, or the idempotency key, and digest that of the payload: when the
 * key is known with the same digest nothing is added, *ret_id is that job and 1 is returned (else
 * 0); with another digest ERR_UNSUPPORTED. ERR_BUSY when queue_max jobs are waiting. */
int job_table_add(struct db *db, const char *model, const char *request, const char *key,
                  const char *digest, int64_t queue_max, int64_t now_ns, int64_t *ret_id,
                  struct err *e);

/* 1 and the job that was added with this key and digest; 0 when the key is new; ERR_UNSUPPORTED
 * when it came with another digest. */
int job_table_find_key(struct db *db, const char *key, const char *digest, int64_t *ret_id,
                       struct err *e);

/* ERR_NOT_FOUND when there is no such job. job_row_release() the row. */
int job_table_get(struct db *db, int64_t id, struct job_row *ret_row, struct err *e);

/* The queued job that came first; ERR_NOT_FOUND when none is queued. */
int job_table_next(struct db *db, struct job_row *ret_row, struct err *e);

/* Calls fn for at most limit jobs with an id below `before` (0: all), latest first, until it
 * returns a negative code, which is returned. The row is fn's to read only. */
int job_table_each(struct db *db, int64_t before, int64_t limit,
                   int (*fn)(void *arg, const struct job_row *row), void *arg, struct err *e);

/* Stores state, times, attempts, version, judgement and reason of row->id. */
int job_table_update(struct db *db, const struct job_row *row, struct err *e);

/* How many jobs are in a state. */
int job_table_count(struct db *db, enum job_state state, int64_t *ret_count, struct err *e);

/* After a start: jobs that ran when the last daemon ended are queued again, those that have used up
 * attempts_max fail. Returns how many were touched. */
int job_table_recover(struct db *db, int64_t attempts_max, int64_t now_ns, struct err *e);

/* An epoch of a job, as the JSON document to show; the same epoch again (after a resume) replaces
 * it. */
int job_table_add_epoch(struct db *db, int64_t id, int64_t epoch, const char *document,
                        struct err *e);
/* fn may say -EBADMSG of a document that is none: it is left out as damaged. */
int job_table_each_epoch(struct db *db, int64_t id,
                         int (*fn)(void *arg, int64_t epoch, const char *document), void *arg,
                         struct err *e);

#endif
