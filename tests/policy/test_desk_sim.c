/* The desk in virtual time: random loads from idle to several times what the machine can do, with
 * several workers, hang-ups, bad images and a publication in the midst. Linked with policy and base
 * alone. `test_desk_sim [SEEDS [REQUESTS]]`; REQUESTS are of each seed. Checked at every event:
 *
 * Once: an item that was let in ends once, and the last one of a request says so. Nothing is lost.
 *
 * Order: a batch is the beginning of its queue by (target, arrival), less those that ended because
 * their time was up; no queue of a section holds an earlier target, of those with a deadline or of
 * those without, than the earliest that was taken, but for those who wait for company.
 *
 * Decoding: the earliest turn of those whose holder has not got its share, one turn for each
 * request; never more seats or memory than there are; nothing long in the foreground, and nobody
 * waits there while a seat is free, or in the background unless for memory.
 *
 * Late: no answer after the deadline with `fail`; with `degrade` none is withheld once a head has
 * run. Without a deadline nothing expires and no classifier is substituted.
 *
 * Batches: 1 to batch_max items of one version that wait for that section.
 *
 * Shedding: only when there is no room, or no time for one with a deadline, and only who is less
 * urgent. What is promised is what waits with a deadline.
 *
 * Work: nobody waits while a section could be computed.
 *
 * Now and then everything is compared with a naive model: sums, firsts, victims, counts. */
#include "config.h"

#include <string.h>

#include "base/mem.h"
#include "sim.h"

struct slot *slots[QUEUE_MAX + 1];
struct world world;
uint64_t counts[COUNTS], decisions;

static const char *const count_names[COUNTS] = {"admitted",
                                                "refused: full",
                                                "refused: overload",
                                                "refused: impossible",
                                                "answered",
                                                "degraded",
                                                "expired",
                                                "answered late",
                                                "shed",
                                                "hung up",
                                                "bad image",
                                                "not to be decoded",
                                                "passed over for a share",
                                                "over its share",
                                                "short of memory",
                                                "faults",
                                                "stayed",
                                                "merged",
                                                "held for company",
                                                "shed for time",
                                                "stopped for others"};

/* ---- what ends ---- */

static void check_answer(const struct desk_item *item)
{
    const struct desk_request *r = item->request;
    const struct sla *sla = r->sla;
    int exits = r->version->classifiers.exits, classifier = item->answer.classifier;
    int64_t deadline = r->arrival_ns + sla->deadline_ns;
    bool late = sla->deadline_ns > 0 && world.now > deadline;
    CHECK(r->given_up == 0 && item->fault == 0);
    if (classifier == CLASSIFIER_ENSEMBLE) {
        CHECK(item->computed == (1u << exits) - 1);
    } else {
        CHECK(classifier >= 0 && classifier < exits && (item->computed >> classifier & 1) != 0);
    }
    CHECK(!(late && sla->fail_on_miss));
    if (sla->deadline_ns == 0) {
        CHECK(item->answer.reason != SLA_BY_DEADLINE && item->answer.reason != SLA_OVERLOAD);
        if (sla->classifier == SLA_EXIT) CHECK(classifier == sla->exit);
        if (sla->classifier == SLA_DEEPEST) CHECK(classifier == exits - 1);
        if (sla->classifier == SLA_ENSEMBLE) CHECK(classifier == CLASSIFIER_ENSEMBLE);
    }
    counts[ANSWERED]++;
    counts[LATE_ANSWERS] += late;
    counts[DEGRADED] += item->answer.reason == SLA_BY_DEADLINE;
    counts[STOPPED_FOR_OTHERS] += item->answer.reason == SLA_OVERLOAD;
}

static void check_end(const struct desk_item *item)
{
    const struct slot *slot = slot_of(item);
    const struct desk_request *r = item->request;
    switch (item->status) {
    case 0:
        check_answer(item);
        break;
    case ERR_DEADLINE:
        CHECK(r->sla->deadline_ns > 0 && r->given_up == 0);
        if (!r->sla->fail_on_miss) CHECK(item->computed == 0);
        counts[EXPIRED]++;
        break;
    case ERR_CANCELLED:
        CHECK(slot->hung_up);
        counts[HUNG_UP]++;
        break;
    case ERR_FORMAT:
        CHECK(slot->bad_image);
        counts[BAD_IMAGES]++;
        break;
    case ERR_UNSUPPORTED:
        CHECK(item->refused == ERR_UNSUPPORTED && item->waited_ns == 0);
        counts[UNDECODABLE]++;
        break;
    case ERR_BUSY:
        CHECK(r->retry_after_s > 0);
        counts[SHED]++;
        break;
    case ERR_DIVERGED:
        CHECK(item->fault == ERR_DIVERGED);
        counts[FAULTS]++;
        break;
    default:
        CHECK(!"a status that nobody gave");
    }
}

static void check_conclusion(const struct desk_request *r)
{
    int status = desk_conclude(r);
    bool answered = false, missed = false;
    for (int i = 0; i < r->n_items; i++) {
        answered |= r->items[i].status == 0;
        missed |= r->items[i].status == ERR_DEADLINE;
    }
    if (r->given_up != 0) {
        CHECK(status == r->given_up);
    } else if (answered) {
        CHECK(status == (missed && r->sla->fail_on_miss ? ERR_DEADLINE : 0) ||
              (r->sla->fail_on_miss && missed));
    } else {
        CHECK(status < 0);
    }
}

void take_ended(const struct desk_request *newcomer)
{
    for (struct desk_item *item; (item = desk_ended(world.desk)) != NULL;) {
        struct slot *slot = slot_of(item);
        struct shadow *shadow = shadow_of(item);
        CHECK(slot->used && shadow->place != NOWHERE);
        CHECK(item->sched.place == NULL);
        if (newcomer != NULL && item->request != newcomer) {
            CHECK(item->status == ERR_BUSY && shadow->place != RUNNING &&
                  shadow->place != DECODING);
            CHECK(item->sched.urgency > newcomer->sla->urgency ||
                  (item->request->version != newcomer->version && newcomer->sla->deadline_ns > 0 &&
                   item->sched.urgency == newcomer->sla->urgency));
        }
        shadow->place = NOWHERE;
        if (item->dropped && item->sched.target_ns < world.dropped_target_ns)
            world.dropped_target_ns = item->sched.target_ns;
        check_end(item);
        slot->ended++;
        CHECK(item->last == (slot->ended == slot->load.desk.n_items));
        if (!item->last) continue;
        check_conclusion(&slot->load.desk);
        world.in_version[slot->load.desk.version - world.versions]--;
        slot->used = false;
    }
}

/* ---- against a naive model ---- */

static bool before(const struct desk_item *a, const struct desk_item *b)
{
    const struct sched_item *x = &a->sched, *y = &b->sched;
    return x->target_ns != y->target_ns ? x->target_ns < y->target_ns
                                        : x->known.order < y->known.order;
}

struct naive {
    size_t in_flight, waiting, less_urgent;
    int64_t work_ns;
    const struct desk_item *victim;
    struct naive_decoding decoding;
    const struct desk_item
        *first[VERSIONS][2][POLICY_EXITS_MAX]; /* [1]: of those with a deadline */
    size_t count[VERSIONS][2][POLICY_EXITS_MAX];
};

static void naive_add(struct naive *n, const struct desk_item *item, int urgency)
{
    const struct shadow *shadow = shadow_of(item);
    size_t v = (size_t)(item->request->version - world.versions);
    if (shadow->place == NOWHERE) return;
    n->in_flight++;
    n->work_ns += item->sched.counted_ns;
    if (shadow->place == RUNNING || shadow->place == DECODING) return;
    if (item->sched.urgency > urgency) {
        n->less_urgent++;
        const struct desk_item *worst = n->victim;
        if (worst == NULL || item->sched.urgency > worst->sched.urgency ||
            (item->sched.urgency == worst->sched.urgency && before(worst, item)))
            n->victim = item;
    }
    if (shadow->place == UNDECODED) {
        n->decoding.waiting[item->seat]++;
        n->decoding.waiting_ns[item->seat] += item->price_ns;
        return;
    }
    n->waiting++;
    bool promised = item->sched.deadline_ns != 0;
    n->count[v][promised][shadow->section]++;
    const struct desk_item **first = &n->first[v][promised][shadow->section];
    if (*first == NULL || before(item, *first)) *first = item;
}

static void check_naive(void)
{
    const struct desk *desk = world.desk;
    struct naive n = {.in_flight = 0};
    int64_t target = chance(4) ? INT64_MAX : world.now + (int64_t)rng_below(&world.rng, 100000000);
    int urgency = (int)rng_below(&world.rng, SCHED_URGENCIES);
    for (int i = 0; i < world.n_slots; i++)
        for (int k = 0; slots[i]->used && k < slots[i]->load.desk.n_items; k++)
            naive_add(&n, &slots[i]->load.items[k], urgency);
    CHECK(n.in_flight == desk_in_flight(desk) && n.waiting == desk_waiting(desk));
    check_naive_decoding(&n.decoding, target);
    CHECK(n.work_ns == desk->sched.work_ns);
    CHECK(n.less_urgent == sched_less_urgent(&desk->sched, urgency));
    CHECK(n.victim == item_of(sched_victim(&desk->sched, urgency)));
    for (int v = world.retired ? 1 : 0; v < VERSIONS; v++) {
        for (int s = 0; s < 2 * world.versions[v].classifiers.exits; s++) {
            const struct sched_queue *queue = &world.versions[v].queues[s % 2][s / 2];
            CHECK(queue->count == n.count[v][s % 2][s / 2]);
            CHECK(item_of(sched_first(queue)) == n.first[v][s % 2][s / 2]);
        }
    }
}

/* ---- requests in ---- */

static void publish_now_and_then(void)
{
    if (world.made == world.limit / 2) {
        desk_occupied(world.desk, world.workers[0].batch.worker, world.now + 300 * CLOCK_MS);
    }
    if (world.made >= world.limit / 2 && !world.retired && world.in_version[0] == 0) {
        /* Nobody is left in it: the desk does not look there any more. */
        load_network_release(&world.versions[0]);
        memset(&world.versions[0], 0xa5, sizeof(world.versions[0]));
        world.retired = true;
    }
}

static struct desk_version *current_version(void)
{
    if (chance(4)) return &world.versions[2];
    return &world.versions[world.made < world.limit / 2 ? 0 : 1];
}

/* There is always one: there are more slots than items may be in. */
static struct slot *free_slot(void)
{
    int at = (int)rng_below(&world.rng, (uint32_t)world.n_slots);
    while (slots[at]->used) at = (at + 1) % world.n_slots;
    return slots[at];
}

static void check_refused(const struct desk_request *r, int rc, size_t in_flight)
{
    CHECK(desk_in_flight(world.desk) == in_flight && world.desk->ended_first == NULL);
    switch (r->refusal) {
    case DESK_FULL:
        CHECK(rc == ERR_BUSY && r->retry_after_s > 0);
        CHECK(in_flight + (size_t)r->n_items > (size_t)world.options.queue_max);
        counts[REFUSED_FULL]++;
        break;
    case DESK_OVERLOADED:
        CHECK(r->sla->deadline_ns > 0);
        CHECK(rc == (r->sla->fail_on_miss ? ERR_DEADLINE : ERR_BUSY));
        counts[REFUSED_OVERLOAD]++;
        break;
    case DESK_IMPOSSIBLE:
        CHECK(rc == ERR_DEADLINE && r->sla->deadline_ns > 0);
        counts[REFUSED_IDLE]++;
        break;
    case DESK_ADMITTED:
        CHECK(!"refused, but not why");
    }
    if (chance(16)) {
        struct err e = {.code = 0};
        CHECK(desk_explain(r, rc, &e) == rc && e.code == rc && e.text[0] != '\0');
    }
}

static void arrive(void)
{
    struct slot *slot = free_slot();
    world.made++;
    publish_now_and_then();
    struct desk_request *r = &slot->load.desk;
    load_make(&world.rng, current_version(), world.now, &slot->load);
    if (r->n_items > world.options.queue_max) return;
    if (sla_check_model(&slot->load.sla, &r->version->classifiers, NULL) < 0) return;
    size_t in_flight = desk_in_flight(world.desk);
    int rc = desk_arrived(world.desk, r, world.now);
    decisions++;
    if (rc < 0) {
        check_refused(r, rc, in_flight);
        return;
    }
    counts[ADMITTED]++;
    size_t good = 0;
    for (int i = 0; i < r->n_items; i++) good += r->items[i].refused == 0;
    bool full = in_flight + good > (size_t)world.options.queue_max;
    counts[SHED_FOR_TIME] += !full && good == (size_t)r->n_items && world.desk->ended_first != NULL;
    CHECK(full || good < (size_t)r->n_items || r->sla->deadline_ns > 0 ||
          world.desk->ended_first == NULL);
    CHECK(desk_in_flight(world.desk) <= (size_t)world.options.queue_max);
    slot->used = true;
    slot->hung_up = slot->bad_image = false;
    slot->ended = 0;
    for (int i = 0; i < r->n_items; i++) slot->shadows[i].place = UNDECODED;
    world.in_version[r->version - world.versions]++;
    take_ended(r);
}

static void hang_up(void)
{
    struct slot *slot = slots[rng_below(&world.rng, (uint32_t)world.n_slots)];
    if (!slot->used) return;
    slot->hung_up = true;
    desk_give_up(world.desk, &slot->load.desk, ERR_CANCELLED);
    decisions++;
    take_ended(NULL);
    desk_give_up(world.desk, &slot->load.desk, ERR_CANCELLED); /* once more: nothing happens */
    CHECK(world.desk->ended_first == NULL);
}

/* ---- sections ---- */

/* Of those who have a deadline, or of those who have none, like the batch, nobody who waits for a
 * section has an earlier target; with `strictly` nobody the same one. But who is in the same
 * network and deeper, with a deadline, may have been left to wait for company. */
static void check_order(const struct desk_batch *b, int64_t target_ns, bool strictly)
{
    bool promised = b->items[0]->sched.deadline_ns != 0;
    for (int v = world.retired ? 1 : 0; v < VERSIONS; v++) {
        for (int s = 0; s < world.versions[v].classifiers.exits; s++) {
            const struct sched_item *first = sched_first(&world.versions[v].queues[promised][s]);
            if (first == NULL) continue;
            bool deeper = promised && b->version == &world.versions[v] && s > b->section;
            bool later =
                first->target_ns > target_ns || (!strictly && first->target_ns == target_ns);
            counts[HELD_FOR_COMPANY] += !later;
            CHECK(later || deeper);
        }
    }
}

static int64_t earliest_target(const struct desk_batch *b)
{
    int64_t earliest = INT64_MAX;
    for (int i = 0; i < b->n; i++)
        if (b->items[i]->sched.target_ns < earliest) earliest = b->items[i]->sched.target_ns;
    return earliest;
}

static void check_batch(const struct desk_batch *b)
{
    bool promised = b->items[0]->sched.deadline_ns != 0;
    const struct sched_item *left = sched_first(&b->version->queues[promised][b->section]);
    bool head_before = true;
    CHECK(b->n >= 1 && b->n <= world.options.batch_max);
    for (int i = 0; i < b->n; i++) {
        const struct desk_item *item = b->items[i];
        struct shadow *shadow = shadow_of(item);
        CHECK(shadow->place == WAITING && shadow->section == b->section);
        CHECK(item->request->version == b->version);
        CHECK((item->sched.deadline_ns != 0) == promised);
        CHECK(left == NULL || before(item, item_of((struct sched_item *)left)));
        bool head = (item->request->way.heads >> b->section & 1) != 0;
        CHECK(head_before || !head);
        head_before = head;
        shadow->place = RUNNING;
    }
    counts[MERGED] += b->n > 1;
    int64_t earliest = earliest_target(b);
    check_order(b, earliest < world.dropped_target_ns ? earliest : world.dropped_target_ns, false);
}

static void begin_section(struct worker *w)
{
    w->state = IN_SECTION;
    w->begun_ns = world.now;
    w->until_ns = real_ns(w->batch.section_s);
}

static void go_on(struct worker *w)
{
    struct desk_batch *b = &w->batch;
    counts[STAYED]++;
    check_order(b, earliest_target(b), true);
    CHECK(b->section < b->version->classifiers.exits);
    CHECK(b->version->queues[b->items[0]->sched.deadline_ns != 0][b->section].count == 0);
    for (int i = 0; i < b->n; i++) {
        CHECK(b->items[i]->step == WAY_CONTINUE && b->items[i]->request->given_up == 0);
        CHECK(shadow_of(b->items[i])->place == RUNNING);
    }
    begin_section(w);
}

static void part(struct worker *w)
{
    struct desk_batch b = w->batch;
    desk_part(world.desk, &w->batch, world.now);
    decisions++;
    for (int i = 0; i < b.n; i++) {
        if (b.items[i]->sched.place == NULL) continue;
        struct shadow *shadow = shadow_of(b.items[i]);
        shadow->place = WAITING;
        shadow->section = b.section + 1;
        CHECK(shadow->section <= b.items[i]->request->way.last);
    }
    take_ended(NULL);
    w->state = IDLE;
}

static void end_section(struct worker *w)
{
    struct desk_batch *b = &w->batch;
    int section = b->section;
    w->may_stay = !chance(10);
    decisions++;
    switch (desk_section_done(world.desk, b, seconds_of(world.now - w->begun_ns), chance(8),
                              w->may_stay, world.now)) {
    case DESK_HEADS:
        w->state = IN_HEADS;
        w->until_ns = real_ns(cost_head(b->version->classifiers.cost, section, b->n));
        break;
    case DESK_STAYS:
        CHECK(w->may_stay && b->section == section + 1);
        go_on(w);
        break;
    case DESK_PARTS:
        part(w);
        break;
    }
}

static void end_heads(struct worker *w)
{
    struct desk_batch *b = &w->batch;
    for (int i = 0; i < b->n; i++) {
        struct desk_item *item = b->items[i];
        if (!item->needs_head) continue;
        item->computed |= 1u << b->section;
        item->confidence = rng_uniform(&world.rng);
        if (chance(1000)) item->fault = ERR_DIVERGED;
    }
    int going_on = desk_heads_done(b, world.now);
    decisions++;
    if (going_on == b->n && w->may_stay && desk_stays(world.desk, b, world.now)) {
        go_on(w);
    } else {
        part(w);
    }
}

/* ---- the machine ---- */

/* Those who are free get work. */
static void hand_out(void)
{
    fill_seats(DESK_BACKGROUND);
    if (chance(2)) fill_seats(DESK_FOREGROUND); /* or workers come first */
    for (unsigned i = 0; i < world.options.workers; i++) {
        struct worker *w = &world.workers[i];
        if (w->state != IDLE) continue;
        world.dropped_target_ns = INT64_MAX;
        enum desk_task task = desk_next(world.desk, &w->batch, world.now);
        decisions++;
        take_ended(NULL);
        if (task == DESK_SECTION) {
            check_batch(&w->batch);
            begin_section(w);
        } else if (task == DESK_DECODE) {
            CHECK(w->items[0]->seat == DESK_FOREGROUND);
            w->state = DECODES;
            w->decodes = begin_decoding(w->items[0], true);
            w->until_ns = w->decodes->until_ns;
        } else {
            CHECK(desk_waiting(world.desk) == 0);
            struct desk_decoding d = desk_decoding(world.desk, DESK_FOREGROUND);
            CHECK(!desk_is_quiet(world.desk) || d.waiting == 0 ||
                  d.running == world.options.seats[DESK_FOREGROUND]);
        }
    }
    fill_seats(DESK_FOREGROUND);
}

static void end_work(struct worker *w)
{
    switch (w->state) {
    case IDLE:
    case OCCUPIED:
        break;
    case DECODES:
        w->state = IDLE;
        end_decoding(w->decodes);
        break;
    case IN_SECTION:
        end_section(w);
        break;
    case IN_HEADS:
        end_heads(w);
        break;
    }
}

/* The next thing that happens; false: nothing will. */
static bool step(void)
{
    int64_t event = world.made < world.limit ? world.arrival_ns : INT64_MAX;
    struct worker *who = NULL;
    struct seat *decoded = NULL;
    for (unsigned i = 0; i < world.options.workers; i++) {
        struct worker *w = &world.workers[i];
        if (w->state == IDLE || w->until_ns >= event) continue;
        event = w->until_ns;
        who = w;
    }
    for (int k = 0; k < DESK_SEATS; k++) {
        for (int i = 0; i < SEATS_MAX; i++) {
            struct seat *seat = &world.seats[k][i];
            if (seat->item == NULL || seat->with_worker || seat->until_ns >= event) continue;
            event = seat->until_ns;
            decoded = seat;
        }
    }
    if (event == INT64_MAX) return false;
    world.now = event;
    if (decoded != NULL) {
        end_decoding(decoded);
    } else if (who != NULL) {
        end_work(who);
    } else {
        arrive();
        /* Loads change: bursts, pauses, and anything between. */
        static const int64_t between_ns[] = {100000, 400000, 1000000, 4000000};
        int64_t mean = between_ns[world.made / 500 % 4];
        world.arrival_ns = world.now + 2 * (int64_t)rng_below(&world.rng, (uint32_t)mean);
    }
    if (chance(60)) hang_up();
    hand_out();
    return true;
}

static void check_empty(void)
{
    const struct desk *desk = world.desk;
    CHECK(desk_in_flight(desk) == 0 && desk_waiting(desk) == 0 && desk->held.count == 0);
    for (int k = 0; k < DESK_SEATS; k++) {
        const struct desk_stage *stage = &desk->stages[k];
        CHECK(stage->waiting == 0 && stage->waiting_ns == 0 && stage->queue.count == 0);
        CHECK(stage->taken == 0 && stage->memory_bytes == 0);
    }
    CHECK(desk->sched.queues == NULL && desk->sched.running.count == 0);
    CHECK(desk->sched.known.root == NULL && desk->sched.known.first == NULL);
    for (int i = 0; i < world.n_slots; i++) CHECK(!slots[i]->used);
    for (int v = 0; v < VERSIONS; v++) CHECK(world.in_version[v] == 0);
}

static void simulate(uint64_t seed, uint64_t requests)
{
    world = (struct world){.seed = seed, .limit = requests};
    rng_init(&world.rng, seed, RNG_TEST, 13, 0);
    static const int queues[] = {8, 64, 200, QUEUE_MAX}, batches[] = {1, 4, 8, BATCH_MAX};
    static const size_t memories[] = {120 << 20, 200 << 20, 1 << 30};
    world.options = (struct desk_options){
        .workers = 1 + rng_below(&world.rng, WORKERS_MAX),
        .batch_max = batches[rng_below(&world.rng, 4)],
        .queue_max = queues[rng_below(&world.rng, 4)],
        .default_target_ns = 30 * CLOCK_MS,
        .seats = {1 + rng_below(&world.rng, SEATS_MAX), 1 + rng_below(&world.rng, SEATS_MAX)},
        .decode_memory_max = memories[rng_below(&world.rng, 3)],
        .decode_slowness = .25};
    world.n_slots = world.options.queue_max + 1;
    for (int i = 0; i < world.n_slots; i++) slots[i]->used = false;
    world.desk = desk_new(&world.options, NULL);
    CHECK(world.desk != NULL);
    static const int exits[VERSIONS] = {4, 4, 3};
    for (int v = 0; v < VERSIONS; v++)
        load_network(&world.rng, exits[v], world.options.batch_max, &world.versions[v]);
    for (unsigned i = 0; i < world.options.workers; i++) {
        world.workers[i].batch.items = world.workers[i].items;
        world.workers[i].batch.worker = i;
    }
    for (uint64_t steps = 0; step(); steps++) {
        CHECK(steps < 200 * requests + 10000); /* or somebody waits for ever */
        if (steps % NAIVE_EVERY == 0) check_naive();
    }
    check_empty();
    for (int v = world.retired ? 1 : 0; v < VERSIONS; v++) load_network_release(&world.versions[v]);
    desk_free(world.desk);
}

int main(int argc, char **argv)
{
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;
    uint64_t requests = argc > 2 ? strtoull(argv[2], NULL, 10) : 2000;
    printf("1..1\n");
    for (int i = 0; i <= QUEUE_MAX; i++) {
        slots[i] = mem_new(1, sizeof(struct slot));
        if (slots[i] == NULL) return 1;
    }
    int64_t start = clock_now();
    for (uint64_t seed = 1; seed <= seeds; seed++) simulate(seed, requests);
    double took = seconds_of(clock_now() - start);
    for (int i = 0; i <= QUEUE_MAX; i++) mem_free(slots[i]);
    bool all = true;
    for (int c = 0; c < COUNTS; c++) {
        printf("# %s: %" PRIu64 "\n", count_names[c], counts[c]);
        all &= counts[c] > 0;
    }
    printf("# seeds 1 to %" PRIu64 ", %" PRIu64 " requests each: %.3g calls of the desk, %.1f s\n",
           seeds, requests, (double)decisions, took);
    printf("%s 1 - the desk in virtual time\n", all ? "ok" : "not ok");
    return all ? 0 : 1;
}
