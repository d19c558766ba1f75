/* Inside of the HTTP layer: a connection with the exchange that it carries at the moment, and what
 * the files of this layer know of each other. */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/buf.h"
#include "http/exchange.h"
#include "http/server.h"
#include "routes.h"

enum { EXCHANGE_ID_MAX = 128 };

/* How far an exchange is:
 *
 *   NONE -> LINE  request line read                          on_request_line()
 *   LINE -> BODY  headers checked, route found               exchange_begin()
 *   BODY -> HANDLING  whole body there, handler called       exchange_run()
 *   HANDLING -> WAITING  handler kept it: suspended          exchange_run()
 *   BODY, HANDLING, WAITING -> READY  answered               exchange_reply()
 *   READY -> SENT  response queued with libmicrohttpd        exchange_send()
 *   any -> NONE   last byte sent, or connection lost         exchange_end() */
enum exchange_state {
    EXCHANGE_NONE,
    EXCHANGE_LINE,
    EXCHANGE_BODY,
    EXCHANGE_HANDLING,
    EXCHANGE_WAITING,
    EXCHANGE_READY,
    EXCHANGE_SENT
};

/* An answer that is written bit by bit (stream.c). */
struct stream {
    bool open;          /* this exchange is answered by a stream */
    bool ended, broken; /* no more is written; what waits is not sent any more */
    struct buf waiting; /* written and not yet taken, from `taken` on */
    size_t taken;
    exchange_fn *closed;
    void *arg;
};

struct exchange {
    enum exchange_state state;
    int64_t arrival_ns;
    const char *method, *path; /* libmicrohttpd's, valid until the exchange ends */
    size_t authority_size;     /* of "http://host" before the path in the request line */
    bool bad_target, authorized;
    const char *problem;       /* while a problem is being answered: its text */
    const struct route *route; /* NULL: none matched */
    struct route_match match;
    char id[EXCHANGE_ID_MAX + 1];
    char content_type[64];
    struct buf body;
    size_t body_max;    /* bytes kept at most */
    size_t body_seen;   /* bytes received, kept or not */
    bool body_dropped;  /* the answer stands already; what still comes is thrown away */
    bool close;         /* the connection ends with this exchange */
    bool gone;          /* the client hung up while we were waiting */
    struct buf headers; /* of the answer: "Name\0value\0".. */
    struct MHD_Response *response;
    int status;
    exchange_fn *on_gone;
    void *on_gone_arg;
    struct stream stream;
    void *data;
    void (*data_release)(void *data);
};

/* Which of its deadlines runs for a connection. */
enum connection_phase {
    CONNECTION_IDLE,     /* between requests: idle_timeout; the first request: header_timeout */
    CONNECTION_HEADERS,  /* header_timeout */
    CONNECTION_BODY,     /* body_timeout */
    CONNECTION_HANDLING, /* none: the request's own deadline counts */
    CONNECTION_REPLY,    /* idle_timeout, to take the answer */
};

struct connection {
    struct server *server;
    struct MHD_Connection *mhd;
    int fd;
    enum connection_phase phase;
    int64_t deadline_ns; /* when the phase must be over; 0: never */
    int64_t timer_ns;    /* when the timer fires; 0: it does not run */
    uv_timer_t timer;
    bool used; /* has carried a request */
    bool suspended;
    bool ended;     /* the client has closed its end; something may still lie before it */
    bool expired;   /* shut down by us, whatever for */
    bool timed_out; /* because a deadline was over */
    struct connection *previous, *next;
    struct exchange x;
};

static inline struct connection *connection_of(const struct exchange *x)
{
    return (struct connection *)((char *)x - offsetof(struct connection, x));
}

/* connection.c */
struct connection *connection_new(struct server *server, struct MHD_Connection *mhd);
void connection_lost(struct connection *c); /* it is being closed; frees once handles are shut */
void connection_phase(struct connection *c, enum connection_phase phase, int64_t timeout_ns);
void connection_ended(void *connection);          /* the client has closed its end */
void connection_look_again(struct connection *c); /* for that, after something was read */
void connection_suspend(struct connection *c);
void connection_resume(struct connection *c);
void connection_idle(struct connection *c); /* its exchange has ended */
bool connection_hang_up_if_idle(struct connection *c);
void connection_hang_up(struct connection *c); /* unless its request is being worked on */

/* exchange.c */
void exchange_line(struct connection *c, const char *target);
enum MHD_Result exchange_step(struct connection *c, const char *url, const char *method,
                              const char *version, const char *upload_data, size_t *upload_size);
void exchange_end(struct connection *c);
/* Answers with a finished response, which is taken over (NULL: out of memory). */
void exchange_reply_response(struct exchange *x, int status, struct MHD_Response *response);

/* stream.c: the exchange is over. */
void stream_closed(struct exchange *x);

/* server.c */
struct connection **server_connections(struct server *server);
void server_kick(struct server *server); /* has libmicrohttpd run soon */
const struct server_options *server_options_of(const struct server *server);
const struct routes *server_routes(const struct server *server);
/* Whether a request with this header (or NULL) may use the route; NULL: may learn that there is
 * none. */
bool server_grants(const struct server *server, const struct route *route,
                   const char *authorization);
/* The memory of a body has changed: whether all of them are within the limit now. */
bool server_upload_change(struct server *server, size_t from, size_t to);
/* Whether so much more would be; whether what is not in use should be given back. */
bool server_upload_fits(const struct server *server, size_t more);
bool server_upload_is_tight(const struct server *server);
void server_answered(struct server *server, const struct exchange *x);
bool server_is_closing(const struct server *server);
struct loop *server_loop(const struct server *server);
struct hangups *server_hangups(struct server *server);
void server_exchange_count(struct server *server, int change);

#endif
