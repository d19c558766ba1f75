/* Where the time of training steps goes, as a table or as JSON Lines. */
#ifndef TOOL_BENCH_PROFILE_H
#define TOOL_BENCH_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "nn/grad_profile.h"

/* What grad_profile() has measured in so many steps of a grad's threads; loss_ns and update_ns are
 * what the calling thread took in all of them beside the passes. */
struct bench_profile {
    const struct grad *grad;
    unsigned threads;
    int steps;
    int64_t loss_ns, update_ns;
    bool by_shape; /* operations of one kind and shape are a part, else those of one kind */
};

int bench_profile_print(const struct bench_profile *p, bool json, struct err *e);

#endif
