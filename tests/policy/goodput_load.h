/* A load of one class of clients on the simulated machine (machine.h), and what came of it beside
 * the bound (bound.h): what the table of figures and the test share. */
#ifndef TESTS_POLICY_GOODPUT_LOAD_H
#define TESTS_POLICY_GOODPUT_LOAD_H

#include "arrivals.h"
#include "bound_machine.h"

struct goodput_load {
    uint64_t seed;
    const struct network *network;
    unsigned workers;
    const struct machine_os *os;
    enum arrivals_kind kind;
    double factor; /* of the capacity, network_capacity() */
    double deadline_s, seconds;
};

struct goodput {
    struct machine_score score;
    double bound, seconds; /* seconds: it took, until the last reply had left */
};

/* Anything from 0.3 to 4 times the capacity, of any kind, with deadlines from 2.5 to 20 times what
 * one image takes alone. */
struct goodput_load goodput_load_random(uint64_t seed);

void goodput_run(const struct goodput_load *load, struct goodput *ret);

/* The same with what was recorded. */
void goodput_run_file(const struct goodput_load *load, const char *path, struct goodput *ret);

#endif
