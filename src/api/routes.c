/* The table of routes. To add one: a row here, its handler's name in handlers.h, and one file with
 * the handler. */
#include "config.h"

#include "routes.h"

#include "handlers.h"

#define JSON "application/json"
#define PROBLEM "application/problem+json"

/* ---- what is taken ---- */

static const char *const json_body[] = {JSON, NULL};
static const char *const images_body[] = {
    "image/jpeg", "image/png", "application/octet-stream", JSON, "multipart/form-data", NULL};

/* What clients say who do not look: other names of the two types, none at all, and what curl
 * --data-binary and urllib send. The bytes say what it is. */
static const char *const images_also[] = {"image/*", "", "application/x-www-form-urlencoded", NULL};

const struct query_member classify_query[] = {
    {"top", QUERY_NUMBER, 1, 1000, "how many classes the answer lists, 5 if not given"},
    {"explain", QUERY_SWITCH, 0, 1, "whether the answer holds every exit that ran"},
    {"model", QUERY_NAME, 0, 0, "which model, if not the default one"},
    {.name = NULL},
};
static const struct query_member jobs_query[] = {
    {"limit", QUERY_NUMBER, 1, 1000, "how many jobs at most, 100 if not given"},
    {"before", QUERY_NUMBER, 1, INT64_MAX, "only jobs with a smaller id"},
    {.name = NULL},
};

/* ---- what is given ---- */

const struct answer_row common_answers[] = {
    {400, PROBLEM, "the request is malformed, or asks for what the route does not take"},
    {401, PROBLEM, "the token is missing or wrong"},
    {408, PROBLEM, "headers or body did not arrive in time"},
    {411, PROBLEM, "the body has no length"},
    {413, PROBLEM, "the body is too large"},
    {414, PROBLEM, "the request line is too long"},
    {415, PROBLEM, "the body's media type or its content coding is not taken"},
    {417, PROBLEM, "an expectation other than 100-continue"},
    {429, PROBLEM, "one address has too many connections, or too much of the memory for bodies"},
    {431, PROBLEM, "there are too many headers, or too long ones"},
    {500, PROBLEM, "the server failed"},
    {501, PROBLEM, "a transfer encoding other than chunked"},
    {503, PROBLEM, "no memory for another body, or the server shuts down"},
    {505, PROBLEM, "another protocol than HTTP/1.1 and HTTP/1.0"},
    {.status = 0},
};

static const struct answer_row classify_answers[] = {
    {200, JSON, "the label, or one result an image; SLA-* headers and Server-Timing"},
    {404, PROBLEM, "there is no such model"},
    {413, PROBLEM, "an image is too large, or there are too many"},
    {415, PROBLEM,
     "the body's media type or coding is not taken, or none of its images is a JPEG or PNG: "
     "Accept, Accept-Encoding"},
    {422, PROBLEM, "no image can be decoded, or the model cannot do what is asked for"},
    {499, PROBLEM, "the client hung up; nobody reads it"},
    {503, PROBLEM, "not ready, or the load is too high: Retry-After"},
    {504, PROBLEM, "not possible, or not done, within the deadline"},
    {.status = 0},
};
static const struct answer_row models_answers[] = {
    {200, JSON, "what is served, and what its classifiers cost and are worth"},
    {.status = 0},
};
static const struct answer_row live_answers[] = {
    {200, JSON, "the loop turns"},
    {.status = 0},
};
static const struct answer_row ready_answers[] = {
    {200, JSON, "a model is published and warm"},
    {503, PROBLEM, "there is none yet, or the server is about to stop: Retry-After"},
    {.status = 0},
};
static const struct answer_row metrics_answers[] = {
    {200, "text/plain", "the metrics in Prometheus' text format"},
    {503, PROBLEM, "out of memory for them"},
    {.status = 0},
};
static const struct answer_row job_create_answers[] = {
    {202, JSON, "the job, queued, or the one of the same Idempotency-Key; Location"},
    {404, PROBLEM, "there is no such spec or model"},
    {409, PROBLEM, "the version to begin with is still being written"},
    {422, PROBLEM, "the Idempotency-Key came with another body, or nothing is trained here"},
    {503, PROBLEM, "too many jobs are waiting: Retry-After"},
    {507, PROBLEM, "the disk is full"},
    {.status = 0},
};
static const struct answer_row job_list_answers[] = {
    {200, JSON, "jobs, latest first, without their epochs"},
    {.status = 0},
};
static const struct answer_row job_answers[] = {
    {200, JSON, "the job with its epochs and progress"},
    {404, PROBLEM, "there is no such job"},
    {.status = 0},
};
static const struct answer_row job_cancel_answers[] = {
    {200, JSON, "the job, cancelled"},
    {202, JSON, "the job, which is being stopped"},
    {404, PROBLEM, "there is no such job"},
    {409, PROBLEM, "the job has ended"},
    {.status = 0},
};
static const struct answer_row events_answers[] = {
    {200, "text/event-stream", "the job at once and whenever it changes, until it has ended"},
    {404, PROBLEM, "there is no such job"},
    {.status = 0},
};
static const struct answer_row model_list_answers[] = {
    {200, JSON, "all models with their versions"},
    {.status = 0},
};
static const struct answer_row model_answers[] = {
    {200, JSON, "the model with its versions"},
    {404, PROBLEM, "there is no such model"},
    {.status = 0},
};
static const struct answer_row model_change_answers[] = {
    {200, JSON, "the model with its versions, after the change"},
    {404, PROBLEM, "there is no such model or version, or none to go back to"},
    {409, PROBLEM, "the version is still being written, or its file is not what it was"},
    {413, PROBLEM, "the model is beyond what the server bears"},
    {422, PROBLEM, "the version's file is not understood, or what it computes is no answer"},
    {.status = 0},
};

/* ---- the rows ---- */

enum { JOB_BODY_MAX = 64 << 10, SMALL_BODY_MAX = 1 << 10 };

const struct route_row route_table[] = {
    {
        .route = {"POST", "/v1/classify", SCOPE_CLASSIFY, classify_query, true, images_body,
                  images_also, BODY_MAX_OPTION, .head = classify_head, .handler = classify_body},
        .listeners = LISTENER_PUBLIC,
        .summary = "Classifies an image or several, as the SLA-* headers ask for.",
        .answers = classify_answers,
    },
    {
        .route = {"PUT", "/v1/classify", SCOPE_CLASSIFY, classify_query, true, images_body,
                  images_also, BODY_MAX_OPTION, .head = classify_head, .handler = classify_body},
        .listeners = LISTENER_PUBLIC,
        .summary = "The same, for `curl -T`.",
        .answers = classify_answers,
    },
    {
        .route = {"GET", "/v1/models", SCOPE_CLASSIFY, .handler = models_get},
        .listeners = LISTENER_PUBLIC,
        .summary = "Lists the models that are served, with their classifiers.",
        .answers = models_answers,
    },
    {
        .route = {"GET", "/v2/health/live", SCOPE_HEALTH, .handler = health_live},
        .listeners = LISTENER_PUBLIC | LISTENER_ADMIN,
        .summary = "Says that the server lives.",
        .answers = live_answers,
    },
    {
        .route = {"GET", "/v2/health/ready", SCOPE_HEALTH, .handler = health_ready},
        .listeners = LISTENER_PUBLIC | LISTENER_ADMIN,
        .summary = "Says whether requests to classify are taken.",
        .answers = ready_answers,
    },
    {
        .route = {"GET", "/metrics", SCOPE_METRICS, .handler = metrics_get},
        .listeners = LISTENER_PUBLIC | LISTENER_ADMIN,
        .summary = "Gives the metrics.",
        .answers = metrics_answers,
    },
    {
        .route = {"POST", "/admin/v1/jobs", SCOPE_ADMIN, .media = json_body,
                  .body_max = JOB_BODY_MAX, .handler = admin_jobs_create},
        .listeners = LISTENER_ADMIN,
        .summary = "Queues a training.",
        .answers = job_create_answers,
    },
    {
        .route = {"GET", "/admin/v1/jobs", SCOPE_ADMIN, jobs_query, .handler = admin_jobs_list},
        .listeners = LISTENER_ADMIN,
        .summary = "Lists jobs.",
        .answers = job_list_answers,
    },
    {
        .route = {"GET", "/admin/v1/jobs/{id}", SCOPE_ADMIN, .handler = admin_jobs_get},
        .listeners = LISTENER_ADMIN,
        .summary = "Shows a job.",
        .answers = job_answers,
    },
    {
        .route = {"GET", "/admin/v1/jobs/{id}/events", SCOPE_ADMIN, .handler = admin_events_get},
        .listeners = LISTENER_ADMIN,
        .summary = "Follows a job as server-sent events.",
        .answers = events_answers,
    },
    {
        .route = {"POST", "/admin/v1/jobs/{id}/cancel", SCOPE_ADMIN, .media = json_body,
                  .body_max = SMALL_BODY_MAX, .body_optional = true, .handler = admin_jobs_cancel},
        .listeners = LISTENER_ADMIN,
        .summary = "Cancels a job.",
        .answers = job_cancel_answers,
    },
    {
        .route = {"GET", "/admin/v1/models", SCOPE_ADMIN, .handler = admin_models_list},
        .listeners = LISTENER_ADMIN,
        .summary = "Lists models and their versions.",
        .answers = model_list_answers,
    },
    {
        .route = {"GET", "/admin/v1/models/{name}", SCOPE_ADMIN, .handler = admin_models_get},
        .listeners = LISTENER_ADMIN,
        .summary = "Shows a model and its versions.",
        .answers = model_answers,
    },
    {
        .route = {"POST", "/admin/v1/models/{name}/activate", SCOPE_ADMIN, .media = json_body,
                  .body_max = SMALL_BODY_MAX, .handler = admin_models_activate},
        .listeners = LISTENER_ADMIN,
        .summary = "Has another version of a model serve.",
        .answers = model_change_answers,
    },
    {
        .route = {"POST", "/admin/v1/models/{name}/rollback", SCOPE_ADMIN, .media = json_body,
                  .body_max = SMALL_BODY_MAX, .body_optional = true,
                  .handler = admin_models_rollback},
        .listeners = LISTENER_ADMIN,
        .summary = "Has the version serve that served before.",
        .answers = model_change_answers,
    },
};
const size_t route_count = sizeof(route_table) / sizeof(route_table[0]);

int routes_add(struct server *server, unsigned listener, size_t classify_body_max, void *arg)
{
    for (size_t i = 0; i < route_count; i++) {
        if ((route_table[i].listeners & listener) == 0) continue;
        struct route route = route_table[i].route;
        route.arg = arg;
        if (route.body_max == BODY_MAX_OPTION) route.body_max = classify_body_max;
        int rc = server_route(server, &route);
        if (rc < 0) return rc;
    }
    return 0;
}
