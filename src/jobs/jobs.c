/* The jobs as others see them: creating, listing, cancelling; the start and the end.
 *
 * Every call is a small structure that goes to a store thread (to the reading one when it only
 * looks something up, so that nobody who asks waits for a model that is put into service) and comes
 * back by the mailbox, where its `done` gets the document. What the loop alone knows (progress) is
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

enum { KEY_MAX = 255 };

struct call {
    struct store_task task;
    struct mail mail;
    struct jobs *jobs;
    void (*work)(struct call *call, struct db *db); /* a store thread: fills document or error */
    bool reading;                                   /* work only looks something up */
    void (*after)(struct call *call);               /* loop thread; may be NULL */
    jobs_done_fn *done;                             /* may be NULL */
    void *arg;
    int64_t id, before, limit;
    json_t *request; /* of a new job */
    char digest[SHA256_HEX_SIZE], key[KEY_MAX + 1];
    bool running; /* the job that is to be cancelled runs */
    json_t *document;
    struct err error;
};

static void finish(struct call *call)
{
    json_t *document = call->error.code < 0 ? NULL : call->document;
    if (document == NULL) json_decref(call->document);
    if (document == NULL && call->error.code == 0) err_set(&call->error, -ENOMEM, "out of memory");
    if (call->done != NULL)
        call->done(call->arg, document, document == NULL ? &call->error : NULL);
    else
        json_decref(document);
    struct jobs *jobs = call->jobs;
    json_decref(call->request);
    mem_free(call);
    jobs->calls--;
    jobs_check_stopped(jobs);
}

static void opened(struct mail *mail)
{
    struct call *call = (struct call *)(void *)((char *)mail - offsetof(struct call, mail));
    if (call->after != NULL) call->after(call);
    finish(call);
}

static void worked(struct store_task *task, struct db *db)
{
    struct call *call = (struct call *)task; /* the first member */
    call->work(call, db);
    mailbox_post(&call->jobs->mailbox, &call->mail);
}

static void call_post(struct jobs *jobs, const struct call *values)
{
    struct call *call = mem_new(1, sizeof(*call));
    if (call == NULL) {
        struct err e = {0};
        err_set(&e, -ENOMEM, "out of memory");
        json_decref(values->request);
        if (values->done != NULL) values->done(values->arg, NULL, &e);
        return;
    }
    *call = *values;
    call->task.run = worked;
    call->mail.open = opened;
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
    json_t *value = json_loads(document, 0, NULL);
    return value != NULL && json_array_append_new(arg, value) == 0 ? 0 : -ENOMEM;
}

static void read_job(struct call *call, struct db *db)
{
    struct job_row row;
    int rc = job_table_get(db, call->id, &row, &call->error);
    if (rc < 0) return;
    json_t *epochs = json_array();
    rc = job_table_each_epoch(db, call->id, add_epoch, epochs, &call->error);
    if (rc < 0)
        json_decref(epochs);
    else
        call->document = job_document(&row, epochs);
    job_row_release(&row);
}

/* The present run's progress, which only the loop knows. */
static void add_progress(struct jobs *jobs, json_t *document)
{
    const struct run *run = jobs->run;
    if (document == NULL || run == NULL || run->phase == RUN_PREPARING) return;
    if (json_integer_value(json_object_get(document, "id")) != run->row.id) return;
    /* The store may know of the end before the loop does. */
    if (json_is_string(json_object_get(document, "finished"))) return;
    if (run->progress.steps > 0)
        json_object_set_new(document, "progress", progress_document(&run->progress));
    if (run->cancelled) json_object_set_new(document, "cancelling", json_true());
}

static void after_get(struct call *call)
{
    add_progress(call->jobs, call->document);
}

void jobs_get(struct jobs *jobs, int64_t id, jobs_done_fn *done, void *arg)
{
    const struct call call = {
        .work = read_job, .reading = true, .after = after_get, .done = done, .arg = arg, .id = id};
    call_post(jobs, &call);
}

static int list_job(void *arg, const struct job_row *row)
{
    json_t *document = job_document(row, NULL);
    return document != NULL && json_array_append_new(arg, document) == 0 ? 0 : -ENOMEM;
}

static void list(struct call *call, struct db *db)
{
    json_t *array = json_array();
    if (job_table_each(db, call->before, call->limit, list_job, array, &call->error) < 0)
        json_decref(array);
    else
        call->document = json_pack("{s:o}", "jobs", array);
}

static void after_list(struct call *call)
{
    size_t i;
    json_t *document;
    json_array_foreach (json_object_get(call->document, "jobs"), i, document) {
        add_progress(call->jobs, document);
    }
}

void jobs_list(struct jobs *jobs, int64_t before, int64_t limit, jobs_done_fn *done, void *arg)
{
    const struct call call = {.work = list,
                              .reading = true,
                              .after = after_list,
                              .done = done,
                              .arg = arg,
                              .before = before,
                              .limit = limit};
    call_post(jobs, &call);
}

/* ---- creating ---- */

/* A model that is named is tied to the version that serves now. */
static int resolve_version(struct call *call, struct db *db, const char *member, struct err *e)
{
    char name[VERSION_MODEL_MAX + 1];
    struct version_row row;
    int64_t version;
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
    return json_object_set_new(call->request, member,
                               json_sprintf("%s/%lld", row.model, (long long)row.number)) < 0
               ? err_set(e, -ENOMEM, "out of memory")
               : 0;
}

/* What is named must exist. */
static int resolve(struct call *call, struct db *db, struct err *e)
{
    const struct jobs_options *options = &call->jobs->options;
    char path[PATH_MAX];
    int rc = request_data(call->request, options->data_root, path, sizeof(path), e);
    if (rc == 0) rc = request_spec(call->request, options->spec_directory, path, sizeof(path), e);
    if (rc == 0) rc = resolve_version(call, db, "init", e);
    if (rc == 0) rc = resolve_version(call, db, "teacher", e);
    return rc;
}

static int add_job(struct call *call, struct db *db, struct err *e)
{
    char model[VERSION_MODEL_MAX + 1];
    request_model(call->request, model);
    char *text = json_dumps(call->request, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL) return err_set(e, -ENOMEM, "out of memory");
    int rc = job_table_add(db, model, text, call->key[0] != '\0' ? call->key : NULL, call->digest,
                           call->jobs->options.queue_max, clock_real(), &call->id, e);
    free(text);
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
    add_progress(call->jobs, call->document);
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

/* Equal documents have equal digests, whatever the order of their members. */
static int digest_of(const json_t *body, char ret_digest[SHA256_HEX_SIZE])
{
    uint8_t digest[SHA256_SIZE];
    char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
    if (text == NULL) return -ENOMEM;
    sha256(text, strlen(text), digest);
    sha256_hex(digest, ret_digest);
    free(text);
    return 0;
}

void jobs_create(struct jobs *jobs, const json_t *body, const char *key, jobs_done_fn *done,
                 void *arg)
{
    struct call call = {.work = create, .after = after_create, .done = done, .arg = arg};
    int rc = request_check(body, &call.error);
    if (rc == 0 && key != NULL) rc = check_key(key, &call.error);
    if (rc == 0) {
        call.request = json_deep_copy(body);
        if (call.request == NULL || digest_of(body, call.digest) < 0)
            rc = err_set(&call.error, -ENOMEM, "out of memory");
    }
    if (rc < 0) {
        json_decref(call.request);
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
    add_progress(call->jobs, call->document);
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
    json_t *document =
        jobs->watches != NULL && progress != NULL ? progress_document(progress) : NULL;
    for (struct jobs_watch *w = jobs->watches, *next; w != NULL; w = next) {
        next = w->next;
        if (w->id == id && (progress == NULL || document != NULL)) w->news(w, document);
    }
    json_decref(document);
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

int jobs_new(uv_loop_t *loop, struct store *store, struct registry *registry,
             struct metrics *metrics, const struct jobs_options *options, struct jobs **ret_jobs,
             struct err *e)
{
    struct jobs *jobs = mem_new(1, sizeof(*jobs));
    if (jobs == NULL) return err_set(e, -ENOMEM, "jobs: out of memory");
    int rc = copy_options(options, &jobs->options, e);
    if (rc == 0) {
        rc = mailbox_init(&jobs->mailbox, loop);
        if (rc < 0) err_set(e, rc, "jobs: cannot make an event: %s", err_text(rc));
    }
    if (rc < 0) {
        free_options(&jobs->options);
        mem_free(jobs);
        return rc;
    }
    uv_timer_init(loop, &jobs->grace);
    jobs->grace.data = jobs;
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

static void closed(uv_handle_t *handle)
{
    struct jobs *jobs = handle->data;
    if (--jobs->open_handles > 0) return;
    free_options(&jobs->options);
    mem_free(jobs);
}

void jobs_free(struct jobs *jobs)
{
    if (jobs == NULL) return;
    jobs->open_handles = 2;
    mailbox_close(&jobs->mailbox, closed, jobs);
    uv_close((uv_handle_t *)&jobs->grace, closed);
}
