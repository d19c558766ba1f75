/* A phase of a pass with its operands, and the register tiles over its pixels: simd_phase.c. */
#ifndef KERNEL_SIMD_PHASE_H
#define KERNEL_SIMD_PHASE_H

#include "simd_pass.h"

/* One phase with its operands. Tap 0 of output position (0, 0) reads image b at source[origin + b *
 * image_pitch]; origin may lie before the array, where that tap is outside. */
struct phase {
    const struct pass *pass;
    struct axis v, h;
    const float *packed;
    const struct conv_epilogue *epilogue;
    const float *source;
    ptrdiff_t origin;
    size_t image_pitch, row_pitch, pixel_pitch;
    float *y;
    const float *residual;
};

static inline size_t phase_taps_size(const struct phase *f)
{
    return (size_t)f->v.taps * (size_t)f->h.taps * f->pass->channels;
}

/* All pixels of `images` images whose taps all lie inside the source: flat and padded. */
void ISA(phase_run_rows)(const struct phase *f, size_t images);

/* All positions of `images` interleaved images. */
void ISA(phase_run_group)(const struct phase *f, size_t images);

/* All pixels of `images` images, tap by tap; forward only. sums: TAPS_PIXELS * BLOCK. */
void ISA(phase_run_taps)(const struct phase *f, size_t images, float *sums);

#endif
