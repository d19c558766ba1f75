/* The engine's inside, shared by its sources: engine.c (life, names, requests in), decode.c,
 * worker.c, version.c, item.c (requests out), publish.c. It is the mechanism: what is done, and
 * when, says the desk (policy/desk.h).
 *
 * One lock, engine->lock, guards everything here that is not said to be otherwise. It is never held
 * while computing, decoding, allocating much or calling back. Under it only decoder_cancel() takes
 * others, the decoder's, for a moment. */
#ifndef SERVE_ENGINE_IMPL_H
#define SERVE_ENGINE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "decode/decoder.h"
#include "policy/desk.h"
#include "serve/engine.h"
#include "version_impl.h"
#include "versions.h"

/* One image. Lives in the request's arena. While it is in a batch it is the worker's, but for what
 * the desk's header says. */
struct item {
    struct desk_item desk; /* first, see item_of() */
    struct ticket *ticket;
    int index; /* in the request */
    struct features *features;
    struct decode_job decode;
    bool in_decoder;         /* it has `decode` */
    struct item *next_given; /* up, for engine_cancel() */
    int faulty; /* with desk.fault: the first classifier that computed what is not finite */
    float *logits[SPEC_SECTIONS_MAX], *probabilities[SPEC_SECTIONS_MAX]; /* [classes] each */
    float *blend; /* [classes]; of an ensemble, as item_blend() made it last */
    struct request_timing timing;
};

/* The item that the desk's struct stands in. */
static inline struct item *item_of(struct desk_item *desk)
{
    return (struct item *)desk;
}

/* A request inside the engine; request->engine_private. */
struct ticket {
    struct desk_request desk;
    struct request *request;
    struct version *version;
    struct item *items;
    const struct item *slowest; /* the one that ended last */
    struct ticket *next;        /* in the list of those that are done */
    bool shed;                  /* for others, with what the decoder has of it */
};

struct worker {
    struct engine *engine;
    unsigned number;
    pthread_t thread;
    struct desk_batch batch;
};

struct engine {
    struct engine_options options;
    pthread_mutex_t lock;
    pthread_cond_t work;     /* for workers */
    pthread_cond_t returns;  /* for the returner */
    pthread_cond_t returned; /* the decoder has, for who stops the engine */
    struct desk *desk;       /* who is let in, what is computed next, who answers with what */
    unsigned decoding;       /* jobs that the decoder has */
    unsigned returning;      /* threads of the decoder that hand back one */
    bool stopping;
    unsigned idle; /* workers that wait */
    /* A worker with nothing else to do helps with the batch of another one, the leader's, until it
     * is called: there is work to take. */
    struct exec *leading; /* NULL: nobody is to be helped */
    struct version *leading_of;
    unsigned helping;  /* workers */
    atomic_uint calls; /* counted up to call helpers */
    struct ticket *done_first, **done_last;
    struct publication *publish_first, **publish_last;
    bool publishing;

    struct versions versions; /* which serve; a lock of their own */

    struct worker *workers;
    unsigned n_workers; /* started */
    pthread_t returner; /* hands back what was given up while everybody else is busy */
    bool returner_started;

    struct metric_family *queue_wait, *section_seconds, *batch_size, *not_finite;
    struct metric_family *prediction_ratio, *slow_down, *helped;
    struct metric *helps, *margin;
    struct metric *decode_waiting[DESK_SEATS], *decode_running[DESK_SEATS],
        *decode_memory[DESK_SEATS], *decode_ratio[DECODE_FORMATS];
};

static inline double seconds_of(int64_t ns)
{
    return (double)ns / 1e9;
}

/* worker.c. Lock held: somebody takes what has come. */
void engine_call_worker(struct engine *engine);

/* engine.c. Lock held: the version has the share of the machine that the options give its name. */
void engine_give_share(struct engine *engine, struct version *version);

/* decode.c. Lock held, let go now and then: the decoder gets images that wait, if it has room, or
 * those for the background only. Those that are too late leave: somebody flushes. */
void engine_feed_decoder(struct engine *engine, bool background_only);
/* Lock held: what waits, and is at work, is shown to metrics. */
void engine_show_decoding(const struct engine *engine);
/* Lock held, let go while decoding: a worker decodes an image that the desk gave it. */
void decode_here(struct worker *worker, struct item *item);

/* item.c. Lock held: takes what has ended from the desk. After each call of the desk that can end
 * something, before the lock is let go. */
void engine_collect(struct engine *engine);
/* Lock held: gives back the done ones; the lock is let go for each callback. Returns how many. */
size_t engine_flush(struct engine *engine);
/* Lock held: there are done ones, and this thread may not call back (it is not the engine's). */
void engine_call_returner(struct engine *engine);

/* version.c. One with one reference, made of the model, which it owns from then on; on failure the
 * model stays the caller's. cost (NULL: measured) is taken over in any case. */
int version_new(struct engine *engine, struct model *model, int64_t number, struct cost *cost,
                struct version **ret_version, struct err *e);
/* Before anybody else sees it: what canary_check() says of it. */
int version_try(struct version *version, struct err *e);
/* Frees a version that nobody else has seen, but for its model. */
struct model *version_give_up(struct version *version);
/* Lock held, let go for an allocation. NULL: out of memory. */
struct features *features_take(struct engine *engine, struct version *version);
void features_give(struct version *version, struct features *features); /* lock held */

/* item.c. The probabilities of an ensemble, whichever it is, of which all heads have run, in
 * item->blend. Without the lock; the item is in nobody else's hands. */
const float *item_blend(const struct item *item, int classifier);

/* item.c, worker.c: thread mains. publish.c: the first of the waiting publications; lock held on
 * entry and return. */
void *returner_main(void *engine);
void *worker_main(void *worker);
void publish_run(struct worker *worker);

/* algorithms.c: plans a model as the engine's options say. */
int algorithms_choose(struct engine *engine, const struct model *model, struct plan **ret_plan,
                      struct err *e);

#endif
