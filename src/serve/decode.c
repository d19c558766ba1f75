/* Inputs of requests -> the network's input, in the item's feature map; by the decoder, which gets
 * one image after the other in the desk's order, or, while little is in flight, by a compute
 * worker that has nothing else to do, which saves a lone request from waiting until a second thread
 * is awake. An image that cannot be decoded ends alone. */
#include "config.h"

#include "engine_impl.h"

#include <errno.h>

#include "base/clock.h"

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
static void finish(struct engine *engine, struct item *item)
{
    const struct decode_job *job = &item->decode;
    item->timing.decode_ns = job->took_ns;
    desk_decoded(engine->desk, &item->desk, job->status, seconds_of(job->took_ns), clock_now());
    engine_collect(engine);
}

/* Lock held, let go for an allocation. false: memory is short, and the item has left. */
static bool make_ready(struct engine *engine, struct item *item)
{
    item->features = features_take(engine, item->ticket->version);
    if (item->features != NULL) {
        prepare(engine, item);
        return true;
    }
    item->decode.status = err_set(&item->decode.error, -ENOMEM, "out of memory for an image");
    finish(engine, item);
    return false;
}

void decode_here(struct worker *worker, struct item *item)
{
    struct engine *engine = worker->engine;
    if (!make_ready(engine, item)) return;
    pthread_mutex_unlock(&engine->lock);
    decode_job_run(engine->options.decoder, &item->decode);
    pthread_mutex_lock(&engine->lock);
    finish(engine, item);
}

void engine_feed_decoder(struct engine *engine)
{
    while (engine->decoding < ENGINE_DECODERS) {
        struct desk_item *next = desk_decode(engine->desk, clock_now());
        engine_collect(engine);
        if (next == NULL) return;
        struct item *item = item_of(next);
        engine->decoding++;
        if (!make_ready(engine, item)) {
            engine->decoding--;
            continue;
        }
        pthread_mutex_unlock(&engine->lock);
        decoder_submit(engine->options.decoder, &item->decode);
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
    engine->returning++;
    finish(engine, item);
    if (desk_waiting(engine->desk) > 0) engine_call_worker(engine);
    engine_feed_decoder(engine);
    engine_flush(engine);
    engine->returning--;
    if (engine->stopping) pthread_cond_broadcast(&engine->returned);
    pthread_mutex_unlock(&engine->lock);
}
