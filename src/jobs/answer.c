/* What the jobs answer: the document of one, or of many. The store thread writes what the database
 * has, with a hole where the loop adds the progress of the job that is in work. */
#include "config.h"

#include "jobs/jobs.h"

#include <errno.h>

#include "errand.h"
#include "state.h"

static int add_epoch(void *arg, int64_t epoch, const char *document)
{
    (void)epoch;
    struct json_writer *w = arg;
    struct err why = {0};
    struct json *value = job_stored(document, &why);
    if (value == NULL) return why.code == -ENOMEM ? -ENOMEM : -EBADMSG;
    json_write_value(w, NULL, value);
    json_free(value);
    return w->status;
}

/* A job's document, with its epochs when it stands alone. */
static int write_job(struct errand *errand, struct json_writer *w, const struct job_row *stored,
                     struct db *db)
{
    int rc = 0;
    char reason[REASON_MAX];
    struct job_row now = *stored; /* borrows its texts */
    const struct job_row *row = &now;
    untold_apply(&errand->jobs->untold, &now, reason);
    errand->finished = row->finished_ns != 0;
    json_write_open(w, NULL, '{');
    job_write(row, w);
    if (db != NULL) {
        json_write_open(w, "epochs", '[');
        rc = job_table_each_epoch(db, row->id, add_epoch, w, &errand->error);
        json_write_close(w, ']');
    }
    if (row->state == JOB_RUNNING || row->state == JOB_EVALUATING)
        errand->hole = (struct hole){row->id, errand->text.size};
    json_write_close(w, '}');
    return rc < 0 ? rc : w->status;
}

void errand_read_job(struct errand *errand, struct db *db)
{
    struct job_row row;
    struct json_writer w;
    int rc = job_table_get(db, errand->id, &row, &errand->error);
    if (rc < 0) return;
    json_writer_init(&w, &errand->text);
    errand_fail(errand, write_job(errand, &w, &row, db));
    job_row_release(&row);
}

/* Puts text, which begins with a comma, into the hole. */
static int fill_hole(struct errand *errand, const struct buf *text)
{
    struct buf whole;
    buf_init(&whole, ERRAND_DOCUMENT_MAX);
    int rc = buf_append(&whole, buf_text(&errand->text), errand->hole.at);
    if (rc == 0) rc = buf_append(&whole, buf_text(text), text->size);
    if (rc == 0) rc = buf_puts(&whole, buf_text(&errand->text) + errand->hole.at);
    buf_release(rc == 0 ? &errand->text : &whole);
    if (rc == 0) errand->text = whole;
    return rc;
}

/* The present run's progress, which only the loop knows. (The store may know of the end before the
 * loop does: then there is no hole any more.) */
void errand_add_progress(struct errand *errand)
{
    const struct run *run = errand->jobs->run;
    struct buf text;
    struct json_writer w;
    if (errand->error.code < 0 || errand->hole.id == 0) return;
    if (run == NULL || run->phase == RUN_PREPARING || run->row.id != errand->hole.id) return;
    buf_init(&text, PROGRESS_MAX);
    json_writer_init(&w, &text);
    w.comma = true; /* behind the last member */
    if (run->progress.steps > 0) progress_write(&run->progress, &w, "progress");
    if (run->cancel == RUN_CANCELLED) json_write_bool(&w, "cancelling", true);
    errand_fail(errand, w.status < 0 ? w.status : fill_hole(errand, &text));
    buf_release(&text);
}

void jobs_get(struct jobs *jobs, int64_t id, jobs_done_fn *done, void *arg)
{
    const struct errand errand = {.work = errand_read_job,
                                  .reading = true,
                                  .after = errand_add_progress,
                                  .done = done,
                                  .arg = arg,
                                  .id = id};
    errand_post(jobs, &errand);
}

struct list {
    struct errand *errand;
    struct json_writer w;
};

static int list_job(void *arg, const struct job_row *row)
{
    struct list *list = arg;
    return write_job(list->errand, &list->w, row, NULL);
}

static void list(struct errand *errand, struct db *db)
{
    struct list list = {.errand = errand};
    json_writer_init(&list.w, &errand->text);
    json_write_open(&list.w, NULL, '{');
    json_write_open(&list.w, "jobs", '[');
    int rc = job_table_each(db, errand->before, errand->limit, list_job, &list, &errand->error);
    json_write_close(&list.w, ']');
    json_write_close(&list.w, '}');
    errand_fail(errand, rc < 0 ? rc : list.w.status);
}

void jobs_list(struct jobs *jobs, int64_t before, int64_t limit, jobs_done_fn *done, void *arg)
{
    const struct errand errand = {.work = list,
                                  .reading = true,
                                  .after = errand_add_progress,
                                  .done = done,
                                  .arg = arg,
                                  .before = before,
                                  .limit = limit};
    errand_post(jobs, &errand);
}
