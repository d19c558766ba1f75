/* What the processor can do, asked once at start. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum cpu_isa {
    CPU_REFERENCE,  /* plain C, no assumptions */
    CPU_AVX2,       /* AVX2 and FMA */
    CPU_AVX512,     /* AVX-512 F, BW, DQ, VL */
    CPU_AVX512BF16, /* AVX512_BF16 beside it */
    CPU_ISA_COUNT
};

/* The best one that this processor and kernel support;
 * AUTODIDACT_ISA=reference|avx2|avx512|avx512bf16 forces a lesser one (a greater one is ignored).
 * Any thread. */
enum cpu_isa cpu_isa(void);

/* ERR_RANGE when AUTODIDACT_ISA is set to something that is none of these names; programs ask at
 * their start, because a name that is misspelt would leave the best one in force. */
int cpu_check_isa(struct err *e);
bool cpu_isa_supported(enum cpu_isa isa); /* regardless of AUTODIDACT_ISA */
const char *cpu_isa_name(enum cpu_isa isa);

/* "AMD EPYC 9655" or what the processor says of itself; static storage. */
const char *cpu_model(void);

/* Processors that this process may run on (affinity and cgroup quota counted), at least 1. */
unsigned cpu_count(void);

/* Debian's OpenBLAS chooses old kernels on processors that it does not know and reads its settings
 * when it is loaded. This sets OPENBLAS_CORETYPE (on AVX512_BF16: Cooperlake, on AVX-512: SkylakeX)
 * and OPENBLAS_NUM_THREADS=1, unless the user has set them, and runs the program again, once. First
 * statement of main(). Returns when nothing had to change (or exec failed, which costs only speed).
 */
void cpu_prepare_blas(char **argv);

#endif
