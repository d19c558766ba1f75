/* How many answers can be in time and right at most, whatever a scheduler does that knows all
 * arrivals before. */
#ifndef TESTS_POLICY_BOUND_H
#define TESTS_POLICY_BOUND_H

#include "machine.h"

/* The sum of held-out accuracies over all answers in time: no schedule of these arrivals on this
 * machine has more. Arrivals whose class has no deadline count with what the whole time gives.
 * Negative: out of memory. */
double bound_right(const struct machine *machine, const struct machine_arrival *arrivals, size_t n);

/* The most work, in seconds of one worker, that can be done on jobs with these windows and sizes,
 * when they may be divided, and all workers may work on one. At so many seconds of work a second.
 * Arrivals in ascending order. Negative: out of memory. */
double bound_work(const double *arrival_s, const double *deadline_s, const double *size_s, size_t n,
                  double speed);

#endif
