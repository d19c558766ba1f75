/* The bound (bound.h) of a simulated machine. */
#ifndef TESTS_POLICY_BOUND_MACHINE_H
#define TESTS_POLICY_BOUND_MACHINE_H

#include "machine.h"

/* The sum of held-out accuracies over all answers in time: no schedule of these arrivals on this
 * machine has more. Negative: out of memory. */
double bound_right(const struct machine *machine, const struct machine_arrival *arrivals, size_t n);

#endif
