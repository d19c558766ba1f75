/* Inputs of requests -> the network's input, in the item's feature map; by the decoder, which gets
 * images in the desk's order, no more at a time than it has seats, or, while little is in flight,
 * from a compute worker that has nothing else to do and waits for it, which saves a lone request
 * from waiting until another thread is awake. An image that cannot be decoded ends alone. */
#include "config.h"

#include "engine_impl.h"

#include <errno.h>

#include "base/clock.h"

static void on_decoded(struct decode_job *job);

static void prepare(struct engine *engine, struct item *item)
{
    const struct input *input = &item->ticket->request->images[item->index];
    const struct decode_size *size = &item->desk.size;
    item->decode = (struct decode_job){
        .work = {.kind = input->kind,
                 .width = input->width,
                 .height = input->height,
                 .input_bytes = input->size,
                 .limits = engine->options.image_limits,
                 .preprocess = item->ticket->version->model->preprocess},
        .input = input->data,
        .output = item->features->values,
        .background = item->desk.seat == DESK_BACKGROUND,
        /* Without anything computed there is nothing to answer with after it (rule 7 of
           doc/sla.md). */
        .deadline_ns = item->desk.sched.deadline_ns,
        .pixels = (uint64_t)size->width * (uint64_t)size->height,
        .done = on_decoded,
        .owner = item,
        /* Given up while memory was looked for: nobody has told the decoder. */
        .cancelled = item->ticket->desk.given_up != 0,
    };
}

void engine_show_decoding(const struct engine *engine)
{
    for (int k = 0; k < DESK_SEATS; k++) {
        struct desk_decoding d = desk_decoding(engine->desk, k);
        metric_set(engine->decode_waiting[k], (double)d.waiting);
        metric_set(engine->decode_running[k], (double)d.running);
        metric_set(engine->decode_memory[k], (double)d.memory_bytes);
    }
}

/* Lock held: what becomes of an image that was decoded, or could not be. */
static void finish(struct engine *engine, struct item *item)
{
    const struct decode_job *job = &item->decode;
    struct desk_item *desk = &item->desk;
    /* As the desk learns. */
    bool by_processor = desk->seat == DESK_BACKGROUND && job->cpu_ns > 0;
    int64_t price_ns = by_processor ? job->cpu_ns : job->took_ns;
    item->in_decoder = false;
    item->timing.decode_ns = job->took_ns;
    if (job->status == 0 && desk->price_ns > 0)
        metric_observe(engine->decode_ratio[desk->size.format],
                       (double)price_ns / (double)desk->price_ns);
    desk_decoded(engine->desk, desk, job->status, seconds_of(job->took_ns), seconds_of(job->cpu_ns),
                 clock_now());
    engine_collect(engine);
}

/* Lock held, let go for an allocation. false: memory is short, and the item has left. */
static bool make_ready(struct engine *engine, struct item *item)
{
    item->features = features_take(engine, item->ticket->version);
    if (item->features != NULL) {
        prepare(engine, item);
        item->in_decoder = true;
        return true;
    }
    item->decode.took_ns = 0;
    item->decode.status = err_set(&item->decode.error, -ENOMEM, "out of memory for an image");
    finish(engine, item);
    return false;
}

void decode_here(struct worker *worker, struct item *item)
{
    struct engine *engine = worker->engine;
    if (!make_ready(engine, item)) return;
    engine_show_decoding(engine);
    pthread_mutex_unlock(&engine->lock);
    decode_job_run(engine->options.decoder, &item->decode);
    pthread_mutex_lock(&engine->lock);
    finish(engine, item);
    engine_show_decoding(engine);
}

static void feed(struct engine *engine, enum desk_seat seat)
{
    for (;;) {
        struct desk_item *next = desk_decode(engine->desk, seat, clock_now());
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

void engine_feed_decoder(struct engine *engine, bool background_only)
{
    if (!background_only) feed(engine, DESK_FOREGROUND);
    feed(engine, DESK_BACKGROUND);
    engine_show_decoding(engine);
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
    engine_feed_decoder(engine, false);
    engine_flush(engine);
    engine->returning--;
    if (engine->stopping) pthread_cond_broadcast(&engine->returned);
    pthread_mutex_unlock(&engine->lock);
}
