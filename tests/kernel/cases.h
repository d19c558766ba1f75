/* The operator cases of convolution, shared by the tests against the reference, by the gradient
 * check and by the test of batches: every code path (flat, grouped, by taps, padded; one and two
 * vectors; rest channels; phases without taps; a frame for few channels; slabs of a weight
 * gradient) has at least one. */
#ifndef TESTS_KERNEL_CASES_H
#define TESTS_KERNEL_CASES_H

#include "base/rng.h"
#include "kernel/kernel.h"

static const struct conv_geometry conv_cases[] = {
    /* height, width, in, out, kernel height, width, stride, pad, groups */
    {1, 1, 1, 1, 1, 1, 1, 0, 1},
    {1, 1, 33, 17, 1, 1, 1, 0, 1},
    {1, 1, 5, 3, 3, 3, 1, 1, 1},
    {4, 4, 3, 16, 3, 3, 1, 1, 1},
    {4, 4, 16, 16, 3, 3, 1, 1, 1},
    {4, 4, 17, 33, 3, 3, 1, 1, 1},
    {4, 4, 48, 100, 3, 3, 1, 1, 1},
    {4, 4, 32, 128, 1, 1, 1, 0, 1},
    {4, 4, 70, 40, 3, 3, 1, 1, 1},
    {3, 4, 140, 33, 3, 3, 1, 1, 1},
    {2, 2, 64, 20, 5, 5, 1, 2, 1},
    {5, 7, 1, 5, 3, 3, 1, 1, 1},
    {5, 7, 5, 1, 3, 3, 2, 1, 1},
    {5, 7, 3, 48, 5, 5, 1, 2, 1},
    {5, 7, 16, 17, 2, 2, 1, 1, 1},
    {5, 7, 17, 16, 4, 4, 1, 2, 1},
    {5, 7, 33, 5, 3, 3, 2, 0, 1},
    {5, 7, 100, 3, 1, 1, 2, 0, 1},
    {5, 7, 3, 3, 2, 2, 4, 0, 1},
    {5, 7, 16, 32, 3, 5, 1, 1, 1},
    {5, 7, 3, 20, 3, 1, 1, 1, 1},
    {8, 8, 3, 16, 3, 3, 2, 1, 1},
    {8, 8, 16, 32, 3, 3, 2, 1, 1},
    {8, 8, 48, 48, 3, 3, 1, 1, 1},
    {8, 8, 64, 32, 2, 2, 2, 0, 1},
    {8, 8, 17, 33, 4, 4, 4, 0, 1},
    {8, 8, 5, 16, 8, 8, 8, 0, 1},
    {8, 8, 33, 48, 1, 1, 2, 0, 1},
    {8, 8, 16, 16, 1, 1, 1, 1, 1},
    {8, 8, 3, 5, 5, 5, 2, 2, 1},
    {8, 8, 5, 100, 3, 3, 4, 1, 1},
    {9, 6, 16, 3, 4, 4, 3, 2, 1},
    {11, 13, 7, 9, 5, 5, 3, 2, 1},
    {32, 32, 3, 16, 3, 3, 1, 1, 1},
    {32, 32, 16, 16, 3, 3, 1, 1, 1},
    {32, 32, 16, 32, 8, 8, 8, 0, 1},
    {32, 32, 17, 5, 3, 3, 2, 1, 1},
    {32, 32, 1, 33, 5, 5, 1, 2, 1},
    {33, 31, 3, 8, 7, 7, 2, 3, 1},
    {32, 32, 64, 64, 3, 3, 1, 1, 1},
    {16, 16, 100, 100, 3, 3, 1, 1, 1},
    /* no pixel seen by two taps: several slabs of taps, of outputs; a whole map; pixels left out */
    {8, 8, 260, 96, 4, 4, 4, 0, 1},
    {4, 4, 514, 100, 2, 2, 2, 0, 1},
    {4, 4, 70, 90, 4, 4, 1, 0, 1},
    {7, 5, 300, 200, 1, 1, 2, 0, 1},
    {9, 7, 12, 40, 2, 3, 4, 0, 1},
    /* groups, also of one output or input channel */
    {5, 7, 4, 6, 3, 3, 1, 1, 2},
    {8, 8, 16, 32, 3, 3, 2, 1, 4},
    {8, 8, 128, 128, 3, 3, 1, 1, 2},
    {4, 4, 51, 34, 3, 3, 1, 1, 17},
    {5, 5, 4, 8, 3, 3, 1, 1, 4},
    {6, 6, 12, 3, 2, 2, 2, 0, 3},
    {9, 6, 40, 60, 1, 1, 1, 0, 20},
    {16, 16, 66, 66, 3, 3, 1, 1, 2},
    {6, 6, 512, 80, 5, 5, 1, 0, 2}, /* in slices of taps */
    /* groups of few channels, of which several are taken at once, or all */
    {8, 8, 32, 32, 3, 3, 1, 1, 8},
    {7, 9, 64, 64, 3, 3, 2, 1, 8},
    {5, 6, 8, 8, 3, 3, 1, 1, 4},
    {6, 5, 2, 4, 3, 3, 1, 1, 2},
    {9, 4, 24, 12, 3, 3, 1, 1, 12},
    {4, 7, 12, 36, 2, 2, 2, 0, 12},
    {6, 6, 10, 30, 4, 4, 3, 2, 10},
    {8, 8, 54, 36, 5, 3, 1, 2, 18},
    {4, 4, 35, 70, 1, 1, 1, 0, 35},
    /* depthwise */
    {7, 5, 17, 17, 3, 3, 1, 1, 17},
    {8, 8, 33, 33, 3, 3, 2, 1, 33},
    {9, 9, 16, 16, 5, 5, 1, 2, 16},
    {6, 7, 3, 3, 4, 4, 3, 2, 3},
    {5, 7, 40, 40, 2, 2, 4, 0, 40},
    {2, 1, 5, 5, 5, 3, 2, 3, 5},
};

enum { CONV_CASES = sizeof(conv_cases) / sizeof(conv_cases[0]) };

/* A geometry drawn from awkward sizes. */
static inline struct conv_geometry conv_random(struct rng *r)
{
    static const int channels[] = {1, 2, 3, 5, 8, 15, 16, 17, 24, 32, 33, 48, 64, 100};
    static const int kernels[] = {1, 2, 3, 4, 5, 8}, strides[] = {1, 1, 2, 3, 4, 8};
    struct conv_geometry g;
    do {
        g.height = 1 + (int)rng_below(r, 18);
        g.width = 1 + (int)rng_below(r, 18);
        g.in_channels = channels[rng_below(r, sizeof(channels) / sizeof(channels[0]))];
        g.out_channels = channels[rng_below(r, sizeof(channels) / sizeof(channels[0]))];
        g.kernel_height = kernels[rng_below(r, 6)];
        g.kernel_width = rng_below(r, 4) == 0 ? kernels[rng_below(r, 6)] : g.kernel_height;
        g.stride = strides[rng_below(r, 6)];
        g.pad = (int)rng_below(r, 4);
        g.groups = 1;
        if (rng_below(r, 3) == 0) { /* few channels a group, often one */
            g.groups =
                rng_below(r, 2) == 0 ? channels[rng_below(r, 10)] : 1 + (int)rng_below(r, 36);
            g.in_channels = g.groups * (1 + (int)(rng_below(r, 2) * rng_below(r, 9)));
            g.out_channels = g.groups * (1 + (int)(rng_below(r, 2) * rng_below(r, 9)));
        }
    } while (g.height + 2 * g.pad < g.kernel_height || g.width + 2 * g.pad < g.kernel_width);
    return g;
}

#endif
