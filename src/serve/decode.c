/* Inputs of requests -> the network's input, in the item's feature map; by the decoder, which gets
 * one image after the other in the scheduler's order, or, while little is in flight, by a compute
 * worker that has nothing else to do, which saves a lone request from waiting until a second thread
 * is awake. An image that cannot be decoded fails its whole request and says which one it was. */
#include "config.h"

#include "engine_impl.h"

#include <errno.h>

#include "base/clock.h"

static const double learn_rate = 0.05;

static void on_decoded(struct decode_job *job);

static void prepare(struct engine *engine, struct item *item)
{
    const struct input *input = &item->ticket->request->images[item->index];
    item->decode = (struct decode_job){
        .work = {.kind = input->kind,
                 .width = input->width,
                 .height = input->height,
                 .input_bytes = input->size,
                 .limits = engine->options.image_limits,
                 .preprocess = item->ticket->version->model->preprocess},
        .input = input->data,
        .output = item->features->values,
        .done = on_decoded,
        .owner = item,
    };
}

/* Lock held: what becomes of an image that was decoded, or could not be. */
static void finish(struct engine *engine, struct item *item, int rc, struct err *e)
{
    struct ticket *ticket = item->ticket;
    if (rc < 0 && ticket->failed == 0) {
        if (ticket->request->n_images > 1) err_prefix(e, "images[%d]", item->index);
        ticket->request->error = *e;
        ticket_fail(engine, ticket, rc);
    }
    if (ticket->failed != 0) {
        item_fail(engine, item, ticket->failed);
        return;
    }
    item_predict(item, 0);
    sched_push(&engine->sched, &ticket->version->queues[0], &item->sched, clock_now());
}

static void finish_job(struct engine *engine, struct item *item)
{
    double took = seconds_of(item->decode.took_ns);
    item->timing.decode_ns = item->decode.took_ns;
    engine->decode_s =
        engine->decode_s > 0 ? engine->decode_s + learn_rate * (took - engine->decode_s) : took;
    finish(engine, item, item->decode.status, &item->decode.error);
}

/* Lock held, may be let go: the earliest image that waits, ready to be decoded. NULL when it is too
 * late for it, or memory is short: then it has left. */
static struct item *take(struct engine *engine)
{
    struct item *item = item_of(sched_take_decode(&engine->sched));
    int64_t now = clock_now();
    if (item->sched.deadline_ns > 0 && now > item->sched.deadline_ns) {
        item_fail(engine, item, ERR_DEADLINE);
        return NULL;
    }
    item->timing.queue_ns += now - item->sched.since_ns;
    item->features = features_take(engine, item->ticket->version);
    if (item->features == NULL) {
        struct err e;
        err_set(&e, -ENOMEM, "out of memory for an image");
        finish(engine, item, -ENOMEM, &e);
        return NULL;
    }
    prepare(engine, item);
    return item;
}

bool decode_next(struct engine *engine, struct arena **scratch)
{
    if (engine->sched.decode.count == 0) return false;
    struct item *item = take(engine);
    if (item == NULL) return true;
    pthread_mutex_unlock(&engine->lock);
    decode_job_run(&item->decode, scratch);
    pthread_mutex_lock(&engine->lock);
    finish_job(engine, item);
    return true;
}

void engine_feed_decoder(struct engine *engine)
{
    while (engine->decoding < ENGINE_DECODERS && engine->sched.decode.count > 0) {
        engine->decoding++;
        struct item *item = take(engine);
        if (item == NULL) {
            engine->decoding--;
            continue;
        }
        pthread_mutex_unlock(&engine->lock);
        decoder_submit(engine->decoder, &item->decode);
        pthread_mutex_lock(&engine->lock);
    }
}

/* On a thread of the decoder. */
static void on_decoded(struct decode_job *job)
{
    struct item *item = job->owner;
    struct engine *engine = item->ticket->version->engine;
    pthread_mutex_lock(&engine->lock);
    engine->decoding--;
    finish_job(engine, item);
    if (engine->sched.waiting > 0) engine_call_worker(engine);
    engine_feed_decoder(engine);
    engine_flush(engine);
    pthread_mutex_unlock(&engine->lock);
}
