/* Speed of every kernel at the shapes of ResNet18, per table: GFLOP/s of one core for convolutions
 * (2 * multiply-adds of the definition, taps outside the image included), GB/s for what is bound by
 * memory. Not a test: `make check` builds it, people run it. Usage: bench_kernels [images
 * [rounds]]. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kernel/kernel.h"

static const struct conv_geometry shapes[] = {
    /* height width in out kernel kernel stride pad groups */
    {32, 32, 3, 16, 3, 3, 1, 1, 1},
    {32, 32, 16, 16, 3, 3, 1, 1, 1},
    {32, 32, 16, 32, 3, 3, 2, 1, 1},
    {16, 16, 32, 32, 3, 3, 1, 1, 1},
    {16, 16, 32, 64, 3, 3, 2, 1, 1},
    {8, 8, 64, 64, 3, 3, 1, 1, 1},
    {8, 8, 64, 128, 3, 3, 2, 1, 1},
    {4, 4, 128, 128, 3, 3, 1, 1, 1},
    {32, 32, 16, 32, 1, 1, 2, 0, 1},
    {4, 4, 32, 128, 1, 1, 1, 0, 1},
    {32, 32, 16, 32, 8, 8, 8, 0, 1},
    {16, 16, 32, 32, 4, 4, 4, 0, 1},
    {8, 8, 64, 32, 2, 2, 2, 0, 1},
    {32, 32, 64, 64, 3, 3, 1, 1, 1},
    {16, 16, 128, 128, 3, 3, 1, 1, 1},
    {8, 8, 256, 256, 3, 3, 1, 1, 1},
    {4, 4, 512, 512, 3, 3, 1, 1, 1},
    /* ResNeXt29-8x64d's groups, also at width 4; depthwise */
    {32, 32, 512, 512, 3, 3, 1, 1, 8},
    {16, 16, 1024, 1024, 3, 3, 1, 1, 8},
    {8, 8, 2048, 2048, 3, 3, 1, 1, 8},
    {32, 32, 32, 32, 3, 3, 1, 1, 8},
    {16, 16, 64, 64, 3, 3, 1, 1, 8},
    {8, 8, 128, 128, 3, 3, 1, 1, 8},
    {32, 32, 64, 64, 3, 3, 2, 1, 64},
    {16, 16, 128, 128, 3, 3, 1, 1, 128},
};

static uint32_t state = 1;

static float *numbers(size_t count)
{
    float *x = mem_new_aligned(count, sizeof(float));
    if (x == NULL) abort();
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525U + 1013904223U;
        x[i] = (float)(state >> 8) / 8388608.0F - 1.0F;
    }
    return x;
}

/* Best of `rounds` in seconds, of a statement that may be short. */
#define BEST(rounds, statement, result)                                                            \
    do {                                                                                           \
        result = 1e30;                                                                             \
        statement;                                                                                 \
        for (int round_ = 0; round_ < (rounds); round_++) {                                        \
            int64_t begin_ = clock_now();                                                          \
            int times_ = 0;                                                                        \
            do {                                                                                   \
                statement;                                                                         \
                times_++;                                                                          \
            } while (clock_now() - begin_ < 2000000);                                              \
            double seconds_ = (double)(clock_now() - begin_) / 1e9 / times_;                       \
            if (seconds_ < result) result = seconds_;                                              \
        }                                                                                          \
    } while (0)

/* The other algorithms, in the directions that they have. */
static void bench_algorithms(const struct kernels *k, const struct conv_geometry *g, int n,
                             int rounds, double flop, float *x, float *w, float *y)
{
    struct conv_epilogue epilogue = {NULL, NULL, false};
    for (int i = CONV_DIRECT + 1; i < CONV_ALGORITHMS; i++) {
        enum conv_algorithm a = (enum conv_algorithm)i;
        const struct conv_forward *m = &k->conv[a].forward;
        const struct conv_backward_data *back = &k->conv[a].backward_data;
        const struct conv_backward_weight *sums = &k->conv[a].backward_weight;
        double seconds, pack;
        if (conv_takes(k, CONV_FORWARD, a, g)) {
            float *packed = numbers(m->packed_size(g));
            void *scratch = mem_new_aligned(m->scratch_bytes(g), 1);
            BEST(rounds, m->pack(g, w, NULL, packed), pack);
            BEST(rounds, m->run(g, n, x, packed, &epilogue, y, scratch, conv_whole), seconds);
            printf("  %s %6.1f (%.0f us)", conv_algorithm_name(a), flop / seconds, pack * 1e6);
            mem_free(packed);
            mem_free(scratch);
        }
        if (conv_takes(k, CONV_BACKWARD_DATA, a, g)) {
            float *packed = numbers(back->packed_size(g));
            void *scratch = mem_new_aligned(back->scratch_bytes(g), 1);
            BEST(rounds, back->pack(g, w, packed), pack);
            BEST(rounds, back->run(g, n, y, packed, false, x, scratch), seconds);
            printf(" data %6.1f (%.0f us)", flop / seconds, pack * 1e6);
            mem_free(packed);
            mem_free(scratch);
        }
        if (conv_takes(k, CONV_BACKWARD_WEIGHT, a, g)) {
            void *scratch = mem_new_aligned(sums->scratch_bytes(g), 1);
            BEST(rounds, sums->run(g, n, x, y, w, scratch), seconds);
            printf(" weight %6.1f", flop / seconds);
            mem_free(scratch);
        }
    }
}

/* For any direction. */
static size_t scratch_bytes(const struct conv_method *m, const struct conv_geometry *g)
{
    size_t forward = m->forward.scratch_bytes(g), data = m->backward_data.scratch_bytes(g);
    size_t weight = m->backward_weight.scratch_bytes(g), most = forward > data ? forward : data;
    return most > weight ? most : weight;
}

static void bench_conv(const struct kernels *k, const struct conv_geometry *g, int n, int rounds)
{
    size_t pixels = (size_t)conv_out_height(g) * (size_t)conv_out_width(g);
    size_t weights = conv_weight_size(g);
    float *x = numbers((size_t)n * (size_t)(g->height * g->width * g->in_channels));
    float *y = numbers((size_t)n * pixels * (size_t)g->out_channels);
    float *w = numbers(weights);
    float *packed = numbers(k->conv[CONV_DIRECT].forward.packed_size(g)),
          *back = numbers(k->conv[CONV_DIRECT].backward_data.packed_size(g));
    void *scratch = mem_new_aligned(scratch_bytes(&k->conv[CONV_DIRECT], g), 1);
    struct conv_epilogue epilogue = {NULL, NULL, false};
    double flop = 2.0 * n * (double)pixels * (double)weights / 1e9, forward, data, weight, pack;
    BEST(rounds, k->conv[CONV_DIRECT].forward.pack(g, w, NULL, packed);
         k->conv[CONV_DIRECT].backward_data.pack(g, w, back), pack);
    BEST(rounds,
         k->conv[CONV_DIRECT].forward.run(g, n, x, packed, &epilogue, y, scratch, conv_whole),
         forward);
    BEST(rounds, k->conv[CONV_DIRECT].backward_data.run(g, n, y, back, false, x, scratch), data);
    BEST(rounds, k->conv[CONV_DIRECT].backward_weight.run(g, n, x, y, w, scratch), weight);
    printf("%dx%d s%d g%d %3d->%3d %2dx%-2d  forward %6.1f  data %6.1f  weight %6.1f GFLOP/s  "
           "%8.1f us  "
           "packing both %6.1f us",
           g->kernel_height, g->kernel_width, g->stride, g->groups, g->in_channels, g->out_channels,
           g->height, g->width, flop / forward, flop / data, flop / weight,
           (forward + data + weight) * 1e6, pack * 1e6);
    bench_algorithms(k, g, n, rounds, flop, x, w, y);
    printf("\n");
    fflush(stdout);
    mem_free(x);
    mem_free(y);
    mem_free(w);
    mem_free(packed);
    mem_free(back);
    mem_free(scratch);
}

static void bench_norm(const struct kernels *k, size_t rows, size_t channels, int rounds)
{
    size_t count = rows * channels;
    float *x = numbers(count), *y = numbers(count), *dy = numbers(count), *z = numbers(count);
    float *a = numbers(channels), *b = numbers(channels), *c = numbers(channels);
    double *sum = mem_new(2 * channels, sizeof(double)), seconds, gb = (double)count * 4e-9;
    if (sum == NULL) abort();
    printf("norm %7zu x %3zu ", rows, channels);
    BEST(rounds, k->norm.moments(rows, channels, x, sum, sum + channels), seconds);
    printf(" moments %6.1f", gb / seconds);
    BEST(rounds, k->norm.forward(rows, channels, x, a, b, NULL, true, y), seconds);
    printf(" apply %6.1f", 2 * gb / seconds);
    const struct norm_relu relu = {.scale = a, .shift = b};
    BEST(rounds, k->norm.backward_sums(rows, channels, &relu, dy, x, sum, sum + channels), seconds);
    printf(" sums %6.1f", 3 * gb / seconds);
    BEST(rounds, k->norm.backward(rows, channels, dy, x, a, b, c, z, NULL, false), seconds);
    printf(" backward %6.1f", 3 * gb / seconds);
    const struct sgd sgd = {.scale = 1.0F};
    BEST(rounds, k->sgd_step(count, &sgd, x, z, y), seconds);
    printf(" sgd %6.1f GB/s\n", 5 * gb / seconds);
    mem_free(x);
    mem_free(y);
    mem_free(dy);
    mem_free(z);
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(sum);
}

int main(int argc, char **argv)
{
    int n = argc > 1 ? atoi(argv[1]) : 64, rounds = argc > 2 ? atoi(argv[2]) : 5;
    if (n < 1 || rounds < 1) return 2;
    for (int isa = CPU_ISA_COUNT - 1; isa > CPU_REFERENCE; isa--) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k == NULL || (int)k->isa != isa) continue;
        printf("%s, %d images\n", cpu_isa_name(k->isa), n);
        for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
            bench_conv(k, &shapes[i], n, rounds);
        }
        bench_norm(k, (size_t)n * 1024, 16, rounds);
        bench_norm(k, (size_t)n * 256, 32, rounds);
        bench_norm(k, (size_t)n * 64, 64, rounds);
        bench_norm(k, (size_t)n * 16, 512, rounds);
    }
    return 0;
}
