/* See arrivals.h. */
#include "config.h"

#include "arrivals.h"

#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/rng.h"

const char *const arrivals_names[ARRIVALS_KINDS] = {"poisson", "constant", "bursts", "flocks"};

static const double burst_s = .5, quiet = .1;
enum { FLOCK_MAX = 9 };

static double exponential(struct rng *rng, double mean)
{
    return -mean * log(1 - rng_uniform(rng));
}

static int draw_class(struct rng *rng, const struct machine *machine)
{
    double u = rng_uniform(rng);
    int c = 0;
    while (c + 1 < machine->n_classes && u >= machine->classes[c].share)
        u -= machine->classes[c++].share;
    return c;
}

/* Seconds from one arrival to the next. flock: how many come with it. */
static double distance(struct rng *rng, enum arrivals_kind kind, double per_s, double now_s,
                       int *ret_flock)
{
    *ret_flock = 1;
    switch (kind) {
    case ARRIVALS_CONSTANT:
        return 1 / per_s;
    case ARRIVALS_BURSTS: {
        bool in_burst = fmod(now_s, 2 * burst_s) < burst_s;
        return exponential(rng, 1 / (in_burst ? per_s : quiet * per_s));
    }
    case ARRIVALS_FLOCKS:
        *ret_flock = 1 + (int)rng_below(rng, FLOCK_MAX);
        return exponential(rng, (1 + FLOCK_MAX) / 2. / per_s);
    case ARRIVALS_POISSON:
    case ARRIVALS_KINDS:
        break;
    }
    return exponential(rng, 1 / per_s);
}

size_t arrivals_make(uint64_t seed, enum arrivals_kind kind, double per_s, double seconds,
                     const struct machine *machine, size_t max, struct machine_arrival *ret)
{
    struct rng rng;
    size_t n = 0;
    int flock;
    rng_init(&rng, seed, RNG_TEST, 16, (uint32_t)kind);
    for (double s = distance(&rng, kind, per_s, 0, &flock); s < seconds;
         s += distance(&rng, kind, per_s, s, &flock)) {
        for (int i = 0; i < flock && n < max; i++)
            ret[n++] = (struct machine_arrival){(int64_t)(s * (double)CLOCK_SECOND),
                                                draw_class(&rng, machine)};
    }
    return n;
}

long arrivals_read(const char *path, const struct machine *machine, size_t max,
                   struct machine_arrival *ret)
{
    FILE *f = fopen(path, "r");
    char line[128];
    size_t n = 0;
    if (f == NULL) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return -1;
    }
    while (n < max && fgets(line, sizeof(line), f) != NULL) {
        double s;
        int class = 0;
        bool good = sscanf(line, "%lf %d", &s, &class) >= 1 && s >= 0 && s < 1e6 && class >= 0 &&
                    class < machine->n_classes;
        int64_t at = good ? (int64_t)(s * (double)CLOCK_SECOND) : 0;
        if (!good || (n > 0 && at < ret[n - 1].at_ns)) {
            fprintf(stderr, "%s:%zu: takes seconds in ascending order and a class from 0 to %d\n",
                    path, n + 1, machine->n_classes - 1);
            fclose(f);
            return -1;
        }
        ret[n++] = (struct machine_arrival){at, class};
    }
    fclose(f);
    return (long)n;
}
