/* Pooling, shortcuts, enlarging and gates: every table against the reference, the reference against
 * central differences and numbers worked out by hand, and results that do not depend on the batch.
 * One table of cases serves all of them: an operation is two functions on its operands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "guarded.h"
#include "kernel/kernel.h"

enum what { MAX_POOL, SHORTCUT, UPSAMPLE, GATE };

struct map_case {
    enum what what;
    int height, width, channels;
    int a, b, c; /* MAX_POOL: kernel, stride, pad; SHORTCUT: step, more channels */
};

static const struct map_case cases[] = {
    {MAX_POOL, 2, 2, 1, 2, 2, 0},  {MAX_POOL, 5, 7, 3, 2, 2, 0},  {MAX_POOL, 8, 8, 17, 2, 2, 0},
    {MAX_POOL, 8, 6, 33, 3, 2, 1}, {MAX_POOL, 7, 9, 16, 3, 2, 1}, {MAX_POOL, 1, 1, 5, 3, 2, 1},
    {MAX_POOL, 9, 9, 4, 4, 3, 2},  {MAX_POOL, 6, 6, 20, 3, 1, 1}, {MAX_POOL, 3, 5, 2, 3, 3, 0},
    {SHORTCUT, 4, 4, 3, 1, 2, 0},  {SHORTCUT, 4, 6, 16, 2, 0, 0}, {SHORTCUT, 5, 7, 17, 2, 16, 0},
    {SHORTCUT, 1, 1, 1, 2, 1, 0},  {SHORTCUT, 8, 8, 33, 3, 5, 0}, {SHORTCUT, 3, 2, 40, 1, 0, 0},
    {UPSAMPLE, 1, 1, 1, 0, 0, 0},  {UPSAMPLE, 2, 3, 5, 0, 0, 0},  {UPSAMPLE, 4, 4, 16, 0, 0, 0},
    {UPSAMPLE, 5, 1, 17, 0, 0, 0}, {UPSAMPLE, 3, 6, 40, 0, 0, 0}, {GATE, 1, 1, 1, 0, 0, 0},
    {GATE, 2, 2, 5, 0, 0, 0},      {GATE, 3, 3, 16, 0, 0, 0},     {GATE, 4, 5, 33, 0, 0, 0},
};

enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static struct pool_geometry pool_of(const struct map_case *m)
{
    return (struct pool_geometry){m->height, m->width, m->channels, m->a, m->b, m->c};
}

static struct cell_geometry shortcut_of(const struct map_case *m)
{
    return (struct cell_geometry){m->height, m->width, m->channels, m->channels + m->b, m->a};
}

static size_t in_size(const struct map_case *m)
{
    return (size_t)(m->height * m->width * m->channels);
}

static size_t out_size(const struct map_case *m)
{
    struct pool_geometry p = pool_of(m);
    struct cell_geometry s = shortcut_of(m);
    switch (m->what) {
    case MAX_POOL:
        return (size_t)(pool_out_size(m->height, &p) * pool_out_size(m->width, &p) * m->channels);
    case SHORTCUT:
        return (size_t)(cell_out_size(m->height, &s) * cell_out_size(m->width, &s) *
                        s.out_channels);
    case UPSAMPLE:
        return 4 * in_size(m);
    case GATE:
        return in_size(m);
    }
    return 0;
}

/* The second input of a gate is z. */
static struct guarded forward(const struct kernels *k, const struct map_case *m, int n,
                              const float *x, const float *z)
{
    struct pool_geometry p = pool_of(m);
    struct cell_geometry s = shortcut_of(m);
    struct guarded y = guarded_new((size_t)n * out_size(m));
    switch (m->what) {
    case MAX_POOL:
        k->max_pool.forward(&p, n, x, y.data);
        break;
    case SHORTCUT:
        k->shortcut.forward(&s, n, x, y.data);
        break;
    case UPSAMPLE:
        k->upsample.forward(n, m->height, m->width, m->channels, x, y.data);
        break;
    case GATE:
        k->gate.forward(y.count, z, x, y.data);
        break;
    }
    return y;
}

/* dx, and dz of a gate: the gradient, or, where accumulate says so, onto what `onto` holds. */
static void backward(const struct kernels *k, const struct map_case *m, int n, const float *x,
                     const float *z, const float *dy, const struct guarded *onto, int accumulate,
                     struct guarded ret[2])
{
    struct pool_geometry p = pool_of(m);
    struct cell_geometry s = shortcut_of(m);
    for (int i = 0; i < 2; i++) {
        ret[i] =
            (accumulate >> i & 1) != 0 ? guarded_copy(onto) : guarded_new((size_t)n * in_size(m));
    }
    float *dx = ret[0].data;
    bool add = (accumulate & 1) != 0;
    if (m->what == MAX_POOL) {
        struct guarded y = forward(k, m, n, x, z);
        k->max_pool.backward(&p, n, x, y.data, dy, add, dx);
        guarded_free(&y);
    } else if (m->what == SHORTCUT) {
        k->shortcut.backward(&s, n, dy, add, dx);
    } else if (m->what == UPSAMPLE) {
        k->upsample.backward(n, m->height, m->width, m->channels, dy, add, dx);
    } else {
        k->gate.backward((size_t)n * in_size(m), z, x, dy, (accumulate & 2) != 0, ret[1].data, add,
                         dx);
        return;
    }
    for (size_t i = 0; i < ret[1].count; i++) ret[1].data[i] = 0;
}

struct operands {
    struct guarded x, z, dy, onto;
};

static struct operands operands_new(const struct map_case *m, int n, struct rng *r)
{
    size_t in = (size_t)n * in_size(m);
    struct operands o = {guarded_random(in, r), guarded_random(in, r),
                         guarded_random((size_t)n * out_size(m), r), guarded_random(in, r)};
    for (size_t i = 0; i < in; i++) o.z.data[i] *= 8; /* also where the sigmoid is flat */
    return o;
}

static void operands_free(struct operands *o)
{
    guarded_free(&o->x);
    guarded_free(&o->z);
    guarded_free(&o->dy);
    guarded_free(&o->onto);
}

static void check(const char *what, const struct kernels *k, size_t index,
                  const struct guarded *got, const struct guarded *want)
{
    assert_int_equal(got->count, want->count);
    size_t at = first_difference(got->data, want->data, want->count, 1e-6, 1e-6);
    if (at == want->count) return;
    fail_msg("%s of case %zu, %s, index %zu: %.9g instead of %.9g", what, index,
             cpu_isa_name(k->isa), at, (double)got->data[at], (double)want->data[at]);
}

static void compare(const struct kernels *k, size_t index, int n, const struct operands *o)
{
    const struct kernels *reference = kernels_of(CPU_REFERENCE);
    const struct map_case *m = &cases[index];
    struct guarded want = forward(reference, m, n, o->x.data, o->z.data);
    struct guarded got = forward(k, m, n, o->x.data, o->z.data);
    check("forward", k, index, &got, &want);
    guarded_free(&want);
    guarded_free(&got);
    for (int accumulate = 0; accumulate < 4; accumulate++) {
        struct guarded a[2], b[2];
        backward(reference, m, n, o->x.data, o->z.data, o->dy.data, &o->onto, accumulate, a);
        backward(k, m, n, o->x.data, o->z.data, o->dy.data, &o->onto, accumulate, b);
        check("dx", k, index, &b[0], &a[0]);
        check("dz", k, index, &b[1], &a[1]);
        for (int i = 0; i < 2; i++) {
            guarded_free(&a[i]);
            guarded_free(&b[i]);
        }
    }
}

static void test_tables(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 1, RNG_TEST, 0, 0);
    for (size_t i = 0; i < CASES; i++) {
        for (int n = 1; n < 6; n += 2) {
            struct operands o = operands_new(&cases[i], n, &r);
            for (size_t j = 0; j < o.x.count; j += 2) {
                if (cases[i].what == MAX_POOL) o.x.data[j] = 0.25F; /* ties, as ReLU makes them */
            }
            for (int isa = CPU_REFERENCE + 1; isa < CPU_ISA_COUNT; isa++) {
                const struct kernels *k = kernels_of((enum cpu_isa)isa);
                if (k != NULL && (int)k->isa == isa) compare(k, i, n, &o);
            }
            operands_free(&o);
        }
    }
}

static void check_batch(const struct kernels *k, size_t index, int n, const struct operands *o)
{
    const struct map_case *m = &cases[index];
    size_t in = in_size(m), out = out_size(m);
    struct guarded y = forward(k, m, n, o->x.data, o->z.data), d[2], one_d[2];
    backward(k, m, n, o->x.data, o->z.data, o->dy.data, NULL, 0, d);
    for (size_t b = 0; b < (size_t)n; b++) {
        const float *x = o->x.data + b * in, *z = o->z.data + b * in;
        struct guarded one = forward(k, m, 1, x, z);
        assert_memory_equal(one.data, y.data + b * out, out * sizeof(float));
        backward(k, m, 1, x, z, o->dy.data + b * out, NULL, 0, one_d);
        for (int i = 0; i < 2; i++) {
            assert_memory_equal(one_d[i].data, d[i].data + b * in, in * sizeof(float));
            guarded_free(&one_d[i]);
        }
        guarded_free(&one);
    }
    guarded_free(&y);
    guarded_free(&d[0]);
    guarded_free(&d[1]);
}

static void test_batches(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 2, RNG_TEST, 0, 0);
    for (size_t i = 0; i < CASES; i++) {
        struct operands o = operands_new(&cases[i], 7, &r);
        for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
            const struct kernels *k = kernels_of((enum cpu_isa)isa);
            if (k != NULL && (int)k->isa == isa) check_batch(k, i, 7, &o);
        }
        operands_free(&o);
    }
}

static double weighted_sum(const struct map_case *m, int n, const struct operands *o)
{
    struct guarded y = forward(kernels_of(CPU_REFERENCE), m, n, o->x.data, o->z.data);
    double sum = 0;
    for (size_t i = 0; i < y.count; i++) sum += (double)y.data[i] * (double)o->dy.data[i];
    guarded_free(&y);
    return sum;
}

static double slope(const struct map_case *m, int n, const struct operands *o, float *at, float h)
{
    float kept = *at;
    *at = kept + h;
    double high = weighted_sum(m, n, o), step = (double)*at;
    *at = kept - h;
    double low = weighted_sum(m, n, o);
    step -= (double)*at;
    *at = kept;
    return (high - low) / step;
}

/* The reference's gradients. A pool's is only a gradient where no other value is nearly the
 * largest: values far apart, in random order. */
static void test_gradients(void **state)
{
    (void)state;
    const struct kernels *k = kernels_of(CPU_REFERENCE);
    struct rng r;
    rng_init(&r, 3, RNG_TEST, 0, 0);
    int n = 2, checked = 0;
    for (size_t i = 0; i < CASES; i++) {
        const struct map_case *m = &cases[i];
        struct operands o = operands_new(m, n, &r);
        for (size_t j = o.x.count; m->what == MAX_POOL && j-- > 0;) {
            size_t other = j + rng_below(&r, (uint32_t)(o.x.count - j));
            o.x.data[j] = o.x.data[other];
            o.x.data[other] = (float)j / 64;
        }
        struct guarded d[2];
        backward(k, m, n, o.x.data, o.z.data, o.dy.data, NULL, 0, d);
        for (size_t j = 0; j < d[0].count; j += 1 + d[0].count / 50, checked++) {
            double by_x = slope(m, n, &o, &o.x.data[j], 1.0F / 256);
            double by_z = slope(m, n, &o, &o.z.data[j], 1.0F / 256);
            assert_true(fabs(by_x - (double)d[0].data[j]) <= 1e-4);
            assert_true(fabs(by_z - (double)d[1].data[j]) <= 1e-4);
        }
        guarded_free(&d[0]);
        guarded_free(&d[1]);
        operands_free(&o);
    }
    assert_true(checked > 300);
}

static void check_floats(const float *got, const float *want, size_t n)
{
    size_t at = first_difference(got, want, n, 1e-6, 0);
    if (at < n) fail_msg("index %zu: %g, not %g", at, (double)got[at], (double)want[at]);
}

static void test_by_hand(void **state)
{
    (void)state;
    static const float x[] = {1, 5, 2, 4, 4, 0, 3, 5, 9}; /* 3 x 3 */
    static const float large[] = {5, 5, 5, 9}, dy[] = {1, 10, 100, 1000};
    /* 3x3 windows at stride 2 with pad 1 are rows and columns 0..1 and 1..2: 5 is the upper left
     * and the upper right one's largest, the lower 5 that of the lower left. */
    static const float spread[] = {0, 11, 0, 0, 0, 0, 0, 100, 1000};
    /* Cells 2x2, 2x1, 1x2, 1x1, and a second channel of zeros. */
    static const float means[] = {3.5F, 0, 1, 0, 4, 0, 9, 0};
    static const float two[] = {0, 8};
    static const float wide[] = {0, 2, 6, 8, 0, 2, 6, 8};
    static const float z[] = {0, 100, -100, -1}, ones[] = {1, 1, 2, 1};
    static const float gated[] = {0.5F, 1, 0, 0.268941421F};
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k == NULL) continue;
        float y[9];
        struct pool_geometry p = {3, 3, 1, 3, 2, 1};
        k->max_pool.forward(&p, 1, x, y);
        check_floats(y, large, 4);
        float dx[9];
        k->max_pool.backward(&p, 1, x, large, dy, false, dx);
        check_floats(dx, spread, 9);
        struct cell_geometry s = {3, 3, 1, 2, 2};
        k->shortcut.forward(&s, 1, x, y);
        check_floats(y, means, 8);
        k->upsample.forward(1, 1, 2, 1, two, y);
        check_floats(y, wide, 8);
        k->gate.forward(4, z, ones, y);
        check_floats(y, gated, 4);
    }
}

/* A net that diverges must show it. */
static void test_nan(void **state)
{
    (void)state;
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k == NULL) continue;
        for (int at = 0; at < 4; at++) {
            float x[4] = {1, 2, 3, 4}, y, z = NAN, one = 1, gated;
            struct pool_geometry p = {2, 2, 1, 2, 2, 0};
            x[at] = NAN;
            k->max_pool.forward(&p, 1, x, &y);
            assert_true(isnan(y));
            k->gate.forward(1, &z, &one, &gated);
            assert_true(isnan(gated));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand), cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_tables),  cmocka_unit_test(test_batches),
        cmocka_unit_test(test_nan),
    };
    return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
