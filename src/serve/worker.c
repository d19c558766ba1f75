/* A compute worker: does what the desk says, with a batch on its executor, section by section:
 *
 *   lock: desk_next | gather, section | lock: desk_section_done | heads, scatter | lock: desk_part,
 *   and at once the next desk_next
 *
 * While nothing else waits and the whole batch goes on, it stays in the executor and is not copied,
 * and where no head is to run the second lock is the only one. A worker with nothing to do decodes,
 * or helps another one. */
#include "config.h"

#include "batch.h"

#include "base/clock.h"
#include "policy/cost.h"

/* Lock held: whether others may be helping with this batch. */
static bool is_leading(const struct engine *engine, const struct batch *b)
{
    return engine->leading == b->own->exec;
}

void engine_call_worker(struct engine *engine)
{
    if (engine->idle > 0)
        pthread_cond_signal(&engine->work);
    else if (engine->helping > 0)
        atomic_fetch_add(&engine->calls, 1);
}

/* Lock held. Workers that have nothing to do are asked to help, when a section takes so long that
 * it pays to wake them, and nobody else has asked. */
static void invite(struct engine *engine, const struct batch *b)
{
    static const double least_s = 0.0002;
    if (engine->leading != NULL || engine->idle == 0 || desk_waiting(engine->desk) > 0 ||
        b->desk->section_s < least_s)
        return;
    exec_invite(b->own->exec);
    engine->leading = b->own->exec;
    engine->leading_of = b->version;
    pthread_cond_broadcast(&engine->work);
}

/* Lock held, let go while helpers leave: before the items do, who hold the version. */
static void dismiss(struct engine *engine, const struct batch *b)
{
    if (!is_leading(engine, b)) return;
    engine->leading = NULL;
    pthread_mutex_unlock(&engine->lock);
    exec_dismiss(b->own->exec);
    pthread_mutex_lock(&engine->lock);
}

/* Lock held, let go while helping. */
static bool help(struct worker *worker)
{
    struct engine *engine = worker->engine;
    struct exec *exec = engine->leading;
    if (exec == NULL || !exec_join(exec)) return false;
    struct exec *own = engine->leading_of->workers[worker->number].exec;
    unsigned seen = atomic_load(&engine->calls);
    engine->helping++;
    metric_add(engine->helps, 1);
    pthread_mutex_unlock(&engine->lock);
    exec_help(exec, own, &engine->calls, seen);
    pthread_mutex_lock(&engine->lock);
    engine->helping--;
    return true;
}

/* Lock held, before the desk learns from it. */
static void note_prediction(const struct batch *b, int64_t took_ns, bool helped)
{
    double predicted_s = b->desk->section_s * (helped ? cost_helped(b->version->cost) : 1);
    if (predicted_s > 0)
        metric_observe(b->version->prediction_ratio[b->desk->section],
                       seconds_of(took_ns) / predicted_s);
}

/* Lock held on entry and return. Returns whether the whole batch stays in the executor for the next
 * section. */
static bool run_section(struct engine *engine, struct batch *b, bool from_previous)
{
    struct desk_batch *batch = b->desk;
    invite(engine, b);
    pthread_mutex_unlock(&engine->lock);
    if (!from_previous) batch_gather(b);
    int64_t took_ns;
    const float *output = batch_section(b, from_previous, &took_ns);

    pthread_mutex_lock(&engine->lock);
    bool helped = is_leading(engine, b);
    note_prediction(b, took_ns, helped);
    enum desk_border border = desk_section_done(engine->desk, batch, seconds_of(took_ns), helped,
                                                engine->done_first == NULL, clock_now());
    if (border == DESK_STAYS) return true;
    pthread_mutex_unlock(&engine->lock);
    bool whole = false;
    if (border == DESK_HEADS) {
        batch_heads(b);
        whole = desk_heads_done(batch, clock_now()) == batch->n && batch->could_stay;
    }
    if (!whole) batch_scatter(b, output);
    pthread_mutex_lock(&engine->lock);
    if (whole) {
        if (engine->done_first == NULL && desk_stays(engine->desk, batch, clock_now())) return true;
        /* Somebody came while the heads ran. */
        pthread_mutex_unlock(&engine->lock);
        batch_scatter(b, output);
        pthread_mutex_lock(&engine->lock);
    }
    dismiss(engine, b);
    desk_part(engine->desk, batch, clock_now());
    engine_collect(engine);
    return false;
}

/* Lock held on entry and return. */
static void run_batch(struct worker *worker)
{
    struct version *version = item_of(worker->batch.items[0])->ticket->version;
    struct batch b = {
        .desk = &worker->batch, .version = version, .own = &version->workers[worker->number]};
    /* Once its items have left, nothing of the version may be touched: they held the references. */
    bool stays = false;
    do {
        stays = run_section(worker->engine, &b, stays);
    } while (stays);
}

static bool all_over(const struct engine *engine)
{
    return engine->stopping && desk_in_flight(engine->desk) == 0 && engine->publish_first == NULL;
}

/* Lock held, let go now and then: what the desk says. false: there is nothing to do. */
static bool work(struct worker *worker)
{
    struct engine *engine = worker->engine;
    enum desk_task task = desk_next(engine->desk, &worker->batch, clock_now());
    engine_collect(engine);
    if (task != DESK_WAIT) engine_flush(engine); /* whose time was up */
    switch (task) {
    case DESK_SECTION:
        if (desk_waiting(engine->desk) > 0) engine_call_worker(engine);
        run_batch(worker);
        return true;
    case DESK_DECODE:
        decode_here(worker, item_of(worker->batch.items[0]));
        return true;
    case DESK_WAIT:
        break;
    }
    return engine->done_first != NULL;
}

void *worker_main(void *arg)
{
    struct worker *worker = arg;
    struct engine *engine = worker->engine;
    pthread_mutex_lock(&engine->lock);
    for (;;) {
        if (engine_flush(engine) > 0) continue;
        /* Before anything that takes long, and before this worker has taken what it holds, since
         * the lock is let go. And where so much is in flight that workers do not decode: what this
         * one has just decoded may have come to nothing, and nobody else looks. */
        if (desk_waiting(engine->desk) > 0 || engine->publish_first != NULL ||
            !desk_is_quiet(engine->desk))
            engine_feed_decoder(engine, false);
        if (engine->done_first != NULL) continue;
        if (engine->publish_first != NULL && !engine->publishing) {
            publish_run(worker);
            continue;
        }
        if (work(worker)) continue;
        if (all_over(engine)) break;
        if (help(worker)) continue;
        engine->idle++;
        pthread_cond_wait(&engine->work, &engine->lock);
        engine->idle--;
    }
    /* Those who wait for the same need to look again. */
    pthread_cond_broadcast(&engine->work);
    pthread_cond_signal(&engine->returns);
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}
