/* A job as server-sent events (WHATWG HTML, section 9.2).
 *
 *   event: job       data: the job's document, at once and whenever its state or its epochs change
 *   event: progress  data: the document's member "progress", about once a second of training
 *   : ping           every PING_MS, so that nothing between takes the silence for the end
 *
 * The stream ends after the document of a job that has ended. A client that comes back gets the
 * whole document first, so that nothing of what it missed has to be kept for it. Documents come
 * from the database: what changes while one is on its way is fetched once more. */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "admin.h"
#include "api_private.h"
#include "base/mem.h"
#include "handlers.h"
#include "http/stream.h"
#include "loop/timer.h"

enum { PING_MS = 15000, EVENT_MAX = 64 << 20 };

struct events {
    struct jobs_watch watch; /* the first member */
    struct jobs *jobs;
    struct exchange *x; /* NULL: closed */
    struct loop_timer *ping;
    int64_t sequence;
    bool streaming, fetching, again;
};

static void fetched(void *arg, const struct jobs_answer *answer, const struct err *error);

static void fetch(struct events *ev)
{
    if (ev->fetching) {
        ev->again = true;
        return;
    }
    ev->fetching = true;
    ev->again = false;
    jobs_get(ev->jobs, ev->watch.id, fetched, ev);
}

/* data: without newlines. */
static void write_event(struct events *ev, const char *name, const char *data)
{
    struct buf out;
    buf_init(&out, EVENT_MAX);
    int rc = buf_printf(&out, "id: %lld\nevent: %s\ndata: ", (long long)++ev->sequence, name);
    if (rc == 0) rc = buf_puts(&out, data);
    if (rc == 0) rc = buf_puts(&out, "\n\n");
    if (rc == 0)
        exchange_stream_write(ev->x, buf_text(&out), out.size);
    else
        exchange_stream_end(ev->x); /* the client comes back for what it has missed */
    buf_release(&out);
}

static void news(struct jobs_watch *watch, const char *progress)
{
    struct events *ev = (struct events *)watch;
    if (progress == NULL)
        fetch(ev);
    else if (ev->streaming)
        write_event(ev, "progress", progress);
}

/* ---- the end: when the exchange is over and no document on its way ---- */

static void free_if_done(struct events *ev)
{
    if (ev->x == NULL && !ev->fetching) mem_free(ev);
}

static void closed(struct exchange *x, void *arg)
{
    (void)x;
    struct events *ev = arg;
    ev->x = NULL;
    jobs_unwatch(ev->jobs, &ev->watch);
    loop_timer_free(ev->ping);
    free_if_done(ev);
}

/* ---- the documents ---- */

static void ping(void *arg)
{
    struct events *ev = arg;
    exchange_stream_write(ev->x, ": ping\n\n", 8);
}

static void refuse(struct events *ev, const struct err *error)
{
    struct exchange *x = ev->x;
    closed(x, ev);
    exchange_problem_err(x, error);
}

static void begin(struct events *ev)
{
    static const char retry[] = "retry: 3000\n\n";
    struct err e;
    exchange_add_header(ev->x, "X-Accel-Buffering", "no");
    if (exchange_stream(ev->x, "text/event-stream", closed, ev) < 0) {
        err_set(&e, -ENOMEM, "out of memory");
        refuse(ev, &e);
        return;
    }
    ev->streaming = true;
    exchange_stream_write(ev->x, retry, sizeof(retry) - 1);
    loop_timer_start(ev->ping, PING_MS, PING_MS);
}

static void fetched(void *arg, const struct jobs_answer *answer, const struct err *error)
{
    struct events *ev = arg;
    /* It counts as being fetched until the end, so that closed() does not free it under us. */
    if (ev->x != NULL && answer == NULL) {
        if (ev->streaming)
            exchange_stream_end(ev->x);
        else
            refuse(ev, error);
    } else if (ev->x != NULL) {
        if (!ev->streaming) begin(ev);
        if (ev->x != NULL) write_event(ev, "job", buf_text(answer->text));
        if (ev->x != NULL && answer->finished) exchange_stream_end(ev->x);
    }
    ev->fetching = false;
    if (ev->x != NULL && answer != NULL && !answer->finished && ev->again)
        fetch(ev);
    else
        free_if_done(ev);
}

void admin_events_get(struct exchange *x, void *arg)
{
    struct api *api = arg;
    struct events *ev = mem_new(1, sizeof(*ev));
    if (ev != NULL) ev->ping = loop_timer_new(api->below.loop, ping, ev);
    if (ev == NULL || ev->ping == NULL) {
        mem_free(ev);
        exchange_problem(x, 500, "out of memory");
        return;
    }
    ev->watch = (struct jobs_watch){.id = admin_job_id(x), .news = news};
    ev->jobs = api->below.jobs;
    ev->x = x;
    jobs_watch(ev->jobs, &ev->watch);
    fetch(ev);
}
