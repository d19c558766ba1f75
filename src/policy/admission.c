/* Admission: rules 5, 6 and 8 of doc/sla.md, before anything is spent on a request. Two questions:
 * is there room (if not, somebody less urgent makes some), and which choice of its SLA is predicted
 * to be in time, on an idle machine and behind what waits already. Predictions are sums of the cost
 * table and of the prices of decoding; a queue's work is shared by the workers, or by the seats.
 * Left out: what newcomers will take away later; the borders see to that. */
#include "config.h"

#include "desk_impl.h"

/* Work longer than this counts as this, so that no sum overflows. */
static const double work_max_s = 1000;

enum { USUAL_BATCH = 8, RETRY_MAX_S = 3600 };

/* What goes before a newcomer, by the clock. */
struct ahead {
    double compute_s;            /* until a worker is free for it */
    double decode_s[DESK_SEATS]; /* until a seat is */
    double pace[DESK_SEATS];     /* how much longer than alone decoding takes then */
};

static const struct ahead nothing = {.pace = {1, 1}};

/* Seconds that the request's images are in seats of a kind, if all of these are theirs. */
static double decode_s(const struct desk *desk, const struct desk_request *request,
                       enum desk_seat seat)
{
    const struct desk_burden *b = &request->burden[seat];
    double shared = b->sum_s / desk->options.seats[seat];
    return shared > b->longest_s ? shared : b->longest_s;
}

/* Seconds until all of the images are decoded, and a worker has come to them. Workers do what is in
 * the foreground beside the sections, or take turns with those who do; the background does its part
 * meanwhile. */
static double begin_s(const struct desk *desk, const struct desk_request *request,
                      const struct ahead *ahead)
{
    double s[DESK_SEATS];
    for (int k = 0; k < DESK_SEATS; k++)
        s[k] = request->burden[k].n == 0
                   ? 0
                   : ahead->decode_s[k] + ahead->pace[k] * decode_s(desk, request, k);
    double foreground = ahead->compute_s + s[DESK_FOREGROUND];
    return foreground > s[DESK_BACKGROUND] ? foreground : s[DESK_BACKGROUND];
}

/* Seconds that the sections take for all of them. */
static double compute_s(const struct desk *desk, const struct desk_request *request,
                        const struct way *way)
{
    const struct desk_options *o = &desk->options;
    int n = request->burden[DESK_FOREGROUND].n + request->burden[DESK_BACKGROUND].n;
    int batch = n < o->batch_max ? n : o->batch_max;
    int batches = (n + o->batch_max - 1) / o->batch_max;
    int rounds = (batches + (int)o->workers - 1) / (int)o->workers;
    return rounds * cost_way(request->version->classifiers.cost, way, 0, batch);
}

/* Seconds of all workers together until everything with an earlier target is done. */
static double queue_s(const struct desk *desk, int64_t target_ns)
{
    return seconds_of(sched_work_before(&desk->sched, target_ns)) / desk->options.workers;
}

/* What goes before a newcomer with this target. */
static struct ahead ahead_of(const struct desk *desk, const struct desk_request *request,
                             int64_t target_ns, int64_t now_ns)
{
    struct ahead ahead = nothing;
    int64_t first_free = INT64_MAX;
    for (unsigned w = 0; w < desk->options.workers; w++) {
        int64_t until = desk->workers[w].busy_until_ns;
        if (until < first_free) first_free = until;
    }
    /* What runs now is not interrupted, whoever is more urgent. */
    double residual = first_free > now_ns ? seconds_of(first_free - now_ns) : 0;
    double queue = queue_s(desk, target_ns);
    ahead.compute_s = queue > residual ? queue : residual;
    for (int k = 0; k < DESK_SEATS; k++) {
        if (request->burden[k].n == 0) continue;
        ahead.decode_s[k] = decoding_wait_s(desk, k, target_ns, now_ns);
        ahead.pace[k] = decoding_pace(desk, k, now_ns);
    }
    return ahead;
}

static int retry_after(const struct desk *desk)
{
    double s = queue_s(desk, INT64_MAX);
    for (int k = 0; k < DESK_SEATS; k++) {
        double decode = seconds_of(desk->stages[k].waiting_ns) / desk->options.seats[k];
        if (decode > s) s = decode;
    }
    return 1 + (int)(s < RETRY_MAX_S ? s : RETRY_MAX_S);
}

static int refuse(const struct desk *desk, struct desk_request *request, enum desk_refusal why,
                  int code)
{
    request->refusal = why;
    if (code == ERR_BUSY) request->retry_after_s = retry_after(desk);
    return code;
}

/* Rule 8: who is less urgent makes room for n items, if all of them together can make enough. */
static int make_room(struct desk *desk, struct desk_request *request, size_t n)
{
    size_t max = (size_t)desk->options.queue_max;
    size_t wanted = desk->in_flight + n;
    if (wanted <= max) return 0;
    int urgency = request->sla->urgency;
    if (sched_less_urgent(&desk->sched, urgency) < wanted - max)
        return refuse(desk, request, DESK_FULL, ERR_BUSY);
    while (desk->in_flight + n > max) {
        struct desk_request *victim = item_of(sched_victim(&desk->sched, urgency))->request;
        victim->retry_after_s = retry_after(desk);
        desk_give_up(desk, victim, ERR_BUSY);
    }
    return 0;
}

/* The first choice that ends in time when its sections begin so many seconds from now; -1: none. */
static int first_in_time(const struct desk *desk, const struct desk_request *request,
                         int64_t now_ns, double begin, int from, struct way *ret_way)
{
    int64_t deadline = request->arrival_ns + request->sla->deadline_ns - margin_ns(&desk->margin);
    struct way way;
    for (int n = from; way_choose(request->sla, &request->version->classifiers, n, &way); n++) {
        if (now_ns + ns_of(begin + compute_s(desk, request, &way)) <= deadline) {
            *ret_way = way;
            return n;
        }
        /* Not the named one, not in time: with `fail` there is no second choice (rule 6). */
        if (way.fail && !way.free_choice) break;
    }
    return -1;
}

/* No choice is in time. Whether one would be if images came decoded: then that is to blame. */
static void look_for_blame(const struct desk *desk, struct desk_request *request, int64_t now_ns,
                           const struct ahead *ahead)
{
    struct way way;
    double longest = 0, begin = begin_s(desk, request, ahead);
    if (first_in_time(desk, request, now_ns, ahead->compute_s, 0, &way) < 0) return;
    for (int k = 0; k < DESK_SEATS; k++) {
        double s = ahead->pace[k] * decode_s(desk, request, k);
        if (s > longest) longest = s;
    }
    request->blames_decoding = true;
    request->decode_s = longest;
    request->queue_s = begin - longest;
}

/* Rule 6. */
static int choose_in_time(const struct desk *desk, struct desk_request *request, int64_t now_ns)
{
    struct way way;
    int64_t target = request->arrival_ns + request->sla->deadline_ns;
    int idle = first_in_time(desk, request, now_ns, begin_s(desk, request, &nothing), 0, &way);
    if (idle < 0) {
        look_for_blame(desk, request, now_ns, &nothing);
        return refuse(desk, request, DESK_IMPOSSIBLE, ERR_DEADLINE);
    }
    struct ahead ahead = ahead_of(desk, request, target, now_ns);
    int behind = first_in_time(desk, request, now_ns, begin_s(desk, request, &ahead), idle, &way);
    if (behind < 0) {
        look_for_blame(desk, request, now_ns, &ahead);
        return refuse(desk, request, DESK_OVERLOADED,
                      request->sla->fail_on_miss ? ERR_DEADLINE : ERR_BUSY);
    }
    if (behind > idle) way.reason = SLA_OVERLOAD;
    request->way = way;
    return 0;
}

void desk_predict(const struct desk *desk, struct desk_item *item, int section)
{
    const struct cost *cost = item->request->version->classifiers.cost;
    const struct way *way = &item->request->way;
    int usual = desk->options.batch_max < USUAL_BATCH ? desk->options.batch_max : USUAL_BATCH;
    double rest = cost_way(cost, way, section, 1) - cost_section(cost, section, 1);
    if ((way->heads & 1u << section) != 0) rest -= cost_head(cost, section, 1);
    double work = cost_way(cost, way, section, usual) / usual;
    item->sched.rest_ns = ns_of(rest < work_max_s ? rest : work_max_s);
    item->sched.work_ns = ns_of(work < work_max_s ? work : work_max_s);
}

static void let_in(struct desk *desk, struct desk_request *request, int64_t now_ns)
{
    const struct sla *sla = request->sla;
    int64_t target = sched_target(request->arrival_ns, sla->deadline_ns,
                                  desk->options.default_target_ns, sla->urgency);
    struct desk_item *first = request->items;
    desk_predict(desk, first, 0);
    for (struct desk_item *item = first; item != NULL; item = item->sibling) {
        item->sched.urgency = sla->urgency;
        item->sched.target_ns = target;
        item->sched.deadline_ns = sla->deadline_ns > 0 ? target : 0;
        item->sched.rest_ns = first->sched.rest_ns;
        item->sched.work_ns = first->sched.work_ns;
    }
    request->pending = request->n_items;
    desk->in_flight += (size_t)request->n_items;
    decoding_push(desk, request, now_ns);
}

int desk_arrived(struct desk *desk, struct desk_request *request, int64_t now_ns)
{
    request->refusal = DESK_ADMITTED;
    request->given_up = 0;
    request->pending = 0;
    request->computed_ns = 0;
    request->blames_decoding = false;
    decoding_weigh(desk, request, now_ns);
    int rc = 0, n = request->burden[DESK_FOREGROUND].n + request->burden[DESK_BACKGROUND].n;
    if (request->sla->deadline_ns > 0 && n > 0) {
        rc = choose_in_time(desk, request, now_ns);
    } else {
        way_choose(request->sla, &request->version->classifiers, 0, &request->way);
    }
    if (rc == 0) rc = make_room(desk, request, (size_t)n);
    if (rc == 0) let_in(desk, request, now_ns);
    return rc;
}
