/* The life of the classifying service. */
#include "config.h"

#include "service.h"

#include <assert.h>

#include "task.h"

int service_init(struct service *service, struct loop *loop, struct engine *engine,
                 struct metrics *metrics, const struct api_options *options, struct err *e)
{
    *service = (struct service){.loop = loop, .engine = engine, .options = *options};
    int rc = counts_init(&service->counts, metrics, e);
    if (rc == 0) pthread_mutex_init(&service->lock, NULL);
    return rc;
}

void service_release(struct service *service)
{
    assert(service->tasks == NULL);
    for (size_t i = 0; i < service->n_arenas; i++) arena_free(service->arenas[i]);
    pthread_mutex_destroy(&service->lock);
}

enum readiness service_readiness(struct service *service)
{
    const char *name;
    if (service->readiness == SERVICE_WAITING && engine_model_names(service->engine, &name, 1) > 0)
        service->readiness = SERVICE_READY;
    return service->readiness;
}

void service_set_ready(struct service *service, bool ready)
{
    if (!ready)
        service->readiness =
            service_readiness(service) == SERVICE_READY ? SERVICE_LEAVING : SERVICE_STARTING;
    else if (service->readiness == SERVICE_STARTING)
        service->readiness = SERVICE_WAITING;
    if (ready) counts_models(&service->counts, service->engine);
}

void service_cancel(struct service *service)
{
    for (struct task *task = service->tasks; task != NULL; task = task->next) {
        task->cancelled = true;
        task_cancel(task);
    }
}

struct arena *service_take_arena(struct service *service)
{
    return service->n_arenas > 0 ? service->arenas[--service->n_arenas]
                                 : arena_new(service->options.arena_max);
}

/* One that has held something large is not kept: its memory would never come back. */
void service_give_arena(struct service *service, struct arena *arena)
{
    if (arena == NULL) return;
    if (service->n_arenas == ARENAS_KEPT || arena_used(arena) > ARENA_KEEP_MAX) {
        arena_free(arena);
        return;
    }
    arena_reset(arena);
    service->arenas[service->n_arenas++] = arena;
}
