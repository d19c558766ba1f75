/* How many answers can be in time and right at most, whatever a scheduler does that knows all
 * arrivals before. */
#ifndef TESTS_POLICY_BOUND_H
#define TESTS_POLICY_BOUND_H

#include <stddef.h>

enum { BOUND_CLASSES_MAX = 8, BOUND_ANSWERS_MAX = 24 };

/* What some of the arrivals may be answered with: the least work that such an answer takes, in
 * seconds of one worker, and what it is worth, its accuracy. */
struct bound_class {
    struct bound_answer {
        double work_s, worth;
    } answers[BOUND_ANSWERS_MAX];
    int n;
};

/* In the order of time. */
struct bound_arrivals {
    const double *at_s, *deadline_s; /* both by one clock; deadline_s may be INFINITY */
    const int *class;
    size_t n;
};

/* The sum of worths over all answers in time: no schedule has more. Arrivals without a deadline
 * count with what the whole time gives. Negative: out of memory. */
double bound_worth(const struct bound_class *classes, int n_classes,
                   const struct bound_arrivals *arrivals, double workers);

/* The most work, in seconds of one worker, that can be done on jobs with these windows and sizes,
 * when they may be divided, and all workers may work on one. At so many seconds of work a second.
 * Arrivals in ascending order. Negative: out of memory. */
double bound_work(const double *arrival_s, const double *deadline_s, const double *size_s, size_t n,
                  double speed);

#endif
