/* POST /v1/classify: from headers to answer. States stand in classify.h.
 *
 * A request is the engine's from engine_submit() until done(), which runs on an engine thread and does
 * nothing but post the job to the loop. When the client hangs up in between, the loop asks the engine to
 * cancel; one lock decides whether done() came first, so that a request that has been handed back is
 * never touched by the engine again. */
#include "config.h"

#include "classify.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

/* JSON beyond this is parsed off the loop: jansson and base64 take about 5 ms a megabyte. */
enum { READ_INLINE_MAX = 64 << 10 };

/* ---- memory ---- */

/* What a request may take: its images decoded from base64, their inputs and answers. Pixels of one
 * image at a time. */
static size_t arena_max(const struct service_options *o)
{
    size_t side = (size_t)o->image_limits.side_max;
    size_t height = (size_t)(o->image_limits.pixels_max / side) + 1;
    return 2 * o->body_max + image_arena_bytes((int)side, (int)height, o->image_limits.bytes_max) +
           (size_t)o->images_max * ((size_t)16 << 20);
}

static struct arena *arena_take(struct service *s)
{
    return s->n_arenas > 0 ? s->arenas[--s->n_arenas] : arena_new(arena_max(&s->options));
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

static void job_release(void *data)
{
    struct job *job = data;
    struct service *s = job->service;
    assert(job->state == JOB_NEW || job->state == JOB_ANSWERED);
    if (job->previous != NULL)
        job->previous->next = job->next;
    else
        s->jobs = job->next;
    if (job->next != NULL) job->next->previous = job->previous;
    metric_add(s->m.in_flight, -1);
    arena_give(s, job->arena);
    mem_free(job);
}

static struct job *job_new(struct service *s, struct exchange *x)
{
    struct job *job = mem_new(1, sizeof(*job));
    if (job == NULL) return NULL;
    job->arena = arena_take(s);
    if (job->arena == NULL) {
        mem_free(job);
        return NULL;
    }
    job->service = s;
    job->x = x;
    job->top = TOP_DEFAULT;
    job->request.arena = job->arena;
    job->request.arrival_ns = exchange_arrival_ns(x);
    job->request.owner = job;
    sla_draft_init(&job->draft);
    job->next = s->jobs;
    if (job->next != NULL) job->next->previous = job;
    s->jobs = job;
    metric_add(s->m.in_flight, 1);
    exchange_set_data(x, job, job_release);
    return job;
}

/* ---- answers ---- */

static void refuse(struct job *job, int status, const char *text)
{
    job->state = JOB_ANSWERED;
    count_request(job, 0, false, SLA_REQUESTED, status);
    if (job->request.sla.deadline_ns > 0 && status == 504)
        exchange_add_header(job->x, "SLA-Deadline", "missed");
    if (status == 503) {
        int after_s = job->request.retry_after_s > 0 ? job->request.retry_after_s : 1;
        exchange_add_header(job->x, "Retry-After", "%d", after_s);
    }
    exchange_problem(job->x, status, "%s", text);
}

static void refuse_err(struct job *job, int code, const struct err *e)
{
    int status = problem_status(code);
    if (status == 500) log_error("%s: %s", exchange_id(job->x), e->text);
    refuse(job, status, e->text[0] != '\0' ? e->text : err_text(code));
}

static void finish(struct job *job)
{
    struct request *r = &job->request;
    int64_t now_ns = clock_now();
    bool met = r->sla.deadline_ns == 0 || now_ns - r->arrival_ns <= r->sla.deadline_ns;
    int status = r->status;
    if (status == 0 && r->n_images == 1 && r->results[0].status < 0) status = r->results[0].status;
    if (r->sla.deadline_ns > 0)
        metric_add(metric_series(job->service->m.deadlines,
                                 (const char *[]){met && status == 0 ? "met" : "missed", NULL}), 1);
    if (job->gone) {
        refuse(job, 499, "the client hung up");
    } else if (status == ERR_CANCELLED) {
        count_refused(job->service, "shutdown");
        refuse(job, 503, "the server is shutting down");
    } else if (status == ERR_FORMAT || status == ERR_UNSUPPORTED) {
        refuse(job, 422, r->error.text[0] != '\0' ? r->error.text : err_text(status));
    } else if (status < 0) {
        refuse_err(job, status, &r->error);
    } else if (!met && r->sla.fail_on_miss) {
        refuse(job, 504, "the answer was ready only after the deadline, and SLA-On-Miss is fail");
    } else {
        job->state = JOB_ANSWERED;
        answer_reply(job, now_ns, met);
    }
}

static void on_done(struct loop_call *call)
{
    struct job *job = call->arg;
    struct model *model = job->request.model;
    assert(job->state == JOB_SUBMITTED);
    finish(job);
    model_unref(model);
}

/* On an engine thread. */
static void done(struct request *request)
{
    struct job *job = request->owner;
    pthread_mutex_lock(&job->service->lock);
    job->returned = true;
    pthread_mutex_unlock(&job->service->lock);
    loop_post(job->service->loop, &job->call);
}

static void cancel(struct job *job)
{
    struct service *s = job->service;
    pthread_mutex_lock(&s->lock);
    if (job->state == JOB_SUBMITTED && !job->returned) engine_cancel(s->engine, &job->request);
    pthread_mutex_unlock(&s->lock);
}

static void gone(struct exchange *x, void *arg)
{
    (void)x;
    struct job *job = arg;
    job->gone = true;
    cancel(job);
}

/* ---- the way in ---- */

static void submit(struct job *job)
{
    struct request *r = &job->request;
    struct service *s = job->service;
    int rc = sla_draft_finish(&job->draft, s->options.default_classifier, &r->sla, &job->error);
    if (rc < 0) {
        refuse_err(job, rc, &job->error);
        return;
    }
    r->want_exits = job->explain;
    r->done = done;
    job->call.fn = on_done;
    job->call.arg = job;
    /* Before the call: done() may run on its thread before engine_submit() has returned. */
    job->state = JOB_SUBMITTED;
    rc = engine_submit(s->engine, r);
    if (rc == 0) return;
    job->state = JOB_NEW;
    if (rc == ERR_BUSY || rc == ERR_DEADLINE)
        count_refused(s, rc == ERR_BUSY ? "overload" : "deadline");
    if (r->sla.deadline_ns > 0)
        metric_add(metric_series(s->m.deadlines, (const char *[]){"missed", NULL}), 1);
    refuse_err(job, rc, &r->error);
}

/* The body has been read (or not). */
static void go_on(struct job *job, int rc)
{
    if (job->gone)
        refuse(job, 499, "the client hung up");
    else if (job->cancelled)
        refuse(job, 503, "the server is shutting down");
    else if (rc < 0)
        refuse_err(job, rc, &job->error);
    else
        submit(job);
}

static void read_work(uv_work_t *work)
{
    struct job *job = work->data;
    size_t size;
    const void *body = exchange_body(job->x, &size);
    input_json(job, body, size, &job->error);
}

static void read_done(uv_work_t *work, int status)
{
    struct job *job = work->data;
    job->state = JOB_NEW;
    go_on(job, status < 0 ? ERR_CANCELLED : job->error.code);
}

static bool is_json(const struct exchange *x)
{
    return strcmp(exchange_content_type(x), "application/json") == 0;
}

static void classify_body(struct exchange *x, void *arg)
{
    struct service *s = arg;
    struct job *job = exchange_data(x);
    size_t size;
    const void *body = exchange_body(x, &size);
    exchange_on_gone(x, gone, job);
    if (size == 0) {
        refuse(job, 400, "the body is empty: send an image's bytes, or JSON");
    } else if (!is_json(x)) {
        go_on(job, input_raw(job, body, size, &job->error));
    } else if (size <= READ_INLINE_MAX) {
        go_on(job, input_json(job, body, size, &job->error));
    } else {
        job->work.data = job;
        job->state = JOB_READING;
        int rc = uv_queue_work(loop_uv(s->loop), &job->work, read_work, read_done);
        if (rc < 0) {
            job->state = JOB_NEW;
            refuse(job, 503, uv_strerror(rc));
        }
    }
}

/* 0 or the status of what the type is wrong with. */
static int check_type(const struct exchange *x, struct err *e)
{
    static const char *const taken[] = {"", "image/jpeg", "image/png", "application/octet-stream",
                                        "application/json"};
    const char *type = exchange_content_type(x);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (strcmp(type, taken[i]) == 0) return 0;
    err_set(e, ERR_UNSUPPORTED,
            "Content-Type is %s; taken are image/jpeg, image/png, application/octet-stream (an image's "
            "bytes) and application/json", type);
    return 415;
}

static void classify_head(struct exchange *x, void *arg)
{
    struct service *s = arg;
    struct err e = {0};
    struct job *job = job_new(s, x);
    if (job == NULL) {
        exchange_add_header(x, "Retry-After", "1");
        exchange_problem(x, 503, "out of memory for another request");
        return;
    }
    int status = check_type(x, &e);
    if (!s->was_ready) {
        count_refused(s, "not_ready");
        refuse(job, 503, "the model is still being loaded");
    } else if (status != 0) {
        refuse(job, status, e.text);
    } else if (exchange_header(x, "Content-Length") == NULL &&
               exchange_header(x, "Transfer-Encoding") == NULL) {
        refuse(job, 411, "the body's length is missing: send Content-Length or a chunked body");
    } else {
        int rc = input_query(job, &e);
        if (rc == 0) rc = input_headers(job, &e);
        if (rc < 0) refuse_err(job, rc, &e);
    }
}

int classify_register(struct service *service, struct server *server)
{
    return server_route_head(server, "POST", "/v1/classify", service->options.body_max, classify_head,
                             classify_body, service);
}

/* ---- the service ---- */

int service_new(struct loop *loop, struct server *server, struct engine *engine,
                struct metrics *metrics, const struct service_options *options,
                struct service **ret_service, struct err *e)
{
    struct service *s = mem_new(1, sizeof(*s));
    if (s == NULL) return err_set(e, -ENOMEM, "out of memory for the service");
    s->loop = loop;
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
    service->ready = ready;
    if (ready) {
        service->was_ready = true;
        count_models(service);
    }
}

void service_cancel(struct service *service)
{
    for (struct job *job = service->jobs; job != NULL; job = job->next) {
        job->cancelled = true;
        cancel(job);
    }
}

void service_free(struct service *service)
{
    if (service == NULL) return;
    assert(service->jobs == NULL);
    for (size_t i = 0; i < service->n_arenas; i++) arena_free(service->arenas[i]);
    pthread_mutex_destroy(&service->lock);
    mem_free(service);
}
