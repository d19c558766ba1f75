/* The jobs as others see them: creating, listing, cancelling; the start and the end.
 *
 * Every call is a small structure that goes to a store thread (to the reading one when it only
 * looks something up, so that nobody who asks waits for a model that is put into service) and comes
 * back to the loop, where its `done` gets the document. What the loop alone knows (progress) is
 * added there. */
#include "config.h"

#include "jobs/jobs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "state.h"

/* ---- calls ---- */

enum {
    KEY_MAX = 255,
    DOCUMENT_MAX = 64 << 20,
    PROGRESS_MAX = 4096,
    REQUEST_MAX = 1 << 20,
    REFERENCE_MAX = VERSION_MODEL_MAX + 32 /* NAME/VERSION */
};

/* The end of the job in a document that is in work, before its brace: what the loop alone knows of
 * it belongs there. There is one such job at most. id 0: none. */
struct hole {
    int64_t id;
    size_t at;
};

struct call {
    struct store_task task;
    struct loop_call back;
    struct jobs *jobs;
    void (*work)(struct call *call, struct db *db); /* a store thread: fills document or error */
    bool reading;                                   /* work only looks something up */
    void (*after)(struct call *call);               /* loop thread; may be NULL */
    jobs_done_fn *done;                             /* may be NULL */
    void *arg;
    int64_t id, before, limit;
    struct json *request; /* of a new job */
    char digest[SHA256_HEX_SIZE], key[KEY_MAX + 1];
    char init[REFERENCE_MAX], teacher[REFERENCE_MAX]; /* of a new job: NAME/VERSION; "": none */
    bool running;                                     /* the job that is to be cancelled runs */
    struct buf text;
    struct hole hole;
    bool finished; /* the job has ended */
    struct err error;
};

static void finish(struct call *call)
{
    struct jobs *jobs = call->jobs;
    const struct jobs_answer answer = {&call->text, call->id, call->finished};
    const bool good = call->error.code == 0;
    if (call->done != NULL)
        call->done(call->arg, good ? &answer : NULL, good ? NULL : &call->error);
    json_free(call->request);
    buf_release(&call->text);
    mem_free(call);
    jobs->calls--;
    jobs_check_stopped(jobs);
}

static void come_back(struct loop_call *back)
{
    struct call *call = (struct call *)(void *)((char *)back - offsetof(struct call, back));
    if (call->after != NULL) call->after(call);
    finish(call);
}

static void worked(struct store_task *task, struct db *db)
{
    struct call *call = (struct call *)task; /* the first member */
    call->work(call, db);
    loop_post(call->jobs->loop, &call->back);
}

static void call_post(struct jobs *jobs, const struct call *values)
{
    struct call *call = mem_new(1, sizeof(*call));
    if (call == NULL) {
        struct err e = {0};
        err_set(&e, -ENOMEM, "out of memory");
        json_free(values->request);
        if (values->done != NULL) values->done(values->arg, NULL, &e);
        return;
    }
    *call = *values;
    buf_init(&call->text, DOCUMENT_MAX);
    call->task.run = worked;
    call->back.fn = come_back;
    call->jobs = jobs;
    jobs->calls++;
    if (call->reading)
        store_post_reading(jobs->store, &call->task);
    else
        store_post(jobs->store, &call->task);
}

/* ---- documents ---- */

static int add_epoch(void *arg, int64_t epoch, const char *document)
{
    (void)epoch;
    struct json_writer *w = arg;
    struct json *value = job_stored(document);
    if (value == NULL) return -ENOMEM;
    json_write_value(w, NULL, value);
    json_free(value);
    return w->status;
}

/* What a call fails with, unless it is known better. */
static int fail(struct call *call, int code)
{
    if (code < 0 && call->error.code == 0)
        err_set(&call->error, code, "the document: %s", err_text(code));
    return code;
}

/* A job's document, with its epochs when it stands alone. */
static int write_job(struct call *call, struct json_writer *w, const struct job_row *row,
                     struct db *db)
{
    int rc = 0;
    json_write_open(w, NULL, '{');
    job_write(row, w);
    if (db != NULL) {
        json_write_open(w, "epochs", '[');
        rc = job_table_each_epoch(db, row->id, add_epoch, w, &call->error);
        json_write_close(w, ']');
    }
    if (row->state == JOB_RUNNING || row->state == JOB_EVALUATING)
        call->hole = (struct hole){row->id, call->text.size};
    json_write_close(w, '}');
    return rc < 0 ? rc : w->status;
}

static void read_job(struct call *call, struct db *db)
{
    struct job_row row;
    struct json_writer w;
    int rc = job_table_get(db, call->id, &row, &call->error);
    if (rc < 0) return;
    json_writer_init(&w, &call->text);
    fail(call, write_job(call, &w, &row, db));
    call->finished = row.finished_ns != 0;
    job_row_release(&row);
}

/* Puts text, which begins with a comma, into the hole. */
static int fill_hole(struct call *call, const struct buf *text)
{
    struct buf whole;
    buf_init(&whole, DOCUMENT_MAX);
    int rc = buf_append(&whole, buf_text(&call->text), call->hole.at);
    if (rc == 0) rc = buf_append(&whole, buf_text(text), text->size);
    if (rc == 0) rc = buf_puts(&whole, buf_text(&call->text) + call->hole.at);
    buf_release(rc == 0 ? &call->text : &whole);
    if (rc == 0) call->text = whole;
    return rc;
}

/* The present run's progress, which only the loop knows. (The store may know of the end before the
 * loop does: then there is no hole any more.) */
static void add_progress(struct jobs *jobs, struct call *call)
{
    const struct run *run = jobs->run;
    struct buf text;
    struct json_writer w;
    if (call->error.code < 0 || call->hole.id == 0) return;
    if (run == NULL || run->phase == RUN_PREPARING || run->row.id != call->hole.id) return;
    buf_init(&text, PROGRESS_MAX);
    json_writer_init(&w, &text);
    w.comma = true; /* behind the last member */
    if (run->progress.steps > 0) progress_write(&run->progress, &w, "progress");
    if (run->cancel == RUN_CANCELLED) json_write_bool(&w, "cancelling", true);
    fail(call, w.status < 0 ? w.status : fill_hole(call, &text));
    buf_release(&text);
}

static void after_get(struct call *call)
{
    add_progress(call->jobs, call);
}

void jobs_get(struct jobs *jobs, int64_t id, jobs_done_fn *done, void *arg)
{
    const struct call call = {
        .work = read_job, .reading = true, .after = after_get, .done = done, .arg = arg, .id = id};
    call_post(jobs, &call);
}

struct list {
    struct call *call;
    struct json_writer w;
};

static int list_job(void *arg, const struct job_row *row)
{
    struct list *list = arg;
    return write_job(list->call, &list->w, row, NULL);
}

static void list(struct call *call, struct db *db)
{
    struct list list = {.call = call};
    json_writer_init(&list.w, &call->text);
    json_write_open(&list.w, NULL, '{');
    json_write_open(&list.w, "jobs", '[');
    int rc = job_table_each(db, call->before, call->limit, list_job, &list, &call->error);
    json_write_close(&list.w, ']');
    json_write_close(&list.w, '}');
    fail(call, rc < 0 ? rc : list.w.status);
}

void jobs_list(struct jobs *jobs, int64_t before, int64_t limit, jobs_done_fn *done, void *arg)
{
    const struct call call = {.work = list,
                              .reading = true,
                              .after = after_get,
                              .done = done,
                              .arg = arg,
                              .before = before,
                              .limit = limit};
    call_post(jobs, &call);
}

/* ---- creating ---- */

/* A model that is named is tied to the version that serves now: NAME/VERSION into ret_text. */
static int resolve_version(struct call *call, struct db *db, const char *member,
                           char ret_text[REFERENCE_MAX], struct err *e)
{
    char name[VERSION_MODEL_MAX + 1];
    struct version_row row;
    int64_t version;
    ret_text[0] = '\0';
    request_version(call->request, member, name, &version);
    if (name[0] == '\0') return 0;
    int rc = version > 0 ? version_table_get(db, name, version, &row, e)
                         : version_table_active(db, name, &row, e);
    if (rc < 0) {
        err_prefix(e, "\"%s\"", member);
        return rc;
    }
    if (!row.ready)
        return err_set(e, ERR_CONFLICT, "\"%s\": that version is still being written", member);
    snprintf(ret_text, REFERENCE_MAX, "%s/%lld", row.model, (long long)row.number);
    return 0;
}

/* What is named must exist. */
static int resolve(struct call *call, struct db *db, struct err *e)
{
    const struct jobs_options *options = &call->jobs->options;
    char path[PATH_MAX];
    int rc = request_data(call->request, options->data_root, path, sizeof(path), e);
    if (rc == 0) rc = request_spec(call->request, options->spec_directory, path, sizeof(path), e);
    if (rc == 0) rc = resolve_version(call, db, "init", call->init, e);
    if (rc == 0) rc = resolve_version(call, db, "teacher", call->teacher, e);
    return rc;
}

/* What was asked, its versions resolved; the members are sorted by name. */
static void write_request(const struct call *call, struct json_writer *w)
{
    json_write_open(w, NULL, '{');
    for (struct json_member m = {0}; json_next(call->request, &m);) {
        if (strcmp(m.name, "init") == 0)
            json_write_string(w, m.name, call->init);
        else if (strcmp(m.name, "teacher") == 0)
            json_write_string(w, m.name, call->teacher);
        else
            json_write_value(w, m.name, m.value);
    }
    json_write_close(w, '}');
}

static int add_job(struct call *call, struct db *db, struct err *e)
{
    char model[VERSION_MODEL_MAX + 1];
    struct buf text;
    struct json_writer w;
    request_model(call->request, model);
    buf_init(&text, REQUEST_MAX);
    json_writer_init(&w, &text);
    write_request(call, &w);
    int rc = fail(call, w.status);
    if (rc == 0) {
        rc = job_table_add(db, model, buf_text(&text), call->key[0] != '\0' ? call->key : NULL,
                           call->digest, call->jobs->options.queue_max, clock_real(), &call->id, e);
    }
    buf_release(&text);
    return rc;
}

static void create(struct call *call, struct db *db)
{
    /* The key first: a request that is repeated has its answer even when the data has gone since.
     */
    int rc = call->key[0] != '\0'
                 ? job_table_find_key(db, call->key, call->digest, &call->id, &call->error)
                 : 0;
    if (rc == 0) rc = resolve(call, db, &call->error);
    if (rc == 0 && call->id == 0) rc = add_job(call, db, &call->error);
    if (rc >= 0) read_job(call, db);
}

static void after_create(struct call *call)
{
    add_progress(call->jobs, call);
    run_next(call->jobs);
}

static int check_key(const char *key, struct err *e)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < n; i++) {
        if (key[i] <= ' ' || key[i] > '~') n = 0;
    }
    if (n > 0 && n <= KEY_MAX) return 0;
    return err_set(e, ERR_RANGE, "Idempotency-Key takes 1 to %d visible ASCII characters", KEY_MAX);
}

/* The body with its members sorted, so that equal bodies have equal digests, into call->request,
 * and its digest. */
static int take_request(struct call *call, const struct json *body)
{
    static const struct json_limits limits = {REQUEST_MAX, 1 << 16};
    uint8_t digest[SHA256_SIZE];
    struct buf text;
    struct json_writer w;
    buf_init(&text, REQUEST_MAX);
    json_writer_init(&w, &text);
    json_write_sorted(&w, NULL, body);
    int rc = fail(call, w.status);
    if (rc == 0) {
        sha256(buf_text(&text), text.size, digest);
        sha256_hex(digest, call->digest);
        call->request = json_parse("request", buf_text(&text), text.size, &limits, JSON_KIND_OBJECT,
                                   &call->error);
        if (call->request == NULL) rc = call->error.code;
    }
    buf_release(&text);
    return rc;
}

void jobs_create(struct jobs *jobs, const struct json *body, const char *key, jobs_done_fn *done,
                 void *arg)
{
    struct call call = {.work = create, .after = after_create, .done = done, .arg = arg};
    int rc = request_check(body, &call.error);
    if (rc == 0 && key != NULL) rc = check_key(key, &call.error);
    if (rc == 0) rc = take_request(&call, body);
    if (rc < 0) {
        done(arg, NULL, &call.error);
        return;
    }
    if (key != NULL) snprintf(call.key, sizeof(call.key), "%s", key);
    call_post(jobs, &call);
}

/* ---- cancelling ---- */

static void cancel(struct call *call, struct db *db)
{
    struct job_row row;
    int rc = job_table_get(db, call->id, &row, &call->error);
    if (rc < 0) return;
    if (job_state_is_final(row.state)) {
        err_set(&call->error, ERR_CONFLICT, "job %lld has ended: it is %s", (long long)row.id,
                job_state_name(row.state));
    } else if (row.state == JOB_QUEUED) {
        row.state = JOB_CANCELLED;
        row.finished_ns = clock_real();
        mem_free(row.reason);
        row.reason = mem_strdup("cancelled on request");
        rc = job_table_update(db, &row, &call->error);
    } else {
        call->running = true;
    }
    job_row_release(&row);
    if (call->error.code == 0) read_job(call, db);
}

static void after_cancel(struct call *call)
{
    struct run *run = call->jobs->run;
    if (call->running && run != NULL && run->phase != RUN_PREPARING && run->row.id == call->id)
        run_cancel(run);
    if (!call->running && call->error.code == 0) {
        jobs_metrics_ended(&call->jobs->metrics, JOB_CANCELLED);
        jobs_tell(call->jobs, call->id, NULL);
    }
    add_progress(call->jobs, call);
}

void jobs_cancel(struct jobs *jobs, int64_t id, jobs_done_fn *done, void *arg)
{
    const struct call call = {
        .work = cancel, .after = after_cancel, .done = done, .arg = arg, .id = id};
    call_post(jobs, &call);
}

/* ---- news ---- */

void jobs_watch(struct jobs *jobs, struct jobs_watch *watch)
{
    watch->previous = NULL;
    watch->next = jobs->watches;
    if (watch->next != NULL) watch->next->previous = watch;
    jobs->watches = watch;
}

void jobs_unwatch(struct jobs *jobs, struct jobs_watch *watch)
{
    if (watch->next != NULL) watch->next->previous = watch->previous;
    if (watch->previous != NULL)
        watch->previous->next = watch->next;
    else
        jobs->watches = watch->next;
}

void jobs_tell(struct jobs *jobs, int64_t id, const struct progress *progress)
{
    struct buf text;
    struct json_writer w;
    buf_init(&text, PROGRESS_MAX);
    json_writer_init(&w, &text);
    if (jobs->watches != NULL && progress != NULL) progress_write(progress, &w, NULL);
    for (struct jobs_watch *watch = jobs->watches, *next; watch != NULL; watch = next) {
        next = watch->next;
        if (watch->id == id && w.status == 0)
            watch->news(watch, progress != NULL ? buf_text(&text) : NULL);
    }
    buf_release(&text);
}

/* ---- the start ---- */

static void recover(struct call *call, struct db *db)
{
    int rc = job_table_recover(db, call->jobs->options.attempts_max, clock_real(), &call->error);
    if (rc > 0) log_info("jobs: %d that the last daemon left running", rc);
    if (rc < 0) log_error("jobs: cannot go on with those of the last daemon: %s", call->error.text);
}

static void after_recover(struct call *call)
{
    run_next(call->jobs);
}

void jobs_start(struct jobs *jobs)
{
    const struct call call = {.work = recover, .after = after_recover};
    jobs->started = true;
    call_post(jobs, &call);
}

void jobs_options_default(struct jobs_options *options)
{
    *options = (struct jobs_options){.margin = 0.01,
                                     .niceness = 10,
                                     .queue_max = 100,
                                     .attempts_max = 3,
                                     .grace_ns = 10 * CLOCK_SECOND};
}

/* NAME beside this program's own file. */
static char *beside_program(const char *name)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n <= 0) return mem_strdup(name);
    path[n] = '\0';
    *(strrchr(path, '/') + 1) = '\0';
    if (strlen(path) + strlen(name) >= sizeof(path)) return NULL;
    strcat(path, name);
    return mem_strdup(path);
}

static char *copy_or_default(const char *given, char *(*otherwise)(void))
{
    return given != NULL && given[0] != '\0' ? mem_strdup(given) : otherwise();
}

static char *default_program(void)
{
    return beside_program("autodidact");
}

/* In an installed tree, or in a build directory inside of the source tree. */
static char *default_specs(void)
{
    static const char *const places[] = {"../share/autodidact/models", "models", "../models"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        char *path = beside_program(places[i]);
        if (path == NULL || file_exists(path)) return path;
        mem_free(path);
    }
    return beside_program(places[0]);
}

static char *no_default(void)
{
    return mem_strdup("");
}

static void free_options(struct jobs_options *o)
{
    mem_free((char *)(uintptr_t)o->directory);
    mem_free((char *)(uintptr_t)o->program);
    mem_free((char *)(uintptr_t)o->data_root);
    mem_free((char *)(uintptr_t)o->spec_directory);
}

static int copy_options(const struct jobs_options *options, struct jobs_options *ret, struct err *e)
{
    *ret = *options;
    ret->directory = options->directory[0] == '/' ? mem_strdup(options->directory) : NULL;
    if (ret->directory == NULL) { /* children run elsewhere */
        char here[PATH_MAX], path[PATH_MAX];
        if (getcwd(here, sizeof(here)) != NULL &&
            file_join(path, sizeof(path), here, options->directory) == 0)
            ret->directory = mem_strdup(path);
    }
    ret->program = copy_or_default(options->program, default_program);
    ret->data_root = copy_or_default(options->data_root, no_default);
    ret->spec_directory = copy_or_default(options->spec_directory, default_specs);
    if (ret->directory != NULL && ret->program != NULL && ret->data_root != NULL &&
        ret->spec_directory != NULL)
        return file_make_dirs(ret->directory, e);
    return err_set(e, -ENOMEM, "jobs: out of memory");
}

int jobs_new(struct loop *loop, struct store *store, struct registry *registry,
             struct metrics *metrics, const struct jobs_options *options, struct jobs **ret_jobs,
             struct err *e)
{
    struct jobs *jobs = mem_new(1, sizeof(*jobs));
    if (jobs == NULL) return err_set(e, -ENOMEM, "jobs: out of memory");
    int rc = copy_options(options, &jobs->options, e);
    if (rc == 0) {
        jobs->grace = loop_timer_new(loop, run_kill_child, jobs);
        if (jobs->grace == NULL) rc = err_set(e, -ENOMEM, "jobs: out of memory");
    }
    if (rc < 0) {
        free_options(&jobs->options);
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

/* ---- the end ---- */

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
    if (stopped == NULL || jobs->run != NULL || jobs->calls > 0) return;
    jobs->stopped = NULL; /* once */
    stopped(jobs->stopped_arg);
}

void jobs_free(struct jobs *jobs)
{
    if (jobs == NULL) return;
    loop_timer_free(jobs->grace);
    free_options(&jobs->options);
    mem_free(jobs);
}
