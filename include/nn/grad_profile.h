/* What a grad's passes take their time for. A part is one phase of one operation, or something that
 * belongs to none; times are of all lanes together, so that with what they waited they add up to
 * the passes' duration times the lanes. Costs a look at the clock for each block of images. */
#ifndef NN_GRAD_PROFILE_H
#define NN_GRAD_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/grad.h"

struct grad_part {
    const char *operator_name; /* NULL: of no operation, then phase says what */
    const char *phase;
    struct shape in, out;
    int exit;     /* whose head it belongs to; -1: the trunk, or no operation */
    int64_t macs; /* of all images of a pass; 0: none that count */
    int64_t ns;   /* since grad_profile(), summed over lanes */
};

/* Begins to measure, from nothing again when called again. -ENOMEM. Not during a pass. */
int grad_profile(struct grad *grad);

/* Part i; false past the last one and when nothing is measured. The thread that runs the passes. */
bool grad_profile_part(const struct grad *grad, size_t i, struct grad_part *ret_part);

#endif
