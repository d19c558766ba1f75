/* What one direction of a convolution, vertical or horizontal, reads and writes: the
 * arithmetic of positions and taps of a pass (simd_pass.h). */
#ifndef KERNEL_SIMD_AXIS_H
#define KERNEL_SIMD_AXIS_H

#include "simd.h"

/* One direction (vertical or horizontal) of one phase. Output position i reads, for tap t, the
 * source at i * step + first + t; it is stored at i * out_step + out_first. Tap t is the kernel's
 * tap_first + t * tap_step. */
struct axis {
    int size; /* of the source */
    int first, taps, step;
    int count, out_first, out_step;
    int tap_first, tap_step;
};

static inline struct axis axis_forward(int size, int kernel, int stride, int pad)
{
    return (struct axis){.size = size,
                         .first = -pad,
                         .taps = kernel,
                         .step = stride,
                         .count = (size + 2 * pad - kernel) / stride + 1,
                         .out_first = 0,
                         .out_step = 1,
                         .tap_first = 0,
                         .tap_step = 1};
}

/* Input position r + i * stride is fed by the outputs i + (r + pad - tap) / stride, where that
 * divides. */
static inline struct axis axis_backward(int size, int kernel, int stride, int pad, int phase)
{
    int lowest = (phase + pad) % stride;
    int taps = lowest < kernel ? (kernel - 1 - lowest) / stride + 1 : 0;
    int highest = lowest + (taps - 1) * stride;
    return (struct axis){.size = (size + 2 * pad - kernel) / stride + 1,
                         .first = taps > 0 ? (phase + pad - highest) / stride : 0,
                         .taps = taps,
                         .step = 1,
                         .count = size > phase ? (size - phase - 1) / stride + 1 : 0,
                         .out_first = phase,
                         .out_step = stride,
                         .tap_first = highest,
                         .tap_step = -stride};
}

/* How far the taps of an axis leave the source at its low and high end. */
static inline int axis_low(const struct axis *a)
{
    return a->taps > 0 && a->count > 0 ? max_int(0, -a->first) : 0;
}

static inline int axis_high(const struct axis *a)
{
    if (a->taps == 0 || a->count == 0) return 0;
    return max_int(0, (a->count - 1) * a->step + a->first + a->taps - a->size);
}

/* The taps [*from, *to) that lie inside the source for output position i. */
static inline void axis_inside(const struct axis *a, int i, int *from, int *to)
{
    int at = i * a->step + a->first;
    *from = min_int(max_int(0, -at), a->taps);
    *to = max_int(*from, min_int(a->taps, a->size - at));
}

static inline int64_t axis_taps_inside(const struct axis *a)
{
    int64_t inside = 0;
    for (int i = 0; i < a->count; i++) {
        int from, to;
        axis_inside(a, i, &from, &to);
        inside += to - from;
    }
    return inside;
}

#endif
