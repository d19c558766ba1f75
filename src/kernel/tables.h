/* The tables that this build has, for kernels_of(). An instruction set's table is compiled from the
 * same sources as every other's, with flags of its own; nothing else of it is visible. */
#ifndef KERNEL_TABLES_H
#define KERNEL_TABLES_H

#include "kernel/kernel.h"

extern const struct kernels kernels_reference;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avx512;
extern const struct kernels kernels_avx512bf16;
#endif

#endif
