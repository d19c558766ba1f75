/* Norms, matrix products, element-wise kernels, pooling and the optimizer's step: every table
 * against the reference, the reference against central differences and numbers worked out by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "guarded.h"
#include "kernel/kernel.h"

static const size_t channel_cases[] = {1, 2, 3, 5, 8, 16, 17, 32, 33, 48, 64, 65, 100, 128, 512};
static const size_t row_cases[] = {1, 2, 3, 7, 16, 33, 64, 131, 1};
enum {
    CHANNEL_CASES = sizeof(channel_cases) / sizeof(channel_cases[0]),
    ROW_CASES = sizeof(row_cases) / sizeof(row_cases[0])
};

/* Calls `body` for every table but the reference and every number of rows and channels. */
static void each_case(void (*body)(const struct kernels *k, size_t rows, size_t channels,
                                   struct rng *r))
{
    struct rng r;
    rng_init(&r, 1, RNG_TEST, 0, 0);
    for (int isa = CPU_REFERENCE + 1; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k == NULL || (int)k->isa != isa) continue;
        for (size_t i = 0; i < ROW_CASES; i++) {
            for (size_t j = 0; j < CHANNEL_CASES; j++) {
                body(k, row_cases[i], channel_cases[j], &r);
            }
        }
    }
}

static void check_close(const char *what, const struct kernels *k, size_t rows, size_t channels,
                        const float *got, const float *want, size_t count)
{
    size_t at = first_difference(got, want, count, 1e-6, 1e-6);
    if (at == count) return;
    fail_msg("%s, %s, %zu x %zu, index %zu: %.9g instead of %.9g", what, cpu_isa_name(k->isa), rows,
             channels, at, (double)got[at], (double)want[at]);
}

static void check_sums(const char *what, const struct kernels *k, size_t rows, size_t channels,
                       const double *got, const double *want)
{
    for (size_t c = 0; c < channels; c++) {
        if (fabs(got[c] - want[c]) <= 1e-6 * (double)rows + 1e-6) continue;
        fail_msg("%s, %s, %zu x %zu, channel %zu: %.12g instead of %.12g", what,
                 cpu_isa_name(k->isa), rows, channels, c, got[c], want[c]);
    }
}

/* --- norms -------------------------------------------------------------------------------- */

static void case_moments(const struct kernels *k, size_t rows, size_t channels, struct rng *r)
{
    struct guarded x = guarded_random(rows * channels, r);
    double got[2][512], want[2][512];
    for (size_t c = 0; c < channels; c++) {
        got[0][c] = want[0][c] = (double)c; /* they are added to */
        got[1][c] = want[1][c] = -3;
    }
    k->norm.moments(rows, channels, x.data, got[0], got[1]);
    kernels_of(CPU_REFERENCE)->norm.moments(rows, channels, x.data, want[0], want[1]);
    check_sums("sum", k, rows, channels, got[0], want[0]);
    check_sums("square", k, rows, channels, got[1], want[1]);
    guarded_free(&x);
}

/* Far from 0 a variance keeps its digits, and of what is all the same it is 0: channel 0. */
static void case_far_moments(const struct kernels *k, size_t rows, size_t channels, struct rng *r)
{
    struct guarded x = guarded_random(rows * channels, r), dz = guarded_random(rows * channels, r);
    double sums[512] = {0}, squares[512] = {0}, dz_sums[512] = {0}, products[512] = {0};
    for (size_t i = 0; i < rows * channels; i++)
        x.data[i] = i % channels == 0 ? 0.3F : x.data[i] + 100;
    k->norm.moments(rows, channels, x.data, sums, squares);
    k->norm.backward_sums(rows, channels, &(struct norm_relu){0}, dz.data, x.data, dz_sums,
                          products);
    for (size_t c = 0; c < channels; c++) {
        double got_mean = sums[c] / (double)rows, mean = 0, variance = 0, product = 0;
        for (size_t i = c; i < rows * channels; i += channels)
            mean += (double)x.data[i] / (double)rows;
        for (size_t i = c; i < rows * channels; i += channels) {
            variance += pow((double)x.data[i] - mean, 2) / (double)rows;
            product += (double)dz.data[i] * ((double)x.data[i] - mean);
        }
        double got = squares[c] / (double)rows - got_mean * got_mean;
        double got_product = products[c] - got_mean * dz_sums[c];
        if (!(fabs(got_mean - mean) <= 1e-7 * fabs(mean) && fabs(got - variance) <= 2e-6 &&
              fabs(got_product - product) <= 2e-6 * (double)rows))
            fail_msg("%s, %zu x %zu, channel %zu: mean %.9g, variance %.9g, product %.9g instead "
                     "of %.9g, %.9g, %.9g",
                     cpu_isa_name(k->isa), rows, channels, c, got_mean, got, got_product, mean,
                     variance, product);
        if (c == 0 && !(fabs(got) <= 1e-12)) fail_msg("a variance of %g instead of 0", got);
    }
    guarded_free(&x);
    guarded_free(&dz);
}

static void test_moments(void **state)
{
    (void)state;
    each_case(case_moments);
    each_case(case_far_moments);
}

static void case_apply(const struct kernels *k, size_t rows, size_t channels, struct rng *r)
{
    size_t count = rows * channels;
    struct guarded x = guarded_random(count, r), residual = guarded_random(count, r);
    struct guarded scale = guarded_random(channels, r), shift = guarded_random(channels, r);
    for (int variant = 0; variant < 4; variant++) {
        const float *add = (variant & 1) != 0 ? residual.data : NULL;
        bool relu = (variant & 2) != 0;
        struct guarded want = guarded_new(count), got = guarded_new(count);
        kernels_of(CPU_REFERENCE)
            ->norm.forward(rows, channels, x.data, scale.data, shift.data, add, relu, want.data);
        k->norm.forward(rows, channels, x.data, scale.data, shift.data, add, relu, got.data);
        check_close("apply", k, rows, channels, got.data, want.data, count);
        struct guarded same = guarded_copy(&x);
        k->norm.forward(rows, channels, same.data, scale.data, shift.data, add, relu, same.data);
        assert_memory_equal(same.data, got.data, count * sizeof(float));
        if (add != NULL) {
            struct guarded onto = guarded_copy(&residual);
            k->norm.forward(rows, channels, x.data, scale.data, shift.data, onto.data, relu,
                            onto.data);
            assert_memory_equal(onto.data, got.data, count * sizeof(float));
            guarded_free(&onto);
        }
        guarded_free(&want);
        guarded_free(&got);
        guarded_free(&same);
    }
    guarded_free(&x);
    guarded_free(&residual);
    guarded_free(&scale);
    guarded_free(&shift);
}

static void test_apply(void **state)
{
    (void)state;
    each_case(case_apply);
}

static void case_backward_sums(const struct kernels *k, size_t rows, size_t channels, struct rng *r)
{
    size_t count = rows * channels;
    struct guarded x = guarded_random(count, r), y = guarded_random(count, r);
    struct guarded dy = guarded_random(count, r);
    struct guarded scale = guarded_random(channels, r), shift = guarded_random(channels, r);
    const struct norm_relu relus[] = {
        {0}, {.y = y.data}, {.scale = scale.data, .shift = shift.data}};
    for (size_t i = 0; i < sizeof(relus) / sizeof(*relus); i++) {
        double got[2][512] = {{0}}, want[2][512] = {{0}};
        struct guarded dz = guarded_copy(&dy), want_dz = guarded_copy(&dy);
        got[0][0] = want[0][0] = 5;
        k->norm.backward_sums(rows, channels, &relus[i], dz.data, x.data, got[0], got[1]);
        kernels_of(CPU_REFERENCE)
            ->norm.backward_sums(rows, channels, &relus[i], want_dz.data, x.data, want[0], want[1]);
        check_sums("sum of dz", k, rows, channels, got[0], want[0]);
        check_sums("sum of dz * x", k, rows, channels, got[1], want[1]);
        assert_memory_equal(dz.data, want_dz.data, count * sizeof(float));
        guarded_free(&dz);
        guarded_free(&want_dz);
    }
    guarded_free(&x);
    guarded_free(&y);
    guarded_free(&dy);
    guarded_free(&scale);
    guarded_free(&shift);
}

/* What a norm's ReLU lets through is the same by its output and by its input, to the last case. */
static void case_relu_by_input(const struct kernels *k, size_t rows, size_t channels, struct rng *r)
{
    size_t count = rows * channels;
    struct guarded x = guarded_random(count, r), y = guarded_new(count);
    struct guarded scale = guarded_random(channels, r), shift = guarded_random(channels, r);
    struct guarded a = guarded_random(count, r), b = guarded_copy(&a);
    double sums[4][512] = {{0}};
    for (size_t i = 0; i < count; i += 3) /* as close to 0 as can be */
        x.data[i] = -shift.data[i % channels] / scale.data[i % channels];
    k->norm.forward(rows, channels, x.data, scale.data, shift.data, NULL, true, y.data);
    k->norm.backward_sums(rows, channels, &(struct norm_relu){.y = y.data}, a.data, x.data, sums[0],
                          sums[1]);
    k->norm.backward_sums(rows, channels,
                          &(struct norm_relu){.scale = scale.data, .shift = shift.data}, b.data,
                          x.data, sums[2], sums[3]);
    assert_memory_equal(a.data, b.data, count * sizeof(float));
    assert_memory_equal(sums[0], sums[2], channels * sizeof(double));
    assert_memory_equal(sums[1], sums[3], channels * sizeof(double));
    guarded_free(&x);
    guarded_free(&y);
    guarded_free(&scale);
    guarded_free(&shift);
    guarded_free(&a);
    guarded_free(&b);
}

static void test_backward_sums(void **state)
{
    (void)state;
    each_case(case_backward_sums);
    each_case(case_relu_by_input);
}

static void case_backward_apply(const struct kernels *k, size_t rows, size_t channels,
                                struct rng *r)
{
    size_t count = rows * channels;
    struct guarded x = guarded_random(count, r);
    struct guarded dz = guarded_random(count, r), before = guarded_random(count, r);
    struct guarded f[3] = {guarded_random(channels, r), guarded_random(channels, r),
                           guarded_random(channels, r)};
    for (int variant = 0; variant < 3; variant++) {
        bool residual = variant >= 1, accumulate = variant >= 2;
        struct guarded want = guarded_new(count), got = guarded_copy(&dz); /* dx is dz */
        struct guarded want_r = guarded_copy(&before), got_r = guarded_copy(&before);
        kernels_of(CPU_REFERENCE)
            ->norm.backward(rows, channels, dz.data, x.data, f[0].data, f[1].data, f[2].data,
                            want.data, residual ? want_r.data : NULL, accumulate);
        k->norm.backward(rows, channels, got.data, x.data, f[0].data, f[1].data, f[2].data,
                         got.data, residual ? got_r.data : NULL, accumulate);
        check_close("dx", k, rows, channels, got.data, want.data, count);
        check_close("dresidual", k, rows, channels, got_r.data, want_r.data, count);
        guarded_free(&want);
        guarded_free(&got);
        guarded_free(&want_r);
        guarded_free(&got_r);
    }
    for (int i = 0; i < 3; i++) guarded_free(&f[i]);
    guarded_free(&x);
    guarded_free(&dz);
    guarded_free(&before);
}

static void test_backward_apply(void **state)
{
    (void)state;
    each_case(case_backward_apply);
}

/* --- batch norm as a whole, by central differences ---------------------------------------- */

enum { ROWS = 9, CHANNELS = 3, COUNT = ROWS * CHANNELS };

static const double epsilon = 1e-5;

struct norm_state {
    double mean[CHANNELS], deviation[CHANNELS]; /* deviation: 1 / sqrt(variance + epsilon) */
};

static struct norm_state norm_of(const struct kernels *k, const float *x)
{
    double sum[CHANNELS] = {0}, square[CHANNELS] = {0};
    struct norm_state s;
    k->norm.moments(ROWS, CHANNELS, x, sum, square);
    for (int c = 0; c < CHANNELS; c++) {
        s.mean[c] = sum[c] / ROWS;
        s.deviation[c] = 1 / sqrt(square[c] / ROWS - s.mean[c] * s.mean[c] + epsilon);
    }
    return s;
}

/* f = sum(u * norm(x)) with factors gamma; no shift, it would not be seen in the gradient by x. */
static double norm_loss(const struct kernels *k, const float *x, const float *u, const float *gamma)
{
    struct norm_state s = norm_of(k, x);
    float scale[CHANNELS], shift[CHANNELS], y[COUNT];
    double loss = 0;
    for (int c = 0; c < CHANNELS; c++) {
        scale[c] = (float)(s.deviation[c] * (double)gamma[c]);
        shift[c] = (float)(-s.mean[c] * s.deviation[c] * (double)gamma[c]);
    }
    k->norm.forward(ROWS, CHANNELS, x, scale, shift, NULL, false, y);
    for (int i = 0; i < COUNT; i++) loss += (double)u[i] * (double)y[i];
    return loss;
}

static void test_norm_gradient(void **state)
{
    (void)state;
    const struct kernels *k = kernels_of(CPU_REFERENCE);
    struct rng r;
    rng_init(&r, 5, RNG_TEST, 0, 0);
    float x[COUNT], u[COUNT], dx[COUNT], gamma[CHANNELS], a[CHANNELS], b[CHANNELS], shift[CHANNELS];
    double sum[CHANNELS] = {0}, product[CHANNELS] = {0};
    for (int i = 0; i < COUNT; i++) x[i] = (float)rng_normal(&r), u[i] = (float)rng_normal(&r);
    for (int c = 0; c < CHANNELS; c++) gamma[c] = (float)rng_normal(&r);
    struct norm_state s = norm_of(k, x);
    k->norm.backward_sums(ROWS, CHANNELS, &(struct norm_relu){0}, u, x, sum, product);
    for (int c = 0; c < CHANNELS; c++) {
        /* dx = gamma * d * (dy - mean(dy) - xhat * mean(dy * xhat)), xhat = (x - mean) * d */
        double d = s.deviation[c], slope = (product[c] - s.mean[c] * sum[c]) * d / ROWS;
        double factor = d * (double)gamma[c];
        a[c] = (float)factor;
        b[c] = (float)(-factor * d * slope);
        shift[c] = (float)(factor * (s.mean[c] * d * slope - sum[c] / ROWS));
    }
    k->norm.backward(ROWS, CHANNELS, u, x, a, b, shift, dx, NULL, false);
    for (int i = 0; i < COUNT; i++) {
        float kept = x[i];
        x[i] = kept + 0.01F;
        double high = norm_loss(k, x, u, gamma), step = (double)x[i];
        x[i] = kept - 0.01F;
        double low = norm_loss(k, x, u, gamma), want = (high - low) / (step - (double)x[i]);
        x[i] = kept;
        assert_true(fabs(want - (double)dx[i]) <= 1e-3 + 1e-3 * fabs(want));
    }
}

/* --- matrix product ----------------------------------------------------------------------- */

static void check_gemm(const struct kernels *k, int m, int n, int l, unsigned variant,
                       struct rng *r)
{
    bool ta = (variant & 1) != 0, tb = (variant & 2) != 0;
    float beta = (variant & 4) != 0 ? 0.5F : 0.0F;
    int a_rows = ta ? l : m, a_width = (ta ? m : l) + 2;
    int b_rows = tb ? n : l, b_width = (tb ? l : n) + 1, c_width = n + 3;
    struct guarded a = guarded_random((size_t)(a_rows * a_width), r);
    struct guarded b = guarded_random((size_t)(b_rows * b_width), r);
    struct guarded got = guarded_new((size_t)(m * c_width));
    if (beta != 0) {
        for (size_t i = 0; i < got.count; i++) got.data[i] = (float)i * 0.25F;
    }
    struct guarded want = guarded_copy(&got);
    kernels_of(CPU_REFERENCE)
        ->gemm(ta, tb, m, n, l, a.data, a_width, b.data, b_width, beta, want.data, c_width);
    k->gemm(ta, tb, m, n, l, a.data, a_width, b.data, b_width, beta, got.data, c_width);
    for (int i = 0; i < m; i++) {
        size_t at = (size_t)(i * c_width);
        assert_int_equal(
            n, first_difference(got.data + at, want.data + at, (size_t)n, 1e-6 + 1e-7 * l, 1e-6));
        for (int j = n; j < c_width; j++) { /* beyond the matrix nothing is touched */
            assert_memory_equal(got.data + at + j, want.data + at + j, sizeof(float));
        }
    }
    guarded_free(&a);
    guarded_free(&b);
    guarded_free(&got);
    guarded_free(&want);
}

static void test_gemm(void **state)
{
    (void)state;
    static const int sizes[][3] = {{1, 1, 1}, {3, 5, 7}, {16, 100, 33}, {17, 1, 64}, {1, 100, 128}};
    struct rng r;
    rng_init(&r, 6, RNG_TEST, 0, 0);
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k == NULL) continue;
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            for (unsigned variant = 0; variant < 8; variant++) {
                check_gemm(k, sizes[i][0], sizes[i][1], sizes[i][2], variant, &r);
            }
        }
    }
    float a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 0, 2, 1, 1, 1}, c[4];
    static const float want[] = {8, 5, 20, 11};
    kernels_of(CPU_REFERENCE)->gemm(false, false, 2, 2, 3, a, 3, b, 2, 0, c, 2);
    assert_memory_equal(c, want, sizeof(want));
}

/* --- element-wise, pooling, the optimizer ------------------------------------------------- */

static void check_elements(const struct kernels *k, size_t count, struct rng *r)
{
    const struct kernels *reference = kernels_of(CPU_REFERENCE);
    struct guarded x = guarded_random(count, r), y = guarded_random(count, r);
    struct guarded got = guarded_new(count), want = guarded_new(count);
    k->relu.forward(count, x.data, got.data);
    reference->relu.forward(count, x.data, want.data);
    check_close("relu", k, 1, count, got.data, want.data, count);
    k->relu.backward(count, x.data, y.data, false, got.data);
    reference->relu.backward(count, x.data, y.data, false, want.data);
    check_close("relu backward", k, 1, count, got.data, want.data, count);
    k->relu.backward(count, y.data, x.data, true, got.data);
    reference->relu.backward(count, y.data, x.data, true, want.data);
    check_close("relu backward, added", k, 1, count, got.data, want.data, count);
    k->add(count, x.data, got.data);
    reference->add(count, x.data, want.data);
    check_close("add", k, 1, count, got.data, want.data, count);
    guarded_free(&x);
    guarded_free(&y);
    guarded_free(&got);
    guarded_free(&want);
}

/* Some steps from the same state: parameters and moments. */
static void check_optimizers(const struct kernels *k, size_t count, struct rng *r)
{
    const struct kernels *reference = kernels_of(CPU_REFERENCE);
    struct guarded g = guarded_random(count, r), w = guarded_random(count, r),
                   w_want = guarded_copy(&w), m = guarded_random(count, r),
                   m_want = guarded_copy(&m), v = guarded_random(count, r);
    for (size_t i = 0; i < count; i++) v.data[i] *= v.data[i]; /* a mean of squares */
    struct guarded v_want = guarded_copy(&v);
    for (int step = 1; step <= 4; step++) {
        const struct sgd sgd = {0.1F, 0.9F, 5e-4F, 0.5F, step > 2};
        k->sgd_step(count, &sgd, g.data, m.data, w.data);
        reference->sgd_step(count, &sgd, g.data, m_want.data, w_want.data);
        check_close("momentum", k, 1, count, m.data, m_want.data, count);
        check_close("sgd", k, 1, count, w.data, w_want.data, count);
        const float t = (float)step;
        const struct adamw adamw = {
            0.01F, 0.05F, 0.9F, 0.999F, 1e-8F, 1 - powf(0.9F, t), 1 - powf(0.999F, t), 2.0F};
        k->adamw_step(count, &adamw, g.data, m.data, v.data, w.data);
        reference->adamw_step(count, &adamw, g.data, m_want.data, v_want.data, w_want.data);
        check_close("exp_avg", k, 1, count, m.data, m_want.data, count);
        check_close("exp_avg_sq", k, 1, count, v.data, v_want.data, count);
        check_close("adamw", k, 1, count, w.data, w_want.data, count);
    }
    guarded_free(&g);
    guarded_free(&w);
    guarded_free(&w_want);
    guarded_free(&m);
    guarded_free(&m_want);
    guarded_free(&v);
    guarded_free(&v_want);
}

static void test_elements(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 7, RNG_TEST, 0, 0);
    for (int isa = CPU_REFERENCE + 1; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k == NULL || (int)k->isa != isa) continue;
        for (size_t count = 0; count < 70; count++) {
            check_elements(k, count, &r);
            check_optimizers(k, count, &r);
        }
    }
}

static void case_pool(const struct kernels *k, size_t rows, size_t channels, struct rng *r)
{
    const struct kernels *reference = kernels_of(CPU_REFERENCE);
    int n = 3, pixels = (int)rows, width = (int)channels;
    size_t small = (size_t)n * channels, large = small * rows;
    struct guarded x = guarded_random(large, r), y = guarded_new(small),
                   y_want = guarded_new(small);
    k->mean.forward(n, pixels, width, x.data, y.data);
    reference->mean.forward(n, pixels, width, x.data, y_want.data);
    check_close("mean", k, rows, channels, y.data, y_want.data, small);
    struct guarded dx = guarded_new(large), dx_want = guarded_new(large);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        k->mean.backward(n, pixels, width, y.data, accumulate != 0, dx.data);
        reference->mean.backward(n, pixels, width, y.data, accumulate != 0, dx_want.data);
        check_close("mean backward", k, rows, channels, dx.data, dx_want.data, large);
    }
    guarded_free(&x);
    guarded_free(&y);
    guarded_free(&y_want);
    guarded_free(&dx);
    guarded_free(&dx_want);
}

static void test_pool(void **state)
{
    (void)state;
    each_case(case_pool);
}

/* Training must see a NaN, so no rectifier may turn one into 0. */
static void test_nan(void **state)
{
    (void)state;
    float x[20], y[20], one[20], zero[20];
    for (int i = 0; i < 20; i++) x[i] = i == 3 || i == 18 ? NAN : -1.0F, one[i] = 1, zero[i] = 0;
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k == NULL) continue;
        k->relu.forward(20, x, y);
        assert_true(isnan(y[3]) && isnan(y[18]) && y[0] == 0 && y[19] == 0);
        k->norm.forward(1, 20, x, one, zero, NULL, true, y);
        assert_true(isnan(y[3]) && isnan(y[18]) && y[0] == 0 && y[19] == 0);
        struct conv_geometry g = {1, 20, 1, 1, 1, 1, 1, 0, 1};
        struct conv_epilogue e = {NULL, NULL, true};
        struct guarded packed = guarded_new(k->conv[CONV_DIRECT].forward.packed_size(&g));
        struct guarded scratch = guarded_bytes(k->conv[CONV_DIRECT].forward.scratch_bytes(&g), 64);
        k->conv[CONV_DIRECT].forward.pack(&g, one, NULL, packed.data);
        k->conv[CONV_DIRECT].forward.run(&g, 1, x, packed.data, &e, y, scratch.data, conv_whole);
        assert_true(isnan(y[3]) && isnan(y[18]) && y[0] == 0 && y[19] == 0);
        guarded_free(&packed);
        guarded_free(&scratch);
    }
}

static void test_sgd_by_hand(void **state)
{
    (void)state;
    const struct sgd plain = {0.25F, 0.5F, 0.1F, 1.0F, false},
                     nesterov = {0.25F, 0.5F, 0.1F, 2.0F, true};
    float g = 1, v = 2, w = 10; /* g + 0.1 * 10 = 2; v = 0.5 * 2 + 2 = 3; w = 10 - 0.25 * 3 */
    kernels_of(CPU_REFERENCE)->sgd_step(1, &plain, &g, &v, &w);
    assert_true(g == 1 && fabsf(v - 3) < 1e-6F && fabsf(w - 9.25F) < 1e-6F);
    v = 2, w = 10; /* 2 g + 1 = 3; v = 0.5 * 2 + 3 = 4; w = 10 - 0.25 * (3 + 0.5 * 4) */
    kernels_of(CPU_REFERENCE)->sgd_step(1, &nesterov, &g, &v, &w);
    assert_true(g == 1 && fabsf(v - 4) < 1e-6F && fabsf(w - 8.75F) < 1e-6F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments),       cmocka_unit_test(test_apply),
        cmocka_unit_test(test_backward_sums), cmocka_unit_test(test_backward_apply),
        cmocka_unit_test(test_norm_gradient), cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_elements),      cmocka_unit_test(test_pool),
        cmocka_unit_test(test_nan),           cmocka_unit_test(test_sgd_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
