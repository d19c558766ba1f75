/* Jobs, epochs and idempotency keys. A key is added in one transaction with its job, so that a
 * client that asks again after a crash finds the job or makes it, never two. */
#include "config.h"

#include "store/job_table.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/name.h"
#include "sql.h"

static const char *const state_names[] = {
    [JOB_QUEUED] = "queued",       [JOB_RUNNING] = "running",   [JOB_EVALUATING] = "evaluating",
    [JOB_SUCCEEDED] = "succeeded", [JOB_REJECTED] = "rejected", [JOB_FAILED] = "failed",
    [JOB_CANCELLED] = "cancelled",
};

const char *job_state_name(enum job_state state)
{
    return state_names[state];
}

bool job_state_is_final(enum job_state state)
{
    return state >= JOB_SUCCEEDED;
}

void job_row_release(struct job_row *row)
{
    mem_free(row->model);
    mem_free(row->request);
    mem_free(row->judgement);
    mem_free(row->reason);
    memset(row, 0, sizeof(*row));
}

struct addition {
    const char *model, *request, *key, *digest;
    int64_t queue_max, now_ns, id;
};

int job_table_find_key(struct db *db, const char *key, const char *digest, int64_t *ret_id,
                       struct err *e)
{
    struct sql_statement *statement;
    int rc =
        sql_begin(db, &statement, e, "SELECT job, digest FROM idempotency WHERE key = ?", "s", key);
    if (rc < 0) return rc;
    rc = sql_step(db, statement, e);
    if (rc == 1) {
        char known[128];
        sql_text_into(statement, 1, known, sizeof(known));
        int64_t id = sql_int(statement, 0);
        if (!sql_is_int(statement, 0, 1, INT64_MAX) || !sql_is_text(statement, 1, sizeof(known))) {
            rc = sql_damaged(db, e, "that of the Idempotency-Key %s: take a new key", key);
        } else if (strcmp(known, digest) == 0) {
            *ret_id = id;
        } else {
            rc = err_set(e, ERR_UNSUPPORTED,
                         "Idempotency-Key %s came before with another body, and made "
                         "job %lld: take a new key for a new job",
                         key, (long long)id);
        }
    }
    sql_end(statement);
    return rc;
}

static int add(struct db *db, void *arg, struct err *e)
{
    struct addition *a = arg;
    int rc = a->key != NULL ? job_table_find_key(db, a->key, a->digest, &a->id, e) : 0;
    if (rc != 0) return rc;
    int64_t waiting = 0;
    rc = job_table_count(db, JOB_QUEUED, &waiting, e);
    if (rc < 0) return rc;
    if (waiting >= a->queue_max) {
        return err_set(e, ERR_BUSY,
                       "%lld jobs are waiting already: try again when one has ended, or "
                       "cancel one",
                       (long long)waiting);
    }
    rc = sql_run(db, e, "INSERT INTO job (state, model, request, created) VALUES (?, ?, ?, ?)",
                 "issi", (int64_t)JOB_QUEUED, a->model, a->request, a->now_ns);
    if (rc < 0) return rc;
    a->id = sqlite3_last_insert_rowid(db->sqlite);
    if (a->key == NULL) return 0;
    return sql_run(db, e, "INSERT INTO idempotency (key, digest, job, at) VALUES (?, ?, ?, ?)",
                   "ssii", a->key, a->digest, a->id, a->now_ns);
}

int job_table_add(struct db *db, const char *model, const char *request, const char *key,
                  const char *digest, int64_t queue_max, int64_t now_ns, int64_t *ret_id,
                  struct err *e)
{
    struct addition a = {model, request, key, digest, queue_max, now_ns, 0};
    int rc = db_transaction(db, add, &a, e);
    if (rc >= 0) *ret_id = a.id;
    return rc;
}

#define JOB_COLUMNS                                                                                \
    "id, state, model, request, created, started, finished, attempts, version, judgement, reason"

/* Longer texts than any that is written. */
enum { REQUEST_MAX = 1 << 20, JUDGEMENT_MAX = 2 << 20, REASON_MAX = 1 << 12, EPOCH_MAX = 1 << 16 };

/* The first column that cannot be what was written, or NULL. */
static const char *odd_column(struct sql_statement *s)
{
    static const char *const times[] = {"created", "started", "finished"};
    if (!sql_is_int(s, 1, JOB_QUEUED, JOB_CANCELLED)) return "state";
    if (!sql_is_text(s, 2, NAME_BYTES_MAX)) return "model";
    if (!sql_is_text(s, 3, REQUEST_MAX)) return "request";
    for (int i = 0; i < 3; i++)
        if (!sql_is_int(s, 4 + i, 0, INT64_MAX)) return times[i];
    if (!sql_is_int(s, 7, 0, INT32_MAX)) return "attempts";
    if (!sql_is_int(s, 8, 0, INT64_MAX)) return "version";
    if (!sql_is_text_or_null(s, 9, JUDGEMENT_MAX)) return "judgement";
    return sql_is_text_or_null(s, 10, REASON_MAX) ? NULL : "reason";
}

/* On failure the row holds nothing. */
static int read_row(struct db *db, struct sql_statement *s, struct job_row *row, struct err *e)
{
    memset(row, 0, sizeof(*row));
    row->id = sql_int(s, 0);
    const char *odd = odd_column(s);
    if (odd != NULL) {
        char text[64];
        sql_text_into(s, 1, text, sizeof(text));
        return sql_damaged(db, e, "job %lld, state %s: its %s cannot be what was written",
                           (long long)row->id, text, odd);
    }
    row->state = (enum job_state)sql_int(s, 1);
    row->created_ns = sql_int(s, 4);
    row->started_ns = sql_int(s, 5);
    row->finished_ns = sql_int(s, 6);
    row->attempts = sql_int(s, 7);
    row->version = sql_int(s, 8);
    int rc = sql_text_new(s, 2, &row->model);
    if (rc == 0) rc = sql_text_new(s, 3, &row->request);
    if (rc == 0) rc = sql_text_new(s, 9, &row->judgement);
    if (rc == 0) rc = sql_text_new(s, 10, &row->reason);
    if (rc == 0 && !name_is_valid(row->model))
        rc = sql_damaged(db, e, "job %lld: \"%.64s\" is no name of a model", (long long)row->id,
                         row->model);
    else if (rc < 0)
        err_set(e, rc, "%s: cannot read a job: %s", db->path, err_text(rc));
    if (rc < 0) job_row_release(row);
    return rc;
}

/* The next row of a statement that is whole: 1, or 0 when there is none. */
static int next_row(struct db *db, struct sql_statement *s, struct job_row *row, struct err *e)
{
    int rc;
    while ((rc = sql_step(db, s, e)) == 1) {
        struct err damage = {0};
        rc = read_row(db, s, row, &damage);
        if (rc == 0) return 1;
        if (rc != -EBADMSG) return err_set(e, rc, "%s", damage.text);
        sql_tell(db, &damage);
    }
    return rc;
}

/* The one row of a statement that has begun; ends it. 1, 0 when there is none. */
static int read_one(struct db *db, struct sql_statement *s, struct job_row *ret_row, struct err *e)
{
    struct job_row row;
    int rc = sql_step(db, s, e);
    if (rc == 1) {
        rc = read_row(db, s, &row, e);
        if (rc == 0) {
            *ret_row = row;
            rc = 1;
        }
    }
    sql_end(s);
    return rc;
}

int job_table_get(struct db *db, int64_t id, struct job_row *ret_row, struct err *e)
{
    struct sql_statement *s;
    int rc = sql_begin(db, &s, e, "SELECT " JOB_COLUMNS " FROM job WHERE id = ?", "i", id);
    if (rc == 0) rc = read_one(db, s, ret_row, e);
    if (rc == 0) return err_set(e, ERR_NOT_FOUND, "there is no job %lld", (long long)id);
    return rc < 0 ? rc : 0;
}

int job_table_next(struct db *db, struct job_row *ret_row, struct err *e)
{
    struct sql_statement *s;
    int rc = sql_begin(db, &s, e, "SELECT " JOB_COLUMNS " FROM job WHERE state = ? ORDER BY id",
                       "i", (int64_t)JOB_QUEUED);
    if (rc == 0) {
        rc = next_row(db, s, ret_row, e);
        sql_end(s);
    }
    if (rc == 0) return err_set(e, ERR_NOT_FOUND, "no job is queued");
    return rc < 0 ? rc : 0;
}

int job_table_each(struct db *db, int64_t before, int64_t limit,
                   int (*fn)(void *arg, const struct job_row *row), void *arg, struct err *e)
{
    struct sql_statement *s;
    int rc = sql_begin(db, &s, e,
                       "SELECT " JOB_COLUMNS " FROM job WHERE id < ? ORDER BY id DESC LIMIT ?",
                       "ii", before > 0 ? before : INT64_MAX, limit);
    if (rc < 0) return rc;
    struct job_row row;
    while ((rc = next_row(db, s, &row, e)) == 1) {
        rc = fn(arg, &row);
        job_row_release(&row);
        if (rc < 0) {
            err_set(e, rc, "%s", err_text(rc));
            break;
        }
    }
    sql_end(s);
    return rc;
}

int job_table_update(struct db *db, const struct job_row *row, struct err *e)
{
    int rc =
        sql_run(db, e,
                "UPDATE job SET state = ?, started = ?, finished = ?, attempts = ?, version = ?,"
                " judgement = ?, reason = ? WHERE id = ?",
                "iiiiissi", (int64_t)row->state, row->started_ns, row->finished_ns, row->attempts,
                row->version, row->judgement, row->reason, row->id);
    if (rc < 0) return rc;
    if (sqlite3_changes(db->sqlite) == 1) return 0;
    return err_set(e, ERR_NOT_FOUND, "there is no job %lld", (long long)row->id);
}

int job_table_count(struct db *db, enum job_state state, int64_t *ret_count, struct err *e)
{
    struct sql_statement *s;
    int rc = sql_begin(db, &s, e, "SELECT count(*) FROM job WHERE state = ?", "i", (int64_t)state);
    if (rc < 0) return rc;
    rc = sql_step(db, s, e);
    if (rc == 1) *ret_count = sql_int(s, 0);
    sql_end(s);
    return rc < 0 ? rc : 0;
}

struct recovery {
    int64_t attempts_max, now_ns;
};

static int recover(struct db *db, void *arg, struct err *e)
{
    const struct recovery *r = arg;
    int rc = sql_run(
        db, e,
        "UPDATE job SET state = ?, finished = ?, reason = 'the daemon ended ' || attempts || "
        "' times while this job was running' WHERE state IN (?, ?) AND attempts >= ?",
        "iiiii", (int64_t)JOB_FAILED, r->now_ns, (int64_t)JOB_RUNNING, (int64_t)JOB_EVALUATING,
        r->attempts_max);
    if (rc < 0) return rc;
    int touched = sqlite3_changes(db->sqlite);
    rc = sql_run(db, e, "UPDATE job SET state = ? WHERE state IN (?, ?)", "iii",
                 (int64_t)JOB_QUEUED, (int64_t)JOB_RUNNING, (int64_t)JOB_EVALUATING);
    return rc < 0 ? rc : touched + sqlite3_changes(db->sqlite);
}

int job_table_recover(struct db *db, int64_t attempts_max, int64_t now_ns, struct err *e)
{
    struct recovery r = {attempts_max, now_ns};
    return db_transaction(db, recover, &r, e);
}

int job_table_add_epoch(struct db *db, int64_t id, int64_t epoch, const char *document,
                        struct err *e)
{
    return sql_run(db, e,
                   "INSERT INTO epoch (job, epoch, document) VALUES (?, ?, ?) "
                   "ON CONFLICT (job, epoch) DO UPDATE SET document = excluded.document",
                   "iis", id, epoch, document);
}

int job_table_each_epoch(struct db *db, int64_t id,
                         int (*fn)(void *arg, int64_t epoch, const char *document), void *arg,
                         struct err *e)
{
    struct sql_statement *s;
    int rc = sql_begin(db, &s, e, "SELECT epoch, document FROM epoch WHERE job = ? ORDER BY epoch",
                       "i", id);
    if (rc < 0) return rc;
    while ((rc = sql_step(db, s, e)) == 1) {
        char *document = NULL;
        struct err damage = {0};
        if (sql_is_int(s, 0, 0, INT64_MAX) && sql_is_text(s, 1, EPOCH_MAX)) {
            rc = sql_text_new(s, 1, &document);
            if (rc == 0) rc = fn(arg, sql_int(s, 0), document);
        } else {
            rc = -EBADMSG;
        }
        mem_free(document);
        if (rc == -EBADMSG) {
            sql_damaged(db, &damage, "epoch %lld of job %lld", (long long)sql_int(s, 0),
                        (long long)id);
            sql_tell(db, &damage);
        } else if (rc < 0) {
            err_set(e, rc, "%s: cannot read the epochs of job %lld: %s", db->path, (long long)id,
                    err_text(rc));
            break;
        }
    }
    sql_end(s);
    return rc;
}
