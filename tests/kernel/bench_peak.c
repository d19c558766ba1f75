/* What the processor can do at most, to measure kernels against: fused multiply-adds in fp32 and
 * products of pairs in bfloat16, in as many independent chains as hide their latency, with nothing
 * loaded or stored. GFLOP/s, a multiply-add being two, of one thread and of as many as are given.
 * Not a test: run it by hand. Usage: bench_peak [THREADS]. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "base/pool.h"

#if defined(__x86_64__)
#include <immintrin.h>

enum { TURNS = 1 << 20, CHAINS = 12, ROUNDS = 40 };

#define EACH_CHAIN(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7) F(8) F(9) F(10) F(11)

/* Each chain adds the same product to its sum. All is read, and every chain begins elsewhere, or a
 * compiler would take two for one. */
#define CHAIN_BEGIN(i) sum##i = SET(l->in[i]);
#define CHAIN_TURN(i) sum##i = MULTIPLY_ADD(step, start, sum##i);
#define CHAIN_END(i) sum0 = ADD(sum0, sum##i);

struct lane {
    float in[16], out[16];
};

#define SET _mm256_set1_ps
#define ADD _mm256_add_ps
#define MULTIPLY_ADD _mm256_fmadd_ps
__attribute__((target("avx2,fma"))) static void run_avx2(struct lane *l)
{
    __m256 start = _mm256_loadu_ps(l->in), step = _mm256_loadu_ps(l->in + 8);
    __m256 sum0, sum1, sum2, sum3, sum4, sum5, sum6, sum7, sum8, sum9, sum10, sum11;
    EACH_CHAIN(CHAIN_BEGIN)
    for (int i = 0; i < TURNS; i++) {
        EACH_CHAIN(CHAIN_TURN)
    }
    EACH_CHAIN(CHAIN_END)
    _mm256_storeu_ps(l->out, sum0);
}
#undef SET
#undef ADD
#undef MULTIPLY_ADD

#define SET _mm512_set1_ps
#define ADD _mm512_add_ps
#define MULTIPLY_ADD _mm512_fmadd_ps
__attribute__((target("avx512f"))) static void run_avx512(struct lane *l)
{
    __m512 start = _mm512_loadu_ps(l->in), step = start;
    __m512 sum0, sum1, sum2, sum3, sum4, sum5, sum6, sum7, sum8, sum9, sum10, sum11;
    EACH_CHAIN(CHAIN_BEGIN)
    for (int i = 0; i < TURNS; i++) {
        EACH_CHAIN(CHAIN_TURN)
    }
    EACH_CHAIN(CHAIN_END)
    _mm512_storeu_ps(l->out, sum0);
}
#undef MULTIPLY_ADD

#define MULTIPLY_ADD(a, b, c) _mm512_dpbf16_ps(c, (__m512bh)(a), (__m512bh)(b))
__attribute__((target("avx512f,avx512bf16"))) static void run_pairs(struct lane *l)
{
    __m512 start = _mm512_loadu_ps(l->in), step = start;
    __m512 sum0, sum1, sum2, sum3, sum4, sum5, sum6, sum7, sum8, sum9, sum10, sum11;
    EACH_CHAIN(CHAIN_BEGIN)
    for (int i = 0; i < TURNS; i++) {
        EACH_CHAIN(CHAIN_TURN)
    }
    EACH_CHAIN(CHAIN_END)
    _mm512_storeu_ps(l->out, sum0);
}

static const struct peak {
    const char *name;
    enum cpu_isa isa;
    double flops; /* of an instruction */
    void (*run)(struct lane *l);
} peaks[] = {{"fp32, avx2", CPU_AVX2, 16, run_avx2},
             {"fp32, avx512", CPU_AVX512, 32, run_avx512},
             {"bf16, avx512bf16", CPU_AVX512BF16, 64, run_pairs}};

struct loop {
    const struct peak *peak;
    struct lane *lanes;
};

static void run_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    const struct loop *loop = arg;
    (void)n_lanes;
    loop->peak->run(&loop->lanes[lane]);
}

static double measure(const struct peak *peak, unsigned threads)
{
    struct pool *pool = pool_new(threads);
    struct loop loop = {peak, mem_new_aligned(threads, sizeof(*loop.lanes))};
    int64_t best = INT64_MAX;
    if (pool == NULL || loop.lanes == NULL) exit(1);
    for (unsigned i = 0; i < threads * 16; i++)
        loop.lanes[i / 16].in[i % 16] = 1e-3F * (float)(i + 1);
    for (int r = 0; r < ROUNDS; r++) {
        int64_t start = clock_now();
        pool_run(pool, run_lane, &loop);
        int64_t took = clock_now() - start;
        best = took < best ? took : best;
    }
    pool_free(pool);
    mem_free(loop.lanes);
    return peak->flops * CHAINS * TURNS * threads / (double)best;
}

int main(int argc, char **argv)
{
    int given = argc > 1 ? atoi(argv[1]) : 2;
    if (given < 1) return 2;
    for (size_t i = 0; i < sizeof(peaks) / sizeof(peaks[0]); i++) {
        if (!cpu_isa_supported(peaks[i].isa)) continue;
        printf("%s: %.0f GFLOP/s of one thread, %.0f of %d\n", peaks[i].name, measure(&peaks[i], 1),
               measure(&peaks[i], (unsigned)given), given);
    }
    return 0;
}

#else

int main(void)
{
    puts("only for x86-64");
    return 0;
}

#endif
