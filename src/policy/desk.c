/* The desk's life, decoding, and ends: an item's, and what a request comes to when all of its items
 * have ended. Those that have ended wait in a list for whoever called. */
#include "config.h"

#include "desk_impl.h"

#include <errno.h>

#include "base/mem.h"

static const double decode_learn_rate = 0.05;

struct desk *desk_new(const struct desk_options *options, struct err *e)
{
    struct desk *desk = mem_new(1, sizeof(*desk));
    if (desk == NULL) {
        err_set(e, -ENOMEM, "out of memory for the desk");
        return NULL;
    }
    desk->options = *options;
    desk->ended_last = &desk->ended_first;
    sched_init(&desk->sched);
    desk->workers = mem_new(options->workers, sizeof(*desk->workers));
    desk->others = mem_new(options->workers, sizeof(*desk->others));
    desk->taken = mem_new((size_t)options->batch_max, sizeof(struct sched_item *));
    if (desk->workers == NULL || desk->others == NULL || desk->taken == NULL) {
        desk_free(desk);
        err_set(e, -ENOMEM, "out of memory for the desk");
        return NULL;
    }
    return desk;
}

void desk_free(struct desk *desk)
{
    if (desk == NULL) return;
    mem_free(desk->workers);
    mem_free(desk->others);
    mem_free(desk->taken);
    mem_free(desk);
}

void desk_version_init(struct desk_version *version, const struct classifiers *classifiers)
{
    version->classifiers = *classifiers;
    for (int s = 0; s < classifiers->exits; s++)
        sched_queue_init(&version->queues[s], s, classifiers->cost);
}

/* ---- decoding ---- */

struct desk_item *desk_decode(struct desk *desk, int64_t now_ns)
{
    struct desk_item *item;
    while ((item = item_of(sched_take_decode(&desk->sched))) != NULL) {
        if (item->sched.deadline_ns == 0 || now_ns <= item->sched.deadline_ns) {
            item->wait_ns = now_ns - item->sched.since_ns;
            item->waited_ns += item->wait_ns;
            return item;
        }
        desk_end(desk, item, ERR_DEADLINE);
    }
    return NULL;
}

void desk_decoded(struct desk *desk, struct desk_item *item, int status, double took_s,
                  int64_t now_ns)
{
    struct desk_request *request = item->request;
    double rate = desk->decode_s > 0 ? decode_learn_rate : 1;
    if (took_s > 0) desk->decode_s += rate * (took_s - desk->decode_s);
    int over = request->given_up != 0 ? request->given_up : status;
    if (over < 0) {
        desk_end(desk, item, over);
        return;
    }
    desk_predict(desk, item, 0);
    sched_push(&desk->sched, &request->version->queues[0], &item->sched, now_ns);
}

/* ---- ends ---- */

void desk_end(struct desk *desk, struct desk_item *item, int status)
{
    sched_remove(&desk->sched, &item->sched);
    desk->in_flight--;
    item->status = status;
    item->last = --item->request->pending == 0;
    item->next_ended = NULL;
    *desk->ended_last = item;
    desk->ended_last = &item->next_ended;
}

struct desk_item *desk_ended(struct desk *desk)
{
    struct desk_item *item = desk->ended_first;
    if (item == NULL) return NULL;
    desk->ended_first = item->next_ended;
    if (desk->ended_first == NULL) desk->ended_last = &desk->ended_first;
    return item;
}

void desk_give_up(struct desk *desk, struct desk_request *request, int code)
{
    if (request->pending == 0) return;
    if (request->given_up == 0) request->given_up = code;
    for (struct desk_item *item = request->items; item != NULL; item = item->sibling) {
        const struct sched_queue *place = item->sched.place;
        if (place != NULL && place->section != SCHED_RUNNING)
            desk_end(desk, item, request->given_up);
    }
}

int desk_conclude(const struct desk_request *request)
{
    if (request->given_up != 0) return request->given_up;
    bool answered = false, missed = false;
    int status = 0;
    for (const struct desk_item *item = request->items; item != NULL; item = item->sibling) {
        answered |= item->status == 0;
        missed |= item->status == ERR_DEADLINE;
        if (status == 0) status = item->status;
    }
    /* With on-miss=fail one image that is late is a miss of the request. */
    if (missed && request->sla->fail_on_miss) return ERR_DEADLINE;
    return answered ? 0 : status;
}

int desk_explain(const struct desk_request *request, int status, struct err *e)
{
    double ms = (double)request->sla->deadline_ns / (double)CLOCK_MS;
    const char *why =
        request->refusal == DESK_FULL ? "the queue is full" : "no classifier can be in time";
    if (request->refusal == DESK_IMPOSSIBLE)
        return err_set(e, status, "not possible within %.3f ms of arrival, even on an idle machine",
                       ms);
    if (request->refusal == DESK_OVERLOADED && status == ERR_DEADLINE)
        return err_set(e, status, "not possible within %.3f ms of arrival behind the present queue",
                       ms);
    if (request->refusal != DESK_ADMITTED)
        return err_set(e, status, "%s; try again in %d s", why, request->retry_after_s);
    switch (status) {
    case ERR_DEADLINE:
        return err_set(e, status, "the deadline passed before a classifier could answer");
    case ERR_CANCELLED:
        return err_set(e, status, "the client has gone");
    case ERR_BUSY:
        return err_set(e, status,
                       "the queue is full and more urgent requests came; try again later");
    default:
        return err_set(e, status, "%s", err_text(status));
    }
}

/* ---- what is known from outside ---- */

void desk_occupied(struct desk *desk, unsigned worker, int64_t until_ns)
{
    desk->workers[worker] = (struct desk_worker){until_ns, until_ns};
}

size_t desk_in_flight(const struct desk *desk)
{
    return desk->in_flight;
}

size_t desk_waiting(const struct desk *desk)
{
    return desk->sched.waiting;
}

size_t desk_undecoded(const struct desk *desk)
{
    return desk->sched.decode.count;
}

bool desk_is_quiet(const struct desk *desk)
{
    return desk->in_flight <= desk->options.workers;
}
