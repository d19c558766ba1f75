/* The scheduler. A queue is a tree in the order of targets, for picking. Everybody who is somewhere
 * is in one more tree, which knows who is shed. There are as many queues
 * as model versions with work times sections, a handful, so that the earliest is found by looking
 * at the first of each. Left out: waiting for a batch to fill. A worker that is free takes what
 * there is, since a batch that waits costs latency and a CPU gains little from it. */
#include "config.h"

#include "policy/sched.h"

#include "base/clock.h"

void sched_queue_init(struct sched_queue *queue, int section, bool promised,
                      const struct cost *cost)
{
    *queue = (struct sched_queue){.section = section, .promised = promised, .cost = cost};
}

void sched_init(struct sched *sched)
{
    *sched = (struct sched){.queues = NULL};
    sched_queue_init(&sched->running, SCHED_RUNNING, false, NULL);
}

int64_t sched_target(int64_t arrival_ns, int64_t deadline_ns, int64_t default_target_ns,
                     int urgency)
{
    if (deadline_ns > 0) return arrival_ns + deadline_ns;
    return arrival_ns + (urgency >= 3 ? default_target_ns * (INT64_C(1) << (urgency - 3))
                                      : default_target_ns / (INT64_C(1) << (3 - urgency)));
}

static struct sched_item *queued_item(const struct tree_node *node)
{
    return node == NULL ? NULL
                        : (struct sched_item *)((char *)node - offsetof(struct sched_item, queued));
}

static struct sched_item *known_item(const struct tree_node *node)
{
    return node == NULL ? NULL
                        : (struct sched_item *)((char *)node - offsetof(struct sched_item, known));
}

struct sched_item *sched_first(const struct sched_queue *queue)
{
    return queued_item(queue->items.first);
}

struct sched_item *sched_after(const struct sched_item *item)
{
    return queued_item(tree_next(&item->queued));
}

struct sched_item *sched_last(const struct sched_queue *queue)
{
    return queued_item(tree_last(&queue->items));
}

struct sched_item *sched_before(const struct sched_item *item)
{
    return queued_item(tree_previous(&item->queued));
}

static bool waits_in(const struct sched_queue *place)
{
    return place->section != SCHED_RUNNING;
}

static bool has_order(const struct sched_queue *place)
{
    return place->section >= SCHED_DECODE;
}

static int urgency_in(const struct sched_item *item, const struct sched_queue *place)
{
    return waits_in(place) ? item->urgency : TREE_STAYS;
}

static void link_queue(struct sched *sched, struct sched_queue *queue)
{
    queue->before = NULL;
    queue->after = sched->queues;
    if (queue->after != NULL) queue->after->before = queue;
    sched->queues = queue;
}

static void unlink_queue(struct sched *sched, struct sched_queue *queue)
{
    *(queue->before != NULL ? &queue->before->after : &sched->queues) = queue->after;
    if (queue->after != NULL) queue->after->before = queue->before;
    queue->before = queue->after = NULL;
}

/* Out of its place, but still known. */
static void leave(struct sched *sched, struct sched_item *item)
{
    struct sched_queue *queue = item->place;
    item->place = NULL;
    queue->count--;
    if (!waits_in(queue)) return;
    sched->sheddable[item->urgency]--;
    if (!has_order(queue)) return;
    tree_remove(&queue->items, &item->queued);
    if (queue->section < 0) return;
    sched->waiting--;
    if (queue->count == 0) unlink_queue(sched, queue);
}

static void enter(struct sched *sched, struct sched_queue *queue, struct sched_item *item)
{
    item->place = queue;
    queue->count++;
    if (!waits_in(queue)) return;
    sched->sheddable[item->urgency]++;
    if (!has_order(queue)) return;
    bool decode = queue->section == SCHED_DECODE;
    item->queued.target_ns = decode ? item->turn_ns : item->target_ns;
    item->queued.own_ns = decode ? item->decode_ns : 0;
    item->queued.order = item->known.order;
    item->queued.urgency = TREE_STAYS;
    tree_insert(&queue->items, &item->queued);
    if (queue->section < 0) return;
    sched->waiting++;
    if (queue->count == 1) link_queue(sched, queue);
}

/* Its work is known anew. */
static void count_work(struct sched *sched, struct sched_item *item)
{
    sched->work_ns += item->work_ns - item->counted_ns;
    item->counted_ns = item->work_ns;
}

static void move(struct sched *sched, struct sched_queue *queue, struct sched_item *item)
{
    leave(sched, item);
    tree_weigh(&item->known, 0, urgency_in(item, queue));
    count_work(sched, item);
    enter(sched, queue, item);
}

void sched_remove(struct sched *sched, struct sched_item *item)
{
    if (item->place == NULL) return;
    leave(sched, item);
    tree_remove(&sched->known, &item->known);
    sched->work_ns -= item->counted_ns;
    item->counted_ns = 0;
}

void sched_push(struct sched *sched, struct sched_queue *queue, struct sched_item *item,
                int64_t now_ns)
{
    item->since_ns = now_ns;
    if (item->place != NULL) {
        move(sched, queue, item);
        return;
    }
    /* The number stays: who came first is first at each border. */
    if (item->known.order == 0) item->known.order = ++sched->order;
    item->known.target_ns = item->target_ns;
    item->known.own_ns = 0;
    count_work(sched, item);
    item->known.urgency = urgency_in(item, queue);
    tree_insert(&sched->known, &item->known);
    enter(sched, queue, item);
}

/* Among equal targets the deeper section, which frees more. */
struct sched_queue *sched_earliest(const struct sched *sched, bool promised)
{
    struct sched_queue *best = NULL;
    for (struct sched_queue *q = sched->queues; q != NULL; q = q->after) {
        if (q->promised != promised) continue;
        if (best == NULL) {
            best = q;
            continue;
        }
        int64_t target = q->items.first->target_ns, least = best->items.first->target_ns;
        if (target < least || (target == least && q->section > best->section)) best = q;
    }
    return best;
}

bool sched_goes_on(const struct sched *sched, const struct sched_queue *queue,
                   const struct sched_item *item)
{
    if (queue->count > 0) return false;
    for (const struct sched_queue *q = sched->queues; q != NULL; q = q->after)
        if (q->items.first->target_ns <= item->target_ns) return false;
    return true;
}

static int64_t end_of_batch(const struct sched_queue *q, int64_t now_ns, size_t batch)
{
    double s =
        cost_section(q->cost, q->section, (int)batch) + cost_head(q->cost, q->section, (int)batch);
    return now_ns + (int64_t)(s * (double)CLOCK_SECOND);
}

/* The latest time at which the batch must end for this item's sake; INT64_MAX when that is never,
 * or when the deadline is lost even if the batch ends at end_ns. */
static int64_t must_end(const struct sched_item *item, int64_t margin_ns, int64_t end_ns)
{
    if (item->deadline_ns == 0) return INT64_MAX;
    int64_t latest = item->deadline_ns - margin_ns - item->rest_ns;
    return end_ns <= latest ? latest : INT64_MAX;
}

/* How many of a queue's items one worker takes, so that as many workers as possible get equal
 * shares: those of the others who are free before this one would be through with its share. */
static size_t share_of(const struct sched_queue *q, const struct sched_limits *l)
{
    for (size_t takers = l->n_others + 1; takers > 1; takers--) {
        size_t share = (q->count + takers - 1) / takers, free = 1;
        int64_t end = l->now_ns + (int64_t)share * sched_first(q)->work_ns;
        for (size_t i = 0; i < l->n_others; i++)
            free += l->others[i] <= l->now_ns || l->others[i] < end;
        if (free >= takers) return share;
    }
    return q->count;
}

size_t sched_next(struct sched *sched, struct sched_queue *queue, const struct sched_limits *limits,
                  struct sched_item **ret_items)
{
    const struct sched_limits *l = limits;
    size_t share = share_of(queue, l);
    if (share > l->max) share = l->max;
    size_t n = 0;
    int64_t bound = l->longest_ns < INT64_MAX - l->now_ns ? l->now_ns + l->longest_ns : INT64_MAX;
    for (struct sched_item *item; n < share && (item = sched_first(queue)) != NULL;) {
        int64_t end = end_of_batch(queue, l->now_ns, n + 1);
        /* Leaving an item out never helps it: it would run after this batch. So only those that are
         * in already can object. */
        if (n > 0 && end > bound) break;
        int64_t own = must_end(item, l->margin_ns, end);
        if (own < bound) bound = own;
        move(sched, &sched->running, item);
        ret_items[n++] = item;
    }
    return n;
}

void sched_take(struct sched *sched, struct sched_item *item)
{
    move(sched, &sched->running, item);
}

int64_t sched_decode_before(const struct sched_queue *queue, int64_t turn_ns)
{
    return tree_sum(&queue->items, turn_ns);
}

struct sched_item *sched_victim(const struct sched *sched, int urgency)
{
    struct sched_item *item = known_item(tree_victim(&sched->known));
    return item != NULL && item->urgency > urgency ? item : NULL;
}

size_t sched_less_urgent(const struct sched *sched, int urgency)
{
    size_t n = 0;
    for (int u = urgency + 1; u < SCHED_URGENCIES; u++) n += sched->sheddable[u];
    return n;
}
