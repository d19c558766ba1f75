/* Publishing a model version, on a compute worker: plan, executors, costs and canary first, then
 * the version of its name is exchanged. One publication at a time, in the order they came, so that
 * the last one asked for is the one that serves. What could not be published goes back to who
 * asked, to be freed there: that takes time, too. */
#include "config.h"

#include "engine_impl.h"

#include "base/clock.h"
#include "policy/cost.h"

/* What a publication takes of its worker, as far as admission shall expect. */
static const int64_t expected_ns = 300 * CLOCK_MS;

static int publish_one(struct engine *engine, struct publication *p)
{
    struct version *version;
    struct cost *cost = p->cost;
    p->cost = NULL;
    int rc = version_new(engine, p->model, p->number, cost, &version, &p->error);
    if (rc < 0) return rc;
    p->model = NULL;
    if (p->canary) rc = version_try(version, &p->error);
    if (rc == 0) rc = versions_exchange(&engine->versions, version, &p->error);
    if (rc < 0) {
        p->model = version_give_up(version);
        return rc;
    }
    /* It stays until the next publication. Behind the exchange, so that no change of the shares
     * falls between the two. */
    pthread_mutex_lock(&engine->lock);
    engine_give_share(engine, version);
    pthread_mutex_unlock(&engine->lock);
    return 0;
}

void publish_run(struct worker *worker)
{
    struct engine *engine = worker->engine;
    struct publication *p = engine->publish_first;
    engine->publish_first = p->next;
    if (engine->publish_first == NULL) engine->publish_last = &engine->publish_first;
    engine->publishing = true;
    bool stopping = engine->stopping;
    desk_occupied(engine->desk, worker->number, clock_now() + expected_ns);
    pthread_mutex_unlock(&engine->lock);

    if (stopping) {
        cost_free(p->cost);
        p->cost = NULL;
        p->status = err_set(&p->error, ERR_CANCELLED, "the server is stopping");
    } else {
        p->status = publish_one(engine, p);
    }
    p->done(p); /* and is gone */

    pthread_mutex_lock(&engine->lock);
    engine->publishing = false;
    desk_occupied(engine->desk, worker->number, 0);
    if (engine->publish_first != NULL) engine_call_worker(engine);
}

void engine_publish(struct engine *engine, struct publication *p)
{
    p->status = 0;
    p->error = (struct err){.code = 0};
    p->next = NULL;
    pthread_mutex_lock(&engine->lock);
    *engine->publish_last = p;
    engine->publish_last = &p->next;
    engine_call_worker(engine);
    pthread_mutex_unlock(&engine->lock);
}
