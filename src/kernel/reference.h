/* The entries of the reference table that stand in reference_map.c. */
#ifndef KERNEL_REFERENCE_H
#define KERNEL_REFERENCE_H

#include "kernel/kernel.h"

void reference_max_pool(const struct pool_geometry *g, int n, const float *x, float *y);
void reference_max_pool_backward(const struct pool_geometry *g, int n, const float *x,
                                 const float *y, const float *dy, bool accumulate, float *dx);
void reference_shortcut(const struct cell_geometry *g, int n, const float *x, float *y);
void reference_shortcut_backward(const struct cell_geometry *g, int n, const float *dy,
                                 bool accumulate, float *dx);
void reference_upsample(int n, int height, int width, int channels, const float *x, float *y);
void reference_upsample_backward(int n, int height, int width, int channels, const float *dy,
                                 bool accumulate, float *dx);
void reference_gate(size_t count, const float *z, const float *x, float *y);
void reference_gate_backward(size_t count, const float *z, const float *x, const float *dy,
                             bool accumulate_z, float *dz, bool accumulate_x, float *dx);

#endif
