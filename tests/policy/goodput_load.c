/* See goodput_load.h. */
#include "config.h"

#include "goodput_load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"

enum { ARRIVALS_MAX = 1 << 20, QUEUE_MAX = 1024 };

static double alone_s(const struct network *network)
{
    double ms = network->head_ms[NETWORK_EXITS - 1][0];
    for (int s = 0; s < NETWORK_EXITS; s++) ms += network->section_ms[s][0];
    return ms / 1e3;
}

struct goodput_load goodput_load_random(uint64_t seed)
{
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 18, 0);
    struct goodput_load load = {.seed = seed, .os = &machine_os_usual, .seconds = 2};
    static const unsigned workers[] = {1, 2, 2, 4, 8};
    load.network = &network_full;
    load.workers = workers[rng_below(&rng, 5)];
    load.kind = (enum arrivals_kind)rng_below(&rng, ARRIVALS_KINDS);
    load.factor = .3 * pow(4 / .3, rng_uniform(&rng));
    load.deadline_s = alone_s(load.network) * 2.5 * pow(8, rng_uniform(&rng));
    return load;
}

static struct machine machine_of(const struct goodput_load *load)
{
    struct machine machine = {.seed = load->seed,
                              .workers = load->workers,
                              .queue_max = QUEUE_MAX,
                              .networks = {load->network},
                              .n_classes = 1,
                              .os = *load->os};
    machine.classes[0] = machine_deadline_class(load->deadline_s);
    return machine;
}

static void run(const struct machine *machine, const struct machine_arrival *arrivals, size_t n,
                struct goodput *ret)
{
    struct machine_outcome *outcomes = mem_new(n + 1, sizeof(*outcomes));
    if (outcomes == NULL) abort();
    machine_run(machine, arrivals, n, outcomes);
    machine_score(machine, arrivals, n, outcomes, -1, &ret->score);
    ret->bound = bound_right(machine, arrivals, n);
    ret->seconds = 0;
    for (size_t i = 0; i < n; i++)
        ret->seconds = fmax(ret->seconds, (double)outcomes[i].left_ns / (double)CLOCK_SECOND);
    mem_free(outcomes);
}

static struct machine_arrival *room(void)
{
    struct machine_arrival *arrivals = mem_new(ARRIVALS_MAX, sizeof(*arrivals));
    if (arrivals == NULL) abort();
    return arrivals;
}

void goodput_run(const struct goodput_load *load, struct goodput *ret)
{
    struct machine machine = machine_of(load);
    struct machine_arrival *arrivals = room();
    double per_s = load->factor * network_capacity(load->network, load->workers);
    size_t n = arrivals_make(load->seed, load->kind, per_s, load->seconds, &machine, ARRIVALS_MAX,
                             arrivals);
    run(&machine, arrivals, n, ret);
    mem_free(arrivals);
}

void goodput_run_file(const struct goodput_load *load, const char *path, struct goodput *ret)
{
    struct machine machine = machine_of(load);
    struct machine_arrival *arrivals = room();
    long n = arrivals_read(path, &machine, ARRIVALS_MAX, arrivals);
    if (n < 0) exit(1);
    run(&machine, arrivals, (size_t)n, ret);
    mem_free(arrivals);
}
