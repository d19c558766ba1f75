/* Encoded bytes -> the network's input, in the item's feature map; by the decode thread, or, while
 * little is in flight, by a compute worker that has nothing else to do, which saves a lone request
 * from waiting until a second thread is awake. Pixels live in a scratch arena of the thread and
 * only until the next image, so that a request with many images takes no more memory than one with
 * the largest of them. An image that cannot be decoded fails its whole request and says which one
 * it was. */
#include "config.h"

#include "engine_impl.h"

#include <errno.h>

#include "base/clock.h"
#include "image/preprocess.h"

static const double learn_rate = 0.05;

enum { ARENA_KEEP_MAX = 8 << 20 /* bytes of scratch that stay between images */ };

/* Decodes and normalises. No lock held; the item is the caller's. */
static int decode_item(const struct engine *engine, struct item *item, struct arena *scratch,
                       struct err *e)
{
    const struct ticket *ticket = item->ticket;
    const struct request_image *input = &ticket->request->images[item->index];
    struct image image;
    int rc =
        image_decode(input->bytes, input->size, &engine->options.image_limits, scratch, &image, e);
    if (rc < 0) return rc;
    return preprocess_apply(&ticket->version->model->preprocess, &image, scratch,
                            item->features->values, e);
}

/* An arena that one image of the largest size fits in, with its resizing. */
static struct arena *scratch_new(const struct engine *engine)
{
    const struct image_limits *limits = &engine->options.image_limits;
    uint64_t side = (uint64_t)limits->side_max;
    uint64_t height = limits->pixels_max / side > 0 ? limits->pixels_max / side + 1 : 1;
    size_t bytes = image_arena_bytes((int)side, (int)height, limits->bytes_max);
    return arena_new(2 * bytes + ((size_t)64 << 20));
}

static void decode_step(struct engine *engine, struct item *item, struct arena *scratch)
{
    struct ticket *ticket = item->ticket;
    struct request *request = ticket->request;
    int64_t start = clock_now();
    if (item->sched.deadline_ns > 0 && start > item->sched.deadline_ns) {
        item_fail(engine, item, ERR_DEADLINE);
        return;
    }
    item->timing.queue_ns += start - item->sched.since_ns;
    item->features = features_take(engine, ticket->version);
    pthread_mutex_unlock(&engine->lock);

    struct err e = {.code = 0};
    int rc = item->features == NULL || scratch == NULL
                 ? err_set(&e, -ENOMEM, "out of memory for an image")
                 : decode_item(engine, item, scratch, &e);
    if (rc < 0 && request->n_images > 1) err_prefix(&e, "images[%d]", item->index);
    int64_t end = clock_now();
    item->timing.decode_ns = end - start;

    pthread_mutex_lock(&engine->lock);
    double took = seconds_of(end - start);
    engine->decode_s =
        engine->decode_s > 0 ? engine->decode_s + learn_rate * (took - engine->decode_s) : took;
    if (rc < 0 && ticket->failed == 0) {
        request->error = e;
        ticket_fail(engine, ticket, rc);
    }
    if (ticket->failed != 0) {
        item_fail(engine, item, ticket->failed);
        return;
    }
    item_predict(item, 0);
    sched_push(&engine->sched, &ticket->version->queues[0], &item->sched, end);
}

bool decode_next(struct engine *engine, struct arena **scratch)
{
    struct item *item = item_of(sched_take_decode(&engine->sched));
    if (item == NULL) return false;
    if (*scratch == NULL) *scratch = scratch_new(engine);
    decode_step(engine, item, *scratch);
    if (*scratch != NULL && arena_used(*scratch) > ARENA_KEEP_MAX) {
        pthread_mutex_unlock(&engine->lock);
        arena_free(*scratch);
        *scratch = NULL;
        pthread_mutex_lock(&engine->lock);
    } else if (*scratch != NULL) {
        arena_reset(*scratch);
    }
    return true;
}

void engine_call_decoder(struct engine *engine)
{
    if (engine->sched.decode.count > 0) pthread_cond_signal(&engine->decode);
}

void *decode_main(void *arg)
{
    struct engine *engine = arg;
    struct arena *scratch = NULL;
    pthread_mutex_lock(&engine->lock);
    for (;;) {
        if (engine_flush(engine) > 0) continue;
        if (decode_next(engine, &scratch)) {
            if (engine->sched.waiting > 0) engine_call_worker(engine);
            continue;
        }
        if (engine->stopping && engine->in_flight == 0) break;
        pthread_cond_wait(&engine->decode, &engine->lock);
    }
    pthread_mutex_unlock(&engine->lock);
    arena_free(scratch);
    return NULL;
}
