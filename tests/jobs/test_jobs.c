/* The daemon's side of a job, with a tool that misbehaves as each test wants it (fake_tool.sh). */
#include "config.h"

#include "jobs/jobs.h"

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../json/parse.h"
#include "../place.h"
#include "../nn/tiny.h"
#include "base/mem.h"
#include "store/job_table.h"

#define FIGURES(top1) "echo '{\"n\":10,\"exits\":[{\"top1\":0.9},{\"top1\":" top1 "}]}'\n"
#define COPY "cp \"$data/model\" \"$out\"\n"

struct fixture {
    struct place place;
    char tool[PATH_MAX];
    struct loop *loop;
    struct store *store;
    struct engine *engine;
    struct registry *registry;
    struct metrics *metrics;
    struct jobs *jobs;
    struct jobs_options options;
    char models[128], children[128], data_root[128];
    bool stopped;
    struct json *document; /* of the last call */
    struct err error;
    bool answered;
};

static sem_t store_may_go_on;

/* Which version of a model serves; 0: none. */
static int64_t serving(struct fixture *f, const char *name)
{
    struct version *version = engine_version(f->engine, name);
    int64_t number = version != NULL ? version_number(version) : 0;
    version_unref(version);
    return number;
}

static void write_text(struct fixture *f, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/set/%s", f->data_root, name);
    const struct file_piece piece = {text, strlen(text)};
    assert_int_equal(file_write_atomic(path, &piece, 1, NULL), 0);
}

static void write_model(const char *path, uint64_t seed, const char *label, int64_t holdout,
                        unsigned untrained)
{
    struct err e = {0};
    struct net *net = tiny_net(8, 2);
    float *params = mem_new_aligned(net_block_size(net), sizeof(*params));
    net_init_params(net, seed, params);
    char a[32], b[] = "dog", *labels[] = {a, b};
    snprintf(a, sizeof(a), "%s", label);
    const struct preprocess preprocess = {
        .width = 8, .height = 8, .mean = {0.5f, 0.5f, 0.5f}, .std = {0.25f, 0.25f, 0.25f}};
    const struct calibration calibration = {0};
    struct training training = {
        .untrained = untrained,
        .recipe.holdout = {.images = holdout, .seed = UINT64_MAX},
        .border = {.known = true, .seed = UINT64_MAX, .limit = (uint64_t)holdout << 56}};
    snprintf(training.data, sizeof(training.data), "cifar100");
    if (model_write(path, TENSOR_F32, net, params, labels, &preprocess, &calibration, &training,
                    &e) < 0)
        fail_msg("%s", e.text);
    mem_free(params);
    net_free(net);
}

/* What the child writes as its result. */
static void result_is(struct fixture *f, const char *label, int64_t holdout)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/set/model", f->data_root);
    write_model(path, 2, label, holdout, 0);
}

static void loses_classifiers(struct fixture *f, int64_t holdout, unsigned untrained)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/set/model", f->data_root);
    write_model(path, 2, "cat", holdout, untrained);
}

static int serve_first(struct db *db, void *arg, struct err *e)
{
    struct fixture *f = arg;
    char path[256];
    int64_t version;
    snprintf(path, sizeof(path), "%s/first", f->data_root);
    write_model(path, 1, "cat", 10, 0);
    int rc = registry_add(f->registry, db, "tiny", path, "import", "first", &version, e);
    return rc < 0 ? rc : registry_activate(f->registry, db, "tiny", version, e);
}

static void make_jobs(struct fixture *f)
{
    struct err e = {0};
    f->loop = loop_new(NULL);
    assert_non_null(f->loop);
    f->metrics = metrics_new();
    if (jobs_new(f->loop, f->store, f->registry, f->metrics, &f->options, &f->jobs, &e) < 0)
        fail_msg("%s", e.text);
    f->stopped = false;
}

static int set_up(void **state)
{
    struct fixture *f = mem_new(1, sizeof(*f));
    const char *source = getenv("top_srcdir");
    char path[256];
    *state = f;
    place_make(&f->place);
    snprintf(f->tool, sizeof(f->tool), "%s/tests/jobs/fake_tool.sh", source != NULL ? source : ".");
    snprintf(f->models, sizeof(f->models), "%s/models", f->place.root);
    snprintf(f->children, sizeof(f->children), "%s/jobs", f->place.root);
    snprintf(f->data_root, sizeof(f->data_root), "%s/data", f->place.root);
    snprintf(path, sizeof(path), "%s/set", f->data_root);
    if (file_make_dirs(path, NULL) < 0 || store_open(f->place.root, &f->store, NULL) < 0) return -1;
    struct engine_options options;
    engine_options_default(&options);
    options.workers = 1;
    options.batch_max = 1;
    f->engine = engine_new(&options, NULL, NULL);
    if (f->engine == NULL) return -1;
    if (registry_new(f->models, MODEL_FILE_MAX, f->engine, &f->registry, NULL) < 0) return -1;
    jobs_options_default(&f->options);
    f->options.directory = f->children;
    f->options.program = f->tool;
    f->options.data_root = f->data_root;
    f->options.spec_directory = f->data_root;
    f->options.grace_ns = 100000000;
    write_text(f, "train", COPY);
    write_text(f, "eval_result", FIGURES("0.5"));
    write_text(f, "eval_serving", FIGURES("0.5"));
    write_text(f, "../tiny.json", "{}");
    result_is(f, "cat", 10);
    make_jobs(f);
    return store_call(f->store, serve_first, f, NULL);
}

static void on_stopped(void *arg)
{
    struct fixture *f = arg;
    f->stopped = true;
}

static void stop_jobs(struct fixture *f)
{
    jobs_stop(f->jobs, on_stopped, f);
    while (!f->stopped) uv_run(loop_uv(f->loop), UV_RUN_ONCE);
    jobs_free(f->jobs);
    loop_free(f->loop); /* waits until no handle is left */
    metrics_free(f->metrics);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    stop_jobs(f);
    json_free(f->document);
    store_close(f->store);
    registry_free(f->registry);
    engine_free(f->engine);
    place_remove(&f->place);
    mem_free(f);
    return 0;
}

/* ---- calls, waited for ---- */

static void done(void *arg, const struct jobs_answer *answer, const struct err *error)
{
    struct fixture *f = arg;
    assert_false(f->answered);
    f->answered = true;
    json_free(f->document);
    f->document = answer != NULL ? parse(buf_text(answer->text), NULL) : NULL;
    assert_true((f->document == NULL) == (error != NULL));
    if (answer != NULL && json_get(f->document, "id") != NULL) {
        assert_int_equal(answer->id, json_int(json_get(f->document, "id"), 0));
        assert_int_equal(answer->finished, json_text(json_get(f->document, "finished")) != NULL);
    }
    f->error = error != NULL ? *error : (struct err){0};
}

static void wait_answer(struct fixture *f)
{
    while (!f->answered) uv_run(loop_uv(f->loop), UV_RUN_ONCE);
    f->answered = false;
}

static int64_t create(struct fixture *f, const char *more)
{
    char text[512];
    snprintf(text, sizeof(text),
             "{\"kind\":\"train\",\"spec\":\"tiny\",\"data\":\"cifar100:set\"%s}", more);
    struct json *body = parse(text, NULL);
    assert_non_null(body);
    jobs_create(f->jobs, body, NULL, done, f);
    json_free(body);
    wait_answer(f);
    if (f->document == NULL) fail_msg("%s", f->error.text);
    return json_int(json_get(f->document, "id"), 0);
}

static const char *text_of(struct fixture *f, const char *member)
{
    const char *text = json_text(json_get(f->document, member));
    return text != NULL ? text : "";
}

static int64_t number_of(struct fixture *f, const char *member)
{
    return json_int(json_get(f->document, member), 0);
}

static void get(struct fixture *f, int64_t id)
{
    jobs_get(f->jobs, id, done, f);
    wait_answer(f);
    assert_non_null(f->document);
}

/* Until the job is in that state. A state that is never reached ends in the alarm of main(). */
static void wait_state(struct fixture *f, int64_t id, const char *state)
{
    for (;;) {
        get(f, id);
        if (strcmp(text_of(f, "state"), state) == 0) return;
        if (json_text(json_get(f->document, "finished")) != NULL)
            fail_msg("%s instead of %s: %s", text_of(f, "state"), state, text_of(f, "reason"));
        usleep(2000);
    }
}

static void ends(struct fixture *f, int64_t id, const char *state, const char *words)
{
    wait_state(f, id, state);
    if (strstr(text_of(f, "reason"), words) == NULL) fail_msg("%s", text_of(f, "reason"));
}

/* ---- tests ---- */

static void test_verdicts(void **state)
{
    struct fixture *f = *state;
    jobs_start(f->jobs);
    ends(f, create(f, ""), "succeeded", "promoted");
    assert_int_equal(number_of(f, "version"), 2);
    assert_int_equal(serving(f, "tiny"), 2);
    const struct json *judgement = json_get(f->document, "judgement");
    assert_string_equal(json_text(json_get(judgement, "holdout_seed")), "18446744073709551615");
    write_text(f, "eval_result", FIGURES("0.4899"));
    ends(f, create(f, ""), "rejected", "0.4899");
    assert_int_equal(number_of(f, "version"), 0);
    ends(f, create(f, ",\"promote\":\"manual\""), "succeeded", "manual");
    assert_int_equal(number_of(f, "version"), 3);
    assert_int_equal(serving(f, "tiny"), 2);
    result_is(f, "lion", 10);
    ends(f, create(f, ""), "succeeded", "other labels than the serving version 2");
    assert_int_equal(serving(f, "tiny"), 2);
    result_is(f, "cat", 0);
    ends(f, create(f, ""), "succeeded", "no images were held out");
    assert_int_equal(serving(f, "tiny"), 2);
    result_is(f, "cat", 7); /* of these the serving one has seen none */
    write_text(f, "eval_result", FIGURES("0.5"));
    ends(f, create(f, ""), "succeeded", "promoted");
    assert_true(json_is(json_get(json_get(f->document, "judgement"), "note"), JSON_KIND_NULL));
    result_is(f, "cat", 12);
    ends(f, create(f, ""), "succeeded", "promoted");
    assert_non_null(strstr(json_text(json_get(json_get(f->document, "judgement"), "note")),
                           "another choice of held-out images"));
    loses_classifiers(f, 12, 1);
    ends(f, create(f, ""), "succeeded", "promoted");
    assert_string_equal(json_text(json_get(json_get(f->document, "judgement"), "note")),
                        "it has not learned what answers now as classifier 1");
    ends(f, create(f, ""), "succeeded", "promoted"); /* they are lost already */
    assert_true(json_is(json_get(json_get(f->document, "judgement"), "note"), JSON_KIND_NULL));
    int64_t latest = serving(f, "tiny");
    ends(f, create(f, ",\"model\":\"new-name\""), "succeeded", "no version of this model served");
    assert_int_equal(number_of(f, "version"), 1);
    assert_int_equal(serving(f, "new-name"), 1);
    assert_true(latest > 2);
}

static int activate_second(struct db *db, void *arg, struct err *e)
{
    struct fixture *f = arg;
    return registry_activate(f->registry, db, "tiny", 2, e);
}

/* Somebody activates another version while the result is compared with the one before: the
 * comparison says nothing about that one. */
static void test_overtaken(void **state)
{
    struct fixture *f = *state;
    jobs_start(f->jobs);
    ends(f, create(f, ",\"promote\":\"manual\""), "succeeded", "manual");
    write_text(f, "eval_serving",
               "while [ ! -e \"$data/go\" ]; do sleep 0.02; done; " FIGURES("0.5"));
    int64_t id = create(f, "");
    wait_state(f, id, "evaluating");
    assert_int_equal(store_call(f->store, activate_second, f, NULL), 0);
    write_text(f, "go", "");
    ends(f, id, "succeeded", "version 2 began to serve");
    assert_int_equal(number_of(f, "version"), 3);
    assert_int_equal(serving(f, "tiny"), 2);
    const struct json *serving_then = json_get(json_get(f->document, "judgement"), "serving");
    assert_int_equal(json_int(json_get(serving_then, "version"), 0), 2);
    assert_null(json_get(serving_then, "exits"));
}

static void test_misbehaving(void **state)
{
    struct fixture *f = *state;
    jobs_start(f->jobs);
    static const struct {
        const char *file, *text, *state, *words;
    } rows[] = {
        {"train", "echo 'autodidact: no luck today' >&2; exit 1\n", "failed",
         "exit code 1: autodidact: no luck today"},
        {"train", "printf '\\377\\001 odd' >&2; exit 2\n", "failed", "exit code 2: ?? odd"},
        {"train", "exit 0\n", "failed", "result.safetensors"},
        {"train", "echo rubbish >\"$out\"\n", "failed", "result.safetensors"},
        {"train", "kill -9 $$\n", "failed", "killed by signal 9, at attempt 3 of 3"},
        {"train", "sleep 600 & " COPY, "succeeded", "promoted"},
        {"train",
         "head -c 300000 /dev/zero; echo; echo '{'; echo "
         "'{\"event\":\"epoch\",\"epoch\":1}'; " COPY,
         "succeeded", "promoted"},
        {"eval_result", "exit 1\n", "failed", "evaluation of the result ended with exit code 1"},
        {"eval_result", "echo nonsense\n", "failed", "evaluation of the result"},
        {"eval_result", "echo '{}'\n", "failed", "no top1"},
        {"eval_result", "kill -9 $$\n", "failed", "evaluation was killed by signal 9"},
        {"eval_serving", "exit 1\n", "succeeded", "cannot be evaluated on the same images"},
        {"eval_serving", "echo '{\"exits\":[{\"top1\":7}]}'\n", "failed",
         "serving version has no top1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_text(f, "train", COPY);
        write_text(f, "eval_result", FIGURES("0.5"));
        write_text(f, "eval_serving", FIGURES("0.5"));
        write_text(f, rows[i].file, rows[i].text);
        ends(f, create(f, ""), rows[i].state, rows[i].words);
    }
}

static void test_cannot_start(void **state)
{
    struct fixture *f = *state;
    stop_jobs(f);
    f->options.program = "/nonesuch/autodidact";
    make_jobs(f);
    jobs_start(f->jobs);
    ends(f, create(f, ""), "failed", "cannot start /nonesuch/autodidact");
    stop_jobs(f);
    f->options.data_root = "";
    make_jobs(f);
    jobs_start(f->jobs);
    struct json *body =
        parse("{\"kind\":\"train\",\"spec\":\"tiny\",\"data\":\"cifar100:set\"}", NULL);
    jobs_create(f->jobs, body, NULL, done, f);
    json_free(body);
    wait_answer(f);
    assert_int_equal(f->error.code, ERR_UNSUPPORTED);
}

/* What starts the tool of a training in its stead: its words, its end, its noise. */
static void test_launcher(void **state)
{
    struct fixture *f = *state;
    char noisy[300];
    snprintf(noisy, sizeof(noisy), "\t%.*sfake_launcher.sh  -x ",
             (int)(strlen(f->tool) - strlen("fake_tool.sh")), f->tool);
    const struct {
        const char *launcher, *text, *state, *words;
    } rows[] = {
        {"nice -n 5", "[ $(nice) -ge 15 ] || exit 3\n" COPY, "succeeded", "promoted"},
        {noisy, "[ \"$launched\" = -x ] || exit 3\n" COPY, "succeeded", "promoted"},
        {noisy,
         "echo 'autodidact train: no luck' >&2; echo 'autodidact train: warning: x' >&2; exit 1\n",
         "failed", "exit code 1: autodidact train: no luck"},
        {noisy, "exit 2\n", "failed", "exit code 2: it had the last word"},
        {noisy, "kill -9 $$\n", "failed", "killed by signal 9, at attempt 3 of 3"},
        {"nonesuch -n 5", COPY, "failed", "the launcher: nonesuch in PATH: "},
        {"/nonesuch", COPY, "failed", "the launcher: /nonesuch: "},
        {"./nice", COPY, "failed", "the launcher: ./nice: it takes a path that begins with /"},
        {"/tmp", COPY, "failed", "the launcher: /tmp: "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        stop_jobs(f);
        f->options.launcher = rows[i].launcher;
        make_jobs(f);
        jobs_start(f->jobs);
        write_text(f, "train", rows[i].text);
        ends(f, create(f, ""), rows[i].state, rows[i].words);
    }
}

/* One that does not hear SIGTERM is killed after the grace time. */
static void test_cancel(void **state)
{
    struct fixture *f = *state;
    jobs_start(f->jobs);
    write_text(f, "train",
               "trap '' TERM; "
               "touch \"$out.ckpt\" \"$out.best.ckpt\" \"$out.lock\"; "
               "echo '{\"event\":\"start\",\"steps\":9}'; while :; do sleep 0.05; done\n");
    int64_t id = create(f, ""), second = create(f, "");
    for (;;) {
        get(f, id);
        if (json_get(f->document, "progress") != NULL) break;
    }
    jobs_cancel(f->jobs, second, done, f);
    wait_answer(f);
    assert_string_equal(text_of(f, "state"), "cancelled");
    jobs_cancel(f->jobs, id, done, f);
    wait_answer(f);
    assert_true(json_bool(json_get(f->document, "cancelling"), false));
    jobs_cancel(f->jobs, id, done, f); /* once more is the same */
    wait_answer(f);
    ends(f, id, "cancelled", "cancelled");
    static const char *const remains[] = {".ckpt", ".best.ckpt", ".lock"};
    for (size_t i = 0; i < sizeof(remains) / sizeof(remains[0]); i++) {
        char path[256];
        snprintf(path, sizeof(path), "%s/%lld/result.safetensors%s", f->children, (long long)id,
                 remains[i]);
        assert_false(file_exists(path));
    }
    jobs_cancel(f->jobs, id, done, f);
    wait_answer(f);
    assert_int_equal(f->error.code, ERR_CONFLICT);
    jobs_cancel(f->jobs, 99, done, f);
    wait_answer(f);
    assert_int_equal(f->error.code, ERR_NOT_FOUND);
    /* While it is evaluated, too. */
    write_text(f, "train", COPY);
    write_text(f, "eval_result", "sleep 600\n");
    id = create(f, "");
    wait_state(f, id, "evaluating");
    jobs_cancel(f->jobs, id, done, f);
    wait_answer(f);
    ends(f, id, "cancelled", "cancelled");
    assert_int_equal(serving(f, "tiny"), 1);
}

static void hold_store(struct store_task *task, struct db *db)
{
    (void)task, (void)db;
    sem_wait(&store_may_go_on);
}

static int count_nothing(struct db *db, void *arg, struct err *e)
{
    (void)db, (void)arg, (void)e;
    return 0;
}

/* Cancelled at the moment at which its training is killed and would be tried again. */
static void test_cancel_late(void **state)
{
    struct fixture *f = *state;
    struct store_task hold = {.run = hold_store};
    jobs_start(f->jobs);
    write_text(f, "train",
               "echo '{\"event\":\"start\",\"steps\":9}'; "
               "while [ ! -e \"$data/go\" ]; do sleep 0.02; done; kill -9 $$\n");
    int64_t id = create(f, "");
    do {
        get(f, id);
    } while (json_get(f->document, "progress") == NULL);
    assert_int_equal(sem_init(&store_may_go_on, 0, 0), 0);
    store_post(f->store, &hold);
    jobs_cancel(f->jobs, id, done, f);
    write_text(f, "go", "");
    /* The end of the child must be seen before the cancel comes back; were it later, nothing is
     * tested. */
    for (int i = 0; i < 200; i++, usleep(2000)) uv_run(loop_uv(f->loop), UV_RUN_NOWAIT);
    sem_post(&store_may_go_on);
    wait_answer(f);
    assert_int_equal(f->error.code, 0);
    wait_state(f, id, "cancelled");
    assert_int_equal(number_of(f, "attempts"), 1);
    sem_destroy(&store_may_go_on);
}

/* Who asks about jobs does not wait for what the store thread does: a model that warms up, say. */
static void test_asked_while_store_works(void **state)
{
    struct fixture *f = *state;
    struct store_task hold = {.run = hold_store};
    int64_t id = create(f, "");
    assert_int_equal(sem_init(&store_may_go_on, 0, 0), 0);
    store_post(f->store, &hold);
    for (int round = 0; round < 2; round++) {
        if (round == 0)
            jobs_get(f->jobs, id, done, f);
        else
            jobs_list(f->jobs, 0, 10, done, f);
        for (int i = 0; i < 5000 && !f->answered; i++, usleep(2000))
            uv_run(loop_uv(f->loop), UV_RUN_NOWAIT);
        if (!f->answered) sem_post(&store_may_go_on);
        assert_true(f->answered);
        f->answered = false;
        if (round == 0)
            assert_int_equal(number_of(f, "id"), id);
        else
            assert_int_equal(json_count(json_get(f->document, "jobs")), 1);
    }
    sem_post(&store_may_go_on);
    assert_int_equal(store_call(f->store, count_nothing, NULL, NULL), 0);
    sem_destroy(&store_may_go_on);
}

/* An orderly stop, then a start: the job goes on, without a new training when the result was there.
 */
static void test_restart(void **state)
{
    struct fixture *f = *state;
    jobs_start(f->jobs);
    write_text(f, "train", "echo >>\"$data/trainings\"; " COPY);
    write_text(f, "eval_result", "sleep 600\n");
    int64_t id = create(f, "");
    wait_state(f, id, "evaluating");
    stop_jobs(f);
    make_jobs(f);
    get(f, id); /* before jobs_start() nothing runs */
    assert_string_equal(text_of(f, "state"), "queued");
    assert_int_equal(number_of(f, "attempts"), 0);
    write_text(f, "eval_result", FIGURES("0.5"));
    jobs_start(f->jobs);
    ends(f, id, "succeeded", "promoted");
    char path[256];
    snprintf(path, sizeof(path), "%s/set/trainings", f->data_root);
    assert_int_equal(file_size(path), 1);
    assert_int_equal(number_of(f, "attempts"), 1);
}

static int as_killed(struct db *db, void *arg, struct err *e)
{
    struct job_row row;
    (void)arg;
    int rc = job_table_get(db, 1, &row, e);
    if (rc < 0) return rc;
    row.state = JOB_EVALUATING;
    row.version = 0;
    row.finished_ns = 0;
    rc = job_table_update(db, &row, e);
    job_row_release(&row);
    return rc;
}

static int count(void *arg, const struct version_row *row)
{
    (void)row;
    ++*(int *)arg;
    return 0;
}

static int count_versions(struct db *db, void *arg, struct err *e)
{
    return version_table_each(db, "tiny", count, arg, e);
}

/* The daemon died after the result was registered, before the job said so: no second version of it.
 */
static void test_died_while_concluding(void **state)
{
    struct fixture *f = *state;
    jobs_start(f->jobs);
    int64_t id = create(f, "");
    ends(f, id, "succeeded", "promoted");
    assert_int_equal(serving(f, "tiny"), 2);
    stop_jobs(f);
    assert_int_equal(store_call(f->store, as_killed, f, NULL), 0);
    make_jobs(f);
    jobs_start(f->jobs);
    ends(f, id, "succeeded", "promoted");
    assert_int_equal(number_of(f, "version"), 2);
    assert_int_equal(number_of(f, "attempts"), 2);
    int versions = 0;
    assert_int_equal(store_call(f->store, count_versions, &versions, NULL), 0);
    assert_int_equal(versions, 2);
}

static void test_queue(void **state)
{
    struct fixture *f = *state;
    stop_jobs(f);
    f->options.queue_max = 3;
    make_jobs(f);
    for (int i = 0; i < 3; i++) create(f, "");
    struct json *body =
        parse("{\"kind\":\"train\",\"spec\":\"tiny\",\"data\":\"cifar100:set\"}", NULL);
    jobs_create(f->jobs, body, NULL, done, f);
    wait_answer(f);
    json_free(body);
    assert_int_equal(f->error.code, ERR_BUSY);
    jobs_start(f->jobs);
    for (int64_t id = 1; id <= 3; id++) ends(f, id, "succeeded", "promoted");
    jobs_list(f->jobs, 0, 2, done, f);
    wait_answer(f);
    const struct json *list = json_get(f->document, "jobs");
    assert_int_equal(json_count(list), 2);
    assert_int_equal(json_int(json_get(json_item(list, 0), "id"), 0), 3);
    assert_null(json_get(json_item(list, 0), "epochs"));
    /* The store's answer can be ahead of the loop, which counts. */
    bool counted = false;
    for (int i = 0; i < 10000 && !counted; i++) {
        struct buf text;
        buf_init(&text, 1 << 20);
        assert_int_equal(metrics_render(f->metrics, &text), 0);
        counted = strstr(buf_text(&text),
                         "autodidact_training_jobs_total{state=\"succeeded\"} 3\n") != NULL &&
                  strstr(buf_text(&text), "autodidact_training_running 0\n") != NULL;
        buf_release(&text);
        jobs_list(f->jobs, 0, 2, done, f); /* the loop goes on */
        wait_answer(f);
    }
    assert_true(counted);
}

int main(void)
{
    alarm(300);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_verdicts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_overtaken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_misbehaving, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cannot_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_launcher, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancel_late, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_asked_while_store_works, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_died_while_concluding, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_queue, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("jobs", tests, NULL, NULL);
}
