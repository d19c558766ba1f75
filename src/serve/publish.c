/* Publishing a model version, on a compute worker: executors and costs first, then the
 * slot of its name is exchanged. One publication at a time, in the order they came, so that the
 * last one asked for is the one that serves. */
#include "config.h"

#include "engine_impl.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

/* What a publication takes of its worker, as far as admission shall expect. */
static const int64_t expected_ns = 300 * CLOCK_MS;

/* The slot of a name, made when it is new. Takes the lock. */
static struct slot *slot_of(struct engine *engine, const char *name, struct err *e)
{
    struct slot *slot = NULL;
    pthread_mutex_lock(&engine->lock);
    for (size_t i = 0; i < engine->n_models && slot == NULL; i++) {
        if (strcmp(engine->models[i].name, name) == 0) slot = engine->models[i].slot;
    }
    bool full = engine->n_models == ENGINE_MODELS_MAX;
    pthread_mutex_unlock(&engine->lock);
    if (slot != NULL) return slot;
    if (full) {
        err_set(e, ERR_LIMIT, "model %s: %d names are served already", name, ENGINE_MODELS_MAX);
        return NULL;
    }
    slot = slot_new();
    if (slot == NULL) err_set(e, -ENOMEM, "out of memory for a model's slot");
    return slot;
}

/* Makes a new name known, after its slot holds a model: nobody finds an empty one. */
static void name_known(struct engine *engine, const char *name, struct slot *slot)
{
    pthread_mutex_lock(&engine->lock);
    bool known = false;
    for (size_t i = 0; i < engine->n_models; i++) known |= engine->models[i].slot == slot;
    if (!known) {
        strcpy(engine->models[engine->n_models].name, name);
        engine->models[engine->n_models++].slot = slot;
    }
    pthread_mutex_unlock(&engine->lock);
}

static int prepare(struct engine *engine, struct publish *publish, struct err *e)
{
    struct model *model = publish->model;
    struct cost *cost = publish->cost;
    publish->cost = NULL;
    if (model->attached == NULL) {
        int rc = algorithms_choose(engine, model, e);
        if (rc == 0) return served_new(engine, model, cost, e);
        cost_free(cost);
        return rc;
    }
    /* A version that is still loaded comes back (rollback): all is there. */
    cost_free(cost);
    if (served_of(model)->engine == engine) return 0;
    return err_set(e, ERR_CONFLICT, "model %s: another engine serves it", model->name);
}

static int publish_one(struct engine *engine, struct publish *publish)
{
    struct err e = {.code = 0};
    struct model *model = publish->model;
    int rc = prepare(engine, publish, &e);
    struct slot *slot = rc == 0 ? slot_of(engine, model->name, &e) : NULL;
    if (slot == NULL) {
        model_unref(model);
        return e.code != 0 ? e.code : rc;
    }
    char name[MODEL_NAME_MAX + 1];
    memcpy(name, model->name, sizeof(name));
    slot_exchange(slot, model);
    name_known(engine, name, slot);
    return 0;
}

void publish_run(struct worker *worker)
{
    struct engine *engine = worker->engine;
    struct publish *publish = engine->publish_first;
    engine->publish_first = publish->next;
    if (engine->publish_first == NULL) engine->publish_last = &engine->publish_first;
    engine->publishing = true;
    bool stopping = engine->stopping;
    worker->busy_until_ns = worker->free_ns = clock_now() + expected_ns;
    pthread_mutex_unlock(&engine->lock);

    int rc = ERR_CANCELLED;
    if (stopping) {
        cost_free(publish->cost);
        model_unref(publish->model);
    } else {
        rc = publish_one(engine, publish);
    }
    if (publish->published != NULL) publish->published(publish->arg, rc);
    mem_free(publish);

    pthread_mutex_lock(&engine->lock);
    engine->publishing = false;
    if (engine->publish_first != NULL) engine_call_worker(engine);
}

int engine_publish_with(struct engine *engine, struct model *model, struct cost *cost,
                        void (*published)(void *arg, int status), void *arg, struct err *e)
{
    struct publish *publish = mem_new(1, sizeof(*publish));
    if (publish == NULL) {
        cost_free(cost);
        model_unref(model);
        return err_set(e, -ENOMEM, "out of memory for a publication");
    }
    *publish = (struct publish){model, cost, published, arg, NULL};
    pthread_mutex_lock(&engine->lock);
    *engine->publish_last = publish;
    engine->publish_last = &publish->next;
    engine_call_worker(engine);
    pthread_mutex_unlock(&engine->lock);
    return 0;
}

int engine_publish(struct engine *engine, struct model *model,
                   void (*published)(void *arg, int status), void *arg, struct err *e)
{
    return engine_publish_with(engine, model, NULL, published, arg, e);
}
