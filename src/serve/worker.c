/* A compute worker: takes a batch from the scheduler, runs one section of it, then only the heads
 * that somebody needs, asks each item's way what comes next, and puts those that go on into the
 * next section's queue.
 *
 *   lock: sched_next, way_before | gather, section | lock: judge the time | heads, way_after,
 * scatter | lock: finish and push
 *
 * While nothing else waits and the whole batch goes on, it stays in the executor and is not copied.
 */
#include "config.h"

#include "engine_impl.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "nn/loss.h"

/* A batch in work. */
struct batch {
    struct version *version;
    struct version_worker *own; /* this worker's executor */
    struct item **items;
    int n, section;
    int64_t section_ns; /* what the section took */
};

static int64_t ns_of(double s)
{
    return (int64_t)(s * (double)CLOCK_SECOND);
}

static double temperature_of(const struct model *model, int classifier)
{
    const struct calibration *c = &model->calibration;
    double t =
        classifier == MODEL_ENSEMBLE ? c->ensemble.temperature : c->exits[classifier].temperature;
    return c->present && t > 0 ? t : 1;
}

/* Time before a section that is about to run in a batch of n. */
static enum way_time judge_before(const struct batch *b, const struct item *item, int64_t now_ns)
{
    int64_t deadline = item->sched.deadline_ns;
    if (deadline == 0) return WAY_ENOUGH;
    if (now_ns > deadline) return WAY_OVER;
    const struct cost *cost = b->version->cost;
    double s = cost_section(cost, b->section, b->n) + cost_head(cost, b->section, b->n);
    return now_ns + ns_of(s) > deadline ? WAY_SHORT : WAY_ENOUGH;
}

/* Time after a section, its heads not run yet. Those of the batch with earlier targets are expected
 * to come along, the others to come later; what is queued with an earlier target goes first. */
static enum way_time judge_after(const struct engine *engine, const struct batch *b,
                                 const struct item *item, int64_t now_ns)
{
    int64_t deadline = item->sched.deadline_ns;
    if (deadline == 0) return WAY_ENOUGH;
    if (now_ns > deadline) return WAY_OVER;
    if (b->section == item->way.last) return WAY_ENOUGH;
    const struct cost *cost = b->version->cost;
    int next = b->section + 1, along = item->rank + 1;
    double section = cost_section(cost, next, along);
    double end = cost_head(cost, b->section, b->n) + section + cost_head(cost, next, along) +
                 seconds_of(sched_queued_before(&engine->sched, item->sched.target_ns)) /
                     engine->options.workers;
    if (now_ns + ns_of(end) > deadline) return WAY_SHORT;
    return now_ns + ns_of(end + section) > deadline ? WAY_TIGHT : WAY_ENOUGH;
}

/* Lock held: whether others may be helping with this batch. */
static bool is_leading(const struct engine *engine, const struct batch *b)
{
    return engine->leading == b->own->exec;
}

/* Lock held. Items that have no time left, or whose request was given up, leave before the section.
 */
static void drop_late(struct engine *engine, struct batch *b, int64_t now_ns)
{
    int kept = 0;
    for (int i = 0; i < b->n; i++) {
        struct item *item = b->items[i];
        int64_t waited = now_ns - item->sched.since_ns;
        item->timing.queue_ns += waited;
        metric_observe(b->version->queue_wait[b->section], seconds_of(waited));
        struct way_answer answer = {0, SLA_REQUESTED};
        enum way_step step =
            way_before(&item->way, item->computed, judge_before(b, item, now_ns), &answer);
        if (step == WAY_CONTINUE) {
            b->items[kept++] = item;
        } else if (step == WAY_STOP) {
            item_answer(engine, item, answer);
        } else {
            item_fail(engine, item, ERR_DEADLINE);
        }
    }
    b->n = kept;
}

/* Those that are known to need the head come first, so that one call computes them all. */
static void order_by_head(struct batch *b)
{
    int first = 0;
    for (int i = 0; i < b->n; i++) {
        struct item *item = b->items[i];
        item->rank = i;
        if ((item->way.heads & 1u << b->section) == 0) continue;
        memmove(b->items + first + 1, b->items + first, (size_t)(i - first) * sizeof(*b->items));
        b->items[first++] = item;
    }
}

static void gather(const struct batch *b)
{
    size_t size = shape_size(net_section_input(b->version->model->net, b->section));
    float *input = exec_input(b->own->exec, b->section);
    for (int i = 0; i < b->n; i++) {
        memcpy(input + (size_t)i * size, b->items[i]->features->values, size * sizeof(float));
    }
}

static void scatter(const struct batch *b, const float *output)
{
    size_t size = shape_size(net_section_output(b->version->model->net, b->section));
    for (int i = 0; i < b->n; i++) {
        const struct item *item = b->items[i];
        if (item->step != WAY_CONTINUE) continue;
        memcpy(item->features->values, output + (size_t)i * size, size * sizeof(float));
    }
}

static bool all_finite(int n, const float *values)
{
    bool finite = true;
    for (int i = 0; i < n; i++) finite &= isfinite(values[i]) != 0;
    return finite;
}

/* Weights that are finite can overflow: a probability of what came out would say nothing. */
static void note_not_finite(const struct batch *b, struct item *item, int classifier)
{
    if (item->not_finite) return; /* the first one is named */
    const char *labels[] = {b->version->model->name, model_classifier_name(classifier)};
    metric_add(metric_series(b->version->engine->not_finite, labels), 1);
    item->not_finite = true;
    item->not_finite_classifier = classifier;
}

/* One item's logits of this section's head. */
static void take_logits(const struct batch *b, struct item *item, const float *logits)
{
    int classes = b->version->classes, s = b->section;
    float *p = item->probabilities[s];
    if (!all_finite(classes, logits)) note_not_finite(b, item, s);
    loss_softmax(classes, logits, temperature_of(b->version->model, s), p);
    float most = 0;
    for (int c = 0; c < classes; c++) {
        item->logit_sum[c] += logits[c];
        if (p[c] > most) most = p[c];
    }
    item->confidence = (double)most;
    item->computed |= 1u << s;
}

static void run_heads(const struct batch *b)
{
    size_t classes = (size_t)b->version->classes;
    int64_t start = clock_now();
    for (int i = 0, end; i < b->n; i = end + 1) {
        for (end = i; end < b->n && b->items[end]->needs_head; end++) continue;
        if (end == i) continue;
        exec_head(b->own->exec, b->section, i, end - i, b->own->logits);
        for (int k = i; k < end; k++) {
            take_logits(b, b->items[k], b->own->logits + (size_t)(k - i) * classes);
        }
    }
    int64_t took = clock_now() - start;
    for (int i = 0; i < b->n; i++) {
        if (b->items[i]->needs_head) b->items[i]->timing.head_ns += took;
    }
}

/* The mean of all logits (rule 4 of doc/sla.md) becomes probabilities where the sum stood. */
static void finish_ensemble(const struct batch *b, struct item *item)
{
    const struct version *version = b->version;
    for (int c = 0; c < version->classes; c++) item->logit_sum[c] /= (float)version->sections;
    if (!all_finite(version->classes, item->logit_sum)) note_not_finite(b, item, MODEL_ENSEMBLE);
    loss_softmax(version->classes, item->logit_sum, temperature_of(version->model, MODEL_ENSEMBLE),
                 item->logit_sum);
}

/* What each item does next. Returns how many go on. */
static int decide(const struct batch *b)
{
    int go_on = 0;
    int64_t now = clock_now();
    for (int i = 0; i < b->n; i++) {
        struct item *item = b->items[i];
        bool late = item->sched.deadline_ns > 0 && now > item->sched.deadline_ns;
        enum way_time time = late && item->way.fail ? WAY_OVER : item->time;
        item->step = way_after(&item->way, b->section, item->computed, item->confidence, time,
                               &item->answer);
        if (item->step == WAY_CONTINUE) go_on++;
        if (item->step == WAY_STOP && item->answer.classifier == MODEL_ENSEMBLE) {
            finish_ensemble(b, item);
        }
    }
    return go_on;
}

static void note_section(const struct batch *b, int64_t took_ns)
{
    int s = b->section;
    for (int i = 0; i < b->n; i++) {
        struct item *item = b->items[i];
        struct result *result = &item->ticket->request->results[item->index];
        item->timing.section_ns[s] = took_ns;
        result->exits_run = s + 1;
        result->batch[s] = b->n;
    }
    metric_observe(b->version->section_seconds[s], seconds_of(took_ns));
    metric_observe(b->version->batch_size[s], b->n);
}

/* Lock held. */
static void judge(struct engine *engine, struct batch *b, double predicted_s)
{
    /* What takes half the time because others helped says nothing of when all are busy. */
    if (!is_leading(engine, b))
        cost_learn(b->version->cost, predicted_s, seconds_of(b->section_ns));
    int64_t now = clock_now();
    for (int i = 0; i < b->n; i++) {
        struct item *item = b->items[i];
        item->time = judge_after(engine, b, item, now);
        item->needs_head =
            item->ticket->failed == 0 && way_needs_head(&item->way, b->section, item->time);
    }
}

/* Lock held. */
static void fail_not_finite(struct engine *engine, struct item *item)
{
    struct request *request = item->ticket->request;
    const struct version *version = request->version;
    if (request->error.code == 0) {
        err_set(&request->error, ERR_DIVERGED,
                "classifier %s of model %s, version %lld, computed a number that is not finite: "
                "activate another version",
                model_classifier_name(item->not_finite_classifier), version->model->name,
                (long long)version->number);
        if (request->n_images > 1) err_prefix(&request->error, "images[%d]", item->index);
    }
    item_fail(engine, item, ERR_DIVERGED);
}

/* Lock held. Everybody leaves the batch: for an answer, or for the next queue. */
static void part(struct engine *engine, struct batch *b)
{
    int64_t now = clock_now();
    for (int i = 0; i < b->n; i++) {
        struct item *item = b->items[i];
        if (item->ticket->failed != 0) {
            item_fail(engine, item, item->ticket->failed);
        } else if (item->not_finite) {
            fail_not_finite(engine, item);
        } else if (item->step == WAY_STOP) {
            item_answer(engine, item, item->answer);
        } else if (item->step == WAY_EXPIRED) {
            item_fail(engine, item, ERR_DEADLINE);
        } else {
            item_predict(item, b->section + 1);
            sched_push(&engine->sched, &b->version->queues[b->section + 1], &item->sched, now);
        }
    }
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
static void invite(struct worker *worker, const struct batch *b, double predicted_s)
{
    static const double least_s = 0.0002;
    struct engine *engine = worker->engine;
    if (engine->leading != NULL || engine->idle == 0 || engine->sched.waiting > 0 ||
        predicted_s < least_s)
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

/* Lock held: whether a batch that goes on as a whole may do so at once, without a look into the
 * queues. */
static bool stays(const struct engine *engine, const struct batch *b)
{
    const struct item *earliest = b->items[0];
    for (int i = 0; i < b->n; i++) {
        if (b->items[i]->ticket->failed != 0) return false;
        if (b->items[i]->sched.target_ns < earliest->sched.target_ns) earliest = b->items[i];
    }
    return engine->done_first == NULL &&
           sched_goes_on(&engine->sched, &b->version->queues[b->section + 1], &earliest->sched);
}

/* Lock held: a few sums, then it is let go while computing and held again on return. Returns
 * whether the whole batch stays in the executor for the next section. */
static bool run_section(struct worker *worker, struct batch *b, bool from_previous)
{
    struct engine *engine = worker->engine;
    double predicted = cost_section(b->version->cost, b->section, b->n);
    double head = cost_head(b->version->cost, b->section, b->n);
    int64_t now = clock_now();
    worker->busy_until_ns = now + ns_of(predicted + head);
    worker->free_ns = now + ns_of(cost_way(b->version->cost, &b->items[0]->way, b->section, b->n));
    invite(worker, b, predicted);
    pthread_mutex_unlock(&engine->lock);

    if (!from_previous) {
        order_by_head(b);
        gather(b);
    }
    int64_t start = clock_now();
    const float *output = exec_section(b->own->exec, b->section, b->n, from_previous);
    b->section_ns = clock_now() - start;
    note_section(b, b->section_ns);

    pthread_mutex_lock(&engine->lock);
    judge(engine, b, predicted);
    pthread_mutex_unlock(&engine->lock);
    run_heads(b);
    int go_on = decide(b);
    bool whole = go_on == b->n;
    if (!whole && go_on > 0) scatter(b, output);
    pthread_mutex_lock(&engine->lock);
    if (whole) {
        if (stays(engine, b)) return true;
        pthread_mutex_unlock(&engine->lock);
        scatter(b, output);
        pthread_mutex_lock(&engine->lock);
    }
    dismiss(engine, b);
    part(engine, b);
    return false;
}

/* Lock held on entry and return. */
static void run_batch(struct worker *worker, const struct sched_queue *queue, size_t n)
{
    struct engine *engine = worker->engine;
    struct batch b = {.items = worker->batch, .n = (int)n, .section = queue->section};
    for (size_t i = 0; i < n; i++) worker->batch[i] = item_of(worker->taken[i]);
    b.version = b.items[0]->ticket->version;
    b.own = &b.version->workers[worker->number];
    drop_late(engine, &b, clock_now());
    if (b.n == 0) return;
    /* Once its items have left, nothing of the version may be touched: they held the references. */
    bool stays = false;
    while ((stays = run_section(worker, &b, stays))) b.section++;
}

static bool all_over(const struct engine *engine)
{
    return engine->stopping && engine->in_flight == 0 && engine->publish_first == NULL;
}

void *worker_main(void *arg)
{
    struct worker *worker = arg;
    struct engine *engine = worker->engine;
    pthread_mutex_lock(&engine->lock);
    for (;;) {
        worker->busy_until_ns = worker->free_ns = 0;
        if (engine_flush(engine) > 0) continue;
        /* Before anything that takes long, and before this worker has taken what it holds, since
         * the lock is let go. */
        if (engine->sched.waiting > 0 || engine->publish_first != NULL) engine_feed_decoder(engine);
        if (engine->done_first != NULL) continue;
        if (engine->publish_first != NULL && !engine->publishing) {
            publish_run(worker);
            continue;
        }
        struct sched_queue *queue;
        size_t n_others = 0;
        for (unsigned w = 0; w < engine->options.workers; w++)
            if (w != worker->number) worker->others[n_others++] = engine->workers[w].free_ns;
        size_t n = sched_next(&engine->sched, clock_now(), worker->others, n_others,
                              (size_t)engine->options.batch_max, worker->taken, &queue);
        if (n > 0) {
            if (engine->sched.waiting > 0) engine_call_worker(engine);
            run_batch(worker, queue, n);
            continue;
        }
        if (engine_is_quiet(engine) && decode_next(engine, &worker->scratch)) continue;
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
