/* POST and PUT /v1/classify: headers and body become a task, which answers by itself. */
#include "config.h"

#include <string.h>

#include "api_private.h"
#include "handlers.h"
#include "image/format.h"
#include "input.h"
#include "routes.h"
#include "task.h"

/* JSON beyond this is parsed off the loop: jansson and base64 take about 5 ms a megabyte. */
enum { READ_INLINE_MAX = 64 << 10 };

static bool is_form(const struct exchange *x)
{
    return strcmp(exchange_content_type(x), "multipart/form-data") == 0;
}

/* By its type, or, where that says nothing, by its first byte. */
static bool is_json(const struct exchange *x)
{
    size_t size;
    const void *body = exchange_body(x, &size);
    const char *type = exchange_content_type(x);
    if (strcmp(type, "application/json") == 0) return true;
    return !is_form(x) && strncmp(type, "image/", strlen("image/")) != 0 &&
           image_format_of(body, size) == IMAGE_JSON;
}

void classify_head(struct exchange *x, void *arg)
{
    struct api *api = arg;
    struct service *s = &api->service;
    struct err e = {0};
    struct task *task = task_new(s, x);
    if (task == NULL) {
        exchange_add_header(x, "Retry-After", "1");
        exchange_problem(x, 503, "out of memory for another request");
        return;
    }
    if (service_readiness(s) < SERVICE_READY) {
        counts_refused(&s->counts, "not_ready");
        task_refuse(task, 503, "the model is still being loaded");
        return;
    }
    int rc = input_headers(task, &e);
    if (rc == 0 && is_form(x))
        rc = multipart_boundary(exchange_header(x, "Content-Type"), task->boundary, &e);
    if (rc < 0) task_refuse_err(task, rc, &e);
}

/* A form of names and values, or an image that curl -d has taken the line ends out of. */
static bool is_urlencoded(const struct exchange *x)
{
    size_t size;
    const void *body = exchange_body(x, &size);
    return strcmp(exchange_content_type(x), "application/x-www-form-urlencoded") == 0 &&
           image_format_of(body, size) == IMAGE_UNKNOWN;
}

/* The body has been read (or not). */
static void go_on(struct task *task, int rc)
{
    if (task->gone)
        task_refuse(task, 499, "the client hung up");
    else if (task->cancelled)
        task_refuse(task, 503, "the server is shutting down");
    else if (rc == ERR_UNSUPPORTED)
        task_refuse(task, 415, task->error.text); /* of a part of a form */
    else if (rc < 0)
        task_refuse_err(task, rc, &task->error);
    else
        task_submit(task);
}

/* Any thread. */
static int read_body(struct task *task)
{
    size_t size;
    const void *body = exchange_body(task->x, &size);
    return is_form(task->x) ? input_form(task, body, size, &task->error)
                            : input_json(task, body, size, &task->error);
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

static void read_elsewhere(struct task *task)
{
    task->work.data = task;
    task->state = TASK_READING;
    int rc = uv_queue_work(loop_uv(task->service->loop), &task->work, read_work, read_done);
    if (rc == 0) return;
    task->state = TASK_NEW;
    task_refuse(task, 503, uv_strerror(rc));
}

static void on_gone(struct exchange *x, void *arg)
{
    (void)x;
    struct task *task = arg;
    task->gone = true;
    task_cancel(task);
}

void classify_body(struct exchange *x, void *arg)
{
    (void)arg;
    struct task *task = exchange_data(x);
    size_t size;
    const void *body = exchange_body(x, &size);
    asked_init(&task->asked, classify_query, x);
    exchange_on_gone(x, on_gone, task);
    if (size == 0)
        task_refuse(task, 400, "the body is empty: send an image's bytes, JSON or a form");
    else if (is_urlencoded(x))
        task_refuse(task, 415,
                    "the body is neither an image nor JSON; a form is taken as multipart/form-data "
                    "(curl -F), an image's bytes as they are (curl --data-binary)");
    else if (!is_json(x) && !is_form(x))
        go_on(task, input_raw(task, body, size, &task->error));
    else if (size <= READ_INLINE_MAX)
        go_on(task, read_body(task));
    else
        read_elsewhere(task);
}
