/* Inside of the HTTP layer: the service and a classification on its way. */
#ifndef API_CLASSIFY_H
#define API_CLASSIFY_H

#include <pthread.h>
#include <stdbool.h>
#include <uv.h>

#include "base/arena.h"
#include "api/service.h"
#include "http/multipart.h"
#include "serve/request.h"

enum { TOP_DEFAULT = 5, TOP_MAX = 1000, ARENAS_KEPT = 64, ARENA_KEEP_MAX = 1 << 20 };

struct service_metrics {
    struct metric_family *requests, *duration, *deadlines, *refused, *model_info;
    struct metric *in_flight, *upload_bytes;
    struct metric *cpu_seconds, *open_fds, *max_fds, *resident, *virtual_memory, *start_time;
};

struct service {
    struct loop *loop;
    struct server *server;
    struct engine *engine;
    struct metrics *metrics;
    struct service_options options;
    struct service_metrics m;
    bool ready;
    bool was_ready;       /* see service_was_ready() */
    pthread_mutex_t lock; /* orders engine_cancel() and `returned`; taken before the engine's own */
    struct task *tasks;   /* all of them, for service_cancel() */
    struct arena *arenas[ARENAS_KEPT];
    size_t n_arenas;
};

/* States of a classification, from classify.c:
 *
 *   NEW -> READING    the body is JSON or a form, and large: parsed on a thread of libuv's pool
 *   NEW, READING -> SUBMITTED    the engine owns the request
 *   SUBMITTED -> ANSWERED        it came back
 *   NEW, READING -> ANSWERED     refused */
enum classify_state { TASK_NEW, TASK_READING, TASK_SUBMITTED, TASK_ANSWERED };

struct task {
    struct service *service;
    struct exchange *x;
    enum classify_state state;
    struct arena *arena;
    struct request request;
    struct sla_draft draft;
    int top;
    bool explain;
    bool many; /* several images were asked for: answers come as a list */
    char boundary[MULTIPART_BOUNDARY_MAX + 1]; /* of a form */
    bool gone;                                 /* the client hung up */
    bool cancelled;                            /* by service_cancel() */
    bool returned; /* done() has been called; under the service's lock */
    bool counted;  /* in autodidact_requests_total */
    struct loop_call call;
    uv_work_t work;
    struct err error; /* of reading */
    struct task *previous, *next;
};

/* classify.c */
/* Whether the service has ever been ready with a model: before, requests are told to wait. */
bool service_was_ready(struct service *service);
int classify_register(struct service *service, struct server *server);

/* classify_input.c. Errors have problem_status()'s codes. */
int input_query(struct task *task, struct err *e);
int input_headers(struct task *task, struct err *e);
int input_raw(struct task *task, const void *body, size_t size, struct err *e);
int input_json(struct task *task, const void *body, size_t size, struct err *e); /* any thread */
int input_form(struct task *task, const void *body, size_t size, struct err *e); /* any thread */

/* answer.c: headers and body of a finished request; status 0 and at least one result. */
void answer_reply(struct task *task, int64_t now_ns, bool met);

/* metrics.c */
int service_metrics_init(struct service *service, struct err *e);
void service_metrics_get(struct exchange *x, void *arg);
void count_request(struct task *task, int classifier, bool answered, enum sla_reason reason,
                   int code);
void count_refused(struct service *service, const char *reason);
void count_models(struct service *service);

/* models.c, health.c */
void models_get(struct exchange *x, void *arg);
void health_live(struct exchange *x, void *arg);
void health_ready(struct exchange *x, void *arg);

#endif
