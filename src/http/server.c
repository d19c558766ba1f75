/* A server: a listener and its connections inside of a libuv loop.
 *
 * What changes on a socket comes by watch.h; a connection that can go on for another reason (it was
 * answered, or others had their turn in between) stands in a list that is walked once in a turn of
 * the loop, after what has come.
 *
 * Room for connections is bounded, for all and for each address. Who has no request there and has
 * had none for a second gives way to who comes new; when nobody can, the rest waits in the
 * listener's backlog.
 *
 * What HTTP means stands in the other files; here is only the machinery. */
#include "config.h"

#include "http/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "connection.h"
#include "http/stream.h"
#include "listener.h"
#include "problem.h"
#include "token.h"
#include "watch.h"

enum {
    ACCEPT_MAX = 64,       /* in a turn */
    ACCEPT_AGAIN_MS = 200, /* when there was no room, or no descriptor */
    BACKLOG_MAX = 10000,   /* connections taken in when the server stops */
    TURNED_AWAY_PART = 16, /* of all places, for those whose address has too many */
};
static const int64_t idle_grace_ns = CLOCK_SECOND;

struct list {
    struct connection *first, *last;
};

struct server {
    struct loop *loop;
    struct server_options options;
    unsigned scopes; /* of all its routes */
    struct routes routes;
    struct listener listener;
    uv_poll_t accepting;
    uv_timer_t accept_again;
    struct watch watch;
    uv_check_t check; /* walks the list of those that are ready */
    uv_idle_t idle;   /* runs while there are any, so that the loop does not wait */
    int closing_handles;
    bool started, closing, quiesced, accept_stopped;
    bool out_of_means; /* to accept; said once until nobody waits */
    struct token token;
    struct peers peers;
    struct connection *connections;
    struct list without_exchange, ready; /* the first: longest first */
    size_t n_ready, n_connections, n_not_freed, n_turned_away;
    size_t exchanges;
    size_t upload_bytes; /* of bodies in memory */
    char *scratch;
    void (*answered)(void *arg, const struct exchange *x, int status, const char *detail);
    void *answered_arg;
    void (*when_idle)(void *arg);
    void *when_idle_arg;
    struct loop_call idle_call;
    bool idle_posted;
};

/* ---- what the other files ask ---- */

const struct server_options *server_options_of(const struct server *server)
{
    return &server->options;
}

const struct routes *server_routes(const struct server *server)
{
    return &server->routes;
}

bool server_is_closing(const struct server *server)
{
    return server->closing;
}

void server_on_answer(struct server *server,
                      void (*answered)(void *arg, const struct exchange *x, int status,
                                       const char *detail),
                      void *arg)
{
    server->answered = answered;
    server->answered_arg = arg;
}

size_t server_upload_bytes(const struct server *server)
{
    return server->upload_bytes;
}

bool server_give_back(struct server *server)
{
    bool any = false;
    for (struct connection *c = server->without_exchange.first; c != NULL; c = c->idle_next)
        any = uploads_release(c) || any;
    return any;
}

void server_upload_change(struct server *server, size_t from, size_t to)
{
    server->upload_bytes = server->upload_bytes - from + to;
}

char *server_scratch(struct server *server)
{
    return server->scratch;
}

void server_answered(struct server *server, const struct exchange *x)
{
    if (server->answered != NULL)
        server->answered(server->answered_arg, x, x->status, x->problem != NULL ? x->problem : "");
}

struct loop *server_loop(const struct server *server)
{
    return server->loop;
}

struct watch *server_watch(struct server *server)
{
    return &server->watch;
}

const char *server_address(const struct server *server)
{
    return server->listener.address;
}

size_t server_exchanges(const struct server *server)
{
    return server->exchanges;
}

/* ---- those that can go on ---- */

static void on_idle(uv_idle_t *handle)
{
    (void)handle; /* that it runs is enough */
}

void server_ready(struct connection *c)
{
    struct server *server = c->server;
    if (c->ready) return;
    c->ready = true;
    c->ready_next = NULL;
    c->ready_previous = server->ready.last;
    *(server->ready.last == NULL ? &server->ready.first : &server->ready.last->ready_next) = c;
    server->ready.last = c;
    server->n_ready++;
    uv_idle_start(&server->idle, on_idle);
}

static void not_ready(struct connection *c)
{
    struct list *list = &c->server->ready;
    if (!c->ready) return;
    c->ready = false;
    c->server->n_ready--;
    *(c->ready_previous == NULL ? &list->first : &c->ready_previous->ready_next) = c->ready_next;
    *(c->ready_next == NULL ? &list->last : &c->ready_next->ready_previous) = c->ready_previous;
}

/* Each once: who is ready again has its next turn in that of the loop. */
static void run_ready(struct server *server)
{
    for (size_t n = server->n_ready; n > 0 && server->ready.first != NULL; n--) {
        struct connection *c = server->ready.first;
        not_ready(c);
        connection_run(c);
    }
    if (server->ready.first == NULL) uv_idle_stop(&server->idle);
}

static void on_check(uv_check_t *handle)
{
    run_ready(handle->data);
}

static void on_watch(uv_poll_t *handle, int status, int events)
{
    (void)status, (void)events;
    struct server *server = handle->data;
    watch_each(&server->watch, connection_news);
}

/* ---- room ---- */

static void accept_again(struct server *server);

void server_idle(struct connection *c, bool idle)
{
    struct server *server = c->server;
    struct list *list = &server->without_exchange;
    if (idle) {
        c->idle_since_ns = clock_now();
        c->idle_next = NULL;
        c->idle_previous = list->last;
        *(list->last == NULL ? &list->first : &list->last->idle_next) = c;
        list->last = c;
    } else if (c->idle_since_ns != 0) {
        c->idle_since_ns = 0;
        *(c->idle_previous == NULL ? &list->first : &c->idle_previous->idle_next) = c->idle_next;
        *(c->idle_next == NULL ? &list->last : &c->idle_next->idle_previous) = c->idle_previous;
    }
}

void server_enter(struct server *server, struct connection *c)
{
    c->next = server->connections;
    if (c->next != NULL) c->next->previous = c;
    server->connections = c;
    server->n_connections++;
    server->n_not_freed++;
    c->peer = peers_enter(&server->peers, (const struct sockaddr *)&c->address);
}

void server_leave(struct server *server, struct connection *c)
{
    *(c->previous == NULL ? &server->connections : &c->previous->next) = c->next;
    if (c->next != NULL) c->next->previous = c->previous;
    server_idle(c, false);
    not_ready(c);
    peers_leave(&server->peers, c->peer);
    if (c->turned_away) server->n_turned_away--;
    server->n_connections--;
    if (server->accept_stopped) accept_again(server);
}

void server_freed(struct server *server)
{
    server->n_not_freed--;
}

/* Gives up the connection that has had no request for longest, of this client's or (NULL) of all,
 * if that has been some time; whether there was one. */
static bool make_room(struct server *server, const struct peer *of)
{
    int64_t now_ns = clock_now();
    struct connection *c = server->without_exchange.first;
    for (; c != NULL && now_ns - c->idle_since_ns >= idle_grace_ns; c = c->idle_next) {
        if (of != NULL && c->peer != of) continue;
        connection_drop(c);
        return true;
    }
    return false;
}

/* ---- accepting ---- */

static void on_accept(uv_poll_t *handle, int status, int events);

static void accept_again(struct server *server)
{
    server->accept_stopped = false;
    uv_timer_stop(&server->accept_again);
    if (!server->quiesced) uv_poll_start(&server->accepting, UV_READABLE, on_accept);
}
static void on_accept_again(uv_timer_t *timer)
{
    accept_again(timer->data);
}

static void stop_accepting(struct server *server)
{
    server->accept_stopped = true;
    uv_poll_stop(&server->accepting);
    uv_timer_start(&server->accept_again, on_accept_again, ACCEPT_AGAIN_MS, 0);
}

/* Says why. Its address counts it no more, and it lingers like others that have their last answer;
 * but only a few do at a time, which do not keep others out. */
static void turn_away(struct connection *c)
{
    struct server *server = c->server;
    struct buf body, text;
    buf_init(&body, 4096);
    buf_init(&text, 4096);
    int rc = problem_write(&body, 429, "there are too many connections from this address");
    if (rc == 0)
        rc = buf_printf(&text,
                        "HTTP/1.1 429 %s\r\nConnection: close\r\nRetry-After: 1\r\n"
                        "Content-Type: " PROBLEM_CONTENT_TYPE "\r\nContent-Length: %zu\r\n\r\n%s",
                        problem_title(429), body.size, buf_text(&body));
    const struct iovec piece = {text.data, text.size};
    if (rc == 0) (void)c->transport.kind->send(&c->transport, &piece, 1);
    buf_release(&body);
    buf_release(&text);
    peers_leave(&server->peers, c->peer);
    c->peer = NULL;
    c->turned_away = true;
    if (server->n_turned_away++ >= server->options.connections_max / TURNED_AWAY_PART) {
        input_discard(c); /* what is unread when it is closed takes the answer with it */
        connection_drop(c);
    } else {
        connection_linger(c);
        connection_run(c);
    }
}

/* Out of descriptors, or of memory. */
static void cannot_accept(struct server *server, int error)
{
    if (make_room(server, NULL)) return;
    if (!server->out_of_means)
        log_warning("%s: cannot take connections: %s", server->options.name, strerror(error));
    server->out_of_means = true;
    stop_accepting(server);
}

static void take_one(struct server *server, int fd, const struct sockaddr_storage *address)
{
    size_t max = server->options.connections_peer_max;
    int on = 1;
    if (address->ss_family != AF_UNIX) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    struct connection *c = connection_new(server, fd, address);
    if (c == NULL) return;
    bool too_many = c->peer != NULL && max > 0 && c->peer->connections > max;
    if (too_many && !make_room(server, c->peer))
        turn_away(c);
    else
        connection_run(c);
}

static bool somebody_waits(const struct server *server)
{
    struct pollfd pfd = {.fd = server->listener.fd, .events = POLLIN};
    return poll(&pfd, 1, 0) > 0;
}

/* Takes what stands in the backlog. */
static void take_in(struct server *server, int count)
{
    for (int i = 0; i < count && !server->accept_stopped; i++) {
        bool full = server->n_connections >= server->options.connections_max && !server->closing;
        if (full && !somebody_waits(server)) return;
        if (full && !make_room(server, NULL)) {
            stop_accepting(server);
            return;
        }
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof(address);
        int fd = accept4(server->listener.fd, (struct sockaddr *)&address, &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take_one(server, fd, &address);
        } else if (errno == EAGAIN) {
            server->out_of_means = false;
            return;
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            cannot_accept(server, errno);
    }
}

static void on_accept(uv_poll_t *handle, int status, int events)
{
    (void)events;
    struct server *server = handle->data;
    if (status < 0)
        log_error("%s: cannot listen: %s", server->options.name, uv_strerror(status));
    else
        take_in(server, ACCEPT_MAX);
}

/* ---- life ---- */

int server_new(struct loop *loop, const struct server_options *options, struct server **ret_server,
               struct err *e)
{
    struct server *server = mem_new(1, sizeof(*server));
    char *scratch = mem_new(INPUT_BLOCK, 1);
    int rc = -ENOMEM;
    if (server == NULL || scratch == NULL) {
        err_set(e, rc, "out of memory for a listener");
        goto failed;
    }
    server->loop = loop;
    server->options = *options;
    server->scratch = scratch;
    rc = peers_trust(&server->peers, options->trusted == NULL ? "" : options->trusted, e);
    if (rc < 0) {
        err_prefix(e, "%s.trusted_addresses", options->name);
        goto failed;
    }
    rc = listener_open(&server->listener, options->listen, e);
    if (rc < 0) {
        err_prefix(e, "%s.listen", options->name);
        goto failed;
    }
    *ret_server = server;
    return 0;
failed:
    mem_free(scratch);
    mem_free(server);
    return rc;
}

int server_route(struct server *server, const struct route *route)
{
    if (server->routes.n == ROUTES_MAX) return ERR_LIMIT;
    server->routes.list[server->routes.n++] = *route;
    server->scopes |= route->scope;
    return 0;
}

int server_set_token(struct server *server, const char *text, struct err *e)
{
    return token_set(&server->token, text, e);
}

void server_forget_token(struct server *server)
{
    server->token.present = false;
}

int server_check_token(const char *text, struct err *e)
{
    struct token token;
    return token_set(&token, text, e);
}

void server_set_limits(struct server *server, const struct server_options *options)
{
    server->options.header_timeout_ns = options->header_timeout_ns;
    server->options.body_timeout_ns = options->body_timeout_ns;
    server->options.idle_timeout_ns = options->idle_timeout_ns;
    server->options.upload_max = options->upload_max;
    server->options.connections_peer_max = options->connections_peer_max;
    server->options.body_rate_min = options->body_rate_min;
    server->options.upload_peer_max = options->upload_peer_max;
}

bool server_knows(const struct server *server, const char *authorization)
{
    return token_is_right(&server->token, authorization);
}

bool server_grants(const struct server *server, const struct route *route,
                   const char *authorization)
{
    unsigned asked = route != NULL ? route->scope : server->scopes;
    return (asked & ~server->options.open_scopes) == 0 || server_knows(server, authorization);
}

int server_start(struct server *server, struct err *e)
{
    uv_loop_t *uv = loop_uv(server->loop);
    int rc = watch_open(&server->watch, uv, e);
    if (rc < 0) return err_prefix(e, "%s.listen", server->options.name);
    if (uv_poll_init(uv, &server->accepting, server->listener.fd) < 0)
        return err_set(e, -EIO, "%s.listen: cannot start serving on %s", server->options.name,
                       server->listener.address);
    uv_timer_init(uv, &server->accept_again);
    uv_check_init(uv, &server->check);
    uv_idle_init(uv, &server->idle);
    server->accepting.data = server->accept_again.data = server->watch.poll.data =
        server->check.data = server->idle.data = server;
    server->started = true;
    uv_poll_start(&server->watch.poll, UV_READABLE, on_watch);
    uv_check_start(&server->check, on_check);
    uv_poll_start(&server->accepting, UV_READABLE, on_accept);
    return 0;
}

/* ---- the end ---- */

void server_close_connections(struct server *server)
{
    server->closing = true;
    for (struct connection *c = server->connections; c != NULL; c = c->next)
        exchange_stream_end(&c->x);
}

/* Connections that end meanwhile do not disturb. */
static void each_connection(struct server *server, void (*fn)(struct connection *c))
{
    for (struct connection *c = server->connections, *next; c != NULL; c = next) {
        next = c->next;
        fn(c);
    }
}

void server_quiesce(struct server *server)
{
    server->closing = true;
    if (server->quiesced || !server->started) return;
    /* A client whose connection stands in the backlog has been told that it is connected: take it
     * in. The count ends the game with a client that never stops. */
    server->accept_stopped = false;
    take_in(server, BACKLOG_MAX);
    server->quiesced = true;
    uv_poll_stop(&server->accepting);
    uv_timer_stop(&server->accept_again);
    listener_close(&server->listener);
    for (int i = 0; i < 1000 && watch_each(&server->watch, connection_news) > 0; i++)
        run_ready(server);
    each_connection(server, connection_hang_up_if_idle);
}

void server_hang_up(struct server *server)
{
    each_connection(server, connection_hang_up);
}

static void call_when_idle(struct loop_call *call)
{
    struct server *server = call->arg;
    server->idle_posted = false;
    if (server->exchanges > 0 || server->when_idle == NULL) return;
    void (*fn)(void *) = server->when_idle;
    server->when_idle = NULL;
    fn(server->when_idle_arg);
}

static void post_if_idle(struct server *server)
{
    if (server->exchanges > 0 || server->when_idle == NULL || server->idle_posted) return;
    server->idle_posted = true;
    server->idle_call.fn = call_when_idle;
    server->idle_call.arg = server;
    loop_post(server->loop, &server->idle_call);
}

void server_exchange_count(struct server *server, int change)
{
    server->exchanges = change > 0 ? server->exchanges + 1 : server->exchanges - 1;
    post_if_idle(server);
}

void server_when_idle(struct server *server, void (*idle)(void *arg), void *arg)
{
    server->when_idle = idle;
    server->when_idle_arg = arg;
    post_if_idle(server);
}

static void on_closed(uv_handle_t *handle)
{
    struct server *server = handle->data;
    server->closing_handles--;
}

/* A handle that was never opened is still zeroed. */
static void close_handle(struct server *server, uv_handle_t *handle)
{
    if (handle->type == UV_UNKNOWN_HANDLE) return;
    handle->data = server;
    server->closing_handles++;
    uv_close(handle, on_closed);
}

void server_free(struct server *server)
{
    if (server == NULL) return;
    close_handle(server, (uv_handle_t *)&server->accepting);
    close_handle(server, (uv_handle_t *)&server->watch.poll);
    close_handle(server, (uv_handle_t *)&server->accept_again);
    close_handle(server, (uv_handle_t *)&server->check);
    each_connection(server, connection_drop);
    close_handle(server, (uv_handle_t *)&server->idle);
    while (server->closing_handles > 0 || server->n_not_freed > 0 || server->idle_posted)
        uv_run(loop_uv(server->loop), UV_RUN_NOWAIT);
    watch_close(&server->watch);
    listener_close(&server->listener);
    mem_free(server->scratch);
    mem_free(server);
}
