/* The classifying service: whether it is there, the memory of its requests, and which of them are
 * on their way. On the loop thread, but for the lock. */
#ifndef API_SERVICE_H
#define API_SERVICE_H

#include <pthread.h>

#include "api/api.h"
#include "base/arena.h"
#include "counts.h"

enum { ARENAS_KEPT = 64, ARENA_KEEP_MAX = 1 << 20 };

/* STARTING -> WAITING   service_set_ready(true)
 * WAITING -> READY      there is a model; nothing is classified before
 * READY -> LEAVING      service_set_ready(false); what comes is still classified
 * WAITING -> STARTING   the same, without a model */
enum readiness { SERVICE_STARTING, SERVICE_WAITING, SERVICE_READY, SERVICE_LEAVING };

struct service {
    struct loop *loop;
    struct engine *engine;
    struct api_options options;
    struct counts counts;
    enum readiness readiness; /* read it by service_readiness() */
    pthread_mutex_t lock; /* orders engine_cancel() and a task's return; before the engine's own */
    struct task *tasks;   /* all of them, for service_cancel() */
    struct arena *arenas[ARENAS_KEPT];
    size_t n_arenas;
};

int service_init(struct service *service, struct loop *loop, struct engine *engine,
                 struct metrics *metrics, const struct api_options *options, struct err *e);
void service_release(struct service *service);

void service_set_ready(struct service *service, bool ready);
enum readiness service_readiness(struct service *service);
void service_cancel(struct service *service);

/* A request's memory, NULL: none is left; and back. */
struct arena *service_take_arena(struct service *service);
void service_give_arena(struct service *service, struct arena *arena);

#endif
