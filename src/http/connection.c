/* A connection's states, steps and deadlines.
 *
 * A connection goes on by steps: whenever something has come or can be sent, when its handler has
 * answered, or when a deadline is over, it makes all the steps that can be made without waiting
 * (connection_run()). What is read and sent stands in input.c and output.c, what it means in
 * exchange_way.c; here stands what follows.
 *
 * That a client has closed its half is the end of its requests, not of its interest: what it has
 * asked is answered, all of it. Only a reset, or an end on both sides, means that nobody is there
 * any more.
 *
 * Each state has an absolute deadline, whatever trickles in meanwhile, and a body has a pace to
 * keep besides. The timer is lazy: a new state only moves a number, and the timer looks at it when
 * it fires. */
#include "config.h"

#include "connection.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "watch.h"

enum {
    STEPS_MAX = 32,           /* before others have their turn */
    DISCARDED_MAX = 64 << 20, /* bytes of what comes after the last answer */
};
static const int64_t linger_ns = 2 * CLOCK_SECOND;
static const int64_t pace_ns = 5 * CLOCK_SECOND; /* over which a body's pace is measured */

/* ---- the states ---- */

/* How long a state may last. */
enum limit {
    LIMIT_NONE, /* the request's own deadline counts */
    LIMIT_KEPT, /* that of the state before */
    LIMIT_HEADERS,
    LIMIT_BODY,
    LIMIT_IDLE,
    LIMIT_LINGER,
};

/* What follows when the client is lost. */
enum at_loss {
    AT_LOSS_DROP,
    AT_LOSS_TELL, /* who works on the request is told, and answers nobody */
    AT_LOSS_WAIT, /* it is known already */
};

#define TO(state) (1u << CONNECTION_##state)
#define DROPPED TO(CLOSED)

static const struct row {
    enum limit limit;
    enum at_loss at_loss;
    bool exchange;    /* there is one */
    unsigned next;    /* states that may follow */
    const char *late; /* what a 408 says did not arrive; NULL: the deadline ends it silently */
} rows[] = {
    [CONNECTION_NEW] = {LIMIT_HEADERS, AT_LOSS_DROP, false, TO(LINE) | TO(LINGERING) | DROPPED,
                        NULL},
    [CONNECTION_IDLE] = {LIMIT_IDLE, AT_LOSS_DROP, false, TO(LINE) | DROPPED, NULL},
    [CONNECTION_LINE] = {LIMIT_HEADERS, AT_LOSS_DROP, false, TO(HEADERS) | DROPPED, NULL},
    [CONNECTION_HEADERS] = {LIMIT_KEPT, AT_LOSS_DROP, true, TO(BODY) | TO(ANSWERED) | DROPPED,
                            "headers"},
    [CONNECTION_BODY] = {LIMIT_BODY, AT_LOSS_DROP, true, TO(REFUSED) | TO(HANDLING) | DROPPED,
                         "body"},
    [CONNECTION_REFUSED] = {LIMIT_KEPT, AT_LOSS_DROP, true, TO(ANSWERED) | DROPPED, NULL},
    [CONNECTION_HANDLING] = {LIMIT_NONE, AT_LOSS_WAIT, true, TO(ANSWERED) | TO(WAITING), NULL},
    [CONNECTION_WAITING] = {LIMIT_NONE, AT_LOSS_TELL, true, TO(ANSWERED) | TO(ABANDONED), NULL},
    [CONNECTION_ABANDONED] = {LIMIT_NONE, AT_LOSS_WAIT, true, TO(UNWANTED), NULL},
    [CONNECTION_UNWANTED] = {LIMIT_NONE, AT_LOSS_WAIT, true, DROPPED, NULL},
    [CONNECTION_ANSWERED] = {LIMIT_NONE, AT_LOSS_DROP, true, TO(SENDING) | DROPPED, NULL},
    [CONNECTION_SENDING] = {LIMIT_IDLE, AT_LOSS_DROP, true,
                            TO(PAUSED) | TO(IDLE) | TO(LINGERING) | DROPPED, NULL},
    [CONNECTION_PAUSED] = {LIMIT_NONE, AT_LOSS_DROP, true, TO(SENDING) | DROPPED, NULL},
    [CONNECTION_LINGERING] = {LIMIT_LINGER, AT_LOSS_DROP, false, DROPPED, NULL},
    [CONNECTION_CLOSED] = {LIMIT_NONE, AT_LOSS_WAIT, false, 0, NULL},
};

static void set_deadline(struct connection *c, enum limit limit);

void connection_enter(struct connection *c, enum connection_state next)
{
    const struct row *from = &rows[c->state], *to = &rows[next];
    assert((from->next & (1u << next)) != 0);
    /* A connection's first request has its time for line and headers together. */
    if (c->state != CONNECTION_NEW || to->limit != from->limit) set_deadline(c, to->limit);
    c->state = next;
    if (to->exchange == from->exchange || next == CONNECTION_CLOSED) return;
    server_idle(c, !to->exchange);
}

bool connection_has_exchange(const struct connection *c)
{
    return rows[c->state].exchange;
}

/* ---- deadlines ---- */

static int64_t limit_ns(const struct connection *c, enum limit limit)
{
    const struct server_options *o = server_options_of(c->server);
    switch (limit) {
    case LIMIT_HEADERS:
        return o->header_timeout_ns;
    case LIMIT_BODY:
        return o->body_timeout_ns;
    case LIMIT_IDLE:
        return o->idle_timeout_ns;
    case LIMIT_LINGER:
        return linger_ns;
    default:
        return 0;
    }
}

static bool is_paced(const struct connection *c)
{
    return c->state == CONNECTION_BODY && server_options_of(c->server)->body_rate_min > 0;
}

/* When the timer must look again; 0: never. */
static int64_t next_look(const struct connection *c)
{
    int64_t pace = is_paced(c) ? c->pace_ns + pace_ns : 0;
    return pace != 0 && (c->deadline_ns == 0 || pace < c->deadline_ns) ? pace : c->deadline_ns;
}

static void refuse_late(struct connection *c, const char *text)
{
    exchange_refuse(&c->x, 408, text);
    connection_run(c);
}

static void expire(struct connection *c)
{
    const struct row *row = &rows[c->state];
    if (c->state == CONNECTION_REFUSED) {
        c->x.close = true; /* what it was refused with is all that is left to say */
        connection_run(c);
    } else if (row->late == NULL) {
        connection_drop(c);
    } else {
        enum limit limit = row->limit == LIMIT_KEPT ? LIMIT_HEADERS : row->limit;
        char text[120];
        snprintf(text, sizeof(text), "the request's %s did not arrive within %.3g s", row->late,
                 (double)limit_ns(c, limit) / 1e9);
        refuse_late(c, text);
    }
}

/* Whether the body has come as fast as it must. */
static bool keeps_pace(struct connection *c, int64_t now_ns)
{
    double rate = (double)server_options_of(c->server)->body_rate_min;
    double seconds = (double)(now_ns - c->pace_ns) / 1e9;
    bool keeps = (double)(c->x.body_seen - c->pace_seen) >= rate * seconds;
    c->pace_ns = now_ns;
    c->pace_seen = c->x.body_seen;
    return keeps;
}

static void on_timer(uv_timer_t *timer);

static void arm(struct connection *c, int64_t at_ns, int64_t now_ns)
{
    int64_t left_ns = at_ns - now_ns;
    if (left_ns < 0) left_ns = 0;
    c->timer_ns = at_ns;
    /* uv_timer counts from the loop's time, which is that of its last turn: a little early is
     * possible and handled by looking at the clock again. */
    uv_timer_start(&c->timer, on_timer, (uint64_t)(left_ns / CLOCK_MS) + 1, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct connection *c = timer->data;
    int64_t now_ns = clock_now();
    c->timer_ns = 0;
    if (c->deadline_ns != 0 && now_ns >= c->deadline_ns) {
        expire(c);
    } else if (is_paced(c) && now_ns >= c->pace_ns + pace_ns && !keeps_pace(c, now_ns)) {
        char text[120];
        snprintf(text, sizeof(text),
                 "the request's body comes too slowly: at least %lld bytes a second are needed",
                 (long long)server_options_of(c->server)->body_rate_min);
        refuse_late(c, text);
    } else {
        int64_t at_ns = next_look(c);
        if (at_ns != 0) arm(c, at_ns, now_ns);
    }
}

static void set_deadline(struct connection *c, enum limit limit)
{
    if (limit == LIMIT_KEPT) return;
    int64_t timeout_ns = limit_ns(c, limit), now_ns = clock_now();
    c->deadline_ns = timeout_ns > 0 ? now_ns + timeout_ns : 0;
    if (limit == LIMIT_BODY) {
        c->pace_ns = now_ns;
        c->pace_seen = 0;
    }
    /* The state is entered next: a pace that is looked at once too often does no harm. */
    int64_t at_ns = c->deadline_ns;
    if (limit == LIMIT_BODY && server_options_of(c->server)->body_rate_min > 0 &&
        (at_ns == 0 || now_ns + pace_ns < at_ns))
        at_ns = now_ns + pace_ns;
    if (at_ns != 0 && (c->timer_ns == 0 || at_ns < c->timer_ns)) arm(c, at_ns, now_ns);
}

/* ---- steps: true when another one may follow at once ---- */

static bool step_head(struct connection *c)
{
    size_t size = 0;
    int status = 400;
    struct err e = {.text = "the connection's end came before that of the headers"};
    enum input got = input_head(c, &size, &status, &e);
    bool nothing = c->in.scan.lines == 0 && c->in.scan.line == c->in.size;
    if (got == INPUT_LOST || (got == INPUT_END && nothing)) {
        connection_drop(c);
        return false;
    }
    if (c->in.size > 0 && (c->state == CONNECTION_NEW || c->state == CONNECTION_IDLE))
        connection_enter(c, CONNECTION_LINE);
    bool answered = got == INPUT_BAD || got == INPUT_END;
    if (c->state == CONNECTION_LINE && (c->in.scan.lines > 0 || answered)) exchange_begin(c);
    if (answered)
        exchange_refuse(&c->x, status, e.text);
    else if (got == INPUT_WHOLE)
        exchange_head(c, size);
    return got != INPUT_WAITS;
}

static bool step_body(struct connection *c)
{
    struct exchange *x = &c->x;
    struct err e;
    if (c->state == CONNECTION_REFUSED && x->close) {
        connection_enter(c, CONNECTION_ANSWERED);
        return true;
    }
    enum input got = input_body(c, exchange_take_body, &e);
    switch (got) {
    case INPUT_LOST:
        connection_drop(c);
        return false;
    case INPUT_WAITS:
        return false;
    case INPUT_END:
        err_set(&e, ERR_FORMAT, "the connection's end came before that of the body");
        break;
    case INPUT_BAD:
        break;
    case INPUT_WHOLE:
        x->body_ended = true;
        if (c->state == CONNECTION_BODY)
            exchange_handle(c);
        else
            connection_enter(c, CONNECTION_ANSWERED);
        return true;
    case INPUT_MORE:
        return true;
    }
    if (c->state == CONNECTION_BODY) exchange_refuse(x, 400, e.text);
    x->close = true;
    return true;
}

/* The answer is out, as far as the system has taken it: whatever would come for a socket that is
 * closed, be it an empty line, resets the connection, and the rest of the answer is lost. */
static bool finish(struct connection *c)
{
    bool last = c->x.close;
    if (last && c->ended) {
        connection_drop(c);
        return false;
    }
    exchange_end(c);
    input_next(c);
    if (last)
        connection_linger(c);
    else
        connection_enter(c, CONNECTION_IDLE);
    return true;
}

static bool step_sending(struct connection *c)
{
    switch (output_send(c)) {
    case OUTPUT_DONE:
        c->x.sent_ns = clock_now();
        return finish(c);
    case OUTPUT_PAUSED:
        connection_enter(c, CONNECTION_PAUSED);
        return false;
    case OUTPUT_AGAIN:
        server_ready(c);
        return false;
    case OUTPUT_LOST:
        connection_drop(c);
        return false;
    case OUTPUT_WAITS:
        break;
    }
    return false;
}

static bool step_lingering(struct connection *c)
{
    enum input got = input_discard(c);
    if (got == INPUT_WAITS) return false;
    if (got == INPUT_MORE && c->discarded < DISCARDED_MAX) return true;
    connection_drop(c);
    return false;
}

static bool step(struct connection *c)
{
    switch (c->state) {
    case CONNECTION_NEW:
    case CONNECTION_IDLE:
    case CONNECTION_LINE:
    case CONNECTION_HEADERS:
        return step_head(c);
    case CONNECTION_BODY:
    case CONNECTION_REFUSED:
        return step_body(c);
    case CONNECTION_ANSWERED:
        if (output_begin(c) < 0) break; /* out of memory */
        connection_enter(c, CONNECTION_SENDING);
        return true;
    case CONNECTION_SENDING:
        return step_sending(c);
    case CONNECTION_LINGERING:
        return step_lingering(c);
    case CONNECTION_UNWANTED:
        break;
    case CONNECTION_HANDLING:
    case CONNECTION_WAITING:
    case CONNECTION_ABANDONED:
    case CONNECTION_PAUSED:
    case CONNECTION_CLOSED:
        return false;
    }
    connection_drop(c);
    return false;
}

void connection_run(struct connection *c)
{
    for (int i = 0; i < STEPS_MAX; i++)
        if (!step(c)) return;
    server_ready(c);
}

/* ---- what happens to it ---- */

static void lost(struct connection *c)
{
    switch (rows[c->state].at_loss) {
    case AT_LOSS_DROP:
        connection_drop(c);
        break;
    case AT_LOSS_TELL:
        connection_enter(c, CONNECTION_ABANDONED);
        if (c->x.on_gone != NULL) c->x.on_gone(&c->x, c->x.on_gone_arg);
        break;
    case AT_LOSS_WAIT:
        break;
    }
}

void connection_news(void *connection, unsigned bits)
{
    struct connection *c = connection;
    if ((bits & WATCH_READABLE) != 0) c->readable = true;
    if ((bits & WATCH_WRITABLE) != 0) c->writable = true;
    if ((bits & WATCH_END) != 0) c->end_seen = true;
    if ((bits & WATCH_LOST) != 0)
        lost(c);
    else
        connection_run(c);
}

void connection_linger(struct connection *c)
{
    c->transport.kind->finish(&c->transport);
    connection_enter(c, CONNECTION_LINGERING);
}

void connection_hang_up_if_idle(struct connection *c)
{
    if (c->state == CONNECTION_NEW || c->state == CONNECTION_IDLE) connection_drop(c);
}

void connection_hang_up(struct connection *c)
{
    bool works = c->state == CONNECTION_HANDLING || c->state == CONNECTION_WAITING ||
                 c->state == CONNECTION_ABANDONED || c->state == CONNECTION_UNWANTED;
    if (!works) connection_drop(c);
}

/* ---- life ---- */

struct connection *connection_new(struct server *server, int fd,
                                  const struct sockaddr_storage *address)
{
    struct connection *c = mem_new(1, sizeof(*c));
    struct transport transport;
    transport_init_plain(&transport, fd);
    if (c == NULL || watch_add(server_watch(server), fd, c) < 0) {
        mem_free(c);
        transport.kind->close(&transport);
        return NULL;
    }
    c->server = server;
    c->transport = transport;
    c->address = *address;
    c->state = CONNECTION_NEW;
    c->readable = c->writable = true;
    uv_timer_init(loop_uv(server_loop(server)), &c->timer);
    c->timer.data = c;
    buf_init(&c->out.text, 64 << 10);
    buf_init(&c->x.headers, 8192);
    buf_init(&c->x.query, HEAD_LINE_MAX * 2);
    server_enter(server, c);
    server_idle(c, true);
    set_deadline(c, rows[CONNECTION_NEW].limit);
    return c;
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    struct server *server = c->server;
    mem_free(c);
    server_freed(server);
}

void connection_drop(struct connection *c)
{
    if (rows[c->state].exchange) exchange_end(c);
    connection_enter(c, CONNECTION_CLOSED);
    uploads_release(c);
    buf_release(&c->x.query);
    buf_release(&c->x.headers);
    buf_release(&c->out.text);
    input_release(c);
    watch_remove(server_watch(c->server), c->transport.fd);
    c->transport.kind->close(&c->transport);
    server_leave(c->server, c);
    uv_close((uv_handle_t *)&c->timer, on_closed);
}
