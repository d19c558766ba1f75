/* The api: all routes of both listeners, between HTTP and what serves, trains and keeps models.
 * One file of src/api a family of routes; which there are stands in the table of routes.c. All on
 * the loop thread. */
#ifndef API_API_H
#define API_API_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/metric.h"
#include "http/server.h"
#include "jobs/jobs.h"
#include "policy/sla.h"
#include "registry/registry.h"
#include "serve/engine.h"
#include "store/store.h"

struct api;

/* What a request may be granted: bits of a route's scope and of a server's open_scopes. */
enum api_scope {
    SCOPE_HEALTH = 1,
    SCOPE_CLASSIFY = 2, /* and to read which models there are */
    SCOPE_METRICS = 4,
    SCOPE_ADMIN = 8,
    SCOPES_PUBLIC = SCOPE_HEALTH | SCOPE_CLASSIFY | SCOPE_METRICS,
    SCOPES_ALL = SCOPES_PUBLIC | SCOPE_ADMIN,
};

struct api_options {
    enum sla_classifier fallback; /* of requests that ask for none: SLA_DEEPEST, SLA_ENSEMBLE or
                                     SLA_AUTO */
    int urgency_min;              /* without the token a request is no more urgent (0 is most) */
    size_t body_max;              /* bytes of a request to classify */
    int image_count_max;          /* images in one request */
    size_t arena_max;             /* bytes of memory that a request may take */
};

/* What the routes stand on. All of it must outlive the api, and the api the two servers. */
struct api_below {
    struct loop *loop;
    struct server *public_server, *admin_server; /* not started yet */
    struct decoder *decoder;
    struct engine *engine;
    struct metrics *metrics; /* shared with the engine */
    struct store *store;
    struct registry *registry;
    struct jobs *jobs;
};

/* Adds all routes to their servers, and from then on has every request to the admin server that
 * changes something or tries to, and every one without the right token, entered in the audit. */
int api_new(const struct api_below *below, const struct api_options *options, struct api **ret_api,
            struct err *e);

/* Whether /v2/health/ready may answer 200; it does when there is a model, too. Before both were so
 * for the first time nothing is classified (503). */
void api_set_ready(struct api *api, bool ready);

/* What answers requests that ask for none, from now on. */
void api_set_fallback(struct api *api, enum sla_classifier fallback);

/* Whether health says that something is less than it should be, though ready. Loop thread. */
void api_set_degraded(struct api *api, bool degraded);

/* Ends what is still being computed: those requests get 503. */
void api_cancel(struct api *api);

/* After both server_free(), when all exchanges have been answered, and before store_close(): audit
 * entries on their way keep what they need. NULL is fine. */
void api_free(struct api *api);

#endif
