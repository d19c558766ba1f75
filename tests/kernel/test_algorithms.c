/* The other algorithms: every table's against the reference's direct one over odd sizes, in each
 * direction, results that do not depend on the batch, and what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "cases.h"
#include "guarded.h"

/* What CONV_CASES lack: maps that tiles do not fill, more outputs than two blocks, more channels
 * than a slice, and all of it in more tiles than a block. */
static const struct conv_geometry winograd_cases[] = {
    {1, 1, 1, 1, 3, 3, 1, 1, 1},     {2, 3, 16, 16, 3, 3, 1, 1, 1},
    {3, 3, 3, 3, 3, 3, 1, 0, 1},     {4, 4, 17, 40, 3, 3, 1, 1, 1},
    {5, 9, 64, 64, 3, 3, 1, 0, 1},   {6, 6, 65, 33, 3, 3, 1, 2, 1},
    {8, 8, 130, 70, 3, 3, 1, 1, 1},  {13, 11, 31, 47, 3, 3, 1, 1, 1},
    {16, 16, 32, 64, 3, 3, 1, 1, 1}, {33, 31, 20, 20, 3, 3, 1, 1, 1},
    {40, 4, 9, 100, 3, 3, 1, 3, 1},  {8, 8, 48, 60, 3, 3, 1, 1, 3},
    {9, 7, 96, 140, 3, 3, 1, 1, 4},  {4, 4, 80, 80, 3, 3, 1, 1, 2},
};

enum { CASES = sizeof(winograd_cases) / sizeof(winograd_cases[0]) };

static size_t x_size(const struct conv_geometry *g)
{
    return (size_t)g->height * (size_t)g->width * (size_t)g->in_channels;
}

static size_t y_size(const struct conv_geometry *g)
{
    return (size_t)conv_out_height(g) * (size_t)conv_out_width(g) * (size_t)g->out_channels;
}

static void describe(const struct kernels *k, enum conv_algorithm a, const struct conv_geometry *g,
                     int n)
{
    print_message("# %s, %s: n %d, %dx%d, %d -> %d, pad %d\n", conv_algorithm_name(a),
                  cpu_isa_name(k->isa), n, g->height, g->width, g->in_channels, g->out_channels,
                  g->pad);
}

struct operands {
    struct guarded x, w, scale, bias, residual;
    struct guarded dy;
};

static struct operands operands_new(const struct conv_geometry *g, int n, struct rng *r)
{
    size_t outputs = (size_t)g->out_channels;
    return (struct operands){.x = guarded_random((size_t)n * x_size(g), r),
                             .w = guarded_random(conv_weight_size(g), r),
                             .scale = guarded_random(outputs, r),
                             .bias = guarded_random(outputs, r),
                             .residual = guarded_random((size_t)n * y_size(g), r),
                             .dy = guarded_random((size_t)n * y_size(g), r)};
}

static float to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    bits += 0x7fff + (bits >> 16 & 1); /* to nearest, ties to even */
    bits &= 0xffff0000;
    memcpy(&x, &bits, sizeof(bits));
    return x;
}

/* What bfloat16 holds exactly, so that nothing is left to be rounded: factors of weights are powers
 * of two. */
static void round_operands(struct operands *o)
{
    for (size_t i = 0; i < o->x.count; i++) o->x.data[i] = to_bf16(o->x.data[i]);
    for (size_t i = 0; i < o->w.count; i++) o->w.data[i] = to_bf16(o->w.data[i]);
    for (size_t i = 0; i < o->dy.count; i++) o->dy.data[i] = to_bf16(o->dy.data[i]);
    for (size_t i = 0; i < o->scale.count; i++) o->scale.data[i] = i % 3 != 0 ? -0.5F : 1;
}

static void operands_free(struct operands *o)
{
    guarded_free(&o->x);
    guarded_free(&o->w);
    guarded_free(&o->scale);
    guarded_free(&o->bias);
    guarded_free(&o->residual);
    guarded_free(&o->dy);
}

/* variant: bits 0 bias and scale, 1 residual, 2 ReLU; `image` is the first of n; in so many parts.
 */
static struct guarded forward_parts(const struct kernels *k, enum conv_algorithm a,
                                    const struct conv_geometry *g, int image, int n,
                                    const struct operands *o, int variant, int parts)
{
    const struct conv_forward *m = &k->conv[a].forward, *packing = &k->conv[m->packing].forward;
    struct guarded packed = guarded_new(packing->packed_size(g));
    struct guarded scratch = guarded_bytes(m->scratch_bytes(g), 64);
    struct guarded y = guarded_new((size_t)n * y_size(g));
    size_t first = (size_t)image;
    struct conv_epilogue e = {.bias = (variant & 1) != 0 ? o->bias.data : NULL,
                              .residual =
                                  (variant & 2) != 0 ? o->residual.data + first * y_size(g) : NULL,
                              .relu = (variant & 4) != 0};
    assert_int_equal(packing->packing, m->packing);
    packing->pack(g, o->w.data, (variant & 1) != 0 ? o->scale.data : NULL, packed.data);
    for (int i = 0; i < parts; i++) {
        memset(scratch.data, 0xff, m->scratch_bytes(g)); /* a part must not need another's */
        m->run(g, n, o->x.data + first * x_size(g), packed.data, &e, y.data, scratch.data,
               (struct conv_part){i, parts});
    }
    guarded_free(&packed);
    guarded_free(&scratch);
    return y;
}

static struct guarded forward(const struct kernels *k, enum conv_algorithm a,
                              const struct conv_geometry *g, int image, int n,
                              const struct operands *o, int variant)
{
    return forward_parts(k, a, g, image, n, o, variant, 1);
}

/* Every algorithm but the direct one, of every table. */
static void each_algorithm(const struct conv_geometry *g, int n, const struct operands *o,
                           void (*check)(const struct kernels *k, enum conv_algorithm a,
                                         const struct conv_geometry *g, int n,
                                         const struct operands *o))
{
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k == NULL || (int)k->isa != isa) continue;
        for (int a = CONV_DIRECT + 1; a < CONV_ALGORITHMS; a++)
            if (conv_takes(k, CONV_FORWARD, (enum conv_algorithm)a, g))
                check(k, (enum conv_algorithm)a, g, n, o);
    }
}

/* --- backward --------------------------------------------------------------------------------- */

/* dx = or, where `onto` is given, onto + the gradient; `image` is the first of n. */
static struct guarded backward_data(const struct kernels *k, enum conv_algorithm a,
                                    const struct conv_geometry *g, int image, int n,
                                    const struct operands *o, const struct guarded *onto)
{
    const struct conv_backward_data *m = &k->conv[a].backward_data;
    struct guarded packed = guarded_new(m->packed_size(g));
    struct guarded scratch = guarded_bytes(m->scratch_bytes(g), 64);
    struct guarded dx = onto != NULL ? guarded_copy(onto) : guarded_new((size_t)n * x_size(g));
    memset(scratch.data, 0xff, m->scratch_bytes(g));
    m->pack(g, o->w.data, packed.data);
    m->run(g, n, o->dy.data + (size_t)image * y_size(g), packed.data, onto != NULL, dx.data,
           scratch.data);
    guarded_free(&packed);
    guarded_free(&scratch);
    return dx;
}

/* The weights + the gradient, so that adding shows. */
static struct guarded backward_weight(const struct kernels *k, enum conv_algorithm a,
                                      const struct conv_geometry *g, int n,
                                      const struct operands *o)
{
    const struct conv_backward_weight *m = &k->conv[a].backward_weight;
    struct guarded scratch = guarded_bytes(m->scratch_bytes(g), 64), dw = guarded_copy(&o->w);
    memset(scratch.data, 0xff, m->scratch_bytes(g));
    m->run(g, n, o->x.data, o->dy.data, dw.data, scratch.data);
    guarded_free(&scratch);
    return dw;
}

static void check_near(const char *what, const struct kernels *k, enum conv_algorithm a,
                       const struct conv_geometry *g, int n, struct guarded *got,
                       struct guarded *want, double error)
{
    size_t at = first_difference(got->data, want->data, want->count, error, 1e-5);
    if (at != want->count) {
        describe(k, a, g, n);
        fail_msg("%s, index %zu: %.9g instead of %.9g", what, at, (double)got->data[at],
                 (double)want->data[at]);
    }
    double error_squared = 0, squared = 0;
    for (size_t i = 0; i < want->count; i++) {
        double e = (double)got->data[i] - (double)want->data[i];
        error_squared += e * e;
        squared += (double)want->data[i] * (double)want->data[i];
    }
    if (!(sqrt(error_squared) <= 1e-5 * sqrt(squared))) {
        describe(k, a, g, n);
        fail_msg("%s: %.3g of the gradient's length", what, sqrt(error_squared / squared));
    }
    guarded_free(got);
    guarded_free(want);
}

/* Only on rounded operands are the algorithms comparable. Winograd's sums lose about two digits
 * more than the definition's: the transforms multiply by up to 8 and 1/24 and add up to 36 terms.
 * The error grows with the root of the terms. */
static double tolerance(enum conv_algorithm a, double terms)
{
    return a == CONV_BF16 ? 1e-6 + 1e-7 * terms : 1.5e-5 * sqrt(terms);
}

/* The reference sums in double. */
static void compare_backward(const struct kernels *k, const struct conv_geometry *g, int n,
                             const struct operands *o)
{
    const struct kernels *reference = kernels_of(CPU_REFERENCE);
    double data_terms = (double)conv_weight_size(g) / g->in_channels;
    double weight_terms = (double)n * (double)y_size(g) / g->out_channels;
    for (int i = CONV_DIRECT + 1; i < CONV_ALGORITHMS; i++) {
        enum conv_algorithm a = (enum conv_algorithm)i;
        for (int add = 0; add < 2 && conv_takes(k, CONV_BACKWARD_DATA, a, g); add++) {
            const struct guarded *onto = add != 0 ? &o->x : NULL;
            struct guarded want = backward_data(reference, CONV_DIRECT, g, 0, n, o, onto);
            struct guarded got = backward_data(k, a, g, 0, n, o, onto);
            check_near("data", k, a, g, n, &got, &want, tolerance(a, data_terms));
        }
        if (!conv_takes(k, CONV_BACKWARD_WEIGHT, a, g)) continue;
        struct guarded want = backward_weight(reference, CONV_DIRECT, g, n, o);
        struct guarded got = backward_weight(k, a, g, n, o);
        struct guarded again = backward_weight(k, a, g, n, o);
        assert_memory_equal(got.data, again.data, got.count * sizeof(float));
        guarded_free(&again);
        check_near("weight", k, a, g, n, &got, &want, tolerance(a, weight_terms));
    }
}

static void each_table(const struct conv_geometry *g, int n, const struct operands *o)
{
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k != NULL && (int)k->isa == isa) compare_backward(k, g, n, o);
    }
}

/* --- forward ---------------------------------------------------------------------------------- */

static void compare(const struct kernels *k, enum conv_algorithm a, const struct conv_geometry *g,
                    int n, const struct operands *o)
{
    for (int variant = 0; variant < 8; variant++) {
        struct guarded want = forward(kernels_of(CPU_REFERENCE), CONV_DIRECT, g, 0, n, o, variant);
        struct guarded got = forward(k, a, g, 0, n, o, variant);
        double error = tolerance(a, (double)conv_weight_size(g) / g->out_channels);
        size_t at = first_difference(got.data, want.data, want.count, error, 1e-5);
        if (at != want.count) {
            describe(k, a, g, n);
            fail_msg("variant %d, index %zu: %.9g instead of %.9g", variant, at,
                     (double)got.data[at], (double)want.data[at]);
        }
        guarded_free(&want);
        guarded_free(&got);
    }
}

static bool affordable(const struct conv_geometry *g, int n)
{
    return (double)n * (double)y_size(g) * (double)conv_weight_size(g) / g->out_channels < 4e6;
}

static void test_reference(void **state)
{
    (void)state;
    struct rng r;
    static const int batches[] = {1, 2, 7, 70};
    rng_init(&r, 1, RNG_TEST, 0, 0);
    for (size_t i = 0; i < CASES + CONV_CASES; i++) {
        for (size_t b = 0; b < sizeof(batches) / sizeof(batches[0]); b++) {
            const struct conv_geometry *g = i < CASES ? &winograd_cases[i] : &conv_cases[i - CASES];
            if (batches[b] > 1 && !affordable(g, batches[b])) continue;
            struct operands o = operands_new(g, batches[b], &r);
            round_operands(&o);
            each_algorithm(g, batches[b], &o, compare);
            each_table(g, batches[b], &o);
            operands_free(&o);
        }
    }
}

static void test_reference_random(void **state)
{
    (void)state;
    const char *given = getenv("TEST_SEED");
    unsigned long seed = given != NULL ? strtoul(given, NULL, 10) : 20220523;
    print_message("# TEST_SEED=%lu\n", seed);
    for (uint32_t i = 0; i < 100; i++) {
        struct rng r;
        rng_init(&r, seed, RNG_TEST, i, 0);
        struct conv_geometry g = conv_random(&r);
        if (i % 2 == 0) {
            g.kernel_height = g.kernel_width = 3;
            g.stride = g.groups = 1;
            g.pad += g.height < 3 || g.width < 3;
        }
        int n = 1 + (int)rng_below(&r, 17);
        if (!affordable(&g, n)) continue;
        struct operands o = operands_new(&g, n, &r);
        round_operands(&o);
        each_algorithm(&g, n, &o, compare);
        each_table(&g, n, &o);
        operands_free(&o);
    }
}

static void compare_batch(const struct kernels *k, enum conv_algorithm a,
                          const struct conv_geometry *g, int n, const struct operands *o)
{
    struct guarded all = forward(k, a, g, 0, n, o, 7);
    for (int i = 0; i < n; i++) {
        struct guarded one = forward(k, a, g, i, 1, o, 7);
        if (memcmp(one.data, all.data + (size_t)i * y_size(g), y_size(g) * sizeof(float)) != 0) {
            describe(k, a, g, n);
            fail_msg("image %d is not the same bits alone", i);
        }
        guarded_free(&one);
    }
    guarded_free(&all);
    if (!conv_takes(k, CONV_BACKWARD_DATA, a, g)) return;
    struct guarded dx = backward_data(k, a, g, 0, n, o, NULL);
    for (int i = 0; i < n; i++) {
        struct guarded one = backward_data(k, a, g, i, 1, o, NULL);
        assert_memory_equal(one.data, dx.data + (size_t)i * x_size(g), x_size(g) * sizeof(float));
        guarded_free(&one);
    }
    guarded_free(&dx);
}

static void test_batches(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 2, RNG_TEST, 0, 0);
    for (size_t i = 0; i < CASES + CONV_CASES; i++) {
        const struct conv_geometry *g = i < CASES ? &winograd_cases[i] : &conv_cases[i - CASES];
        struct operands o = operands_new(g, 23, &r);
        each_algorithm(g, 23, &o, compare_batch);
        operands_free(&o);
    }
}

static void compare_parts(const struct kernels *k, enum conv_algorithm a,
                          const struct conv_geometry *g, int n, const struct operands *o)
{
    static const int counts[] = {2, 3, 5};
    struct guarded whole = forward(k, a, g, 0, n, o, 7);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct guarded parts = forward_parts(k, a, g, 0, n, o, 7, counts[i]);
        if (memcmp(parts.data, whole.data, whole.count * sizeof(float)) != 0) {
            describe(k, a, g, n);
            fail_msg("in %d parts it is not the same bits", counts[i]);
        }
        guarded_free(&parts);
    }
    guarded_free(&whole);
}

static void test_parts(void **state)
{
    (void)state;
    static const int batches[] = {1, 2, 7};
    struct rng r;
    rng_init(&r, 4, RNG_TEST, 0, 0);
    for (size_t i = 0; i < CASES + CONV_CASES; i++) {
        const struct conv_geometry *g = i < CASES ? &winograd_cases[i] : &conv_cases[i - CASES];
        for (size_t b = 0; b < sizeof(batches) / sizeof(batches[0]); b++) {
            if (batches[b] > 1 && !affordable(g, batches[b])) continue;
            struct operands o = operands_new(g, batches[b], &r);
            each_algorithm(g, batches[b], &o, compare_parts);
            for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
                const struct kernels *k = kernels_of((enum cpu_isa)isa);
                if (k != NULL) compare_parts(k, CONV_DIRECT, g, batches[b], &o);
            }
            operands_free(&o);
        }
    }
}

/* What is not a number in one image stays in it, and is not lost. */
static void check_nan(const struct kernels *k, enum conv_algorithm a, const struct conv_geometry *g,
                      int n, const struct operands *o)
{
    struct guarded y = forward(k, a, g, 0, n, o, 7);
    size_t nans = 0;
    for (size_t i = 0; i < y.count; i++) {
        bool nan = isnan(y.data[i]) != 0;
        nans += nan;
        if (nan && i / y_size(g) != 1) fail_msg("a NaN got into another image");
    }
    assert_true(nans >= 9 * (size_t)g->out_channels);
    guarded_free(&y);
}

static void test_nan(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 3, RNG_TEST, 0, 0);
    const struct conv_geometry g = {8, 8, 17, 40, 3, 3, 1, 1, 1};
    struct operands o = operands_new(&g, 3, &r);
    o.x.data[x_size(&g) + 20 * 17 + 5] = NAN;
    each_algorithm(&g, 3, &o, check_nan);
    operands_free(&o);
}

static void test_takes(void **state)
{
    (void)state;
    static const struct conv_geometry others[] = {
        {8, 8, 16, 16, 3, 3, 2, 1, 1}, {8, 8, 16, 16, 1, 1, 1, 0, 1}, {8, 8, 16, 16, 3, 5, 1, 1, 1},
        {8, 8, 16, 16, 5, 3, 1, 1, 1}, {8, 8, 16, 16, 3, 3, 1, 1, 4},
    };
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k == NULL) continue;
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
            assert_true(conv_takes(k, CONV_FORWARD, CONV_DIRECT, &others[i]));
            assert_false(conv_takes(k, CONV_FORWARD, CONV_WINOGRAD, &others[i]));
            assert_false(conv_takes(k, CONV_FORWARD, CONV_WINOGRAD_LEAN, &others[i]));
            assert_false(conv_takes(k, CONV_FORWARD, CONV_WINOGRAD_SMALL, &others[i]));
        }
        bool has_bf16 = k->isa == CPU_AVX512BF16;
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(conv_takes(k, CONV_FORWARD, CONV_BF16, &others[i]), has_bf16);
        assert_false(conv_takes(k, CONV_FORWARD, CONV_BF16, &others[4]));
        bool vectors = k->isa != CPU_REFERENCE;
        assert_true(conv_takes(k, CONV_FORWARD, CONV_DIRECT, &winograd_cases[0]));
        assert_int_equal(conv_takes(k, CONV_FORWARD, CONV_WINOGRAD, &winograd_cases[0]), vectors);
        assert_int_equal(conv_takes(k, CONV_FORWARD, CONV_WINOGRAD_LEAN, &winograd_cases[0]),
                         vectors);
        assert_int_equal(conv_takes(k, CONV_FORWARD, CONV_WINOGRAD_SMALL, &winograd_cases[0]),
                         vectors);
    }
}

/* Rounding to nearest: 1 + 2^-8 is between two bfloat16, and the even one is 1. */
static void test_rounding(void **state)
{
    (void)state;
    const struct kernels *k = kernels_of(CPU_AVX512BF16);
    const struct conv_geometry g = {1, 2, 1, 1, 1, 1, 1, 0, 1};
    float x[] = {1 + 0x1p-8F, 1 + 0x1.8p-7F}, w = 1 + 0x1p-7F;
    struct operands o = {.x = {.data = x}, .w = {.data = &w, .count = 1}};
    if (k == NULL || !conv_takes(k, CONV_FORWARD, CONV_BF16, &g)) skip();
    struct guarded y = forward(k, CONV_BF16, &g, 0, 1, &o, 0);
    assert_true(y.data[0] == 1 + 0x1p-7F);
    assert_true(y.data[1] == (1 + 0x1p-6F) * (1 + 0x1p-7F));
    guarded_free(&y);
}

/* --- factors that must be rounded ------------------------------------------------------------- */

/* Copies, rounded to bfloat16 or without their signs. */
static struct operands operands_made(const struct operands *o, bool round)
{
    struct operands made = {guarded_copy(&o->x),        guarded_copy(&o->w),
                            guarded_copy(&o->scale),    guarded_copy(&o->bias),
                            guarded_copy(&o->residual), guarded_copy(&o->dy)};
    struct guarded *const factors[] = {&made.x, &made.w, &made.dy};
    for (size_t f = 0; f < sizeof(factors) / sizeof(factors[0]); f++)
        for (size_t i = 0; i < factors[f]->count; i++)
            factors[f]->data[i] = round ? to_bf16(factors[f]->data[i]) : fabsf(factors[f]->data[i]);
    return made;
}

/* A direction without anything beside the products. */
static struct guarded products(const struct kernels *k, enum conv_algorithm a,
                               const struct conv_geometry *g, int n, const struct operands *o,
                               enum conv_direction d)
{
    struct operands onto = *o;
    if (d == CONV_FORWARD) return forward(k, a, g, 0, n, o, 0);
    if (d == CONV_BACKWARD_DATA) return backward_data(k, a, g, 0, n, o, NULL);
    onto.w = guarded_new(o->w.count);
    memset(onto.w.data, 0, onto.w.count * sizeof(float));
    struct guarded dw = backward_weight(k, a, g, n, &onto);
    guarded_free(&onto.w);
    return dw;
}

/* A bfloat16 has 8 bits, so rounding changes a factor by 2^-8 of it at most, and a product by 2^-7
 * + 2^-16. The sums are in fp32. */
static void test_rounded_factors(void **state)
{
    (void)state;
    const struct kernels *k = kernels_of(CPU_AVX512BF16), *exact = kernels_of(CPU_REFERENCE);
    if (k == NULL) skip();
    for (uint32_t i = 0; i < 60; i++) {
        struct rng r;
        rng_init(&r, 20240918, RNG_TEST, i, 0);
        struct conv_geometry g = conv_random(&r);
        int n = 1 + (int)rng_below(&r, 5);
        if (!affordable(&g, n) || !conv_takes(k, CONV_FORWARD, CONV_BF16, &g)) continue;
        struct operands o = operands_new(&g, n, &r);
        struct operands rounded = operands_made(&o, true), sizes = operands_made(&o, false);
        for (int d = 0; d < CONV_DIRECTIONS; d++) {
            struct guarded got = products(k, CONV_BF16, &g, n, &o, (enum conv_direction)d);
            struct guarded want =
                products(exact, CONV_DIRECT, &g, n, &rounded, (enum conv_direction)d);
            struct guarded plain = products(exact, CONV_DIRECT, &g, n, &o, (enum conv_direction)d);
            struct guarded size =
                products(exact, CONV_DIRECT, &g, n, &sizes, (enum conv_direction)d);
            for (size_t at = 0; at < got.count; at++) {
                double y = (double)got.data[at], added = (double)size.data[at];
                if (fabs(y - (double)want.data[at]) <= 1e-6 * added &&
                    fabs(y - (double)plain.data[at]) <= (0x1p-7 + 0x1p-16 + 1e-6) * added)
                    continue;
                describe(k, CONV_BF16, &g, n);
                fail_msg("direction %d, index %zu: %.9g instead of %.9g", d, at, y,
                         (double)want.data[at]);
            }
            guarded_free(&got);
            guarded_free(&want);
            guarded_free(&plain);
            guarded_free(&size);
        }
        operands_free(&o);
        operands_free(&rounded);
        operands_free(&sizes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes),
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_reference_random),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_nan),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_rounded_factors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
