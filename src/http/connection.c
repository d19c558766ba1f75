/* A connection's states, deadlines, and the watch for clients that hang up.
 *
 * libmicrohttpd's own time-out counts inactivity only, so that one byte a second keeps a connection
 * for ever, and it neither times out nor notices the end of a suspended connection; and when data
 * and the client's end arrive together, it takes its short read for the last event there was and
 * never reads the end. So every connection is watched for hang-ups (hangups.h), and is in a state
 * with an absolute deadline; on expiry it is shut down, which libmicrohttpd sees as a closed
 * connection. The timer is lazy: a new state only moves a number, and the timer looks at it when
 * it fires. */
#include "config.h"

#include "connection.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "hangups.h"
#include "problem.h"

/* ---- the states ---- */

/* How long a state may last. */
enum limit {
    LIMIT_NONE, /* the request's own deadline counts */
    LIMIT_KEPT, /* that of the state before */
    LIMIT_HEADERS,
    LIMIT_BODY,
    LIMIT_IDLE
};

/* What follows when the client has closed its end, and nothing lies before that any more. */
enum at_end {
    AT_END_NOTHING, /* libmicrohttpd sees it by itself (or the deadline of headers does, when the
                       last bytes came with the end), or the answer goes out all the same */
    AT_END_CUT,     /* no more will come */
    AT_END_ABANDON  /* who works on the request is told */
};

#define TO(state) (1u << CONNECTION_##state)

static const struct row {
    enum limit limit;
    enum at_end at_end;
    bool exchange;    /* there is one */
    bool suspended;   /* libmicrohttpd does not look at it */
    unsigned next;    /* states that may follow */
    const char *late; /* what a 408 says did not arrive; NULL: the deadline ends it silently */
} rows[] = {
    [CONNECTION_NEW] = {LIMIT_HEADERS, AT_END_CUT, false, false, TO(HEADERS) | TO(CLOSED), NULL},
    [CONNECTION_IDLE] = {LIMIT_IDLE, AT_END_CUT, false, false, TO(HEADERS) | TO(CLOSED), NULL},
    [CONNECTION_HEADERS] = {LIMIT_HEADERS, AT_END_NOTHING, true, false,
                            TO(BODY) | TO(CUT) | TO(IDLE), "headers"},
    [CONNECTION_BODY] = {LIMIT_BODY, AT_END_CUT, true, false,
                         TO(REFUSED) | TO(HANDLING) | TO(CUT) | TO(IDLE), "body"},
    [CONNECTION_REFUSED] = {LIMIT_KEPT, AT_END_CUT, true, false, TO(SENDING) | TO(CUT) | TO(IDLE),
                            "body"},
    [CONNECTION_HANDLING] = {LIMIT_NONE, AT_END_NOTHING, true, false, TO(ANSWERED) | TO(WAITING),
                             NULL},
    [CONNECTION_WAITING] = {LIMIT_NONE, AT_END_ABANDON, true, true, TO(ANSWERED) | TO(ABANDONED),
                            NULL},
    [CONNECTION_ABANDONED] = {LIMIT_NONE, AT_END_NOTHING, true, true, TO(CUT), NULL},
    [CONNECTION_ANSWERED] = {LIMIT_NONE, AT_END_NOTHING, true, false,
                             TO(SENDING) | TO(CUT) | TO(IDLE), NULL},
    [CONNECTION_SENDING] = {LIMIT_IDLE, AT_END_NOTHING, true, false,
                            TO(PAUSED) | TO(CUT) | TO(IDLE), NULL},
    [CONNECTION_PAUSED] = {LIMIT_NONE, AT_END_CUT, true, true, TO(SENDING) | TO(CUT), NULL},
    [CONNECTION_CUT] = {LIMIT_NONE, AT_END_NOTHING, true, false, TO(CLOSED), NULL},
    [CONNECTION_CLOSED] = {LIMIT_NONE, AT_END_NOTHING, false, false, TO(CUT), NULL},
};

static void set_deadline(struct connection *c, enum limit limit);

void connection_enter(struct connection *c, enum connection_state next)
{
    const struct row *from = &rows[c->state], *to = &rows[next];
    assert((from->next & (1u << next)) != 0);
    /* A connection's first request has its time for line and headers together. */
    if (c->state != CONNECTION_NEW || to->limit != from->limit) set_deadline(c, to->limit);
    c->state = next;
    if (to->suspended && !from->suspended) {
        MHD_suspend_connection(c->mhd);
        connection_look_again(c);
    } else if (from->suspended && !to->suspended) {
        MHD_resume_connection(c->mhd);
        server_kick(c->server);
    }
}

bool connection_has_exchange(const struct connection *c)
{
    return rows[c->state].exchange;
}

/* Shuts it down. */
static void cut(struct connection *c)
{
    c->transport.kind->shut(&c->transport);
    connection_enter(c, rows[c->state].exchange ? CONNECTION_CUT : CONNECTION_CLOSED);
    server_kick(c->server);
}

static bool is_cut(const struct connection *c)
{
    return c->state == CONNECTION_CUT || c->state == CONNECTION_CLOSED;
}

/* ---- deadlines ---- */

static int64_t limit_ns(const struct connection *c, enum limit limit)
{
    const struct server_options *o = server_options_of(c->server);
    return limit == LIMIT_HEADERS ? o->header_timeout_ns
           : limit == LIMIT_BODY  ? o->body_timeout_ns
           : limit == LIMIT_IDLE  ? o->idle_timeout_ns
                                  : 0;
}

/* libmicrohttpd can queue an answer only before the body or after it. In between, nothing has been
 * sent for this request, so that the answer may go out beside it. One small packet into an empty
 * send buffer; if it does not fit, the client loses only the text. */
static void send_408(struct connection *c, const char *what, int64_t timeout_ns)
{
    char detail[120];
    struct buf body, text;
    buf_init(&body, 4096);
    buf_init(&text, 4096);
    snprintf(detail, sizeof(detail), "the request's %s did not arrive within %.3g s", what,
             (double)timeout_ns / 1e9);
    int rc = problem_write(&body, 408, detail);
    if (rc == 0)
        rc = buf_printf(&text,
                        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
                        "Content-Type: " PROBLEM_CONTENT_TYPE "\r\nContent-Length: %zu\r\n\r\n",
                        body.size);
    if (rc == 0) rc = buf_append(&text, body.data, body.size);
    if (rc == 0) rc = c->transport.kind->send_all(&c->transport, text.data, text.size);
    if (rc < 0) log_debug("%s: 408 not sent: %s", c->x.id, err_text(rc));
    buf_release(&body);
    buf_release(&text);
}

static void expire(struct connection *c)
{
    const struct row *row = &rows[c->state];
    if (row->late != NULL)
        send_408(c, row->late, limit_ns(c, row->limit == LIMIT_KEPT ? LIMIT_BODY : row->limit));
    if (row->exchange && c->x.status == 0) c->x.status = 408;
    cut(c);
}

static void on_timer(uv_timer_t *timer);

static void arm(struct connection *c, int64_t now_ns)
{
    int64_t left_ns = c->deadline_ns - now_ns;
    if (left_ns < 0) left_ns = 0;
    c->timer_ns = c->deadline_ns;
    /* uv_timer counts from the loop's time, which is that of its last turn: a little early is
     * possible and handled by looking at the clock again. */
    uv_timer_start(&c->timer, on_timer, (uint64_t)(left_ns / CLOCK_MS) + 1, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct connection *c = timer->data;
    int64_t now_ns = clock_now();
    c->timer_ns = 0;
    if (c->deadline_ns == 0) return;
    if (now_ns < c->deadline_ns)
        arm(c, now_ns);
    else
        expire(c);
}

static void set_deadline(struct connection *c, enum limit limit)
{
    if (limit == LIMIT_KEPT) return;
    int64_t timeout_ns = limit_ns(c, limit);
    c->deadline_ns = 0;
    if (timeout_ns <= 0) return;
    int64_t now_ns = clock_now();
    c->deadline_ns = now_ns + timeout_ns;
    if (c->timer_ns == 0 || c->deadline_ns < c->timer_ns) arm(c, now_ns);
}

/* ---- life ---- */

struct connection *connection_new(struct server *server, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection *c = mem_new(1, sizeof(*c));
    if (c == NULL || info == NULL) {
        mem_free(c);
        return NULL;
    }
    c->server = server;
    c->state = CONNECTION_NEW;
    c->mhd = mhd;
    transport_init_plain(&c->transport, info->connect_fd);
    uv_timer_init(loop_uv(server_loop(server)), &c->timer);
    c->timer.data = c;
    buf_init(&c->x.headers, 8192);
    struct connection **head = server_connections(server);
    c->next = *head;
    if (c->next != NULL) c->next->previous = c;
    *head = c;
    hangups_add(server_hangups(server), c->transport.fd, c);
    set_deadline(c, rows[CONNECTION_NEW].limit);
    return c;
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    buf_release(&c->x.headers);
    mem_free(c);
}

void connection_lost(struct connection *c)
{
    if (c->previous != NULL)
        c->previous->next = c->next;
    else
        *server_connections(c->server) = c->next;
    if (c->next != NULL) c->next->previous = c->previous;
    server_upload_change(c->server, c->x.body.capacity, 0);
    buf_release(&c->x.body);
    server_kick(c->server); /* those who wait beyond the limit of connections are accepted now */
    hangups_remove(server_hangups(c->server), c->transport.fd); /* libmicrohttpd closes it next */
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

/* ---- hanging up ---- */

void connection_ended(void *connection)
{
    struct connection *c = connection;
    c->transport.end_seen = true;
    /* What was sent before the end comes first: a piece of a body, or a pipelined request, whose
     * client may still read its answers. */
    if (c->transport.kind->peek(&c->transport) != TRANSPORT_END) return;
    switch (rows[c->state].at_end) {
    case AT_END_CUT:
        cut(c);
        break;
    case AT_END_ABANDON:
        connection_enter(c, CONNECTION_ABANDONED);
        if (c->x.on_gone != NULL) c->x.on_gone(&c->x, c->x.on_gone_arg);
        break;
    case AT_END_NOTHING:
        break;
    }
}

void connection_look_again(struct connection *c)
{
    if (c->transport.end_seen) hangups_repeat(server_hangups(c->server), c->transport.fd, c);
}

void connection_idle(struct connection *c)
{
    connection_enter(c, c->state == CONNECTION_CUT ? CONNECTION_CLOSED : CONNECTION_IDLE);
    /* Who closed its half together with its last request would wait for the idle time otherwise. */
    if (c->state == CONNECTION_IDLE && c->transport.end_seen &&
        c->transport.kind->peek(&c->transport) == TRANSPORT_END)
        cut(c);
}

void connection_hang_up_if_idle(struct connection *c)
{
    bool idle = c->state == CONNECTION_NEW || c->state == CONNECTION_IDLE;
    if (idle && c->transport.kind->peek(&c->transport) != TRANSPORT_BYTES) cut(c);
}

void connection_hang_up(struct connection *c)
{
    if (!rows[c->state].suspended && !is_cut(c)) cut(c);
}
