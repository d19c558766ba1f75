/* The desk's life, and ends: an item's, and what a request comes to when all of its items
 * have ended. Those that have ended wait in a list for whoever called. */
#include "config.h"

#include "desk_impl.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"

void desk_set_limits(struct desk *desk, int queue_max, int64_t default_target_ns)
{
    desk->options.queue_max = queue_max;
    desk->options.default_target_ns = default_target_ns;
}

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
    margin_init(&desk->margin, 0);
    promises_init(&desk->promises);
    hurry_init(&desk->hurry);
    desk->workers = mem_new(options->workers, sizeof(*desk->workers));
    desk->others = mem_new(options->workers, sizeof(*desk->others));
    desk->taken = mem_new((size_t)options->batch_max, sizeof(struct sched_item *));
    if (desk->workers == NULL || desk->others == NULL || desk->taken == NULL ||
        decoding_init(desk) < 0) {
        desk_free(desk);
        err_set(e, -ENOMEM, "out of memory for the desk");
        return NULL;
    }
    return desk;
}

void desk_free(struct desk *desk)
{
    if (desk == NULL) return;
    decoding_release(desk);
    mem_free(desk->workers);
    mem_free(desk->others);
    mem_free(desk->taken);
    mem_free(desk);
}

/* ---- ends ---- */

void desk_end(struct desk *desk, struct desk_item *item, int status)
{
    decoding_forget(desk, item);
    sched_remove(&desk->sched, &item->sched);
    promises_remove(&desk->promises, &item->promise);
    desk->in_flight--;
    share_came(desk, item->request->version, -1);
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

/* ": decoding this 4000x3000 JPEG takes about 71 ms", where that is what does not fit; else "". */
static void blame_decoding(const struct desk_request *r, char *text, size_t size)
{
    const struct desk_item *item = r->items;
    char what[64], behind[48] = "";
    text[0] = '\0';
    if (!r->blames_decoding) return;
    while (item->refused != 0) item = item->sibling;
    if (r->n_items == 1)
        snprintf(what, sizeof(what), "this %dx%d %s", item->size.width, item->size.height,
                 decode_format_name(item->size.format));
    else
        snprintf(what, sizeof(what), "these %d images", r->n_items);
    if (r->queue_s > 0)
        snprintf(behind, sizeof(behind), ", after waiting for %.3g ms", 1e3 * r->queue_s);
    snprintf(text, size, ": decoding %s takes about %.3g ms%s", what, 1e3 * r->decode_s, behind);
}

static int explain_refusal(const struct desk_request *r, int status, struct err *e)
{
    double ms = (double)r->sla->deadline_ns / (double)CLOCK_MS;
    char decoding[160];
    blame_decoding(r, decoding, sizeof(decoding));
    if (r->refusal == DESK_IMPOSSIBLE)
        return err_set(e, status,
                       "not possible within %.3f ms of arrival, even on an idle machine%s", ms,
                       decoding);
    if (r->refusal == DESK_OVERLOADED && status == ERR_DEADLINE)
        return err_set(e, status,
                       "not possible within %.3f ms of arrival behind the present queue%s", ms,
                       decoding);
    return err_set(e, status, "%s%s; try again in %d s",
                   r->refusal == DESK_FULL ? "the queue is full" : "no classifier can be in time",
                   decoding, r->retry_after_s);
}

/* Whether an item's time was over before it was decoded. */
static bool ended_undecoded(const struct desk_request *r)
{
    const struct desk_item *item = r->items;
    while (item != NULL && (item->status != ERR_DEADLINE || item->decoded)) item = item->sibling;
    return item != NULL;
}

int desk_explain(const struct desk_request *request, int status, struct err *e)
{
    if (request->refusal != DESK_ADMITTED) return explain_refusal(request, status, e);
    switch (status) {
    case ERR_DEADLINE:
        return err_set(e, status,
                       ended_undecoded(request)
                           ? "the deadline passed before the image was decoded"
                           : "the deadline passed before a classifier could answer");
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

void desk_replied(struct desk *desk, int64_t computed_ns, int64_t left_ns)
{
    if (computed_ns != 0) margin_learn(&desk->margin, left_ns - computed_ns, left_ns);
}

double desk_margin_s(const struct desk *desk)
{
    return seconds_of(margin_ns(&desk->margin));
}

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
