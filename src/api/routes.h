/* The table of routes. A row is what the protocol checks (struct route), where it stands, and what
 * it answers: from the same rows come the servers' routes, doc/routes.md and the tests that watch
 * every answer. */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "api/api.h"
#include "http/route.h"

enum {
    LISTENER_PUBLIC = 1,
    LISTENER_ADMIN = 2,
};

/* As a row's body_max: what the option http.body_max_bytes says. */
#define BODY_MAX_OPTION SIZE_MAX

struct answer_row {
    int status; /* 0 ends a list */
    const char *media;
    const char *when;
};

struct route_row {
    struct route route;
    unsigned listeners;
    const char *summary;              /* one sentence */
    const struct answer_row *answers; /* those of its handler; common_answers come on top */
};

/* What a request to classify may ask of its answer, in its query or its body. */
extern const struct query_member classify_query[];

extern const struct route_row route_table[];
extern const size_t route_count;

/* What the protocol itself answers at any route. */
extern const struct answer_row common_answers[];

/* Adds the listener's rows to a server. */
int routes_add(struct server *server, unsigned listener, size_t classify_body_max, void *arg);

#endif
