/* A route: what a request to a path must be like, and who handles it. The protocol checks the row
 * before the handler sees the request, so that a row is both the check and its description.
 *
 * In order: a body where none is taken, or one too large (400, 413); head(); the body's media type
 * and length (415, 411); the query (400); the body itself; handler(). Constant data. */
#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/exchange.h"

enum query_kind {
    QUERY_NUMBER, /* whole, min..max */
    QUERY_SWITCH, /* 1 or 0 */
    QUERY_NAME,   /* of base/name.h */
};

/* An argument behind the path's question mark. */
struct query_member {
    const char *name;
    enum query_kind kind;
    int64_t min, max;
    const char *help;
};

enum { ROUTE_QUERY_MAX = 16 }; /* members */

/* Whether a value is one that the member takes, wherever it stands: `place` names it in the message
 * ("?top=", "top"). 0 or ERR_RANGE. */
int query_member_check(const struct query_member *member, const char *place, const char *value,
                       struct err *e);

struct route {
    const char *method;  /* HEAD is answered by GET's handler */
    const char *pattern; /* "/jobs/{id}/cancel"; a {name} takes one segment, which is never empty */
    unsigned scope;      /* one bit: what a request must be granted (struct server_options) */
    const struct query_member *query; /* ends with a NULL name; NULL: nothing is looked at */
    bool strict_query;        /* other arguments, and one given twice, are refused; else ignored */
    const char *const *media; /* types of the body, NULL-terminated; NULL: any */
    const char *const *also;  /* taken as well, though not what clients are told to send: "" for no
                                 type at all, "image/" and a star for all images; NULL: none */
    size_t body_max;          /* bytes; 0: takes no body */
    bool body_optional;
    exchange_fn *head;    /* when the headers are there; may be NULL, may answer already (the body
                             is then thrown away). What it sets with exchange_set_data() sees the
                             exchange's end, also when the row refuses it. */
    exchange_fn *handler; /* when the whole body is there */
    void *arg;            /* theirs */
};

#endif
