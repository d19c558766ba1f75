/* What is asked of an answer, beside the SLA: the members of the route's query (how many classes,
 * which model), which a body may say in the same names. Pure; any thread. */
#ifndef API_ASKED_H
#define API_ASKED_H

#include <stdint.h>

#include "base/err.h"
#include "http/exchange.h"
#include "http/route.h"

struct asked {
    const struct query_member *members;  /* a row's, ended by one without a name */
    const char *values[ROUTE_QUERY_MAX]; /* NULL: not said; they must stay as long as this */
    bool in_body[ROUTE_QUERY_MAX];
};

/* With what the query says, which has been checked; NULL: there is none. On the loop thread. */
void asked_init(struct asked *asked, const struct query_member *members, const struct exchange *x);

/* Which member has this name; -1: none. */
int asked_find(const struct asked *asked, const char *name);

/* The body says so, too. ERR_RANGE: not what the member takes, or another value than the query's;
 * ERR_FORMAT: it said so before. */
int asked_add(struct asked *asked, int member, const char *value, struct err *e);

/* NULL: not said. */
const char *asked_text(const struct asked *asked, const char *name);
int64_t asked_number(const struct asked *asked, const char *name, int64_t otherwise);

#endif
