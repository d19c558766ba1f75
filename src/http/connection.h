/* Inside of the HTTP layer: a connection with the exchange that it carries at the moment, and what
 * the files of this layer know of each other. */
#ifndef HTTP_CONNECTION_H
#define HTTP_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "base/buf.h"
#include "chunks.h"
#include "coding.h"
#include "guard.h"
#include "head.h"
#include "http/exchange.h"
#include "http/server.h"
#include "peers.h"
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
    int64_t sent_ns;  /* the last of its answer; 0: not yet */
    const char *path; /* in the head, "" while there is none */
    struct head head;
    struct framing framing;
    struct chunks chunks;
    bool authorized;
    const char *problem;       /* while a problem is being answered: its text */
    const struct route *route; /* NULL: none matched */
    struct route_match match;
    char id[EXCHANGE_ID_MAX + 1];
    char content_type[64];
    enum coding coding; /* of the body as it comes */
    struct buf query;   /* arguments: "name\0value\0".. */
    struct buf body;
    size_t body_max;    /* bytes kept at most */
    uint64_t body_seen; /* bytes received, kept or not */
    bool body_ended;    /* all of it has been received */
    bool close;         /* the connection ends with this exchange */
    struct buf headers; /* of the answer: "Name\0value\0".. */
    char *answer;       /* the answer's body */
    size_t answer_size;
    struct packer *packer; /* it goes out as gzip; NULL: as it is */
    bool last_piece;       /* of an answer in pieces: all have been framed */
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
    CONNECTION_NEW,       /* accepted; nothing of a request has come */
    CONNECTION_IDLE,      /* between two requests */
    CONNECTION_LINE,      /* a part of a request line has come */
    CONNECTION_HEADERS,   /* the request line is there, and with it an exchange */
    CONNECTION_BODY,      /* headers are right, a route is found; the body comes */
    CONNECTION_REFUSED,   /* answered already; what still comes of the body is thrown away */
    CONNECTION_HANDLING,  /* the handler is being called */
    CONNECTION_WAITING,   /* it has kept the exchange */
    CONNECTION_ABANDONED, /* the same, and the client has gone; it must be answered all the same */
    CONNECTION_UNWANTED,  /* it has been, and nobody is there to get it */
    CONNECTION_ANSWERED,  /* the answer is there */
    CONNECTION_SENDING,
    CONNECTION_PAUSED,    /* the same, and its stream has nothing to send */
    CONNECTION_LINGERING, /* the last answer is out; what still comes is thrown away for a moment,
                             or the client's system would throw the answer away (RFC 9112, 9.6) */
    CONNECTION_CLOSED,
};

struct connection {
    struct server *server;
    struct transport transport;
    struct sockaddr_storage address; /* the client's */
    struct peer *peer;               /* NULL: it does not count */
    enum connection_state state;
    bool readable, writable; /* it may be, as far as is known */
    bool end_seen;           /* the client has closed its half; what came before may be unread */
    bool ended;              /* and that has been read */
    int64_t came_ns;         /* what was read last */
    int64_t deadline_ns;     /* when the state must be left; 0: never */
    int64_t timer_ns;        /* when the timer fires; 0: it does not run */
    uv_timer_t timer;
    int64_t pace_ns;                                /* a body: since when pace_seen counts */
    uint64_t pace_seen;                             /* and how much had been received then */
    struct connection *previous, *next;             /* all of the server's */
    struct connection *idle_previous, *idle_next;   /* those without an exchange, longest first */
    int64_t idle_since_ns;                          /* 0: it is not among these */
    struct connection *ready_previous, *ready_next; /* those that can go on */
    bool ready;
    size_t discarded; /* bytes since the last answer */
    bool turned_away; /* there is no place for it; it only gets to know that */
    struct {
        char *data;
        size_t size, capacity;
        size_t head;  /* bytes of the exchange's head, which its texts stand in */
        size_t taken; /* the same with what of the body is done with */
        struct head_scan scan;
    } in;
    struct {
        struct buf text; /* the answer's head; pieces of a stream */
        size_t text_sent, answer_sent;
    } out;
    struct exchange x;
};

static inline struct connection *connection_of(const struct exchange *x)
{
    return (struct connection *)((char *)x - offsetof(struct connection, x));
}

/* ---- connection.c ---- */

/* Takes the socket over; NULL when out of memory (it is closed then). */
struct connection *connection_new(struct server *server, int fd,
                                  const struct sockaddr_storage *address);
bool connection_has_exchange(const struct connection *c);
void connection_enter(struct connection *c, enum connection_state next);
void connection_news(void *connection, unsigned bits); /* of watch.h */
void connection_run(struct connection *c);             /* makes the steps that can be made now */
/* The client is lost, or is given up: nothing more is read or sent. */
void connection_drop(struct connection *c);
/* All that will be sent is: what still comes is thrown away for a moment. */
void connection_linger(struct connection *c);
void connection_hang_up_if_idle(struct connection *c);
void connection_hang_up(struct connection *c); /* unless its request is being worked on */

/* ---- input.c ---- */

enum input {
    INPUT_MORE,  /* something has come, or been done */
    INPUT_WAITS, /* nothing for now */
    INPUT_END,   /* the client has closed its half */
    INPUT_WHOLE, /* the head, or the body, is there as a whole */
    INPUT_BAD,   /* *ret_status and *e say how */
    INPUT_LOST,
};
enum input input_head(struct connection *c, size_t *ret_size, int *ret_status, struct err *e);
enum input input_body(struct connection *c, void (*take)(struct exchange *, const char *, size_t),
                      struct err *e);
/* INPUT_MORE (it counts c->discarded), INPUT_WAITS, INPUT_END, INPUT_LOST */
enum input input_discard(struct connection *c);
void input_next(struct connection *c); /* the exchange is over: what is left comes next */
bool input_is_empty(const struct connection *c);
void input_release(struct connection *c);

/* ---- output.c ---- */

enum output {
    OUTPUT_DONE,
    OUTPUT_WAITS,
    OUTPUT_PAUSED, /* a stream has nothing to send */
    OUTPUT_AGAIN,  /* a piece is out; others have their turn before the next one is made */
    OUTPUT_LOST,
};
int output_begin(struct connection *c);            /* the answer's head; 0 or a buffer's code */
enum output output_send(struct connection *c);     /* what can be sent now */
enum output output_continue(struct connection *c); /* 100: OUTPUT_DONE, OUTPUT_LOST */

/* ---- exchange_way.c ---- */

void exchange_begin(struct connection *c);
/* The head is there, or status and text say what is wrong with it. */
void exchange_head(struct connection *c, size_t head_size);
void exchange_refuse(struct exchange *x, int status, const char *text);
void exchange_take_body(struct exchange *x, const char *data, size_t size);
void exchange_handle(struct connection *c);
void exchange_end(struct connection *c);
void exchange_refuse_upload(struct exchange *x,
                            int why); /* as uploads_fit() says; not UPLOADS_FIT */

/* ---- stream.c ---- */

/* What waits, at most so much: the number of bytes, -EAGAIN when there are none now, 0 at the end,
 * -EPIPE when it is broken. */
ssize_t stream_take(struct exchange *x, char *to, size_t size);
void stream_closed(struct exchange *x); /* the exchange is over */

/* ---- server.c ---- */

void server_enter(struct server *server, struct connection *c);
void server_leave(struct server *server, struct connection *c); /* its memory stays until freed */
void server_freed(struct server *server);
void server_ready(struct connection *c);           /* has it run before the loop waits again */
void server_idle(struct connection *c, bool idle); /* it has no exchange now, or has one again */
struct watch *server_watch(struct server *server);
const struct server_options *server_options_of(const struct server *server);
const struct routes *server_routes(const struct server *server);
/* Memory for what is received and handed on at once; its size is INPUT_BLOCK. */
char *server_scratch(struct server *server);
/* Whether a request with this header (or NULL) may use the route; NULL: may learn that there is
 * none. */
bool server_grants(const struct server *server, const struct route *route,
                   const char *authorization);
/* Whether that header holds the token, whatever is open to all. */
bool server_knows(const struct server *server, const char *authorization);
void server_answered(struct server *server, const struct exchange *x);
/* Frees what connections without an exchange keep for their next bodies; whether there was any. */
bool server_give_back(struct server *server);
void server_upload_change(struct server *server, size_t from, size_t to);
bool server_is_closing(const struct server *server);
struct loop *server_loop(const struct server *server);
void server_exchange_count(struct server *server, int change);

/* ---- uploads.c: the memory of bodies ---- */

enum { UPLOADS_FIT, UPLOADS_FULL, UPLOADS_PEER_FULL };
/* The memory of a connection's body has changed: whether all of them are within the limits now. */
int uploads_change(struct connection *c, size_t from, size_t to);
/* Whether so much more would be; whether what is not in use should be given back. */
int uploads_fit(const struct connection *c, size_t more);
bool uploads_are_tight(const struct server *server);
bool uploads_release(struct connection *c); /* frees its body; whether there was any memory */

enum { INPUT_BLOCK = 64 << 10 };

#endif
