/* Creating a job: the request is checked and sorted on the loop, what it names is looked up and the
 * job queued on the store thread. An Idempotency-Key finds the job that it made before. */
#include "config.h"

#include "jobs/jobs.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/sha256.h"
#include "errand.h"
#include "state.h"

enum { REQUEST_MAX = 1 << 20 };

/* A model that is named is tied to the version that serves now: NAME/VERSION into ret_text. */
static int resolve_version(struct errand *errand, struct db *db, const char *member,
                           char ret_text[ERRAND_REFERENCE_MAX], struct err *e)
{
    char name[VERSION_MODEL_MAX + 1];
    struct version_row row;
    int64_t version;
    ret_text[0] = '\0';
    request_version(errand->request, member, name, &version);
    if (name[0] == '\0') return 0;
    int rc = version > 0 ? version_table_get(db, name, version, &row, e)
                         : version_table_active(db, name, &row, e);
    if (rc < 0) {
        err_prefix(e, "\"%s\"", member);
        return rc;
    }
    if (!row.ready)
        return err_set(e, ERR_CONFLICT, "\"%s\": that version is still being written", member);
    snprintf(ret_text, ERRAND_REFERENCE_MAX, "%s/%lld", row.model, (long long)row.number);
    return 0;
}

/* What is named must exist. */
static int resolve(struct errand *errand, struct db *db, struct err *e)
{
    const struct jobs_options *options = &errand->jobs->options;
    char path[PATH_MAX];
    int rc = request_data(errand->request, options->data_root, path, sizeof(path), e);
    if (rc == 0) rc = request_spec(errand->request, options->spec_directory, path, sizeof(path), e);
    if (rc == 0) rc = resolve_version(errand, db, "init", errand->init, e);
    if (rc == 0) rc = resolve_version(errand, db, "teacher", errand->teacher, e);
    return rc;
}

/* What was asked, its versions resolved; the members are sorted by name. */
static void write_request(const struct errand *errand, struct json_writer *w)
{
    json_write_open(w, NULL, '{');
    for (struct json_member m = {0}; json_next(errand->request, &m);) {
        if (json_is(m.value, JSON_KIND_NULL))
            json_write_null(w, m.name);
        else if (strcmp(m.name, "init") == 0)
            json_write_string(w, m.name, errand->init);
        else if (strcmp(m.name, "teacher") == 0)
            json_write_string(w, m.name, errand->teacher);
        else
            json_write_value(w, m.name, m.value);
    }
    json_write_close(w, '}');
}

static int add_job(struct errand *errand, struct db *db, struct err *e)
{
    char model[VERSION_MODEL_MAX + 1];
    struct buf text;
    struct json_writer w;
    request_model(errand->request, model);
    buf_init(&text, REQUEST_MAX);
    json_writer_init(&w, &text);
    write_request(errand, &w);
    int rc = errand_fail(errand, w.status);
    if (rc == 0) {
        rc = job_table_add(db, model, buf_text(&text), errand->key[0] != '\0' ? errand->key : NULL,
                           errand->digest, errand->jobs->options.queue_max, clock_real(),
                           &errand->id, e);
    }
    buf_release(&text);
    return rc;
}

static void create(struct errand *errand, struct db *db)
{
    /* The key first: a request that is repeated has its answer even when the data has gone since.
     */
    int rc = errand->key[0] != '\0'
                 ? job_table_find_key(db, errand->key, errand->digest, &errand->id, &errand->error)
                 : 0;
    if (rc == 0) rc = resolve(errand, db, &errand->error);
    if (rc == 0 && errand->id == 0) rc = add_job(errand, db, &errand->error);
    if (rc >= 0) errand_read_job(errand, db);
}

static void after_create(struct errand *errand)
{
    errand_add_progress(errand);
    run_next(errand->jobs);
}

static int check_key(const char *key, struct err *e)
{
    size_t n = strlen(key);
    for (size_t i = 0; i < n; i++) {
        if (key[i] <= ' ' || key[i] > '~') n = 0;
    }
    if (n > 0 && n <= ERRAND_KEY_MAX) return 0;
    return err_set(e, ERR_RANGE, "Idempotency-Key takes 1 to %d visible ASCII characters",
                   ERRAND_KEY_MAX);
}

/* The body with its members sorted, so that equal bodies have equal digests, into errand->request,
 * and its digest. */
static int take_request(struct errand *errand, const struct json *body)
{
    static const struct json_limits limits = {REQUEST_MAX, 1 << 16};
    uint8_t digest[SHA256_SIZE];
    struct buf text;
    struct json_writer w;
    buf_init(&text, REQUEST_MAX);
    json_writer_init(&w, &text);
    json_write_sorted(&w, NULL, body);
    int rc = errand_fail(errand, w.status);
    if (rc == 0) {
        sha256(buf_text(&text), text.size, digest);
        sha256_hex(digest, errand->digest);
        errand->request = json_parse("request", buf_text(&text), text.size, &limits,
                                     JSON_KIND_OBJECT, &errand->error);
        if (errand->request == NULL) rc = errand->error.code;
    }
    buf_release(&text);
    return rc;
}

void jobs_create(struct jobs *jobs, const struct json *body, const char *key, jobs_done_fn *done,
                 void *arg)
{
    struct errand errand = {.work = create, .after = after_create, .done = done, .arg = arg};
    int rc = request_check(body, &errand.error);
    if (rc == 0 && key != NULL) rc = check_key(key, &errand.error);
    if (rc == 0) rc = take_request(&errand, body);
    if (rc < 0) {
        done(arg, NULL, &errand.error);
        return;
    }
    if (key != NULL) snprintf(errand.key, sizeof(errand.key), "%s", key);
    errand_post(jobs, &errand);
}
