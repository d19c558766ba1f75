/* A classification on its way; the states stand in task.h.
 *
 * A request is the engine's from engine_submit() until done(), which runs on an engine thread and
 * does nothing but post the task to the loop. When the client hangs up in between, the loop asks
 * the engine to cancel; one lock decides whether done() came first, so that a request that has been
 * handed back is never touched by the engine again. */
#include "config.h"

#include "task.h"

#include <assert.h>
#include <stdio.h>

#include "answer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

static void answered(struct task *task, const struct result *result, int status)
{
    task->state = TASK_ANSWERED;
    counts_answered(&task->service->counts, task->request.version, result, status,
                    clock_now() - task->request.arrival_ns);
}

/* Whether the deadline was met is known when the answer has left and not when it is written: others
 * are sent before it. */
static void judge(struct task *task)
{
    const struct request *r = &task->request;
    int64_t sent_ns = exchange_sent_ns(task->x);
    if (sent_ns == 0) return; /* nobody was there any more */
    bool answered = exchange_status(task->x) == 200;
    if (answered) engine_replied(task->service->engine, r, sent_ns);
    if (!task->judged) return;
    enum deadline_result result = DEADLINE_MISSED;
    if (answered && sla_met(&r->sla, r->arrival_ns, sent_ns))
        result = exchange_is_held(task->x) ? DEADLINE_HELD : DEADLINE_MET;
    counts_deadline(&task->service->counts, result);
}

/* The exchange is over. */
static void release(void *data)
{
    struct task *task = data;
    struct service *s = task->service;
    assert(task->state == TASK_NEW || task->state == TASK_ANSWERED);
    /* A body that never came, one too many bytes, another type: answered elsewhere, counted here.
     */
    if (task->state == TASK_NEW) {
        int status = exchange_status(task->x);
        if (status == 503) counts_refused(&s->counts, "memory");
        answered(task, NULL, status);
    }
    judge(task);
    if (task->previous != NULL)
        task->previous->next = task->next;
    else
        s->tasks = task->next;
    if (task->next != NULL) task->next->previous = task->previous;
    metric_add(s->counts.in_flight, -1);
    service_give_arena(s, task->arena);
    mem_free(task);
}

struct task *task_new(struct service *s, struct exchange *x)
{
    struct task *task = mem_new(1, sizeof(*task));
    if (task == NULL) return NULL;
    task->arena = service_take_arena(s);
    if (task->arena == NULL) {
        mem_free(task);
        return NULL;
    }
    task->service = s;
    task->x = x;
    task->request.arena = task->arena;
    task->request.arrival_ns = exchange_arrival_ns(x);
    task->request.owner = task;
    task->request.client = (uintptr_t)x; /* of a connection, whose one exchange it is */
    sla_draft_init(&task->draft);
    task->next = s->tasks;
    if (task->next != NULL) task->next->previous = task;
    s->tasks = task;
    metric_add(s->counts.in_flight, 1);
    exchange_set_data(x, task, release);
    return task;
}

/* ---- answers ---- */

void task_refuse(struct task *task, int status, const char *text)
{
    answered(task, NULL, status);
    if (task->request.sla.deadline_ns > 0 && status == 504)
        exchange_add_header(task->x, "SLA-Deadline", "missed");
    if (status == 503) {
        int after_s = task->request.retry_after_s > 0 ? task->request.retry_after_s : 1;
        exchange_add_header(task->x, "Retry-After", "%d", after_s);
    }
    if (status == 415) exchange_add_header(task->x, "Accept", "image/jpeg, image/png");
    exchange_problem(task->x, status, "%s", text);
}

void task_refuse_err(struct task *task, int code, const struct err *e)
{
    int status = problem_status(code);
    if (status == 500) log_error("%s: %s", exchange_id(task->x), e->text);
    task_refuse(task, status, e->text[0] != '\0' ? e->text : err_text(code));
}

/* Of the content of an image, not of the form of the request. */
static int image_status(int code)
{
    return code == ERR_FORMAT ? 422 : code == ERR_UNSUPPORTED ? 415 : problem_status(code);
}

int task_image_problem(const struct task *task, int image, struct err *ret_e)
{
    const bool unread = task->faults != NULL && task->faults[image].code < 0;
    *ret_e = unread ? task->faults[image] : task->request.results[image].error;
    if (ret_e->text[0] == '\0') err_set(ret_e, ret_e->code, "%s", err_text(ret_e->code));
    return image_status(ret_e->code);
}

/* None of the images has an answer: the first says why. */
static void refuse_images(struct task *task)
{
    const struct request *r = &task->request;
    int i = 0;
    while (r->results[i].status != r->status) i++;
    struct err e;
    int status = task_image_problem(task, i, &e);
    if (task->many) err_prefix(&e, "images[%d]", i);
    task_refuse(task, status, e.text);
}

static void answer(struct task *task, int64_t now_ns, bool met)
{
    struct buf body;
    const struct result *shown = answer_shown(&task->request);
    buf_init(&body, ANSWER_MAX);
    if (answer_write(task, now_ns, met, &body) < 0) {
        answered(task, NULL, 500);
        exchange_problem(task->x, 500, "out of memory for the answer");
    } else {
        answer_headers(task, shown, met);
        answered(task, shown, 200);
        exchange_reply(task->x, 200, "application/json", &body);
    }
    buf_release(&body);
}

/* What became of a request that was well formed. */
static void count_outcome(struct task *task, int status)
{
    struct counts *counts = &task->service->counts;
    bool refused = status == ERR_BUSY || status == ERR_DEADLINE;
    if (refused) counts_refused(counts, status == ERR_BUSY ? "overload" : "deadline");
    task->judged = task->request.sla.deadline_ns > 0 && (status == 0 || refused);
}

static void finish(struct task *task)
{
    struct request *r = &task->request;
    int64_t now_ns = clock_now();
    bool met = sla_met(&r->sla, r->arrival_ns, now_ns);
    int status = r->status;
    if (!task->gone) count_outcome(task, status);
    if (task->gone) {
        task_refuse(task, 499, "the client hung up");
    } else if (status == ERR_CANCELLED) {
        counts_refused(&task->service->counts, "shutdown");
        task_refuse(task, 503, "the server is shutting down");
    } else if (status == ERR_FORMAT || status == ERR_UNSUPPORTED) {
        refuse_images(task);
    } else if (status < 0) {
        task_refuse_err(task, status, &r->error);
    } else if (!met && r->sla.fail_on_miss) {
        task_refuse(task, 504,
                    "the answer was ready only after the deadline, and SLA-On-Miss is fail");
    } else {
        answer(task, now_ns, met);
    }
}

/* ---- to the engine and back ---- */

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

void task_cancel(struct task *task)
{
    struct service *s = task->service;
    pthread_mutex_lock(&s->lock);
    if (task->state == TASK_SUBMITTED && !task->returned) engine_cancel(s->engine, &task->request);
    pthread_mutex_unlock(&s->lock);
}

void task_submit(struct task *task)
{
    struct request *r = &task->request;
    struct service *s = task->service;
    const char *model = asked_text(&task->asked, "model");
    if (model != NULL) snprintf(r->model_name, sizeof(r->model_name), "%s", model);
    int rc = sla_draft_finish(&task->draft, s->options.fallback, &r->sla, &task->error);
    if (rc < 0) {
        task_refuse_err(task, rc, &task->error);
        return;
    }
    /* Priority is a wish (RFC 9218, 2): what is not permitted is not refused. */
    if (r->sla.urgency < s->options.urgency_min && !exchange_has_token(task->x))
        r->sla.urgency = s->options.urgency_min;
    r->done = done;
    task->call.fn = on_done;
    task->call.arg = task;
    /* Before: done() may run on its thread before engine_submit() has returned. */
    task->state = TASK_SUBMITTED;
    rc = engine_submit(s->engine, r);
    if (rc == 0) return;
    task->state = TASK_NEW;
    count_outcome(task, rc);
    r->version = engine_version(s->engine, r->model_name); /* only to be counted under its name */
    task_refuse_err(task, rc, &r->error);
    version_unref(r->version);
    r->version = NULL;
}
