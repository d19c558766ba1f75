/* The public service: its routes on a server, between HTTP and the engine. All on the loop
 * thread. */
#ifndef API_SERVICE_H
#define API_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/metric.h"
#include "loop/loop.h"
#include "http/server.h"
#include "serve/engine.h"
#include "policy/sla.h"

struct service;

struct service_options {
    enum sla_classifier default_classifier; /* SLA_DEEPEST, SLA_ENSEMBLE or SLA_AUTO */
    size_t body_max;                        /* bytes of a request's body */
    int images_max;                         /* images in one request */
    size_t arena_max;                       /* bytes of memory that a request may take */
};

/* Registers POST /v1/classify, GET /v1/models, /v2/health/live, /v2/health/ready and /metrics. The
 * metrics are shared with the engine. Everything given must outlive the service. */
int service_new(struct loop *loop, struct server *server, struct engine *engine,
                struct metrics *metrics, const struct service_options *options,
                struct service **ret_service, struct err *e);

/* Whether /v2/health/ready may answer 200; it does when there is a model, too. Before both were so
 * for the first time nothing is classified (503). */
void service_set_ready(struct service *service, bool ready);

/* Ends what is still being computed: those requests get 503. */
void service_cancel(struct service *service);

/* After the server is idle and the engine has been freed. NULL is fine. */
void service_free(struct service *service);

#endif
