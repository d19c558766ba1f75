/* Which table serves which instruction set. BF16 has no kernels of its own in this version: there
 * the AVX-512 table serves. */
#include "kernel/kernel.h"

#include "tables.h"

const struct kernels *kernels_of(enum cpu_isa isa)
{
    if (!cpu_isa_supported(isa)) return NULL;
    switch (isa) {
    case CPU_REFERENCE:
        return &kernels_reference;
#if defined(__x86_64__)
    case CPU_AVX2:
        return &kernels_avx2;
    case CPU_AVX512:
    case CPU_AVX512BF16:
        return &kernels_avx512;
#endif
    default:
        return NULL;
    }
}

const struct kernels *kernels_best(void)
{
    const struct kernels *k = kernels_of(cpu_isa());
    return k != NULL ? k : &kernels_reference;
}
