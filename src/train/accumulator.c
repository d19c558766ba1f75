/* The mean of gradients. The sum is divided once, by its end, since rounding then happens once; for
 * powers of two it is the same as dividing the loss of each part. */
#include "config.h"

#include "accumulator.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

int accumulator_init(struct accumulator *a, size_t size, int64_t parts, struct err *e)
{
    *a = (struct accumulator){.size = size, .parts = parts};
    if (parts == 1 || size == 0) return 0;
    a->sum = mem_new_aligned(size, sizeof(*a->sum));
    if (a->sum != NULL) return 0;
    return err_set(e, -ENOMEM, "out of memory for the sum of %zu gradients", size);
}

void accumulator_release(struct accumulator *a)
{
    mem_free(a->sum);
    *a = (struct accumulator){0};
}

size_t accumulator_bytes(const struct accumulator *a)
{
    return a->sum != NULL ? a->size * sizeof(*a->sum) : 0;
}

struct taking {
    const struct accumulator *accumulator;
    int64_t part;
    float *gradient;
};

static void take_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    const struct taking *t = arg;
    const struct accumulator *a = t->accumulator;
    size_t first, end;
    pool_range(a->size, lane, n_lanes, &first, &end);
    float *sum = a->sum + first, *gradient = t->gradient + first;
    const float parts = (float)a->parts;
    const size_t n = end - first;
    if (t->part == 0) {
        memcpy(sum, gradient, n * sizeof(*sum));
    } else if (t->part + 1 < a->parts) {
        for (size_t i = 0; i < n; i++) sum[i] += gradient[i];
    } else {
        for (size_t i = 0; i < n; i++) gradient[i] = (sum[i] + gradient[i]) / parts;
    }
}

void accumulator_take(struct accumulator *a, int64_t part, float *gradient, struct pool *pool)
{
    if (a->sum == NULL) return;
    struct taking t = {a, part, gradient};
    pool_run(pool, take_lane, &t);
}
