/* What a free worker computes next, and what becomes of each item at the border behind a section:
 *
 *   desk_next: the scheduler's batch, less those whose time is up
 *   desk_section_done: how much time each has left, and so whose head is to run
 *   desk_heads_done: stop with an answer, go on, or expired
 *   desk_stays, desk_part: the batch goes on as it is, or everybody leaves it
 *
 * Left out: what the rules say for a judgement of the time (way.c), and the order (sched.c). */
#include "config.h"

#include "desk_impl.h"

#include <string.h>

/* Time before a section that is about to run in a batch of n. */
static enum way_time judge_before(const struct desk *desk, const struct desk_batch *b,
                                  const struct desk_item *item, int n, int64_t now_ns)
{
    int64_t deadline = item->sched.deadline_ns;
    if (deadline == 0) return WAY_ENOUGH;
    if (now_ns > deadline) return WAY_OVER;
    const struct cost *cost = b->version->classifiers.cost;
    double s = cost_section(cost, b->section, n) + cost_head(cost, b->section, n);
    return now_ns + ns_of(s) > deadline - margin_ns(&desk->margin) ? WAY_SHORT : WAY_ENOUGH;
}

/* Time after a section, its heads not run yet. Those of the batch with earlier targets are expected
 * to come along, the others to come later; what is queued with an earlier target goes first. */
static enum way_time judge_after(const struct desk *desk, const struct desk_batch *b,
                                 const struct desk_item *item, int64_t now_ns)
{
    int64_t deadline = item->sched.deadline_ns;
    if (deadline == 0) return WAY_ENOUGH;
    if (now_ns > deadline) return WAY_OVER;
    if (b->section == item->request->way.last) return WAY_ENOUGH;
    const struct cost *cost = b->version->classifiers.cost;
    int next = b->section + 1, along = item->ahead + 1;
    double section = cost_section(cost, next, along);
    double queue = seconds_of(sched_queued_before(&desk->sched, item->sched.target_ns));
    double end = cost_head(cost, b->section, b->n) + section + cost_head(cost, next, along) +
                 queue / desk->options.workers;
    deadline -= margin_ns(&desk->margin);
    if (now_ns + ns_of(end) > deadline) return WAY_SHORT;
    return now_ns + ns_of(end + section) > deadline ? WAY_TIGHT : WAY_ENOUGH;
}

/* Of so many that were taken, those that have no time left leave before the section. */
static void drop_late(struct desk *desk, struct desk_batch *b, int taken, int64_t now_ns)
{
    b->n = 0;
    for (int i = 0; i < taken; i++) {
        struct desk_item *item = item_of(desk->taken[i]);
        item->wait_ns = now_ns - item->sched.since_ns;
        item->waited_ns += item->wait_ns;
        item->step = way_before(&item->request->way, item->computed,
                                judge_before(desk, b, item, taken, now_ns), &item->answer);
        if (item->step == WAY_CONTINUE) {
            item->ahead = b->n;
            b->items[b->n++] = item;
        } else {
            item->dropped = true;
            if (item->step == WAY_STOP) item->request->computed_ns = now_ns;
            desk_end(desk, item, item->step == WAY_STOP ? 0 : ERR_DEADLINE);
        }
    }
}

/* Those that are known to need the head come first, so that one call computes them all. */
static void order_by_head(struct desk_batch *b)
{
    int first = 0;
    for (int i = 0; i < b->n; i++) {
        struct desk_item *item = b->items[i];
        if ((item->request->way.heads & 1u << b->section) == 0) continue;
        memmove(b->items + first + 1, b->items + first, (size_t)(i - first) * sizeof(*b->items));
        b->items[first++] = item;
    }
}

/* Predicts how long the worker is taken by the section, and by the way of its batch's first. */
static void begin(struct desk *desk, struct desk_batch *b, int64_t now_ns)
{
    const struct cost *cost = b->version->classifiers.cost;
    struct desk_worker *worker = &desk->workers[b->worker];
    b->section_s = cost_section(cost, b->section, b->n);
    worker->busy_until_ns = now_ns + ns_of(b->section_s + cost_head(cost, b->section, b->n));
    worker->free_ns = now_ns + ns_of(cost_way(cost, &b->items[0]->request->way, b->section, b->n));
}

/* Takes a batch from the scheduler; false: nothing waits. Afterwards all of it may have ended. */
static bool take(struct desk *desk, struct desk_batch *b, int64_t now_ns)
{
    size_t n_others = 0;
    for (unsigned w = 0; w < desk->options.workers; w++)
        if (w != b->worker) desk->others[n_others++] = desk->workers[w].free_ns;
    struct sched_queue *queue;
    size_t n = sched_next(&desk->sched, now_ns, desk->others, n_others,
                          (size_t)desk->options.batch_max, desk->taken, &queue);
    if (n == 0) return false;
    b->section = queue->section;
    b->version = item_of(desk->taken[0])->request->version;
    drop_late(desk, b, (int)n, now_ns);
    return true;
}

enum desk_task desk_next(struct desk *desk, struct desk_batch *batch, int64_t now_ns)
{
    desk_occupied(desk, batch->worker, 0);
    while (take(desk, batch, now_ns)) {
        if (batch->n == 0) continue;
        begin(desk, batch, now_ns);
        order_by_head(batch);
        return DESK_SECTION;
    }
    if (!desk_is_quiet(desk)) return DESK_WAIT;
    batch->items[0] = desk_decode(desk, DESK_FOREGROUND, now_ns);
    return batch->items[0] != NULL ? DESK_DECODE : DESK_WAIT;
}

int desk_heads_done(struct desk_batch *batch, int64_t now_ns)
{
    int going_on = 0;
    for (int i = 0; i < batch->n; i++) {
        struct desk_item *item = batch->items[i];
        const struct way *way = &item->request->way;
        bool late = item->sched.deadline_ns > 0 && now_ns > item->sched.deadline_ns;
        enum way_time time = late && way->fail ? WAY_OVER : item->time;
        item->step =
            way_after(way, batch->section, item->computed, item->confidence, time, &item->answer);
        going_on += item->step == WAY_CONTINUE;
    }
    return going_on;
}

/* Whether a batch, if all of it went on, would be the next one, all of it and nobody with it. */
static bool goes_on_first(const struct desk *desk, const struct desk_batch *b)
{
    const struct desk_item *earliest = b->items[0];
    for (int i = 0; i < b->n; i++) {
        const struct desk_item *item = b->items[i];
        if (item->request->given_up != 0) return false;
        if (item->sched.target_ns < earliest->sched.target_ns) earliest = item;
    }
    if (b->section + 1 == b->version->classifiers.exits) return false;
    return sched_goes_on(&desk->sched, &b->version->queues[b->section + 1], &earliest->sched);
}

static void go_on(struct desk *desk, struct desk_batch *b, int64_t now_ns)
{
    b->section++;
    begin(desk, b, now_ns);
}

bool desk_stays(struct desk *desk, struct desk_batch *batch, int64_t now_ns)
{
    if (!goes_on_first(desk, batch)) return false;
    go_on(desk, batch, now_ns);
    return true;
}

enum desk_border desk_section_done(struct desk *desk, struct desk_batch *batch, double took_s,
                                   bool helped, bool may_stay, int64_t now_ns)
{
    if (!helped) cost_learn(batch->version->classifiers.cost, batch->section_s, took_s);
    bool heads = false;
    for (int i = 0; i < batch->n; i++) {
        struct desk_item *item = batch->items[i];
        item->time = judge_after(desk, batch, item, now_ns);
        item->needs_head = item->request->given_up == 0 &&
                           way_needs_head(&item->request->way, batch->section, item->time);
        heads |= item->needs_head;
    }
    batch->could_stay = may_stay && goes_on_first(desk, batch);
    if (heads) return DESK_HEADS;
    if (desk_heads_done(batch, now_ns) < batch->n || !batch->could_stay) return DESK_PARTS;
    go_on(desk, batch, now_ns);
    return DESK_STAYS;
}

void desk_part(struct desk *desk, struct desk_batch *batch, int64_t now_ns)
{
    desk_occupied(desk, batch->worker, 0);
    for (int i = 0; i < batch->n; i++) {
        struct desk_item *item = batch->items[i];
        int over = item->request->given_up != 0 ? item->request->given_up : item->fault;
        if (over == 0 && item->step == WAY_EXPIRED) over = ERR_DEADLINE;
        if (over != 0 || item->step == WAY_STOP) {
            if (over == 0) item->request->computed_ns = now_ns;
            desk_end(desk, item, over);
            continue;
        }
        desk_predict(desk, item, batch->section + 1);
        sched_push(&desk->sched, &batch->version->queues[batch->section + 1], &item->sched, now_ns);
    }
}
