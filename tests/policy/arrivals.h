/* When requests come: as processes, drawn from a seed, or as recorded in a file. */
#ifndef TESTS_POLICY_ARRIVALS_H
#define TESTS_POLICY_ARRIVALS_H

#include "machine.h"

enum arrivals_kind {
    ARRIVALS_POISSON,
    ARRIVALS_CONSTANT, /* equal distances */
    ARRIVALS_BURSTS,   /* Poisson at the rate for half a second, then at a tenth for as long */
    ARRIVALS_FLOCKS,   /* several at a time, Poisson at the rate in all */
    ARRIVALS_KINDS
};
extern const char *const arrivals_names[ARRIVALS_KINDS];

/* Up to max arrivals within so many seconds, of the machine's classes by their shares. Returns how
 * many. */
size_t arrivals_make(uint64_t seed, enum arrivals_kind kind, double per_s, double seconds,
                     const struct machine *machine, size_t max, struct machine_arrival *ret);

/* From a file: seconds in ascending order, one a line, and a class number behind it where it is not
 * 0. Returns how many, or negative with a message on stderr. */
long arrivals_read(const char *path, const struct machine *machine, size_t max,
                   struct machine_arrival *ret);

#endif
