/* The engine's life, the names it serves, and requests on their way in. Everything that a request
 * needs until its reply is taken from its arena here, on the submitter's thread, so that no other
 * thread ever allocates from it. What happens then stands in decode.c, worker.c and item.c. */
#include "config.h"

#include "engine_impl.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "policy/cost.h"
#include "price.h"

/* Both families are of work that takes from a tenth of a millisecond to seconds. */
static const double seconds_buckets[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
                                         0.025,  0.05,    0.1,    0.25,  0.5,    1,     2.5};
static const double batch_buckets[] = {1, 2, 4, 8, 16, 32, 64, 128};
/* Of what was predicted: a machine that does something else beside makes more of it. */
static const double ratio_buckets[] = {0.25, 0.5, 0.7, 0.85, 1, 1.2, 1.5, 2, 4, 8};
static const char *const seat_labels[] = {"seat", NULL};
static const char *const format_labels[] = {"format", NULL};
static const char *const wait_labels[] = {"section", NULL};
static const char *const model_labels[] = {"model", NULL};
static const char *const section_labels[] = {"model", "section", NULL};
static const char *const classifier_labels[] = {"model", "classifier", NULL};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

void engine_options_default(struct engine_options *options)
{
    *options = (struct engine_options){.workers = 0,
                                       .batch_max = 32,
                                       .queue_max = 1024,
                                       .default_target_ns = CLOCK_SECOND,
                                       .decode_memory_max = (size_t)1 << 30,
                                       .image_limits = image_limits_default};
}

static void add_decode_metrics(struct engine *engine, struct metrics *metrics)
{
    static const char *const seats[DESK_SEATS] = {"foreground", "background"};
    static const char *const formats[DECODE_FORMATS] = {"jpeg", "jpeg_scans", "png", "raw"};
    struct metric_family *waiting = NULL, *running = NULL, *memory = NULL, *ratio = NULL;
    if (metrics != NULL) {
        waiting = metrics_add(metrics, METRIC_GAUGE, "autodidact_decode_waiting",
                              "Images that wait for being decoded.", seat_labels, NULL, 0);
        running = metrics_add(metrics, METRIC_GAUGE, "autodidact_decode_in_progress",
                              "Images that are being decoded.", seat_labels, NULL, 0);
        memory = metrics_add(metrics, METRIC_GAUGE, "autodidact_decode_memory_bytes",
                             "Memory set aside for images that are being decoded.", seat_labels,
                             NULL, 0);
        ratio = metrics_add(metrics, METRIC_HISTOGRAM, "autodidact_decode_prediction_ratio",
                            "Time that decoding took, of a processor in the background, as a "
                            "multiple of what was predicted.",
                            format_labels, ratio_buckets, COUNT(ratio_buckets));
    }
    for (int k = 0; k < DESK_SEATS; k++) {
        engine->decode_waiting[k] = metric_series(waiting, &seats[k]);
        engine->decode_running[k] = metric_series(running, &seats[k]);
        engine->decode_memory[k] = metric_series(memory, &seats[k]);
    }
    for (int f = 0; f < DECODE_FORMATS; f++)
        engine->decode_ratio[f] = metric_series(ratio, &formats[f]);
}

static void add_learned_metrics(struct engine *engine, struct metrics *metrics)
{
    struct metric_family *margin = NULL;
    if (metrics != NULL) {
        engine->prediction_ratio =
            metrics_add(metrics, METRIC_HISTOGRAM, "autodidact_prediction_error_ratio",
                        "Time that a batch took in a section, as a multiple of what was predicted.",
                        wait_labels, ratio_buckets, COUNT(ratio_buckets));
        engine->slow_down = metrics_add(
            metrics, METRIC_GAUGE, "autodidact_slow_down_ratio",
            "What sections take that one worker computes, as a multiple of what was measured when "
            "the model was published.",
            model_labels, NULL, 0);
        engine->helped =
            metrics_add(metrics, METRIC_GAUGE, "autodidact_helped_ratio",
                        "What sections take with the help of idle workers, as a part of what one "
                        "worker takes alone.",
                        model_labels, NULL, 0);
        margin = metrics_add(metrics, METRIC_GAUGE, "autodidact_margin_seconds",
                             "Time of each deadline that is kept for what comes after computing.",
                             NULL, NULL, 0);
    }
    engine->margin = metric_series(margin, NULL);
}

static void add_metrics(struct engine *engine, struct metrics *metrics)
{
    struct metric_family *helps = NULL;
    if (metrics != NULL) {
        helps = metrics_add(metrics, METRIC_COUNTER, "autodidact_helps_total",
                            "Times that an idle worker helped with another one's batch.", NULL,
                            NULL, 0);
    }
    engine->helps = metric_series(helps, NULL);
    add_decode_metrics(engine, metrics);
    add_learned_metrics(engine, metrics);
    if (metrics == NULL) return;
    engine->queue_wait = metrics_add(metrics, METRIC_HISTOGRAM, "autodidact_queue_wait_seconds",
                                     "Time that images waited for a section to begin.", wait_labels,
                                     seconds_buckets, COUNT(seconds_buckets));
    engine->section_seconds =
        metrics_add(metrics, METRIC_HISTOGRAM, "autodidact_section_duration_seconds",
                    "Time that a batch took in a section, without heads.", section_labels,
                    seconds_buckets, COUNT(seconds_buckets));
    engine->batch_size = metrics_add(metrics, METRIC_HISTOGRAM, "autodidact_batch_size",
                                     "Images in the batch of a section.", section_labels,
                                     batch_buckets, COUNT(batch_buckets));
    engine->not_finite = metrics_add(metrics, METRIC_COUNTER, "autodidact_not_finite_total",
                                     "Images for which a classifier computed a number that is not "
                                     "finite.",
                                     classifier_labels, NULL, 0);
}

static int check_options(const struct engine_options *o, struct err *e)
{
    if (o->batch_max < 1 || o->batch_max > 4096) {
        return err_set(e, ERR_RANGE, "batch_max: %d given, takes 1 to 4096", o->batch_max);
    }
    if (o->queue_max < 1 || o->queue_max > 1 << 20) {
        return err_set(e, ERR_RANGE, "queue_max: %d given, takes 1 to %d", o->queue_max, 1 << 20);
    }
    if (o->workers > 1024) {
        return err_set(e, ERR_RANGE, "workers: %u given, takes 0 to 1024", o->workers);
    }
    if (o->default_target_ns < 1 || o->default_target_ns > 3600 * CLOCK_SECOND) {
        return err_set(e, ERR_RANGE, "default_target_ms: takes more than 0 and at most an hour");
    }
    return 0;
}

/* Signals are for the program's own threads. */
static int start_threads(struct engine *engine, struct err *e)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&engine->returner, NULL, returner_main, engine);
    engine->returner_started = rc == 0;
    while (rc == 0 && engine->n_workers < engine->options.workers) {
        struct worker *worker = &engine->workers[engine->n_workers];
        rc = pthread_create(&worker->thread, NULL, worker_main, worker);
        if (rc == 0) engine->n_workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? 0 : err_set(e, -rc, "cannot start the engine's threads: %s", err_text(-rc));
}

static int make_workers(struct engine *engine, struct err *e)
{
    engine->workers = mem_new(engine->options.workers, sizeof(*engine->workers));
    if (engine->workers == NULL) return err_set(e, -ENOMEM, "out of memory for the engine");
    for (unsigned w = 0; w < engine->options.workers; w++) {
        struct worker *worker = &engine->workers[w];
        worker->engine = engine;
        worker->number = w;
        worker->batch.worker = w;
        worker->batch.items =
            mem_new((size_t)engine->options.batch_max, sizeof(*worker->batch.items));
        if (worker->batch.items == NULL) return err_set(e, -ENOMEM, "out of memory for the engine");
    }
    return 0;
}

static struct desk *desk_of(const struct engine_options *o, struct err *e)
{
    const struct desk_options options = {
        .workers = o->workers,
        .batch_max = o->batch_max,
        .queue_max = o->queue_max,
        .default_target_ns = o->default_target_ns,
        .seats = {o->decoder != NULL ? decoder_seats(o->decoder, false) : 1,
                  o->decoder != NULL ? decoder_seats(o->decoder, true) : 1},
        .decode_memory_max = o->decode_memory_max,
        .decode_slowness = price_slowness(),
    };
    return desk_new(&options, e);
}

struct engine *engine_new(const struct engine_options *options, struct metrics *metrics,
                          struct err *e)
{
    if (check_options(options, e) < 0) return NULL;
    struct engine *engine = mem_new(1, sizeof(*engine));
    if (engine == NULL) {
        err_set(e, -ENOMEM, "out of memory for the engine");
        return NULL;
    }
    engine->options = *options;
    if (engine->options.workers == 0) engine->options.workers = cpu_count();
    pthread_mutex_init(&engine->lock, NULL);
    pthread_cond_init(&engine->work, NULL);
    pthread_cond_init(&engine->returns, NULL);
    pthread_cond_init(&engine->returned, NULL);
    versions_init(&engine->versions);
    engine->done_last = &engine->done_first;
    engine->publish_last = &engine->publish_first;
    add_metrics(engine, metrics);
    engine->desk = desk_of(&engine->options, e);
    if (engine->desk == NULL || make_workers(engine, e) < 0 || start_threads(engine, e) < 0) {
        engine_free(engine);
        return NULL;
    }
    return engine;
}

void engine_free(struct engine *engine)
{
    if (engine == NULL) return;
    pthread_mutex_lock(&engine->lock);
    engine->stopping = true;
    pthread_cond_broadcast(&engine->work);
    pthread_cond_broadcast(&engine->returns);
    pthread_mutex_unlock(&engine->lock);
    for (unsigned w = 0; w < engine->n_workers; w++) pthread_join(engine->workers[w].thread, NULL);
    pthread_mutex_lock(&engine->lock);
    while (engine->decoding + engine->returning > 0)
        pthread_cond_wait(&engine->returned, &engine->lock);
    pthread_mutex_unlock(&engine->lock);
    if (engine->returner_started) pthread_join(engine->returner, NULL);
    versions_release(&engine->versions);
    for (unsigned w = 0; engine->workers != NULL && w < engine->options.workers; w++) {
        mem_free(engine->workers[w].batch.items);
    }
    mem_free(engine->workers);
    desk_free(engine->desk);
    pthread_cond_destroy(&engine->returned);
    pthread_cond_destroy(&engine->returns);
    pthread_cond_destroy(&engine->work);
    pthread_mutex_destroy(&engine->lock);
    mem_free(engine);
}

struct version *engine_version(struct engine *engine, const char *name)
{
    return versions_acquire(&engine->versions, name);
}

size_t engine_model_names(struct engine *engine, const char **ret_names, size_t max)
{
    return versions_names(&engine->versions, ret_names, max);
}

double engine_cost(struct engine *engine, const struct version *version, int classifier)
{
    pthread_mutex_lock(&engine->lock);
    double s = cost_answer(version->cost, way_heads(&version->desk.classifiers, classifier));
    pthread_mutex_unlock(&engine->lock);
    return s;
}

void engine_costs(struct engine *engine, const struct version *version, struct engine_costs *ret)
{
    const struct cost *cost = version->cost;
    *ret = (struct engine_costs){.sizes = cost_sizes(cost)};
    pthread_mutex_lock(&engine->lock);
    ret->slow_down = cost_slow_down(cost);
    ret->helped = cost_helped(cost);
    ret->share = version->desk.share;
    for (int i = 0; i < ret->sizes; i++) {
        ret->batch[i] = cost_size(cost, i);
        for (int s = 0; s < version->sections; s++) {
            ret->section_s[s][i] = cost_section(cost, s, ret->batch[i]) / ret->slow_down;
            ret->head_s[s][i] = cost_head(cost, s, ret->batch[i]) / ret->slow_down;
        }
    }
    pthread_mutex_unlock(&engine->lock);
}

/* Does something with the version of each name, which is held meanwhile. */
static void for_each_version(struct engine *engine,
                             void (*one)(struct engine *engine, struct version *version))
{
    const char *names[MODELS_MAX];
    size_t n = engine_model_names(engine, names, MODELS_MAX);
    for (size_t i = 0; i < n; i++) {
        struct version *version = engine_version(engine, names[i]);
        if (version == NULL) continue;
        pthread_mutex_lock(&engine->lock);
        one(engine, version);
        pthread_mutex_unlock(&engine->lock);
        version_unref(version);
    }
}

static void show_learned(struct engine *engine, struct version *version)
{
    (void)engine;
    cost_age(version->cost, clock_now());
    metric_set(version->slow_down, cost_slow_down(version->cost));
    metric_set(version->helped, cost_helped(version->cost));
}

void engine_show_learned(struct engine *engine)
{
    for_each_version(engine, show_learned);
    pthread_mutex_lock(&engine->lock);
    metric_set(engine->margin, desk_margin_s(engine->desk));
    pthread_mutex_unlock(&engine->lock);
}

void engine_give_share(struct engine *engine, struct version *version)
{
    version->desk.share = shares_of(&engine->options.shares, version->model->name);
}

void engine_set_shares(struct engine *engine, const struct shares *shares)
{
    pthread_mutex_lock(&engine->lock);
    engine->options.shares = *shares;
    pthread_mutex_unlock(&engine->lock);
    for_each_version(engine, engine_give_share);
}

size_t engine_in_flight(struct engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    size_t n = desk_in_flight(engine->desk);
    pthread_mutex_unlock(&engine->lock);
    return n;
}

/* Everything from the arena: items, results, probabilities. */
static struct ticket *ticket_new(struct request *request)
{
    struct version *version = request->version;
    size_t n = (size_t)request->n_images, classes = (size_t)version->classes;
    size_t vectors = 2 * (size_t)version->sections + 1;
    struct ticket *ticket = arena_alloc(request->arena, 1, sizeof(*ticket));
    struct item *items = arena_alloc(request->arena, n, sizeof(*items));
    request->results = arena_alloc(request->arena, n, sizeof(*request->results));
    float *floats = arena_alloc(request->arena, n * vectors, classes * sizeof(float));
    if (ticket == NULL || items == NULL || request->results == NULL || floats == NULL) return NULL;
    memset(items, 0, n * sizeof(*items));
    memset(request->results, 0, n * sizeof(*request->results));
    memset(floats, 0, n * vectors * classes * sizeof(float));
    *ticket = (struct ticket){.desk = {.sla = &request->sla,
                                       .arrival_ns = request->arrival_ns,
                                       .version = &version->desk,
                                       .items = &items[0].desk,
                                       .n_items = request->n_images,
                                       .client = request->client},
                              .request = request,
                              .version = version,
                              .items = items};
    for (size_t i = 0; i < n; i++) {
        items[i].ticket = ticket;
        items[i].index = (int)i;
        items[i].desk.request = &ticket->desk;
        items[i].desk.sibling = i + 1 < n ? &items[i + 1].desk : NULL;
        for (int s = 0; s < version->sections; s++, floats += 2 * classes) {
            items[i].logits[s] = floats;
            items[i].probabilities[s] = floats + classes;
        }
        items[i].blend = floats;
        floats += classes;
    }
    return ticket;
}

/* On the submitter's thread, so that no other one is held up by images that are not decoded. */
static void price_items(const struct engine *engine, const struct ticket *ticket)
{
    const struct request *request = ticket->request;
    size_t memory_max = desk_decode_memory_max(engine->desk);
    for (int i = 0; i < request->n_images; i++) {
        struct item *item = &ticket->items[i];
        item->desk.refused = item->decode.status = price_input(
            &request->images[i], &ticket->version->model->preprocess, &engine->options.image_limits,
            memory_max, &item->desk.size, &item->decode.error);
    }
}

static int submit(struct engine *engine, struct request *request)
{
    if (request->n_images < 1 || request->n_images > engine->options.queue_max) {
        return err_set(&request->error, ERR_LIMIT, "%d images in one request, takes 1 to %d",
                       request->n_images, engine->options.queue_max);
    }
    request->version = engine_version(engine, request->model_name);
    if (request->version == NULL) {
        return request->model_name[0] != '\0'
                   ? err_set(&request->error, ERR_NOT_FOUND, "no model is named \"%s\"",
                             request->model_name)
                   : err_set(&request->error, ERR_NOT_FOUND, "no model is loaded");
    }
    int rc = sla_check_model(&request->sla, &request->version->desk.classifiers, &request->error);
    if (rc < 0) return rc;
    struct ticket *ticket = ticket_new(request);
    if (ticket == NULL) {
        return err_set(&request->error, -ENOMEM,
                       "out of memory for the request: send fewer images");
    }
    request->engine_private = ticket;
    price_items(engine, ticket);
    pthread_mutex_lock(&engine->lock);
    bool stopping = engine->stopping, returning = engine->done_first != NULL;
    if (!stopping) rc = desk_arrived(engine->desk, &ticket->desk, clock_now());
    engine_collect(engine); /* who had to go for it, and what cannot be decoded */
    /* If the worker has got something else to do until it is awake, it feeds the decoder. */
    bool admitted = rc == 0 && !stopping;
    bool to_worker = admitted && engine->idle > 0 && desk_is_quiet(engine->desk) &&
                     desk_decoding(engine->desk, DESK_FOREGROUND).waiting > 0;
    if (admitted) engine_feed_decoder(engine, to_worker);
    /* For those that had to go, or were too late, unless somebody hands back others just now. */
    if (!returning) engine_call_returner(engine);
    pthread_mutex_unlock(&engine->lock);
    /* Woken with the lock held, it would sleep again at once. */
    if (to_worker) pthread_cond_signal(&engine->work);
    if (stopping) {
        request->retry_after_s = 1;
        return err_set(&request->error, ERR_BUSY, "the server is stopping");
    }
    if (rc == 0) return 0;
    request->retry_after_s = ticket->desk.retry_after_s;
    return desk_explain(&ticket->desk, rc, &request->error);
}

void engine_set_limits(struct engine *engine, int queue_max, int64_t default_target_ns)
{
    engine->options.queue_max = queue_max; /* looked at by who submits, where this is called */
    pthread_mutex_lock(&engine->lock);
    desk_set_limits(engine->desk, queue_max, default_target_ns);
    pthread_mutex_unlock(&engine->lock);
}

int engine_submit(struct engine *engine, struct request *request)
{
    request->version = NULL;
    request->status = 0;
    request->error = (struct err){.code = 0};
    request->retry_after_s = 0;
    request->results = NULL;
    request->timing = (struct request_timing){.decode_ns = 0};
    int rc = submit(engine, request);
    /* From here on an admitted request may be gone already. */
    if (rc < 0) {
        version_unref(request->version);
        request->version = NULL;
        request->engine_private = NULL;
        request->status = rc;
    }
    return rc;
}

void engine_cancel(struct engine *engine, struct request *request)
{
    struct item *given_up = NULL;
    pthread_mutex_lock(&engine->lock);
    struct ticket *ticket = request->engine_private;
    desk_give_up(engine->desk, &ticket->desk, ERR_CANCELLED);
    engine_collect(engine);
    for (int i = 0; i < request->n_images; i++) {
        struct item *item = &ticket->items[i];
        if (!item->in_decoder) continue;
        item->next_given = given_up;
        given_up = item;
    }
    engine_show_decoding(engine);
    engine_call_returner(engine); /* hands it back */
    pthread_mutex_unlock(&engine->lock);
    /* It may come back meanwhile, but stays what it is: the caller keeps `done` from returning. */
    for (; given_up != NULL; given_up = given_up->next_given)
        decoder_cancel(engine->options.decoder, &given_up->decode);
}

void engine_replied(struct engine *engine, const struct request *request, int64_t left_ns)
{
    const struct ticket *ticket = request->engine_private;
    pthread_mutex_lock(&engine->lock);
    desk_replied(engine->desk, ticket->desk.computed_ns, left_ns);
    pthread_mutex_unlock(&engine->lock);
}
