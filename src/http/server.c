/* A server: a libmicrohttpd daemon in external epoll mode inside a libuv loop.
 *
 * The rules that keep it from losing requests (each has a regression test in tests/http):
 *  - its epoll descriptor is watched by uv_poll; each event means one MHD_run();
 *  - after every MHD_run() MHD_get_timeout() is asked: 0 means that data waits in its buffers while
 *    no descriptor is readable, so an idle handle makes the loop come back at once;
 *  - connections are suspended and resumed on the loop thread only, and a resume kicks the loop;
 *  - at the limit of connections it stops watching the listener and takes it up again only in an
 *    MHD_run() after one has ended, which no event announces: so the end of one kicks, too;
 *  - the daemon is stopped only when no connection is suspended;
 *  - backlog and idle connections are handled before the listener is closed.
 *
 * What HTTP means stands in exchange_way.c, check.c and guard.c; here is only the machinery. */
#include "config.h"

#include "http/server.h"

#include <assert.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "connection.h"
#include "hangups.h"
#include "http/stream.h"
#include "listener.h"
#include "token.h"

enum { CONNECTION_POOL = 64 << 10, CONNECTION_POOL_STEP = 16 << 10 };

struct server {
    struct loop *loop;
    struct server_options options;
    struct routes routes;
    struct listener listener;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    struct hangups hangups;
    uv_timer_t timer;
    uv_idle_t idle;
    int closing_handles;
    bool running, kicked, closing, quiesced, stopping;
    struct token token;
    struct connection *connections;
    size_t exchanges;
    size_t upload_bytes; /* of bodies in memory */
    void (*answered)(void *arg, const struct exchange *x, int status, const char *detail);
    void *answered_arg;
    void (*when_idle)(void *arg);
    void *when_idle_arg;
    struct loop_call idle_call;
    bool idle_posted;
};

/* ---- what the other files ask ---- */

struct connection **server_connections(struct server *server)
{
    return &server->connections;
}

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

bool server_upload_fits(const struct server *server, size_t more)
{
    size_t max = server->options.upload_max;
    return max == 0 || (server->upload_bytes <= max && more <= max - server->upload_bytes);
}

bool server_upload_is_tight(const struct server *server)
{
    return !server_upload_fits(server, server->options.upload_max / 2);
}

bool server_upload_change(struct server *server, size_t from, size_t to)
{
    server->upload_bytes = server->upload_bytes - from + to;
    return server_upload_fits(server, 0);
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

struct hangups *server_hangups(struct server *server)
{
    return &server->hangups;
}

const char *server_address(const struct server *server)
{
    return server->listener.address;
}

size_t server_exchanges(const struct server *server)
{
    return server->exchanges;
}

/* ---- the loop ---- */

static void on_idle(uv_idle_t *handle);
static void on_timer(uv_timer_t *handle);

/* One turn of libmicrohttpd. */
static void turn(struct server *server)
{
    assert(!server->running); /* libmicrohttpd is not re-entrant */
    server->running = true;
    server->kicked = false; /* a kick from inside of MHD_run() asks for one more */
    MHD_run(server->daemon);
    server->running = false;
    MHD_UNSIGNED_LONG_LONG wait_ms = 0;
    bool waits = MHD_get_timeout(server->daemon, &wait_ms) == MHD_YES;
    if (server->kicked || (waits && wait_ms == 0))
        uv_idle_start(&server->idle, on_idle);
    else
        uv_idle_stop(&server->idle);
    if (waits && wait_ms > 0)
        uv_timer_start(&server->timer, on_timer, wait_ms, 0);
    else
        uv_timer_stop(&server->timer);
}

static void on_idle(uv_idle_t *handle)
{
    turn(handle->data);
}

static void on_timer(uv_timer_t *handle)
{
    turn(handle->data);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    (void)events;
    struct server *server = handle->data;
    if (status < 0) log_error("%s: polling failed: %s", server->options.name, uv_strerror(status));
    turn(server);
}

static void on_hangups(uv_poll_t *handle, int status, int events)
{
    (void)status, (void)events;
    struct server *server = handle->data;
    hangups_each(&server->hangups, connection_ended);
}

void server_kick(struct server *server)
{
    if (server->stopping) return;
    server->kicked = true;
    uv_idle_start(&server->idle, on_idle);
}

/* ---- libmicrohttpd's callbacks ---- */

static void on_log(void *arg, const char *format, va_list args)
{
    const struct server *server = arg;
    char text[300];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    vsnprintf(text, sizeof(text), format, args);
#pragma GCC diagnostic pop
    size_t n = strlen(text);
    while (n > 0 && text[n - 1] == '\n') text[--n] = '\0';
    log_debug("%s: libmicrohttpd: %s", server->options.name, text);
}

static void on_connection(void *arg, struct MHD_Connection *mhd, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = connection_new(arg, mhd);
    } else if (*context != NULL) {
        connection_lost(*context);
        *context = NULL;
    }
}

/* Percent-decoding in place. A NUL would cut the text short; what asks for one stays as it stands
 * and is then no path or value that anybody knows. */
static size_t unescape(void *arg, struct MHD_Connection *mhd, char *text)
{
    (void)arg, (void)mhd;
    return strstr(text, "%00") != NULL ? strlen(text) : MHD_http_unescape(text);
}

static struct connection *of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

static void *on_request_line(void *arg, const char *uri, struct MHD_Connection *mhd)
{
    (void)arg;
    struct connection *c = of(mhd);
    if (c != NULL) exchange_line(c, uri == NULL ? "" : uri);
    return c;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *mhd, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_size, void **context)
{
    (void)arg, (void)context;
    struct connection *c = of(mhd);
    if (c == NULL) return MHD_NO; /* out of memory when it was accepted */
    return exchange_access(c, url, method, version, upload_data, upload_size);
}

static void on_completed(void *arg, struct MHD_Connection *mhd, void **context,
                         enum MHD_RequestTerminationCode code)
{
    (void)arg, (void)code, (void)context;
    struct connection *c = of(mhd);
    if (c != NULL) exchange_end(c);
}

/* ---- life ---- */

int server_new(struct loop *loop, const struct server_options *options, struct server **ret_server,
               struct err *e)
{
    struct server *server = mem_new(1, sizeof(*server));
    if (server == NULL) return err_set(e, -ENOMEM, "out of memory for a listener");
    server->loop = loop;
    server->options = *options;
    int rc = listener_open(&server->listener, options->listen, e);
    if (rc < 0) {
        mem_free(server);
        return err_prefix(e, "%s.listen", options->name);
    }
    *ret_server = server;
    return 0;
}

int server_route(struct server *server, const struct route *route)
{
    if (server->routes.n == ROUTES_MAX) return ERR_LIMIT;
    server->routes.list[server->routes.n++] = *route;
    return 0;
}

int server_set_token(struct server *server, const char *text, struct err *e)
{
    return token_set(&server->token, text, e);
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
}

bool server_grants(const struct server *server, const struct route *route,
                   const char *authorization)
{
    unsigned open = server->options.open_scopes;
    bool is_open = route != NULL ? (route->scope & ~open) == 0 : open != 0;
    return is_open || token_is_right(&server->token, authorization);
}

int server_start(struct server *server, struct err *e)
{
    server->daemon = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
        server, MHD_OPTION_EXTERNAL_LOGGER, on_log,
        server, /* first, so that it sees the others' problems */
        MHD_OPTION_LISTEN_SOCKET, server->listener.fd, MHD_OPTION_CONNECTION_LIMIT,
        server->options.connections_max, MHD_OPTION_CONNECTION_TIMEOUT,
        0u, /* connection.c has the deadlines */
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_POOL,
        MHD_OPTION_CONNECTION_MEMORY_INCREMENT, (size_t)CONNECTION_POOL_STEP,
        MHD_OPTION_UNESCAPE_CALLBACK, unescape, server, MHD_OPTION_URI_LOG_CALLBACK,
        on_request_line, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
        server->daemon == NULL ? NULL
                               : MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uv_loop_t *uv = loop_uv(server->loop);
    if (info == NULL || uv_poll_init(uv, &server->poll, info->epoll_fd) < 0)
        return err_set(e, -EIO, "%s.listen: cannot start serving on %s", server->options.name,
                       server->listener.address);
    int rc = hangups_open(&server->hangups, uv, e);
    if (rc < 0) return err_prefix(e, "%s.listen", server->options.name);
    uv_timer_init(uv, &server->timer);
    uv_idle_init(uv, &server->idle);
    server->timer.data = server->idle.data = server;
    server->poll.data = server->hangups.poll.data = server;
    uv_poll_start(&server->poll, UV_READABLE, on_poll);
    uv_poll_start(&server->hangups.poll, UV_READABLE, on_hangups);
    turn(server);
    return 0;
}

/* ---- the end ---- */

void server_close_connections(struct server *server)
{
    server->closing = true;
    for (struct connection *c = server->connections; c != NULL; c = c->next)
        exchange_stream_end(&c->x);
}

void server_quiesce(struct server *server)
{
    server->closing = true;
    if (server->quiesced || server->daemon == NULL) return;
    /* A client whose connection stands in the backlog has been told that it is connected: take it
     * in. libmicrohttpd accepts ten at a time; the count ends the game with a client that never
     * stops. */
    struct pollfd pfd = {.fd = server->listener.fd, .events = POLLIN};
    for (int i = 0; i < 200 && poll(&pfd, 1, 0) > 0; i++) turn(server);
    MHD_quiesce_daemon(server->daemon);
    server->quiesced = true;
    listener_close(&server->listener);
    for (int i = 0; i < 3; i++) turn(server); /* what has arrived is read now */
    for (struct connection *c = server->connections; c != NULL; c = c->next)
        connection_hang_up_if_idle(c);
    server_kick(server);
}

void server_hang_up(struct server *server)
{
    for (struct connection *c = server->connections; c != NULL; c = c->next) connection_hang_up(c);
    server_kick(server);
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
    if (server->daemon != NULL) {
        close_handle(server, (uv_handle_t *)&server->poll);
        close_handle(server, (uv_handle_t *)&server->hangups.poll);
        close_handle(server, (uv_handle_t *)&server->timer);
        close_handle(server, (uv_handle_t *)&server->idle);
        server->stopping = true;
        if (!server->quiesced) MHD_quiesce_daemon(server->daemon);
        MHD_stop_daemon(server->daemon); /* closes what is left; connection_lost() for each */
        while (server->closing_handles > 0 || server->idle_posted)
            uv_run(loop_uv(server->loop), UV_RUN_NOWAIT);
        hangups_close(&server->hangups);
    }
    listener_close(&server->listener);
    mem_free(server);
}
