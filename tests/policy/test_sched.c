/* The scheduler in simulated time: nothing is lost, nothing comes twice, order and size hold. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/rng.h"
#include "policy/sched.h"

enum { SECTIONS = 4, BATCH_MAX = 8 };

static const double section_s[SECTIONS] = {.004, .003, .002, .001};
static const double head_s[SECTIONS] = {0, 0, 0, 0};

/* Two model versions. */
struct world {
    struct sched sched;
    struct cost *cost;
    struct sched_queue queues[2][SECTIONS];
};

static void world_init(struct world *w)
{
    sched_init(&w->sched);
    w->cost = cost_new_linear(SECTIONS, BATCH_MAX, section_s, head_s);
    assert_non_null(w->cost);
    for (int v = 0; v < 2; v++) {
        for (int s = 0; s < SECTIONS; s++) sched_queue_init(&w->queues[v][s], s, false, w->cost);
    }
}

/* The next batch of all, as a machine would take it; 0: nothing waits. */
static size_t next_of(struct world *w, int64_t now, const int64_t *others, size_t n_others,
                      struct sched_item **items, struct sched_queue **queue)
{
    struct sched_limits limits = {.now_ns = now,
                                  .others = others,
                                  .n_others = n_others,
                                  .max = BATCH_MAX,
                                  .longest_ns = INT64_MAX};
    *queue = sched_earliest(&w->sched, false);
    return *queue != NULL ? sched_next(&w->sched, *queue, &limits, items) : 0;
}

/* With so many workers idle, the one that asks counted, and no others. */
static size_t next(struct world *w, int64_t now, size_t idle, struct sched_item **items,
                   struct sched_queue **queue)
{
    static const int64_t others[BATCH_MAX];
    assert_true(idle - 1 <= BATCH_MAX);
    return next_of(w, now, others, idle - 1, items, queue);
}

static void targets(void **state)
{
    (void)state;
    const int64_t s = CLOCK_SECOND;
    assert_int_equal(sched_target(5, 7, s, 0), 12);
    assert_int_equal(sched_target(0, 0, s, 3), s);
    assert_int_equal(sched_target(0, 0, s, 0), s / 8);
    assert_int_equal(sched_target(0, 0, s, 7), 16 * s);
    assert_int_equal(sched_target(9, 0, s, 4), 9 + 2 * s);
}

static void the_earliest_goes_first(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct sched_item items[6] = {{.target_ns = 50}, {.target_ns = 20}, {.target_ns = 40},
                                  {.target_ns = 20}, {.target_ns = 10}, {.target_ns = 10}};
    for (int i = 0; i < 4; i++) sched_push(&w.sched, &w.queues[0][1], &items[i], 0);
    sched_push(&w.sched, &w.queues[1][0], &items[4], 0);
    sched_push(&w.sched, &w.queues[1][3], &items[5], 0);
    assert_int_equal(w.sched.waiting, 6);

    struct sched_item *got[BATCH_MAX];
    struct sched_queue *queue;
    /* Among equal targets the deeper section. */
    assert_int_equal(next(&w, 0, 1, got, &queue), 1);
    assert_ptr_equal(got[0], &items[5]);
    assert_ptr_equal(queue, &w.queues[1][3]);
    assert_int_equal(next(&w, 0, 1, got, &queue), 1);
    assert_ptr_equal(got[0], &items[4]);
    /* Then the rest in one batch, by target and by arrival. */
    assert_int_equal(next(&w, 0, 1, got, &queue), 4);
    assert_ptr_equal(got[0], &items[1]);
    assert_ptr_equal(got[1], &items[3]);
    assert_ptr_equal(got[2], &items[2]);
    assert_ptr_equal(got[3], &items[0]);
    assert_int_equal(w.sched.running.count, 6);
    assert_int_equal(w.sched.waiting, 0);
    assert_null(w.sched.queues);
    assert_int_equal(next(&w, 0, 1, got, &queue), 0);
    for (int i = 0; i < 6; i++) sched_remove(&w.sched, &items[i]);
    assert_int_equal(w.sched.running.count, 0);
    cost_free(w.cost);
}

static void idle_workers_get_their_share(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct sched_item items[5] = {
        {.target_ns = 1}, {.target_ns = 2}, {.target_ns = 3}, {.target_ns = 4}, {.target_ns = 5}};
    for (int i = 0; i < 5; i++) sched_push(&w.sched, &w.queues[0][0], &items[i], 0);
    struct sched_item *got[BATCH_MAX];
    struct sched_queue *queue;
    assert_int_equal(next(&w, 0, 3, got, &queue), 2);
    assert_int_equal(next(&w, 0, 2, got, &queue), 2);
    assert_int_equal(next(&w, 0, 9, got, &queue), 1);
    cost_free(w.cost);
}

/* Six items that take 10 ms each: who comes free before the caller is through with its share gets
 * one, too. */
static void those_who_come_free_get_their_share(void **state)
{
    (void)state;
    const int64_t ms = CLOCK_MS;
    static const struct {
        int64_t others_ms[2]; /* from now on */
        size_t n_others, share;
    } rows[] = {
        {{29}, 1, 3},     {{30}, 1, 6},     {{-5}, 1, 3},      {{19, 19}, 2, 2},
        {{19, 25}, 2, 3}, {{25, 19}, 2, 3}, {{29, 300}, 2, 3}, {{300, 300}, 2, 6},
    };
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        struct world w;
        world_init(&w);
        struct sched_item items[6];
        memset(items, 0, sizeof(items));
        const int64_t now = CLOCK_SECOND;
        for (int i = 0; i < 6; i++) {
            items[i].target_ns = 2 * CLOCK_SECOND + i;
            items[i].work_ns = 10 * CLOCK_MS;
            sched_push(&w.sched, &w.queues[0][0], &items[i], 0);
        }
        int64_t others[2];
        for (int i = 0; i < 2; i++) others[i] = now + rows[r].others_ms[i] * ms;
        struct sched_item *got[BATCH_MAX];
        struct sched_queue *queue;
        size_t n = next_of(&w, now, others, rows[r].n_others, got, &queue);
        if (n != rows[r].share) fail_msg("row %zu: a batch of %zu", r, n);
        cost_free(w.cost);
    }
}

/* An item of section 0 takes 4 ms, n of them take 4n, in this table. */
static void a_batch_grows_only_while_no_deadline_suffers(void **state)
{
    (void)state;
    const int64_t ms = CLOCK_MS;
    static const struct {
        int64_t deadline_ms[6]; /* 0: none */
        double rest_ms;
        size_t batch; /* the first one */
    } rows[] = {
        {{0, 0, 0, 0, 0, 0}, 0, 6},
        {{12, 0, 0, 0, 0, 0}, 0, 3}, /* 3 x 4 ms is in time, 4 x 4 is not */
        {{12, 0, 0, 0, 0, 0}, 5, 1}, /* what follows the section counts */
        {{3, 0, 0, 0, 0, 0}, 0, 6},  /* lost anyway: must not hold up the others */
        {{20, 20, 20, 20, 20, 20}, 0, 5},
        {{100, 100, 100, 100, 100, 100}, 0, 6},
        {{16, 17, 0, 0, 0, 0}, 0, 4}, /* the tightest counts */
        {{5, 6, 7, 0, 0, 0}, 0, 1},
    };
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        struct world w;
        world_init(&w);
        struct sched_item items[6];
        memset(items, 0, sizeof(items));
        for (int i = 0; i < 6; i++) {
            items[i].deadline_ns = rows[r].deadline_ms[i] * ms;
            items[i].target_ns = items[i].deadline_ns > 0 ? items[i].deadline_ns : 1000 * ms + i;
            items[i].rest_ns = (int64_t)(rows[r].rest_ms * 1e6);
            sched_push(&w.sched, &w.queues[0][0], &items[i], 0);
        }
        struct sched_item *got[BATCH_MAX];
        struct sched_queue *queue;
        size_t n = next(&w, 0, 1, got, &queue);
        if (n != rows[r].batch) fail_msg("row %zu: a batch of %zu", r, n);
        cost_free(w.cost);
    }
}

/* What is kept of each deadline counts, and no batch takes longer than it may, unless of one. */
static void a_batch_is_bounded(void **state)
{
    (void)state;
    static const struct {
        int64_t margin_ms, longest_ms;
        size_t batch;
    } rows[] = {{0, 1000, 5}, {8, 1000, 3}, {0, 9, 2}, {0, 1, 1}, {8, 5, 1}};
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        struct world w;
        world_init(&w);
        struct sched_item items[6];
        memset(items, 0, sizeof(items));
        for (int i = 0; i < 6; i++) {
            items[i].deadline_ns = items[i].target_ns = 20 * CLOCK_MS;
            sched_push(&w.sched, &w.queues[0][0], &items[i], 0);
        }
        struct sched_item *got[BATCH_MAX];
        struct sched_limits limits = {.max = BATCH_MAX,
                                      .margin_ns = rows[r].margin_ms * CLOCK_MS,
                                      .longest_ns = rows[r].longest_ms * CLOCK_MS};
        size_t n = sched_next(&w.sched, &w.queues[0][0], &limits, got);
        if (n != rows[r].batch) fail_msg("row %zu: a batch of %zu", r, n);
        cost_free(w.cost);
    }
}

static void those_with_deadlines_have_queues_of_their_own(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct sched_queue promised;
    sched_queue_init(&promised, 0, true, w.cost);
    struct sched_item patient = {.target_ns = 1}, urgent = {.target_ns = 2, .deadline_ns = 2};
    assert_null(sched_earliest(&w.sched, false));
    sched_push(&w.sched, &w.queues[0][0], &patient, 0);
    assert_null(sched_earliest(&w.sched, true));
    sched_push(&w.sched, &promised, &urgent, 0);
    assert_ptr_equal(sched_earliest(&w.sched, true), &promised);
    assert_ptr_equal(sched_earliest(&w.sched, false), &w.queues[0][0]);
    cost_free(w.cost);
}

static void work_before_and_victims(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct sched_item items[5] = {{.target_ns = 10, .work_ns = 1, .urgency = 3},
                                  {.target_ns = 20, .work_ns = 2, .urgency = 7},
                                  {.target_ns = 30, .work_ns = 4, .urgency = 5},
                                  {.target_ns = 15, .work_ns = 8, .urgency = 7},
                                  {.target_ns = 5, .work_ns = 16, .urgency = 7}};
    sched_push(&w.sched, &w.queues[0][0], &items[0], 0);
    sched_push(&w.sched, &w.queues[0][1], &items[1], 0);
    sched_push(&w.sched, &w.queues[1][2], &items[2], 0);
    struct sched_queue decode, held;
    sched_queue_init(&decode, SCHED_DECODE, false, NULL);
    sched_queue_init(&held, SCHED_HELD, false, NULL);
    sched_push(&w.sched, &held, &items[3], 0);
    sched_push(&w.sched, &w.queues[1][0], &items[4], 0);
    struct sched_item *got[BATCH_MAX];
    struct sched_queue *queue;
    assert_int_equal(next(&w, 0, 1, got, &queue), 1); /* item 4 runs */
    assert_true(w.sched.work_ns == 31);               /* it runs, and counts */
    /* Not the one that runs; the latest of the least urgent. */
    assert_ptr_equal(sched_victim(&w.sched, 3), &items[1]);
    assert_int_equal(sched_less_urgent(&w.sched, 3), 3);
    sched_remove(&w.sched, &items[1]);
    assert_ptr_equal(sched_victim(&w.sched, 3), &items[3]);
    /* Held, it has no turn yet, but may have to go. */
    assert_true(held.count == 1 && sched_first(&held) == NULL);
    items[3].turn_ns = 50;
    items[3].decode_ns = 7;
    sched_push(&w.sched, &decode, &items[3], 0);
    assert_ptr_equal(sched_first(&decode), &items[3]);
    assert_true(sched_decode_before(&decode, 49) == 0 && sched_decode_before(&decode, 50) == 7);
    assert_ptr_equal(sched_victim(&w.sched, 3), &items[3]);
    sched_take(&w.sched, &items[3]);
    assert_true(decode.count == 0 && sched_first(&decode) == NULL);
    assert_ptr_equal(sched_victim(&w.sched, 3), &items[2]);
    assert_null(sched_victim(&w.sched, 5));
    assert_int_equal(sched_less_urgent(&w.sched, 5), 0);
    sched_remove(&w.sched, &items[1]); /* nowhere: nothing happens */
    items[0].work_ns = 3;
    sched_push(&w.sched, &w.queues[0][1], &items[0], 0);
    assert_true(w.sched.work_ns == 3 + 4 + 8 + 16);
    cost_free(w.cost);
}

/* A batch goes on at once only if it would be the next one, all of it and nobody with it. */
static void a_batch_goes_on_if_it_is_next(void **state)
{
    (void)state;
    struct world w;
    world_init(&w);
    struct sched_item own = {.target_ns = 20}, other = {.target_ns = 30};
    struct sched_queue *next_queue = &w.queues[0][1];
    assert_true(sched_goes_on(&w.sched, next_queue, &own));
    sched_push(&w.sched, &w.queues[0][0], &other, 0);
    assert_true(sched_goes_on(&w.sched, next_queue, &own));
    sched_remove(&w.sched, &other);
    other.target_ns = 20;
    sched_push(&w.sched, &w.queues[0][0], &other, 0);
    assert_false(sched_goes_on(&w.sched, next_queue, &own)); /* who is first is for sched_next() */
    sched_remove(&w.sched, &other);
    other.target_ns = 30;
    sched_push(&w.sched, next_queue, &other, 0);
    assert_false(sched_goes_on(&w.sched, next_queue, &own)); /* it joins them */
    sched_remove(&w.sched, &other);
    cost_free(w.cost);
}

/* A machine in simulated time: random arrivals, cancellations and section times; W workers. */

enum { ITEMS = 3000, WORKERS = 3 };

struct traveller {
    struct sched_item item; /* first */
    int64_t arrival_ns;
    int version, section, last; /* leaves after `last` */
    enum { UNBORN, WAITING, WORKING, ANSWERED, CANCELLED } state;
};

struct hand {
    struct sched_item *items[BATCH_MAX];
    struct sched_queue *queue;
    size_t n;
    int64_t until_ns;
};

static void check_lists(const struct world *w, size_t waiting, size_t working)
{
    size_t n = 0;
    for (const struct sched_queue *q = w->sched.queues; q != NULL; q = q->after) {
        size_t count = 0;
        assert_true(q->count > 0);
        assert_ptr_equal(q->after != NULL ? q->after->before : q, q);
        for (const struct sched_item *i = sched_first(q); i != NULL; i = sched_after(i), count++) {
            assert_ptr_equal(i->place, q);
            if (sched_after(i) != NULL) assert_true(i->target_ns <= sched_after(i)->target_ns);
        }
        assert_int_equal(count, q->count);
        n += count;
    }
    assert_int_equal(n, waiting);
    assert_int_equal(w->sched.waiting, waiting);
    assert_int_equal(w->sched.running.count, working);
}

static void simulate(uint32_t seed)
{
    static struct traveller all[ITEMS];
    struct world w;
    struct rng rng;
    struct hand hands[WORKERS];
    memset(all, 0, sizeof(all));
    memset(hands, 0, sizeof(hands));
    world_init(&w);
    rng_init(&rng, seed, RNG_TEST, 2, 0);
    int64_t now = 0, arrival = 0;
    for (int i = 0; i < ITEMS; i++) {
        /* Bursts and pauses around what the machine can do. */
        if (rng_below(&rng, 4) == 0) arrival += (int64_t)rng_below(&rng, 30000000);
        all[i].arrival_ns = arrival;
        all[i].version = (int)rng_below(&rng, 2);
        all[i].last = (int)rng_below(&rng, SECTIONS);
        int64_t deadline = rng_below(&rng, 2) != 0 ? 1 + (int64_t)rng_below(&rng, 100000000) : 0;
        all[i].item.deadline_ns = deadline > 0 ? arrival + deadline : 0;
        all[i].item.urgency = (int)rng_below(&rng, 8);
        all[i].item.target_ns =
            sched_target(arrival, deadline, CLOCK_SECOND / 10, all[i].item.urgency);
        all[i].item.rest_ns = CLOCK_MS * (int64_t)rng_below(&rng, 10);
        all[i].item.work_ns = 10 * CLOCK_MS;
    }
    size_t born = 0, answered = 0, cancelled = 0, waiting = 0, working = 0, largest = 0;
    for (long steps = 0; answered + cancelled < ITEMS; steps++) {
        assert_true(steps < 20L * ITEMS); /* or somebody waits for ever */
        /* The next thing that happens: an arrival or the end of a batch. */
        int64_t event = born < ITEMS ? all[born].arrival_ns : INT64_MAX;
        struct hand *ends = NULL;
        for (int k = 0; k < WORKERS; k++) {
            if (hands[k].n > 0 && hands[k].until_ns < event) {
                event = hands[k].until_ns;
                ends = &hands[k];
            }
        }
        assert_true(event < INT64_MAX);
        now = event > now ? event : now;
        if (ends != NULL) {
            for (size_t i = 0; i < ends->n; i++) {
                struct traveller *t = (struct traveller *)ends->items[i];
                assert_int_equal(t->state, WORKING);
                working--;
                if (t->section++ == t->last) {
                    sched_remove(&w.sched, &t->item);
                    t->state = ANSWERED;
                    answered++;
                } else {
                    sched_push(&w.sched, &w.queues[t->version][t->section], &t->item, now);
                    t->state = WAITING;
                    waiting++;
                }
            }
            ends->n = 0;
        } else {
            struct traveller *t = &all[born++];
            assert_int_equal(t->state, UNBORN);
            sched_push(&w.sched, &w.queues[t->version][0], &t->item, now);
            t->state = WAITING;
            waiting++;
        }
        if (born > 0 && rng_below(&rng, 10) == 0) {
            struct traveller *t = &all[rng_below(&rng, (uint32_t)born)];
            if (t->state == WAITING) {
                sched_remove(&w.sched, &t->item);
                t->state = CANCELLED;
                waiting--;
                cancelled++;
            }
        }
        for (int k = 0; k < WORKERS; k++) {
            if (hands[k].n > 0) continue;
            int64_t earliest = INT64_MAX;
            for (size_t i = 0; i < born; i++) {
                if (all[i].state == WAITING && all[i].item.target_ns < earliest)
                    earliest = all[i].item.target_ns;
            }
            int64_t others[WORKERS - 1];
            for (int i = 0, at = 0; i < WORKERS; i++)
                if (i != k) others[at++] = hands[i].n > 0 ? hands[i].until_ns : 0;
            size_t n = next_of(&w, now, others, WORKERS - 1, hands[k].items, &hands[k].queue);
            assert_int_equal(n > 0, waiting > 0); /* work conserving */
            assert_true(n <= BATCH_MAX);
            if (n == 0) break;
            hands[k].n = n;
            largest = n > largest ? n : largest;
            int section = hands[k].queue->section;
            double s = cost_section(w.cost, section, (int)n) * (.5 + rng_uniform(&rng));
            hands[k].until_ns = now + (int64_t)(s * 1e9);
            assert_true(hands[k].items[0]->target_ns == earliest); /* earliest deadline first */
            for (size_t i = 0; i < n; i++) {
                struct traveller *t = (struct traveller *)hands[k].items[i];
                assert_int_equal(t->state, WAITING);
                assert_int_equal(t->section, section);
                assert_ptr_equal(hands[k].queue, &w.queues[t->version][section]);
                if (i > 0) assert_true(hands[k].items[i - 1]->target_ns <= t->item.target_ns);
                t->state = WORKING;
                waiting--;
                working++;
                /* A deadline that this item alone would have kept is kept by the batch, as
                 * predicted, unless it had to wait behind the earlier ones of the batch anyway. */
                if (i == 0 && t->item.deadline_ns > 0) {
                    int64_t after = now + t->item.rest_ns;
                    int64_t alone = after + (int64_t)(cost_section(w.cost, section, 1) * 1e9);
                    int64_t together =
                        after + (int64_t)(cost_section(w.cost, section, (int)n) * 1e9);
                    if (alone <= t->item.deadline_ns)
                        assert_true(together <= t->item.deadline_ns + 2);
                }
            }
        }
        if (steps % 50 == 0) check_lists(&w, waiting, working);
    }
    check_lists(&w, 0, 0);
    assert_true(largest > 2);
    cost_free(w.cost);
}

static void a_simulated_machine_loses_nothing(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 8; seed++) {
        print_message("# seed %u\n", seed);
        simulate(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets),
        cmocka_unit_test(the_earliest_goes_first),
        cmocka_unit_test(idle_workers_get_their_share),
        cmocka_unit_test(those_who_come_free_get_their_share),
        cmocka_unit_test(a_batch_grows_only_while_no_deadline_suffers),
        cmocka_unit_test(a_batch_is_bounded),
        cmocka_unit_test(those_with_deadlines_have_queues_of_their_own),
        cmocka_unit_test(work_before_and_victims),
        cmocka_unit_test(a_batch_goes_on_if_it_is_next),
        cmocka_unit_test(a_simulated_machine_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
