/* Which table serves which instruction set. What an instruction set does not have of its own it
 * takes from the next lesser one, so that a caller never has to know what this build contains. */
#include "kernel/kernel.h"

#include "tables.h"

const struct kernels *kernels_of(enum cpu_isa isa)
{
    if (!cpu_isa_supported(isa)) return NULL;
    switch (isa) {
    case CPU_REFERENCE:
        return &kernels_reference;
    default:
        return NULL;
    }
}

const struct kernels *kernels_best(void)
{
    for (int isa = (int)cpu_isa(); isa > CPU_REFERENCE; isa--) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k != NULL) return k;
    }
    return &kernels_reference;
}
