/* A connection's deadlines and the watch for clients that hang up.
 *
 * libmicrohttpd's own time-out counts inactivity only, so that one byte a second keeps a connection
 * for ever, and it neither times out nor notices the end of a suspended connection; and when data
 * and the client's end arrive together, it takes its short read for the last event there was and
 * never reads the end. So every connection is watched for hang-ups (hangups.h), and has one timer
 * and a phase with an absolute deadline; on expiry the socket is shut down, which libmicrohttpd
 * sees as a closed connection. The timer is lazy: a new phase only moves a number, and the timer
 * looks at it when it fires. */
#include "config.h"

#include "connection.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "hangups.h"

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    buf_release(&c->x.headers);
    mem_free(c);
}

/* libmicrohttpd can queue an answer only before the body or after it. In between, nothing has been
 * sent for this request, so that the answer may go to the socket directly. */
static void send_408(struct connection *c, const char *what, int64_t timeout_ns)
{
    char body[400], text[700];
    int n = snprintf(body, sizeof(body),
                     "{\"type\":\"about:blank\",\"title\":\"Request Timeout\",\"status\":408,"
                     "\"detail\":\"%s did not arrive within %.3g s\","
                     "\"error\":\"%s did not arrive within %.3g s\"}\n",
                     what, (double)timeout_ns / 1e9, what, (double)timeout_ns / 1e9);
    n = snprintf(text, sizeof(text),
                 "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
                 "Content-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n%s",
                 n, body);
    /* One small packet into an empty send buffer; if it does not fit, the client loses only the
     * text. */
    if (send(c->fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        log_debug("%s: 408 not sent: %s", c->x.id, strerror(errno));
}

static void expire(struct connection *c)
{
    const struct server_options *o = server_options_of(c->server);
    c->expired = c->timed_out = true;
    if (c->phase == CONNECTION_HEADERS && c->x.state == EXCHANGE_LINE)
        send_408(c, "the request's headers", o->header_timeout_ns);
    else if (c->phase == CONNECTION_BODY)
        send_408(c, "the request's body", o->body_timeout_ns);
    shutdown(c->fd, SHUT_RDWR);
    server_kick(c->server);
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
    if (c->deadline_ns == 0 || c->expired) return;
    if (now_ns < c->deadline_ns)
        arm(c, now_ns);
    else
        expire(c);
}

void connection_phase(struct connection *c, enum connection_phase phase, int64_t timeout_ns)
{
    c->phase = phase;
    c->deadline_ns = 0;
    if (timeout_ns <= 0) return;
    int64_t now_ns = clock_now();
    c->deadline_ns = now_ns + timeout_ns;
    if (c->timer_ns == 0 || c->deadline_ns < c->timer_ns) arm(c, now_ns);
}

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
    c->mhd = mhd;
    c->fd = info->connect_fd;
    uv_timer_init(loop_uv(server_loop(server)), &c->timer);
    c->timer.data = c;
    buf_init(&c->x.headers, 8192);
    struct connection **head = server_connections(server);
    c->next = *head;
    if (c->next != NULL) c->next->previous = c;
    *head = c;
    hangups_add(server_hangups(server), c->fd, c);
    connection_phase(c, CONNECTION_IDLE, server_options_of(server)->header_timeout_ns);
    return c;
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
    hangups_remove(server_hangups(c->server), c->fd); /* libmicrohttpd closes it next */
    uv_close((uv_handle_t *)&c->timer, on_closed);
}

/* 0: the client's end is closed or broken; 1: bytes wait to be read; -1: nothing there. */
static int peek(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0) return 1;
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) ? -1 : 0;
}

void connection_ended(void *connection)
{
    struct connection *c = connection;
    c->ended = true;
    /* What was sent before the end comes first: a part of a body, or a pipelined request, whose
     * client may still read its answers. */
    if (peek(c->fd) != 0) return;
    if (c->suspended) {
        c->x.gone = true;
        if (c->x.on_gone != NULL) c->x.on_gone(&c->x, c->x.on_gone_arg);
    } else if (c->phase == CONNECTION_BODY || c->phase == CONNECTION_IDLE) {
        /* No more will come; libmicrohttpd sees the end now. */
        connection_hang_up(c);
        server_kick(c->server);
    }
}

void connection_look_again(struct connection *c)
{
    if (c->ended) hangups_repeat(server_hangups(c->server), c->fd, c);
}

void connection_suspend(struct connection *c)
{
    MHD_suspend_connection(c->mhd);
    c->suspended = true;
    connection_phase(c, CONNECTION_HANDLING, 0);
    connection_look_again(c);
}

void connection_resume(struct connection *c)
{
    c->suspended = false;
    MHD_resume_connection(c->mhd);
    server_kick(c->server);
}

bool connection_hang_up_if_idle(struct connection *c)
{
    if (c->phase != CONNECTION_IDLE || c->x.state != EXCHANGE_NONE || peek(c->fd) > 0) return false;
    c->expired = true;
    shutdown(c->fd, SHUT_RDWR);
    return true;
}

void connection_idle(struct connection *c)
{
    connection_phase(c, CONNECTION_IDLE, server_options_of(c->server)->idle_timeout_ns);
    /* Who closed its half together with its last request would wait for the idle time otherwise. */
    if (c->ended && !c->expired && peek(c->fd) == 0) {
        connection_hang_up(c);
        server_kick(c->server);
    }
}

void connection_hang_up(struct connection *c)
{
    if (c->suspended || c->expired) return;
    c->expired = true;
    shutdown(c->fd, SHUT_RDWR);
}
