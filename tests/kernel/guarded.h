/* Arrays for tests of kernels: they end at a page that may not be touched, so that reading or
 * writing one float too far is a crash rather than luck. What is not yet written holds NaNs. */
#ifndef TESTS_KERNEL_GUARDED_H
#define TESTS_KERNEL_GUARDED_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/rng.h"

struct guarded {
    float *data;
    size_t count;
    void *map;
    size_t map_size;
};

/* `align` bytes, a power of two; the array ends less than that before the guard page. */
static inline struct guarded guarded_bytes(size_t bytes, size_t align)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t used = (bytes + align - 1) / align * align, size = (used + page - 1) / page * page;
    struct guarded a = {.count = bytes / sizeof(float), .map_size = size + page};
    a.map = mmap(NULL, a.map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (a.map == MAP_FAILED) abort();
    if (mprotect((char *)a.map + size, page, PROT_NONE) != 0) abort();
    a.data = (float *)(void *)((char *)a.map + size - used);
    for (size_t i = 0; i < a.count; i++) a.data[i] = NAN;
    return a;
}

static inline struct guarded guarded_new(size_t count)
{
    return guarded_bytes(count * sizeof(float), sizeof(float));
}

/* Numbers in [-1, 1). */
static inline struct guarded guarded_random(size_t count, struct rng *r)
{
    struct guarded a = guarded_new(count);
    for (size_t i = 0; i < count; i++) a.data[i] = (float)(2 * rng_uniform(r) - 1);
    return a;
}

static inline struct guarded guarded_copy(const struct guarded *from)
{
    struct guarded a = guarded_new(from->count);
    memcpy(a.data, from->data, from->count * sizeof(float));
    return a;
}

static inline void guarded_free(struct guarded *a)
{
    munmap(a->map, a->map_size);
}

/* The first index at which |a - b| > atol + rtol * |b|, or count. */
static inline size_t first_difference(const float *a, const float *b, size_t count, double atol,
                                      double rtol)
{
    for (size_t i = 0; i < count; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= atol + rtol * fabs((double)b[i]))) return i;
    }
    return count;
}

#endif
