/* Requests out: a request is done when the last of its items has ended. Done requests wait in a
 * list, because callbacks run without the lock and on the engine's threads only; what they come to
 * is put together without the lock, too. */
#include "config.h"

#include "engine_impl.h"

#include "nn/loss.h"

/* Others are more urgent: the decoder has better things to do. */
static void stop_decoding(const struct engine *engine, struct ticket *ticket)
{
    if (ticket->shed) return;
    ticket->shed = true;
    for (int i = 0; i < ticket->request->n_images; i++) {
        struct item *item = &ticket->items[i];
        if (item->in_decoder) decoder_cancel(engine->options.decoder, &item->decode);
    }
}

void engine_collect(struct engine *engine)
{
    for (struct desk_item *ended; (ended = desk_ended(engine->desk)) != NULL;) {
        struct item *item = item_of(ended);
        struct ticket *ticket = item->ticket;
        struct version *version = ticket->version;
        features_give(version, item->features);
        item->features = NULL;
        if (ended->dropped) {
            int section = ticket->request->results[item->index].exits_run;
            metric_observe(version->queue_wait[section], seconds_of(ended->wait_ns));
        }
        if (ticket->desk.given_up == ERR_BUSY) stop_decoding(engine, ticket);
        if (!ended->last) continue;
        ticket->slowest = item;
        ticket->next = NULL;
        *engine->done_last = ticket;
        engine->done_last = &ticket->next;
    }
    if (engine->stopping && desk_in_flight(engine->desk) == 0) {
        pthread_cond_broadcast(&engine->work);
        pthread_cond_signal(&engine->returns);
    }
}

/* Which classifier it was. */
static int explain_not_finite(const struct item *item, struct err *e)
{
    const struct version *version = item->ticket->version;
    return err_set(e, ERR_DIVERGED,
                   "classifier %s of model %s, version %lld, computed a number that is not finite: "
                   "activate another version",
                   model_classifier_name(item->faulty), version->model->name,
                   (long long)version->number);
}

static void explain(const struct item *item, struct err *e)
{
    int status = item->desk.status;
    if (item->decode.status == status)
        *e = item->decode.error;
    else if (item->desk.fault == status)
        explain_not_finite(item, e);
    else
        desk_explain(&item->ticket->desk, status, e);
}

/* The ensemble has equal weights (rule 4 of doc/sla.md), a running one its own (rule 13). A mean of
 * finite numbers is finite: in doubles no sum of them overflows. */
const float *item_blend(const struct item *item, int classifier)
{
    const struct version *version = item->ticket->version;
    const struct model *model = version->model;
    const unsigned heads = way_heads(&version->desk.classifiers, classifier);
    const double *weights = classifier == MODEL_ENSEMBLE
                                ? NULL
                                : model->calibration.running[classifier - MODEL_RUNNING(0)].weights;
    double total = 0;
    for (int s = 0; s < version->sections; s++)
        if ((heads >> s & 1) != 0) total += weights != NULL ? weights[s] : 1;
    for (int c = 0; c < version->classes; c++) {
        double sum = 0;
        for (int s = 0; s < version->sections; s++) {
            if ((heads >> s & 1) == 0) continue;
            sum += (weights != NULL ? weights[s] : 1) * (double)item->logits[s][c];
        }
        item->blend[c] = (float)(sum / total);
    }
    loss_softmax(version->classes, item->blend, model_temperature(model, classifier), item->blend);
    return item->blend;
}

static void fill_result(const struct item *item, struct result *result)
{
    const struct desk_item *desk = &item->desk;
    result->status = desk->status;
    if (desk->status != 0) {
        explain(item, &result->error);
        return;
    }
    result->classifier = desk->answer.classifier;
    result->reason = desk->answer.reason;
    const int classifier = desk->answer.classifier;
    bool single = classifier >= 0 && classifier < SPEC_SECTIONS_MAX;
    result->probabilities = single ? item->probabilities[classifier] : item_blend(item, classifier);
    for (int s = 0; s < SPEC_SECTIONS_MAX; s++) {
        result->exit_probabilities[s] =
            (desk->computed & 1u << s) != 0 ? item->probabilities[s] : NULL;
    }
}

/* Of a request without any answer: the message of the first image that ended so. */
static void explain_all(struct request *request)
{
    int i = 0;
    while (request->results[i].status != request->status) i++;
    request->error = request->results[i].error;
    bool of_the_image = request->status != ERR_DEADLINE && request->status != ERR_BUSY &&
                        request->status != ERR_CANCELLED;
    if (request->n_images > 1 && of_the_image) err_prefix(&request->error, "images[%d]", i);
}

/* What is known of the request when all of its items have ended. */
static void conclude(const struct ticket *ticket)
{
    struct request *request = ticket->request;
    for (int i = 0; i < request->n_images; i++)
        fill_result(&ticket->items[i], &request->results[i]);
    request->timing = ticket->slowest->timing;
    request->timing.queue_ns = ticket->slowest->desk.waited_ns;
    request->retry_after_s = ticket->desk.retry_after_s;
    request->status = desk_conclude(&ticket->desk);
    if (request->status != 0) explain_all(request);
}

size_t engine_flush(struct engine *engine)
{
    size_t n = 0;
    while (engine->done_first != NULL) {
        struct ticket *ticket = engine->done_first;
        engine->done_first = ticket->next;
        if (engine->done_first == NULL) engine->done_last = &engine->done_first;
        pthread_mutex_unlock(&engine->lock);
        conclude(ticket);
        ticket->request->done(ticket->request);
        n++;
        pthread_mutex_lock(&engine->lock);
    }
    return n;
}

void engine_call_returner(struct engine *engine)
{
    if (engine->done_first != NULL) pthread_cond_signal(&engine->returns);
}

void *returner_main(void *arg)
{
    struct engine *engine = arg;
    pthread_mutex_lock(&engine->lock);
    for (;;) {
        if (engine_flush(engine) > 0) continue;
        if (engine->stopping && desk_in_flight(engine->desk) == 0) break;
        pthread_cond_wait(&engine->returns, &engine->lock);
    }
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}
