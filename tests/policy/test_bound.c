/* The bound: its measure of work against a flow that is found by augmenting paths, and the bound
 * itself against the best of all schedules that there are for a few images on a small machine. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/rng.h"
#include "bound.h"
#include "bound_machine.h"

/* ---- the most work ---- */

enum { JOBS = 7, SLOTS = 12 };

/* Slots of one unit each are matched with units of jobs, one path at a time. */
struct matching {
    int arrival[JOBS], deadline[JOBS], size[JOBS], used[JOBS];
    int job_of[SLOTS];
    bool seen[JOBS];
};

static bool augment(struct matching *m, int slot)
{
    for (int j = 0; j < JOBS; j++) {
        if (slot < m->arrival[j] || slot >= m->deadline[j] || m->seen[j]) continue;
        m->seen[j] = true;
        if (m->used[j] < m->size[j]) {
            m->used[j]++;
            m->job_of[slot] = j;
            return true;
        }
        for (int other = 0; other < SLOTS; other++) {
            if (other == slot || m->job_of[other] != j || !augment(m, other)) continue;
            m->job_of[slot] = j;
            return true;
        }
    }
    return false;
}

static void the_most_work_is_a_largest_matching(void **state)
{
    (void)state;
    struct rng rng;
    rng_init(&rng, 3, RNG_TEST, 0, 0);
    for (int round = 0; round < 3000; round++) {
        struct matching m = {.used = {0}};
        double arrival[JOBS], deadline[JOBS], size[JOBS];
        for (int j = 0, at = 0; j < JOBS; j++) {
            at += (int)rng_below(&rng, 3);
            if (at > SLOTS - 1) at = SLOTS - 1;
            m.arrival[j] = at;
            m.deadline[j] = at + 1 + (int)rng_below(&rng, (uint32_t)(SLOTS - at));
            m.size[j] = (int)rng_below(&rng, 5);
            arrival[j] = m.arrival[j];
            deadline[j] = m.deadline[j];
            size[j] = m.size[j];
        }
        int units = 0;
        for (int s = 0; s < SLOTS; s++) m.job_of[s] = -1;
        for (int s = 0; s < SLOTS; s++) {
            memset(m.seen, 0, sizeof(m.seen));
            units += augment(&m, s);
        }
        double work = bound_work(arrival, deadline, size, JOBS, 1);
        if (fabs(work - units) > 1e-9) fail_msg("round %d: %g of %d", round, work, units);
        for (int j = 0; j < JOBS; j++) size[j] *= 4;
        assert_true(fabs(bound_work(arrival, deadline, size, JOBS, 4) - 4 * units) < 1e-9);
    }
}

/* ---- all schedules ---- */

enum { IMAGES = 3, WORKERS_MAX = 2, FREE = -1 };

/* What is known when something has just ended: `at` is how deep an image is, in sections done. */
struct position {
    int now_ms, at[IMAGES], worker_until[WORKERS_MAX], worker_of[IMAGES];
    bool ended[IMAGES];
};

struct search {
    const struct machine *machine;
    const struct machine_arrival *arrivals;
    int deadline_ms;
};

static double answer_worth(const struct search *s, const struct position *p, int image, int end_ms)
{
    int arrival = (int)(s->arrivals[image].at_ns / CLOCK_MS);
    return end_ms <= arrival + s->deadline_ms ? s->machine->networks[0]->accuracy[p->at[image] - 1]
                                              : 0;
}

static double best_from(const struct search *s, struct position p);

/* A free worker takes a batch, any of those at one depth, or waits for the next thing to happen. */
static double best_with(const struct search *s, const struct position *p, unsigned worker)
{
    const struct network *network = s->machine->networks[0];
    double best = 0;
    for (unsigned set = 1; set < 1u << IMAGES; set++) {
        int depth = -1, n = 0;
        bool good = true;
        for (int i = 0; i < IMAGES; i++) {
            if ((set >> i & 1) == 0) continue;
            int arrival = (int)(s->arrivals[i].at_ns / CLOCK_MS);
            good &= !p->ended[i] && p->worker_of[i] == FREE && p->now_ms >= arrival &&
                    p->now_ms < arrival + s->deadline_ms && (depth < 0 || depth == p->at[i]);
            depth = p->at[i];
            n++;
        }
        if (!good || depth == NETWORK_EXITS) continue;
        int size = n == 1 ? 0 : n == 2 ? 1 : 2;
        struct position next = *p;
        next.worker_until[worker] = p->now_ms + (int)network->section_ms[depth][size];
        for (int i = 0; i < IMAGES; i++)
            if ((set >> i & 1) != 0) next.worker_of[i] = (int)worker;
        double worth = best_from(s, next);
        if (worth > best) best = worth;
    }
    return best;
}

static double best_from(const struct search *s, struct position p)
{
    double best = 0;
    for (unsigned w = 0; w < s->machine->workers; w++) {
        if (p.worker_until[w] > p.now_ms) continue;
        best = best_with(s, &p, w);
        break; /* workers are alike */
    }
    /* On to the next thing that happens. */
    int next = INT32_MAX;
    for (unsigned w = 0; w < s->machine->workers; w++)
        if (p.worker_until[w] > p.now_ms && p.worker_until[w] < next) next = p.worker_until[w];
    for (int i = 0; i < IMAGES; i++) {
        int arrival = (int)(s->arrivals[i].at_ns / CLOCK_MS);
        if (arrival > p.now_ms && arrival < next) next = arrival;
    }
    if (next == INT32_MAX) return best;
    p.now_ms = next;
    /* Heads take nothing here: of what has got through a section, each may answer or not. */
    int through[IMAGES], n = 0;
    for (int i = 0; i < IMAGES; i++) {
        if (p.worker_of[i] == FREE || p.worker_until[p.worker_of[i]] != next) continue;
        p.worker_of[i] = FREE;
        p.at[i]++;
        through[n++] = i;
    }
    for (unsigned stop = 0; stop < 1u << n; stop++) {
        struct position after = p;
        double worth = 0;
        for (int k = 0; k < n; k++) {
            if ((stop >> k & 1) == 0) continue;
            after.ended[through[k]] = true;
            worth += answer_worth(s, &p, through[k], next);
        }
        worth += best_from(s, after);
        if (worth > best) best = worth;
    }
    return best;
}

static void no_schedule_is_better(void **state)
{
    (void)state;
    struct rng rng;
    double closest = 0;
    rng_init(&rng, 4, RNG_TEST, 0, 0);
    for (int round = 0; round < 60; round++) {
        struct network network = {.name = "small"};
        for (int s = 0; s < NETWORK_EXITS; s++) {
            double more = s == 0 ? .4 * rng_uniform(&rng) : .3 * rng_uniform(&rng);
            network.accuracy[s] = (s > 0 ? network.accuracy[s - 1] : .2) + .4 * more;
            double ms = 1 + rng_below(&rng, 3);
            for (int i = 0; i < NETWORK_SIZES; i++, ms += rng_below(&rng, 3))
                network.section_ms[s][i] = ms;
        }
        struct machine machine = {
            .workers = 1 + rng_below(&rng, WORKERS_MAX), .networks = {&network}, .n_classes = 1};
        int deadline_ms = 2 + (int)rng_below(&rng, 7);
        machine.classes[0] = machine_deadline_class(deadline_ms / 1e3);
        struct machine_arrival arrivals[IMAGES] = {{0}};
        for (int i = 1; i < IMAGES; i++)
            arrivals[i].at_ns = arrivals[i - 1].at_ns + CLOCK_MS * (int64_t)rng_below(&rng, 4);
        struct search search = {&machine, arrivals, deadline_ms};
        struct position position = {.worker_of = {FREE, FREE, FREE}};
        double best = best_from(&search, position);
        double bound = bound_right(&machine, arrivals, IMAGES);
        if (best > bound + 1e-9) fail_msg("round %d: %g, bound %g", round, best, bound);
        if (best / bound > closest) closest = best / bound;
    }
    assert_true(closest > .99); /* and some reach it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_work_is_a_largest_matching),
        cmocka_unit_test(no_schedule_is_better),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
