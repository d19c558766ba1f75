/* Goodput in virtual time: what the daemon's policy makes of loads, as a share of the bound
 * (bound.h). Prints tables; test_goodput.c asserts some of it.
 *
 *   goodput                      the usual loads: a row for each load and deadline
 *   goodput --random N           N random loads: the median and the worst share, by load
 *   goodput --file FILE          arrivals as recorded, see arrivals.h
 *   --small                      the shipped network instead of the one at full width
 *   --ideal                      without an operating system
 *   --deadline-ms D, --seconds S, --seed N, --workers N, --kind K */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "goodput_load.h"

static void print_head(void)
{
    printf("%8s %8s %9s %6s | %6s %8s %8s %8s %6s | %6s %6s | %6s %5s %5s %5s %5s | %6s\n", "kind",
           "load", "D (ms)", "n", "met", "in time", "right/s", "bound/s", "share", "p50", "p99",
           "refuse", "1", "2", "3", "4", "batch4");
}

static void print_row(const char *kind, double factor, const struct goodput_load *load,
                      const struct goodput *g)
{
    const struct machine_score *s = &g->score;
    double n = (double)s->n / 100, seconds = load->seconds;
    printf("%8s %8.2f %9.3g %6zu | %5.1f%% %6.0f/s %6.0f/s %6.0f/s %5.1f%% | %6.1f %6.1f | "
           "%5.1f%% %5.1f %5.1f %5.1f %5.1f | %6.1f\n",
           kind, factor, 1e3 * load->deadline_s, s->n, (double)s->in_time / n,
           (double)s->in_time / seconds, s->right / seconds, g->bound / seconds,
           100 * s->right / g->bound, 1e3 * s->latency_p50_s, 1e3 * s->latency_p99_s,
           (double)s->refused / n, (double)s->exits[0] / n, (double)s->exits[1] / n,
           (double)s->exits[2] / n, (double)s->exits[3] / n, s->batch_last);
}

static void usual(struct goodput_load load, double deadline_s)
{
    static const double factors[] = {.3, .5, .7, .9, 1, 1.2, 1.5, 2, 3, 4, 10};
    /* 5 times what one image takes on one worker, and on two; the small network's is the loop's. */
    static const double full_s[] = {.024, .012}, small_s[] = {.020, .010};
    const double *deadlines_s = load.network == &network_full ? full_s : small_s;
    print_head();
    for (int d = 0; d < 2; d++) {
        load.deadline_s = deadline_s > 0 ? deadline_s : deadlines_s[d];
        for (size_t i = 0; i < sizeof(factors) / sizeof(factors[0]); i++) {
            struct goodput g;
            load.factor = factors[i];
            goodput_run(&load, &g);
            print_row(arrivals_names[load.kind], load.factor, &load, &g);
        }
        if (deadline_s > 0) break;
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y ? 1 : 0;
}

static void random_loads(const struct goodput_load *like, uint64_t first, size_t n)
{
    static const double borders[] = {.3, .5, .7, 1, 1.5, 2, 3, 4.01};
    enum { BANDS = sizeof(borders) / sizeof(borders[0]) - 1 };
    double *shares = mem_new(BANDS * n, sizeof(*shares));
    size_t counts[BANDS + 1] = {0};
    double worst[BANDS + 1];
    uint64_t worst_seed[BANDS + 1] = {0};
    if (shares == NULL) abort();
    for (size_t i = 0; i < n; i++) {
        struct goodput_load load = goodput_load_random(first + i);
        struct goodput g;
        load.os = like->os;
        load.network = like->network;
        load.deadline_s *= network_capacity(&network_full, 1) / network_capacity(load.network, 1);
        goodput_run(&load, &g);
        if (!(g.bound > 0)) continue;
        int band = 0;
        while (load.factor >= borders[band + 1]) band++;
        double share = g.score.right / g.bound;
        if (counts[band] == 0 || share < worst[band]) {
            worst[band] = share;
            worst_seed[band] = load.seed;
        }
        shares[(size_t)band * n + counts[band]++] = share;
    }
    for (int b = 0; b < BANDS; b++) {
        double *of = shares + (size_t)b * n;
        if (counts[b] == 0) continue;
        qsort(of, counts[b], sizeof(*of), ascending);
        struct goodput_load load = goodput_load_random(worst_seed[b]);
        printf("load %.1f to %.1f: %4zu loads, of the bound %.1f %% in the median, %.1f %% in one "
               "of ten, %.1f %% in the worst (seed %llu: %s, %u workers, load %.2f, D %.1f ms)\n",
               borders[b], borders[b + 1], counts[b], 100 * of[counts[b] / 2],
               100 * of[counts[b] / 10], 100 * of[0], (unsigned long long)worst_seed[b],
               arrivals_names[load.kind], load.workers, load.factor, 1e3 * load.deadline_s);
    }
    mem_free(shares);
}

int main(int argc, char **argv)
{
    struct goodput_load load = {.seed = 1,
                                .network = &network_full,
                                .workers = 2,
                                .os = &machine_os_usual,
                                .kind = ARRIVALS_POISSON,
                                .seconds = 10};
    const char *file = NULL;
    size_t random = 0;
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(name, "--small") == 0) {
            load.network = &network_small;
            continue;
        }
        if (strcmp(name, "--ideal") == 0) {
            load.os = &machine_os_ideal;
            continue;
        }
        i++;
        if (strcmp(name, "--random") == 0) {
            random = strtoul(value, NULL, 10);
        } else if (strcmp(name, "--file") == 0) {
            file = value;
        } else if (strcmp(name, "--deadline-ms") == 0) {
            load.deadline_s = strtod(value, NULL) / 1e3;
        } else if (strcmp(name, "--seconds") == 0) {
            load.seconds = strtod(value, NULL);
        } else if (strcmp(name, "--seed") == 0) {
            load.seed = strtoull(value, NULL, 10);
        } else if (strcmp(name, "--workers") == 0) {
            load.workers = (unsigned)strtoul(value, NULL, 10);
        } else if (strcmp(name, "--kind") == 0) {
            for (int k = 0; k < ARRIVALS_KINDS; k++)
                if (strcmp(value, arrivals_names[k]) == 0) load.kind = (enum arrivals_kind)k;
        } else {
            fprintf(stderr, "%s: not known, see the top of the source\n", name);
            return 2;
        }
    }
    if (random > 0) {
        random_loads(&load, load.seed, random);
    } else if (file != NULL) {
        struct goodput g;
        goodput_run_file(&load, file, &g);
        load.seconds = g.seconds;
        print_head();
        print_row("file", 0, &load, &g);
    } else {
        usual(load, load.deadline_s);
    }
    return 0;
}
