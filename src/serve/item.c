/* Requests out: an item gets its answer or fails, and the request is done with its last item. Done
 * requests wait in a list, because callbacks run without the lock and on the engine's threads only.
 */
#include "config.h"

#include "engine_impl.h"

#include "base/clock.h"

/* What the client sees when the whole request was given up. */
static const char *failed_text(int code)
{
    switch (code) {
    case ERR_CANCELLED:
        return "the client has gone";
    case ERR_BUSY:
        return "the queue is full and more urgent requests came; try again later";
    default:
        return err_text(code);
    }
}

static void ticket_done(struct engine *engine, struct ticket *ticket)
{
    ticket->next = NULL;
    *engine->done_last = ticket;
    engine->done_last = &ticket->next;
}

/* The item is finished, whichever way. */
static void item_leave(struct engine *engine, struct item *item)
{
    struct ticket *ticket = item->ticket;
    sched_remove(&engine->sched, &item->sched);
    features_give(ticket->version, item->features);
    item->features = NULL;
    if (--ticket->pending == 0) ticket_done(engine, ticket);
    if (--engine->in_flight == 0 && engine->stopping) {
        pthread_cond_broadcast(&engine->work);
        pthread_cond_signal(&engine->returns);
    }
}

static void keep_slowest_timing(struct item *item)
{
    /* Items finish one after the other, so the last one to write is the slowest. */
    item->ticket->request->timing = item->timing;
}

void item_answer(struct engine *engine, struct item *item, struct way_answer answer)
{
    struct result *result = &item->ticket->request->results[item->index];
    result->status = 0;
    result->classifier = answer.classifier;
    result->reason = answer.reason;
    result->probabilities = answer.classifier == MODEL_ENSEMBLE
                                ? item->logit_sum
                                : item->probabilities[answer.classifier];
    for (int s = 0; s < SPEC_SECTIONS_MAX; s++) {
        result->exit_probabilities[s] =
            (item->computed & 1u << s) != 0 ? item->probabilities[s] : NULL;
    }
    keep_slowest_timing(item);
    item_leave(engine, item);
}

void item_fail(struct engine *engine, struct item *item, int status)
{
    item->ticket->request->results[item->index].status = status;
    keep_slowest_timing(item);
    item_leave(engine, item);
}

void ticket_fail(struct engine *engine, struct ticket *ticket, int code)
{
    if (ticket->failed == 0) ticket->failed = code;
    /* With the last item the ticket is done, and may be gone as soon as the lock is. */
    for (int i = 0, n = ticket->request->n_images; i < n; i++) {
        struct item *item = &ticket->items[i];
        if (item->sched.place != NULL && item->sched.place != &engine->sched.running) {
            item_fail(engine, item, ticket->failed);
        }
    }
}

/* What is known of the request when all of its items are. */
static void request_conclude(struct ticket *ticket)
{
    struct request *request = ticket->request;
    int answered = 0, status = 0;
    for (int i = 0; i < request->n_images; i++) {
        if (request->results[i].status == 0) {
            answered++;
        } else if (status == 0) {
            status = request->results[i].status;
        }
    }
    /* With on-miss=fail one image that is late is a miss of the request. */
    if (answered > 0 && !(request->sla.fail_on_miss && status == ERR_DEADLINE)) status = 0;
    if (ticket->failed != 0) status = ticket->failed;
    request->status = status;
    if (status != 0 && request->error.code != status) {
        err_set(&request->error, status, "%s",
                status == ERR_DEADLINE && ticket->failed == 0
                    ? "the deadline passed before a classifier could answer"
                    : failed_text(status));
    }
    request->finished_ns = clock_now();
    request->deadline_met =
        status == 0 && (request->sla.deadline_ns == 0 ||
                        request->finished_ns <= request->arrival_ns + request->sla.deadline_ns);
}

size_t engine_flush(struct engine *engine)
{
    size_t n = 0;
    while (engine->done_first != NULL) {
        struct ticket *ticket = engine->done_first;
        engine->done_first = ticket->next;
        if (engine->done_first == NULL) engine->done_last = &engine->done_first;
        pthread_mutex_unlock(&engine->lock);
        request_conclude(ticket);
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
        if (engine->stopping && engine->in_flight == 0) break;
        pthread_cond_wait(&engine->returns, &engine->lock);
    }
    pthread_mutex_unlock(&engine->lock);
    return NULL;
}
