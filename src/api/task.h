/* A task: one classification on its way, from the headers to its answer. On the loop thread. */
#ifndef API_TASK_H
#define API_TASK_H

#include <stdbool.h>
#include <uv.h>

#include "asked.h"
#include "base/arena.h"
#include "http/exchange.h"
#include "http/multipart.h"
#include "policy/sla.h"
#include "serve/request.h"
#include "service.h"

/* NEW -> READING               the body is JSON or a form, and large: parsed on a thread of libuv's
 *                              pool (classify.c)
 * READING -> NEW               it has been
 * NEW -> SUBMITTED             the engine owns the request (task_submit())
 * SUBMITTED -> ANSWERED        it came back
 * NEW -> ANSWERED              refused (task_refuse()) */
enum task_state { TASK_NEW, TASK_READING, TASK_SUBMITTED, TASK_ANSWERED };

struct task {
    struct service *service;
    struct exchange *x;
    enum task_state state;
    struct arena *arena;
    struct request request;
    struct sla_draft draft;
    struct asked asked;
    struct err *faults; /* [n_images] why an image could not be read, code 0: it could; NULL: all
                           could */
    bool judged;        /* it has a deadline that counts, whatever becomes of it */
    bool many;          /* several images were asked for: answers come as a list */
    bool gone;          /* the client hung up */
    bool cancelled;     /* by service_cancel() */
    bool returned;      /* the engine has handed it back; under the service's lock */
    char boundary[MULTIPART_BOUNDARY_MAX + 1]; /* of a form */
    struct loop_call call;
    uv_work_t work;
    struct err error; /* of reading */
    struct task *previous, *next;
};

/* NULL: out of memory. It ends with the exchange. */
struct task *task_new(struct service *service, struct exchange *x);

/* Answers with a problem. */
void task_refuse(struct task *task, int status, const char *text);
void task_refuse_err(struct task *task, int code, const struct err *e);

/* The HTTP status for an image that has no answer, with the message. The request is back. */
int task_image_problem(const struct task *task, int image, struct err *ret_e);

/* Hands the request to the engine, or refuses it. It is answered when it comes back. */
void task_submit(struct task *task);

/* Asks the engine for it back, if that has it. */
void task_cancel(struct task *task);

#endif
