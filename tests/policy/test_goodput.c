/* The policy in virtual time on random loads: `test_goodput [LOADS [SECONDS]]`. machine_run() ends
 * the program where a request is lost, is answered twice or waits for ever, or where a worker idles
 * beside work. Asserted here is what the policy is for, as doc/scheduler.md states it: shares of
 * the bound at and above the capacity, everybody in time and deep below it, classes and models side
 * by side, and no mark left by any load. Figures are those of a machine without an operating system
 * unless said: the bound knows of none. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "goodput_load.h"

static int failures, tests;

static void test(bool good, const char *what)
{
    printf("%sok %d - %s\n", good ? "" : "not ", ++tests, what);
    failures += !good;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

/* ---- the share of the bound ---- */

static void random_loads(size_t n)
{
    double *shares = mem_new(n, sizeof(*shares));
    size_t over = 0, lost = 0;
    if (shares == NULL) abort();
    for (size_t i = 0; i < n; i++) {
        struct goodput_load load = goodput_load_random(i + 1);
        struct goodput g;
        goodput_run(&load, &g); /* for the properties */
        lost += g.score.right > g.bound * (1 + 1e-9);
        load.os = &machine_os_ideal;
        goodput_run(&load, &g);
        lost += g.score.right > g.bound * (1 + 1e-9);
        if (load.factor >= 1) shares[over++] = g.score.right / g.bound;
    }
    qsort(shares, over, sizeof(*shares), ascending);
    printf("# %zu loads, %zu of them at or above the capacity: of the bound %.1f %% in the median, "
           "%.1f %% in one of ten, %.1f %% in the worst\n",
           n, over, 100 * shares[over / 2], 100 * shares[over / 10], 100 * shares[0]);
    test(lost == 0, "nobody is better than the bound");
    test(shares[over / 2] >= .95, "at least 95 % of the bound in the median");
    test(shares[0] >= .9, "at least 90 % of the bound in the worst");
    mem_free(shares);
}

static void below_the_capacity(void)
{
    struct goodput_load load = {.seed = 1,
                                .network = &network_full,
                                .workers = 2,
                                .os = &machine_os_usual,
                                .factor = .7,
                                .deadline_s = .024,
                                .seconds = 20};
    struct goodput g;
    goodput_run(&load, &g);
    double n = (double)g.score.n;
    printf("# 0.7 times the capacity: %.1f %% in time, %.1f %% by the deepest\n",
           100 * (double)g.score.in_time / n, 100 * (double)g.score.exits[3] / n);
    test((double)g.score.in_time >= .99 * n, "0.7 times: 99 % in time");
    test((double)g.score.exits[3] >= .9 * n, "0.7 times: 90 % by the deepest");
}

/* ---- side by side ---- */

enum { ARRIVALS_MAX = 100000 };
static struct machine_arrival arrivals[ARRIVALS_MAX];
static struct machine_outcome outcomes[ARRIVALS_MAX];

static double met(const struct machine *machine, size_t n, int class)
{
    struct machine_score score;
    machine_score(machine, arrivals, n, outcomes, class, &score);
    printf("#   %s: %zu, %.1f %% in time, %zu refused, p99 %.1f ms, exits %zu %zu %zu %zu\n",
           machine->classes[class].name, score.n, 100 * (double)score.in_time / (double)score.n,
           score.refused, 1e3 * score.latency_p99_s, score.exits[0], score.exits[1], score.exits[2],
           score.exits[3]);
    return (double)score.in_time / (double)score.n;
}

static struct machine two_workers(void)
{
    return (struct machine){.seed = 5,
                            .workers = 2,
                            .queue_max = 1024,
                            .networks = {&network_full},
                            .os = machine_os_usual};
}

/* Gold is urgent and named, bronze patient and without a deadline. */
static void gold_and_bronze(double gold, double bronze, double least_bronze)
{
    struct machine machine = two_workers();
    double capacity = network_capacity(&network_full, 2), all = gold + bronze;
    struct machine_class first = machine_deadline_class(.016);
    first.name = "gold";
    first.share = gold / all;
    first.sla.classifier = SLA_DEEPEST;
    first.sla.deadline_chooses = false;
    first.sla.fail_on_miss = true;
    first.sla.urgency = 1;
    struct machine_class second = machine_deadline_class(0);
    second.name = "bronze";
    second.share = bronze / all;
    second.sla = (struct sla){
        .classifier = SLA_DEEPEST, .min_confidence = -1, .min_accuracy = -1, .urgency = 6};
    machine.classes[0] = first;
    machine.classes[1] = second;
    machine.n_classes = 2;
    size_t n =
        arrivals_make(7, ARRIVALS_POISSON, all * capacity, 20, &machine, ARRIVALS_MAX, arrivals);
    printf("# gold at %.1f, bronze at %.1f times the capacity\n", gold, bronze);
    machine_run(&machine, arrivals, n, outcomes);
    double gold_met = met(&machine, n, 0), bronze_met = met(&machine, n, 1);
    test(gold_met >= .97, "97 % of the gold ones are in time");
    test(bronze_met >= least_bronze, "the bronze ones are served, too");
}

/* Two networks, one of which is asked for a little and the other for too much. */
static void small_and_large(double small, double large, double least_met, double least_deep)
{
    struct machine machine = two_workers();
    double capacity = network_capacity(&network_full, 2), all = small + large;
    machine.networks[1] = &network_full;
    for (int m = 0; m < 2; m++) {
        machine.classes[m] = machine_deadline_class(.024);
        machine.classes[m].name = m == 0 ? "small" : "large";
        machine.classes[m].share = (m == 0 ? small : large) / all;
        machine.classes[m].model = m;
    }
    machine.n_classes = 2;
    size_t n =
        arrivals_make(8, ARRIVALS_POISSON, all * capacity, 10, &machine, ARRIVALS_MAX, arrivals);
    printf("# one network at %.1f, another at %.1f times the capacity\n", small, large);
    machine_run(&machine, arrivals, n, outcomes);
    struct machine_score score;
    double small_met = met(&machine, n, 0);
    met(&machine, n, 1);
    machine_score(&machine, arrivals, n, outcomes, 0, &score);
    test(small_met >= least_met, "the little one's are in time");
    test((double)score.exits[3] >= least_deep * (double)score.n, "and go all the way");
}

/* Whatever was learned under a load, two seconds of a quiet one later nothing is left of it. */
static void no_mark_is_left(enum arrivals_kind kind, double factor)
{
    struct machine machine = two_workers();
    double capacity = network_capacity(&network_full, 2);
    machine.classes[0] = machine_deadline_class(.012);
    machine.n_classes = 1;
    size_t loaded = arrivals_make(9, kind, factor * capacity, 2, &machine, ARRIVALS_MAX, arrivals);
    size_t n = loaded + arrivals_make(10, ARRIVALS_POISSON, .3 * capacity, 2, &machine,
                                      ARRIVALS_MAX - loaded, arrivals + loaded);
    for (size_t i = loaded; i < n; i++) arrivals[i].at_ns += 2 * CLOCK_SECOND;
    machine_run(&machine, arrivals, n, outcomes);
    size_t good = 0;
    for (size_t i = loaded; i < n; i++) good += outcomes[i].in_time;
    printf("# %.0f times the capacity (%s), then 0.3 times: %.1f %% in time\n", factor,
           arrivals_names[kind], 100 * (double)good / (double)(n - loaded));
    test((double)good >= .98 * (double)(n - loaded), "no load leaves a mark");
}

int main(int argc, char **argv)
{
    size_t loads = argc > 1 ? strtoul(argv[1], NULL, 10) : 150;
    int64_t start = clock_now();
    random_loads(loads);
    below_the_capacity();
    gold_and_bronze(.3, .9, .5);
    gold_and_bronze(.2, 3, .2);
    small_and_large(.2, 1.8, .97, .5);
    small_and_large(.2, 5, .85, 0);
    for (int k = 0; k < ARRIVALS_KINDS; k++) no_mark_is_left((enum arrivals_kind)k, k % 2 ? 4 : 10);
    printf("# %.1f s\n1..%d\n", (double)(clock_now() - start) / (double)CLOCK_SECOND, tests);
    return failures > 0;
}
