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
#include "coding.h"
#include "http/exchange.h"
#include "http/server.h"
#include "routes.h"
#include "transport.h"

enum { EXCHANGE_ID_MAX = 128 };

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
    int64_t arrival_ns;
    const char *method, *path; /* libmicrohttpd's, valid until the exchange ends */
    size_t authority_size;     /* of "http://host" before the path in the request line */
    bool bad_target, authorized;
    const char *problem;       /* while a problem is being answered: its text */
    const struct route *route; /* NULL: none matched */
    struct route_match match;
    char id[EXCHANGE_ID_MAX + 1];
    char content_type[64];
    enum coding coding; /* of the body as it comes */
    struct buf body;
    size_t body_max;    /* bytes kept at most */
    size_t body_seen;   /* bytes received, kept or not */
    bool close;         /* the connection ends with this exchange */
    struct buf headers; /* of the answer: "Name\0value\0".. */
    struct MHD_Response *response;
    int status;
    exchange_fn *on_gone;
    void *on_gone_arg;
    struct stream stream;
    void *data;
    void (*data_release)(void *data);
};

/* Where a connection is. What each state means for deadlines and hang-ups, and which may follow
 * which, stands in one table (connection.c). */
enum connection_state {
    CONNECTION_NEW,       /* accepted; no request line yet */
    CONNECTION_IDLE,      /* between two requests */
    CONNECTION_HEADERS,   /* the request line has been read: there is an exchange */
    CONNECTION_BODY,      /* headers are right, a route is found; the body comes */
    CONNECTION_REFUSED,   /* answered already; what still comes of the body is thrown away */
    CONNECTION_HANDLING,  /* the handler is being called */
    CONNECTION_WAITING,   /* it has kept the exchange */
    CONNECTION_ABANDONED, /* the same, and the client has gone; it must be answered all the same */
    CONNECTION_ANSWERED,  /* the response is there */
    CONNECTION_SENDING,   /* libmicrohttpd has it */
    CONNECTION_PAUSED,    /* the same, and its stream has nothing to send */
    CONNECTION_CUT,       /* nothing more is read or sent; the exchange ends with the connection */
    CONNECTION_CLOSED,    /* the same without an exchange */
};

struct connection {
    struct server *server;
    struct MHD_Connection *mhd;
    struct transport transport;
    enum connection_state state;
    int64_t deadline_ns; /* when the state must be left; 0: never */
    int64_t timer_ns;    /* when the timer fires; 0: it does not run */
    uv_timer_t timer;
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
bool connection_has_exchange(const struct connection *c);
void connection_enter(struct connection *c, enum connection_state next);
void connection_ended(void *connection);          /* the client has closed its end */
void connection_look_again(struct connection *c); /* for that, after something was read */
void connection_idle(struct connection *c);       /* its exchange is over */
void connection_hang_up_if_idle(struct connection *c);
void connection_hang_up(struct connection *c); /* unless its request is being worked on */

/* exchange_way.c */
void exchange_line(struct connection *c, const char *target);
enum MHD_Result exchange_access(struct connection *c, const char *url, const char *method,
                                const char *version, const char *upload_data, size_t *upload_size);
void exchange_end(struct connection *c);
void exchange_refuse_upload(struct exchange *x); /* 503: there is no room for the body */

/* exchange.c */
/* Answers with a finished response, which is taken over (NULL: out of memory). */
void exchange_reply_response(struct exchange *x, int status, struct MHD_Response *response);

/* stream.c: the exchange is over. */
void stream_closed(struct exchange *x);

/* server.c */
struct connection **server_connections(struct server *server);
void server_kick(struct server *server); /* has libmicrohttpd look soon */
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
