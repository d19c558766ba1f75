/* A server: one listener with its routes, HTTP/1.1 inside of a loop. The program has two, the
 * public one and the one for administration. All functions on the loop thread. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "http/exchange.h"
#include "http/route.h"
#include "loop/loop.h"

struct server;

struct server_options {
    const char *name;   /* "http", "admin": for messages */
    const char *listen; /* "127.0.0.1:8080", "[::1]:0", "localhost:80", "unix:/path" (mode 0600) */
    unsigned connections_max;
    unsigned connections_peer_max; /* of one address; 0: no bound but that of all */
    const char *trusted;       /* addresses for which the bounds of one do not hold: "10.0.0.0/8,
                                  ::1"; copied; NULL: none */
    int64_t header_timeout_ns; /* request line and headers, from the first byte that may come */
    int64_t body_timeout_ns;   /* the whole body */
    int64_t body_rate_min;     /* bytes a second that a body must come with, over some seconds; 0:
                                  any */
    int64_t idle_timeout_ns;   /* between two requests of a connection, and to take an answer */
    size_t upload_max; /* bytes of all bodies in memory at a time; 0: no bound but each one's */
    size_t upload_peer_max; /* the same of one address's bodies */
    unsigned open_scopes; /* of the routes' scopes: what everybody may who can connect. For others a
                             request must carry `Authorization: Bearer TOKEN`; where nothing is
                             open, also to learn that there is no such route */
};

/* Binds and listens, but accepts nothing before server_start(). The message names the address and
 * what can be done. */
int server_new(struct loop *loop, const struct server_options *options, struct server **ret_server,
               struct err *e);

/* Adds a route (copied; what it points to must outlive the server); before server_start().
 * ERR_LIMIT: there are too many. */
int server_route(struct server *server, const struct route *route);

/* The bearer token from now on (copied); white space around it is cut off. ERR_FORMAT when it is
 * empty or holds anything but visible ASCII. */
int server_set_token(struct server *server, const char *text, struct err *e);

/* No token is right from now on. */
void server_forget_token(struct server *server);

/* Whether server_set_token() would take it. */
int server_check_token(const char *text, struct err *e);

/* The timeouts, body_rate_min and bounds of uploads and of an address of *options from now on, for
 * what begins now. */
void server_set_limits(struct server *server, const struct server_options *options);

/* Before server_start(): answered(arg, x, status, detail) is called for each answer, refusals that
 * no handler sees included, when it is decided; detail is a problem's text, else "". */
void server_on_answer(struct server *server,
                      void (*answered)(void *arg, const struct exchange *x, int status,
                                       const char *detail),
                      void *arg);

int server_start(struct server *server, struct err *e);

/* "127.0.0.1:34567" or "unix:/path", the real port in it. */
const char *server_address(const struct server *server);

/* From now on every answer ends its connection, and streams end. */
void server_close_connections(struct server *server);

/* Takes what stands in the listener's backlog, then stops accepting and hangs up on idle
 * connections. */
void server_quiesce(struct server *server);

/* Hangs up on everybody who still sends a request or does not take an answer. Those whose request
 * is being worked on stay; whoever works on it must answer. */
void server_hang_up(struct server *server);

/* Bytes of bodies that are being received or worked on, or kept for a connection's next one. */
size_t server_upload_bytes(const struct server *server);

/* Connections whose request has no complete answer yet. */
size_t server_exchanges(const struct server *server);

/* Calls idle(arg) once when no exchange is left (maybe at once, but never from within this
 * call). */
void server_when_idle(struct server *server, void (*idle)(void *arg), void *arg);

/* All exchanges have been answered. Closes the rest of the connections, runs the loop until all
 * handles are closed, frees. NULL is fine. */
void server_free(struct server *server);

#endif
