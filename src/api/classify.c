/* POST /v1/classify: from headers to answer. States stand in classify.h.
 *
 * A request is the engine's from engine_submit() until done(), which runs on an engine thread and
 * does nothing but post the task to the loop. When the client hangs up in between, the loop asks
 * the engine to cancel; one lock decides whether done() came first, so that a request that has been
 * handed back is never touched by the engine again. */
#include "config.h"

#include "classify.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

/* JSON beyond this is parsed off the loop: jansson and base64 take about 5 ms a megabyte. */
enum { READ_INLINE_MAX = 64 << 10 };

#define JSON_TYPE "application/json"
#define FORM_TYPE "multipart/form-data"

/* ---- memory ---- */

static struct arena *arena_take(struct service *s)
{
    return s->n_arenas > 0 ? s->arenas[--s->n_arenas] : arena_new(s->options.arena_max);
}

/* One that has held something large is not kept: its memory would never come back. */
static void arena_give(struct service *s, struct arena *arena)
{
    if (arena == NULL) return;
    if (s->n_arenas == ARENAS_KEPT || arena_used(arena) > ARENA_KEEP_MAX) {
        arena_free(arena);
        return;
    }
    arena_reset(arena);
    s->arenas[s->n_arenas++] = arena;
}

static void task_release(void *data)
{
    struct task *task = data;
    struct service *s = task->service;
    assert(task->state == TASK_NEW || task->state == TASK_ANSWERED);
    /* A body that never came, or one too many bytes: answered elsewhere, counted here. */
    if (!task->counted && exchange_status(task->x) == 503) count_refused(s, "memory");
    count_request(task, 0, false, SLA_REQUESTED, exchange_status(task->x));
    if (task->previous != NULL)
        task->previous->next = task->next;
    else
        s->tasks = task->next;
    if (task->next != NULL) task->next->previous = task->previous;
    metric_add(s->m.in_flight, -1);
    arena_give(s, task->arena);
    mem_free(task);
}

static struct task *task_new(struct service *s, struct exchange *x)
{
    struct task *task = mem_new(1, sizeof(*task));
    if (task == NULL) return NULL;
    task->arena = arena_take(s);
    if (task->arena == NULL) {
        mem_free(task);
        return NULL;
    }
    task->service = s;
    task->x = x;
    task->top = TOP_DEFAULT;
    task->request.arena = task->arena;
    task->request.arrival_ns = exchange_arrival_ns(x);
    task->request.owner = task;
    sla_draft_init(&task->draft);
    task->next = s->tasks;
    if (task->next != NULL) task->next->previous = task;
    s->tasks = task;
    metric_add(s->m.in_flight, 1);
    exchange_set_data(x, task, task_release);
    return task;
}

/* ---- answers ---- */

static void refuse(struct task *task, int status, const char *text)
{
    task->state = TASK_ANSWERED;
    count_request(task, 0, false, SLA_REQUESTED, status);
    if (task->request.sla.deadline_ns > 0 && status == 504)
        exchange_add_header(task->x, "SLA-Deadline", "missed");
    if (status == 503) {
        int after_s = task->request.retry_after_s > 0 ? task->request.retry_after_s : 1;
        exchange_add_header(task->x, "Retry-After", "%d", after_s);
    }
    exchange_problem(task->x, status, "%s", text);
}

static void refuse_err(struct task *task, int code, const struct err *e)
{
    int status = problem_status(code);
    if (status == 500) log_error("%s: %s", exchange_id(task->x), e->text);
    refuse(task, status, e->text[0] != '\0' ? e->text : err_text(code));
}

/* What became of a request that was well formed. */
static void count_outcome(struct task *task, int status, bool met)
{
    struct service *s = task->service;
    bool refused = status == ERR_BUSY || status == ERR_DEADLINE;
    if (refused) count_refused(s, status == ERR_BUSY ? "overload" : "deadline");
    if (task->request.sla.deadline_ns > 0 && (status == 0 || refused))
        metric_add(metric_series(s->m.deadlines,
                                 (const char *[]){met && !refused ? "met" : "missed", NULL}),
                   1);
}

static void finish(struct task *task)
{
    struct request *r = &task->request;
    int64_t now_ns = clock_now();
    bool met = r->sla.deadline_ns == 0 || now_ns - r->arrival_ns <= r->sla.deadline_ns;
    int status = r->status;
    if (status == 0 && r->n_images == 1 && r->results[0].status < 0) status = r->results[0].status;
    if (!task->gone) count_outcome(task, status, met);
    if (task->gone) {
        refuse(task, 499, "the client hung up");
    } else if (status == ERR_CANCELLED) {
        count_refused(task->service, "shutdown");
        refuse(task, 503, "the server is shutting down");
    } else if (status == ERR_FORMAT || status == ERR_UNSUPPORTED) {
        refuse(task, 422, r->error.text[0] != '\0' ? r->error.text : err_text(status));
    } else if (status < 0) {
        refuse_err(task, status, &r->error);
    } else if (!met && r->sla.fail_on_miss) {
        refuse(task, 504, "the answer was ready only after the deadline, and SLA-On-Miss is fail");
    } else {
        task->state = TASK_ANSWERED;
        answer_reply(task, now_ns, met);
    }
}

static void on_done(struct loop_call *call)
{
    struct task *task = call->arg;
    struct version *version = task->request.version;
    assert(task->state == TASK_SUBMITTED);
    finish(task);
    version_unref(version);
}

/* On an engine thread. */
static void done(struct request *request)
{
    struct task *task = request->owner;
    pthread_mutex_lock(&task->service->lock);
    task->returned = true;
    pthread_mutex_unlock(&task->service->lock);
    loop_post(task->service->loop, &task->call);
}

static void cancel(struct task *task)
{
    struct service *s = task->service;
    pthread_mutex_lock(&s->lock);
    if (task->state == TASK_SUBMITTED && !task->returned) engine_cancel(s->engine, &task->request);
    pthread_mutex_unlock(&s->lock);
}

static void gone(struct exchange *x, void *arg)
{
    (void)x;
    struct task *task = arg;
    task->gone = true;
    cancel(task);
}

/* ---- the way in ---- */

static void submit(struct task *task)
{
    struct request *r = &task->request;
    struct service *s = task->service;
    int rc = sla_draft_finish(&task->draft, s->options.default_classifier, &r->sla, &task->error);
    if (rc < 0) {
        refuse_err(task, rc, &task->error);
        return;
    }
    r->done = done;
    task->call.fn = on_done;
    task->call.arg = task;
    /* Before the call: done() may run on its thread before engine_submit() has returned. */
    task->state = TASK_SUBMITTED;
    rc = engine_submit(s->engine, r);
    if (rc == 0) return;
    task->state = TASK_NEW;
    count_outcome(task, rc, false);
    r->version = engine_version(s->engine, r->model_name); /* only to be counted under its name */
    refuse_err(task, rc, &r->error);
    version_unref(r->version);
    r->version = NULL;
}

/* The body has been read (or not). */
static void go_on(struct task *task, int rc)
{
    if (task->gone)
        refuse(task, 499, "the client hung up");
    else if (task->cancelled)
        refuse(task, 503, "the server is shutting down");
    else if (rc < 0)
        refuse_err(task, rc, &task->error);
    else
        submit(task);
}

static bool is_type(const struct exchange *x, const char *type)
{
    return strcmp(exchange_content_type(x), type) == 0;
}

/* Any thread. */
static int read_body(struct task *task)
{
    size_t size;
    const void *body = exchange_body(task->x, &size);
    return is_type(task->x, JSON_TYPE) ? input_json(task, body, size, &task->error)
                                       : input_form(task, body, size, &task->error);
}

static void read_work(uv_work_t *work)
{
    read_body(work->data);
}

static void read_done(uv_work_t *work, int status)
{
    struct task *task = work->data;
    task->state = TASK_NEW;
    go_on(task, status < 0 ? ERR_CANCELLED : task->error.code);
}

static void classify_body(struct exchange *x, void *arg)
{
    struct service *s = arg;
    struct task *task = exchange_data(x);
    size_t size;
    const void *body = exchange_body(x, &size);
    exchange_on_gone(x, gone, task);
    if (size == 0) {
        refuse(task, 400, "the body is empty: send an image's bytes, JSON or a form");
    } else if (!is_type(x, JSON_TYPE) && !is_type(x, FORM_TYPE)) {
        go_on(task, input_raw(task, body, size, &task->error));
    } else if (size <= READ_INLINE_MAX) {
        go_on(task, read_body(task));
    } else {
        task->work.data = task;
        task->state = TASK_READING;
        int rc = uv_queue_work(loop_uv(s->loop), &task->work, read_work, read_done);
        if (rc < 0) {
            task->state = TASK_NEW;
            refuse(task, 503, uv_strerror(rc));
        }
    }
}

/* 0 or the status of what the type is wrong with. */
static int check_type(const struct exchange *x, struct err *e)
{
    static const char *const taken[] = {
        "", "image/jpeg", "image/png", "application/octet-stream", JSON_TYPE, FORM_TYPE};
    const char *type = exchange_content_type(x);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (strcmp(type, taken[i]) == 0) return 0;
    err_set(
        e, ERR_UNSUPPORTED,
        "Content-Type is %s; taken are image/jpeg, image/png, application/octet-stream (an image's "
        "bytes), application/json and multipart/form-data",
        type);
    return 415;
}

static void classify_head(struct exchange *x, void *arg)
{
    struct service *s = arg;
    struct err e = {0};
    struct task *task = task_new(s, x);
    if (task == NULL) {
        exchange_add_header(x, "Retry-After", "1");
        exchange_problem(x, 503, "out of memory for another request");
        return;
    }
    int status = check_type(x, &e);
    if (!service_was_ready(s)) {
        count_refused(s, "not_ready");
        refuse(task, 503, "the model is still being loaded");
    } else if (status != 0) {
        refuse(task, status, e.text);
    } else if (exchange_header(x, "Content-Length") == NULL &&
               exchange_header(x, "Transfer-Encoding") == NULL) {
        refuse(task, 411, "the body's length is missing: send Content-Length or a chunked body");
    } else {
        int rc = input_query(task, &e);
        if (rc == 0) rc = input_headers(task, &e);
        if (rc == 0 && is_type(x, FORM_TYPE))
            rc = multipart_boundary(exchange_header(x, "Content-Type"), task->boundary, &e);
        if (rc < 0) refuse_err(task, rc, &e);
    }
}

int classify_register(struct service *service, struct server *server)
{
    return server_route_head(server, "POST", "/v1/classify", service->options.body_max,
                             classify_head, classify_body, service);
}

/* ---- the service ---- */

int service_new(struct loop *loop, struct server *server, struct engine *engine,
                struct metrics *metrics, const struct service_options *options,
                struct service **ret_service, struct err *e)
{
    struct service *s = mem_new(1, sizeof(*s));
    if (s == NULL) return err_set(e, -ENOMEM, "out of memory for the service");
    s->loop = loop;
    s->server = server;
    s->engine = engine;
    s->metrics = metrics;
    s->options = *options;
    pthread_mutex_init(&s->lock, NULL);
    int rc = service_metrics_init(s, e);
    if (rc == 0) rc = classify_register(s, server);
    if (rc == 0) rc = server_route(server, "GET", "/v1/models", 0, models_get, s);
    if (rc == 0) rc = server_route(server, "GET", "/v2/health/live", 0, health_live, s);
    if (rc == 0) rc = server_route(server, "GET", "/v2/health/ready", 0, health_ready, s);
    if (rc == 0) rc = server_route(server, "GET", "/metrics", 0, service_metrics_get, s);
    if (rc < 0) {
        service_free(s);
        return err_set(e, rc, "cannot set up the service: %s", err_text(rc));
    }
    *ret_service = s;
    return 0;
}

void service_set_ready(struct service *service, bool ready)
{
    service_was_ready(service); /* while `ready` is what it was */
    service->ready = ready;
    if (ready) count_models(service);
}

bool service_was_ready(struct service *service)
{
    const char *name;
    if (!service->was_ready)
        service->was_ready = service->ready && engine_model_names(service->engine, &name, 1) > 0;
    return service->was_ready;
}

void service_cancel(struct service *service)
{
    for (struct task *task = service->tasks; task != NULL; task = task->next) {
        task->cancelled = true;
        cancel(task);
    }
}

void service_free(struct service *service)
{
    if (service == NULL) return;
    assert(service->tasks == NULL);
    for (size_t i = 0; i < service->n_arenas; i++) arena_free(service->arenas[i]);
    pthread_mutex_destroy(&service->lock);
    mem_free(service);
}
