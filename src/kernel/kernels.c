/* Which table serves which instruction set. */
#include "kernel/kernel.h"

#include "tables.h"

const char *conv_algorithm_name(enum conv_algorithm a)
{
    static const char *const names[CONV_ALGORITHMS] = {
        [CONV_DIRECT] = "direct",
        [CONV_WINOGRAD] = "winograd",
        [CONV_WINOGRAD_LEAN] = "winograd-lean",
        [CONV_WINOGRAD_SMALL] = "winograd-small",
        [CONV_BF16] = "bf16",
    };
    return names[a];
}

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
        return &kernels_avx512;
    case CPU_AVX512BF16:
        return &kernels_avx512bf16;
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
