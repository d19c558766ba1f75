/* The engine's inside, shared by its sources: engine.c (life, names, requests in), admission.c
 * (rules 5 and 6 of doc/sla.md), decode.c (the decoder's work), worker.c,
 * version.c, item.c (requests out), publish.c.
 *
 * One lock, engine->lock, guards everything here that is not said to be otherwise. It is never held
 * while computing, decoding, allocating much or calling back, and no other lock is taken under it.
 */
#ifndef SERVE_ENGINE_IMPL_H
#define SERVE_ENGINE_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/arena.h"
#include "decode/decoder.h"
#include "policy/way.h"
#include "serve/engine.h"
#include "version_impl.h"
#include "versions.h"

enum { ENGINE_DECODERS = 1 /* images that the decoder works on at a time */ };

/* One image. Lives in the request's arena. Between sched_next() and the next border it is the
 * worker's that runs it, but for `sched`. */
struct item {
    struct sched_item sched; /* first member, see item_of() */
    struct ticket *ticket;
    int index; /* in the request */
    struct way way;
    struct features *features;
    struct decode_job decode;
    unsigned computed; /* bit s: head s has run */
    double confidence; /* of the head that ran last */
    bool not_finite;   /* what a classifier computed; no answer is made of it */
    int not_finite_classifier;
    float *probabilities[SPEC_SECTIONS_MAX]; /* [classes] each */
    float *logit_sum; /* [classes]; at the end the ensemble's probabilities */
    struct request_timing timing;
    int rank; /* in its batch, by target: 0 is the most urgent */
    /* at the present border */
    enum way_time time;
    bool needs_head;
    enum way_step step;
    struct way_answer answer;
};

/* The scheduler hands out pointers to its part; NULL stays NULL. */
static inline struct item *item_of(struct sched_item *sched)
{
    return (struct item *)sched;
}

/* A request inside the engine; request->engine_private. */
struct ticket {
    struct request *request;
    struct version *version;
    struct item *items;
    int pending;         /* items that are not finished */
    int failed;          /* code for the whole request: cancelled, shed, a bad image; 0 */
    struct ticket *next; /* in the list of those that are done */
};

struct worker {
    struct engine *engine;
    unsigned number;
    pthread_t thread;
    struct sched_item **taken; /* [batch_max] */
    struct item **batch;       /* the same */
    int64_t busy_until_ns;     /* predicted end of what it does; 0: idle */
    int64_t free_ns;           /* predicted end of its batch's whole way; 0: idle */
    int64_t *others;           /* [workers - 1] room for their free_ns */
    struct arena *scratch;     /* for decoding; NULL: not needed yet */
};

struct engine {
    struct engine_options options;
    pthread_mutex_t lock;
    pthread_cond_t work;    /* for workers */
    pthread_cond_t returns; /* for the returner */
    struct sched sched;
    size_t in_flight;
    double decode_s;   /* of one image, learned */
    unsigned decoding; /* jobs that the decoder has */
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
    struct decoder *decoder;
    pthread_t returner; /* hands back what was given up while everybody else is busy */
    bool returner_started;

    struct metric_family *queue_wait, *section_seconds, *batch_size, *not_finite;
    struct metric *helps;
};

static inline double seconds_of(int64_t ns)
{
    return (double)ns / 1e9;
}

/* admission.c. Lock held. Sets the ways of all items; 0, ERR_BUSY or ERR_DEADLINE, with
 * request->error and retry_after_s. May shed others. */
int admission_decide(struct engine *engine, struct ticket *ticket, int64_t now_ns);
/* Predicted seconds until the answer, and the share of the machine's time, from a section on. */
void item_predict(struct item *item, int section);

/* worker.c. Lock held: somebody takes what has come. */
void engine_call_worker(struct engine *engine);

/* Lock held: whether so little is in flight that idle workers decode what they will compute. When
 * there is more, they would begin with single images while others are decoded. */
static inline bool engine_is_quiet(const struct engine *engine)
{
    return engine->in_flight <= engine->options.workers;
}

/* decode.c. Lock held, let go now and then: the decoder gets images that wait, if it has room.
 * Those that are too late leave: somebody flushes. */
void engine_feed_decoder(struct engine *engine);
/* Lock held, let go while decoding: decodes the next image that waits; false: none does. *scratch
 * is the calling thread's, NULL at first, its to free. */
bool decode_next(struct engine *engine, struct arena **scratch);

/* item.c. Lock held: the item gets its answer, or the status, and leaves. */
void item_answer(struct engine *engine, struct item *item, struct way_answer answer);
void item_fail(struct engine *engine, struct item *item, int status);
/* Lock held: the whole request fails; items that wait leave now, those in work when they come back.
 */
void ticket_fail(struct engine *engine, struct ticket *ticket, int code);
/* Lock held: gives back the done ones; the lock is let go for each callback. Returns how many. */
size_t engine_flush(struct engine *engine);
/* Lock held: there are done ones, and this thread may not call back (it is not the engine's). */
void engine_call_returner(struct engine *engine);

/* version.c. One with one reference, made of the model, which it owns from then on; on failure the
 * model stays the caller's. cost (NULL: measured) is taken over in any case. */
int version_new(struct engine *engine, struct model *model, int64_t number, struct cost *cost,
                struct version **ret_version, struct err *e);
/* Frees a version that nobody else has seen, but for its model. */
struct model *version_give_up(struct version *version);
/* Lock held, let go for an allocation. NULL: out of memory. */
struct features *features_take(struct engine *engine, struct version *version);
void features_give(struct version *version, struct features *features); /* lock held */

/* item.c, worker.c: thread mains. publish.c: the first of the waiting publications; lock held on
 * entry and return. */
void *returner_main(void *engine);
void *worker_main(void *worker);
void publish_run(struct worker *worker);

/* algorithms.c: plans a model as the engine's options say. */
int algorithms_choose(struct engine *engine, const struct model *model, struct plan **ret_plan,
                      struct err *e);

#endif
