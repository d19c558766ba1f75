/* Convolutions: every table against the reference, the reference's gradients against central
 * differences, and results that do not depend on the batch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "cases.h"
#include "guarded.h"

static size_t x_size(const struct conv_geometry *g)
{
    return (size_t)g->height * (size_t)g->width * (size_t)g->in_channels;
}

static size_t y_size(const struct conv_geometry *g)
{
    return (size_t)conv_out_height(g) * (size_t)conv_out_width(g) * (size_t)g->out_channels;
}

static size_t w_size(const struct conv_geometry *g)
{
    return conv_weight_size(g);
}

static void describe(const char *what, const struct kernels *k, const struct conv_geometry *g,
                     int n)
{
    print_message("# %s, %s: n %d, %dx%d, %d -> %d, kernel %dx%d, stride %d, pad %d, groups %d\n",
                  what, cpu_isa_name(k->isa), n, g->height, g->width, g->in_channels,
                  g->out_channels, g->kernel_height, g->kernel_width, g->stride, g->pad, g->groups);
}

/* Sums of `terms` products of numbers in [-1, 1), in float: their error grows with the terms. */
static void check_close(const char *what, const struct kernels *k, const struct conv_geometry *g,
                        int n, const struct guarded *got, const struct guarded *want, size_t terms)
{
    size_t at =
        first_difference(got->data, want->data, want->count, 1e-6 + 1e-7 * (double)terms, 1e-5);
    if (at == want->count) return;
    describe(what, k, g, n);
    fail_msg("index %zu: %.9g instead of %.9g", at, (double)got->data[at], (double)want->data[at]);
}

static void check_equal(const char *what, const struct kernels *k, const struct conv_geometry *g,
                        int n, const float *got, const float *want, size_t count)
{
    if (memcmp(got, want, count * sizeof(float)) == 0) return;
    describe(what, k, g, n);
    fail_msg("not the same bits");
}

/* --- the three directions on fresh arrays; scratch holds NaNs ----------------------------- */

static const struct conv_method *direct_of(const struct kernels *k, const struct conv_geometry *g)
{
    const struct conv_method *m = &k->conv[CONV_DIRECT];
    assert_true(m->forward.takes(g) && m->backward_data.takes(g) && m->backward_weight.takes(g));
    return m;
}

static struct guarded scratch_of(size_t bytes)
{
    assert_true(bytes > 0);
    return guarded_bytes(bytes, 64);
}

static struct guarded forward(const struct kernels *k, const struct conv_geometry *g, int n,
                              const float *x, const float *w, const float *scale,
                              const struct conv_epilogue *epilogue)
{
    const struct conv_forward *m = &direct_of(k, g)->forward;
    struct guarded packed = guarded_new(m->packed_size(g));
    struct guarded scratch = scratch_of(m->scratch_bytes(g));
    struct guarded y = guarded_new((size_t)n * y_size(g));
    m->pack(g, w, scale, packed.data);
    m->run(g, n, x, packed.data, epilogue, y.data, scratch.data, conv_whole);
    guarded_free(&packed);
    guarded_free(&scratch);
    return y;
}

/* dx = or, where `onto` is given, onto + the gradient. */
static struct guarded backward_data(const struct kernels *k, const struct conv_geometry *g, int n,
                                    const float *dy, const float *w, const struct guarded *onto)
{
    const struct conv_backward_data *m = &direct_of(k, g)->backward_data;
    struct guarded packed = guarded_new(m->packed_size(g));
    struct guarded scratch = scratch_of(m->scratch_bytes(g));
    struct guarded dx = onto != NULL ? guarded_copy(onto) : guarded_new((size_t)n * x_size(g));
    m->pack(g, w, packed.data);
    m->run(g, n, dy, packed.data, onto != NULL, dx.data, scratch.data);
    guarded_free(&packed);
    guarded_free(&scratch);
    return dx;
}

static struct guarded backward_weight(const struct kernels *k, const struct conv_geometry *g, int n,
                                      const float *x, const float *dy, const struct guarded *onto)
{
    const struct conv_backward_weight *m = &direct_of(k, g)->backward_weight;
    struct guarded scratch = scratch_of(m->scratch_bytes(g)), dw = guarded_copy(onto);
    m->run(g, n, x, dy, dw.data, scratch.data);
    guarded_free(&scratch);
    return dw;
}

/* --- tables against the reference --------------------------------------------------------- */

struct operands {
    struct guarded x, w, y, scale, bias, residual;
};

static struct operands operands_new(const struct conv_geometry *g, int n, struct rng *r)
{
    size_t outputs = (size_t)g->out_channels, out = (size_t)n * y_size(g);
    return (struct operands){.x = guarded_random((size_t)n * x_size(g), r),
                             .w = guarded_random(w_size(g), r),
                             .y = guarded_random(out, r),
                             .scale = guarded_random(outputs, r),
                             .bias = guarded_random(outputs, r),
                             .residual = guarded_random(out, r)};
}

static void operands_free(struct operands *o)
{
    guarded_free(&o->x);
    guarded_free(&o->w);
    guarded_free(&o->y);
    guarded_free(&o->scale);
    guarded_free(&o->bias);
    guarded_free(&o->residual);
}

static void compare_forward(const struct kernels *k, const struct conv_geometry *g, int n,
                            const struct operands *o)
{
    const struct kernels *reference = kernels_of(CPU_REFERENCE);
    for (int variant = 0; variant < 8; variant++) {
        struct conv_epilogue e = {.bias = (variant & 1) != 0 ? o->bias.data : NULL,
                                  .residual = (variant & 2) != 0 ? o->residual.data : NULL,
                                  .relu = (variant & 4) != 0};
        const float *scale = (variant & 1) != 0 ? o->scale.data : NULL;
        struct guarded want = forward(reference, g, n, o->x.data, o->w.data, scale, &e);
        struct guarded got = forward(k, g, n, o->x.data, o->w.data, scale, &e);
        check_close("forward", k, g, n, &got, &want, w_size(g) / (size_t)g->out_channels);
        guarded_free(&want);
        guarded_free(&got);
    }
}

static void compare_backward(const struct kernels *k, const struct conv_geometry *g, int n,
                             const struct operands *o)
{
    const struct kernels *reference = kernels_of(CPU_REFERENCE);
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        const struct guarded *onto = accumulate != 0 ? &o->x : NULL;
        struct guarded want = backward_data(reference, g, n, o->y.data, o->w.data, onto);
        struct guarded got = backward_data(k, g, n, o->y.data, o->w.data, onto);
        check_close("data", k, g, n, &got, &want, w_size(g) / (size_t)g->in_channels);
        guarded_free(&want);
        guarded_free(&got);
    }
    struct guarded want = backward_weight(reference, g, n, o->x.data, o->y.data, &o->w);
    struct guarded got = backward_weight(k, g, n, o->x.data, o->y.data, &o->w);
    check_close("weight", k, g, n, &got, &want, (size_t)n * y_size(g) / (size_t)g->out_channels);
    guarded_free(&want);
    guarded_free(&got);
}

/* What is added may lie where the output goes. */
static void compare_in_place(const struct kernels *k, const struct conv_geometry *g, int n,
                             const struct operands *o)
{
    const struct conv_forward *m = &direct_of(k, g)->forward;
    struct conv_epilogue e = {o->bias.data, o->residual.data, true};
    struct guarded want = forward(k, g, n, o->x.data, o->w.data, NULL, &e);
    struct guarded packed = guarded_new(m->packed_size(g)), got = guarded_copy(&o->residual);
    struct guarded scratch = scratch_of(m->scratch_bytes(g));
    e.residual = got.data;
    m->pack(g, o->w.data, NULL, packed.data);
    m->run(g, n, o->x.data, packed.data, &e, got.data, scratch.data, conv_whole);
    check_equal("in place", k, g, n, got.data, want.data, want.count);
    guarded_free(&want);
    guarded_free(&packed);
    guarded_free(&scratch);
    guarded_free(&got);
}

static void compare_tables(const struct conv_geometry *g, int n, struct rng *r)
{
    struct operands o = operands_new(g, n, r);
    for (int isa = CPU_REFERENCE + 1; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k == NULL || (int)k->isa != isa) continue;
        compare_forward(k, g, n, &o);
        compare_in_place(k, g, n, &o);
        compare_backward(k, g, n, &o);
    }
    operands_free(&o);
}

/* Large cases get few images: the reference is slow. */
static bool affordable(const struct conv_geometry *g, int n)
{
    double work = (double)n * (double)y_size(g) * (double)w_size(g) / g->out_channels;
    return n == 1 || work < 4e6;
}

static void test_tables(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 1, RNG_TEST, 0, 0);
    static const int batches[] = {1, 3, 7, 15, 29};
    for (size_t i = 0; i < CONV_CASES; i++) {
        for (size_t b = 0; b < sizeof(batches) / sizeof(batches[0]); b++) {
            if (affordable(&conv_cases[i], batches[b])) {
                compare_tables(&conv_cases[i], batches[b], &r);
            }
        }
    }
}

static void test_tables_random(void **state)
{
    (void)state;
    const char *given = getenv("TEST_SEED");
    unsigned long seed = given != NULL ? strtoul(given, NULL, 10) : 20220523;
    print_message("# TEST_SEED=%lu\n", seed);
    for (uint32_t i = 0; i < 150; i++) {
        struct rng r;
        rng_init(&r, seed, RNG_TEST, i, 0);
        struct conv_geometry g = conv_random(&r);
        int n = 1 + (int)rng_below(&r, 17);
        if (affordable(&g, n)) compare_tables(&g, n, &r);
    }
}

/* --- an image's result does not depend on its batch --------------------------------------- */

static void check_batch(const struct kernels *k, const struct conv_geometry *g, int n,
                        const struct operands *o)
{
    size_t out = y_size(g), in = x_size(g);
    struct conv_epilogue e = {o->bias.data, o->residual.data, true};
    struct guarded y = forward(k, g, n, o->x.data, o->w.data, o->scale.data, &e);
    struct guarded dx = backward_data(k, g, n, o->y.data, o->w.data, NULL);
    for (size_t b = 0; b < (size_t)n; b++) {
        struct conv_epilogue one = {o->bias.data, o->residual.data + b * out, true};
        struct guarded y1 = forward(k, g, 1, o->x.data + b * in, o->w.data, o->scale.data, &one);
        struct guarded dx1 = backward_data(k, g, 1, o->y.data + b * out, o->w.data, NULL);
        check_equal("batch forward", k, g, n, y.data + b * out, y1.data, out);
        check_equal("batch data", k, g, n, dx.data + b * in, dx1.data, in);
        guarded_free(&y1);
        guarded_free(&dx1);
    }
    guarded_free(&y);
    guarded_free(&dx);
}

static void test_batches(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 2, RNG_TEST, 0, 0);
    static const int batches[] = {2, 7, 13, 30};
    for (size_t i = 0; i < CONV_CASES; i++) {
        for (size_t b = 0; b < 4; b++) {
            struct operands o = operands_new(&conv_cases[i], batches[b], &r);
            for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
                const struct kernels *k = kernels_of((enum cpu_isa)isa);
                if (k == NULL || (int)k->isa != isa) continue;
                if (isa == CPU_REFERENCE && !affordable(&conv_cases[i], batches[b])) continue;
                check_batch(k, &conv_cases[i], batches[b], &o);
            }
            operands_free(&o);
        }
    }
}

/* The same call twice, with other scratch: the same bits. */
static void test_repeatable(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 3, RNG_TEST, 0, 0);
    const struct kernels *k = kernels_best();
    for (size_t i = 0; i < CONV_CASES; i++) {
        const struct conv_geometry *g = &conv_cases[i];
        struct operands o = operands_new(g, 5, &r);
        struct guarded a = backward_weight(k, g, 5, o.x.data, o.y.data, &o.w);
        struct guarded b = backward_weight(k, g, 5, o.x.data, o.y.data, &o.w);
        check_equal("weight again", k, g, 5, a.data, b.data, a.count);
        guarded_free(&a);
        guarded_free(&b);
        operands_free(&o);
    }
}

/* --- gradients of f = sum(u * conv(x, w)) by central differences -------------------------- */

static double weighted_sum(const struct conv_geometry *g, int n, const struct operands *o)
{
    struct conv_epilogue none = {NULL, NULL, false};
    struct guarded y = forward(kernels_of(CPU_REFERENCE), g, n, o->x.data, o->w.data, NULL, &none);
    double sum = 0;
    for (size_t i = 0; i < y.count; i++) sum += (double)y.data[i] * (double)o->y.data[i];
    guarded_free(&y);
    return sum;
}

/* f is linear in each number, so that a large step costs no accuracy. */
static double slope(const struct conv_geometry *g, int n, const struct operands *o, float *at)
{
    float kept = *at;
    *at = kept + 0.5F;
    double high = weighted_sum(g, n, o), step = (double)*at;
    *at = kept - 0.5F;
    double low = weighted_sum(g, n, o);
    step -= (double)*at;
    *at = kept;
    return (high - low) / step;
}

static void test_gradients(void **state)
{
    (void)state;
    const struct kernels *k = kernels_of(CPU_REFERENCE);
    int checked = 0, n = 2;
    struct rng r;
    rng_init(&r, 4, RNG_TEST, 0, 0);
    for (size_t i = 0; i < CONV_CASES; i++) {
        const struct conv_geometry *g = &conv_cases[i];
        if ((double)y_size(g) * (double)w_size(g) > 1e6) continue;
        struct operands o = operands_new(g, n, &r);
        struct guarded zero = guarded_new(w_size(g));
        memset(zero.data, 0, zero.count * sizeof(float));
        struct guarded dx = backward_data(k, g, n, o.y.data, o.w.data, NULL);
        struct guarded dw = backward_weight(k, g, n, o.x.data, o.y.data, &zero);
        for (int sample = 0; sample < 20; sample++, checked++) {
            size_t ix = rng_below(&r, (uint32_t)dx.count), iw = rng_below(&r, (uint32_t)dw.count);
            double sx = slope(g, n, &o, &o.x.data[ix]), sw = slope(g, n, &o, &o.w.data[iw]);
            assert_true(fabs(sx - (double)dx.data[ix]) <= 2e-5 + 1e-5 * fabs(sx));
            assert_true(fabs(sw - (double)dw.data[iw]) <= 2e-5 + 1e-5 * fabs(sw));
        }
        guarded_free(&zero);
        guarded_free(&dx);
        guarded_free(&dw);
        operands_free(&o);
    }
    assert_true(checked >= 200);
}

/* A convolution small enough to be done by hand: x = 1 2 / 3 4, w = 1..9 in rows. */
static void test_by_hand(void **state)
{
    (void)state;
    struct conv_geometry g = {2, 2, 1, 1, 3, 3, 1, 1, 1};
    float x[] = {1, 2, 3, 4}, w[] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, dy[] = {1, 0, 0, 2};
    float bias = -50;
    /* Sums 77 = 1*5 + 2*6 + 3*8 + 4*9, 67 = 1*4 + 2*5 + 3*7 + 4*8, 47, 37; then the bias and ReLU.
     */
    static const float y_want[] = {27, 17, 0, 0};
    /* dx[h][w] = the sum of dy[oh][ow] * w[h - oh + 1][w - ow + 1]. */
    static const float dx_want[] = {5 + 2 * 1, 6 + 2 * 2, 8 + 2 * 4, 9 + 2 * 5};
    /* dw[kh][kw] = the sum of dy[oh][ow] * x[oh + kh - 1][ow + kw - 1], on top of w. */
    static const float dw_want[] = {1 + 2, 2 + 4, 3, 4 + 6, 5 + 1 + 8, 6 + 2, 7, 8 + 3, 9 + 4};
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k == NULL) continue;
        struct conv_epilogue e = {&bias, NULL, true};
        struct guarded y = forward(k, &g, 1, x, w, NULL, &e);
        struct guarded dx = backward_data(k, &g, 1, dy, w, NULL);
        struct guarded onto = {.data = w, .count = 9};
        struct guarded dw = backward_weight(k, &g, 1, x, dy, &onto);
        check_equal("by hand", k, &g, 1, y.data, y_want, 4);
        check_equal("by hand", k, &g, 1, dx.data, dx_want, 4);
        check_equal("by hand", k, &g, 1, dw.data, dw_want, 9);
        guarded_free(&y);
        guarded_free(&dx);
        guarded_free(&dw);
    }
}

static void test_choice(void **state)
{
    (void)state;
    assert_non_null(kernels_of(CPU_REFERENCE));
    assert_int_equal(kernels_of(CPU_REFERENCE)->isa, CPU_REFERENCE);
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (!cpu_isa_supported((enum cpu_isa)isa)) assert_null(k);
        if (k != NULL) assert_true((int)k->isa <= isa);
    }
    const struct kernels *best = kernels_of(cpu_isa());
    assert_ptr_equal(kernels_best(), best != NULL ? best : kernels_of(CPU_REFERENCE));
}

/* A direction is there as a whole or not at all; whose packing an algorithm takes has one. */
static void check_method(const struct kernels *k, const struct conv_method *m)
{
    const struct conv_forward *f = &m->forward;
    const struct conv_backward_data *d = &m->backward_data;
    const struct conv_backward_weight *w = &m->backward_weight;
    bool forward = f->takes != NULL, data = d->takes != NULL, weight = w->takes != NULL;
    assert_int_equal(f->packed_size != NULL, forward);
    assert_int_equal(f->pack != NULL, forward);
    assert_int_equal(f->scratch_bytes != NULL, forward);
    assert_int_equal(f->run != NULL, forward);
    assert_int_equal(d->packed_size != NULL, data);
    assert_int_equal(d->pack != NULL, data);
    assert_int_equal(d->scratch_bytes != NULL, data);
    assert_int_equal(d->run != NULL, data);
    assert_int_equal(w->scratch_bytes != NULL, weight);
    assert_int_equal(w->run != NULL, weight);
    if (forward) {
        const struct conv_forward *packing = &k->conv[f->packing].forward;
        assert_true(packing->pack == f->pack && packing->packed_size == f->packed_size);
    }
    if (data) {
        const struct conv_backward_data *packing = &k->conv[d->packing].backward_data;
        assert_true(packing->pack == d->pack && packing->packed_size == d->packed_size);
    }
}

static void test_rows(void **state)
{
    (void)state;
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k == NULL) continue;
        for (int a = 0; a < CONV_ALGORITHMS; a++) {
            assert_non_null(conv_algorithm_name((enum conv_algorithm)a));
            check_method(k, &k->conv[a]);
        }
        assert_non_null(k->conv[CONV_DIRECT].forward.run);
        assert_non_null(k->conv[CONV_DIRECT].backward_data.run);
        assert_non_null(k->conv[CONV_DIRECT].backward_weight.run);
        assert_non_null(k->norm.moments);
        assert_non_null(k->norm.forward);
        assert_non_null(k->norm.backward_sums);
        assert_non_null(k->norm.backward);
        assert_non_null(k->relu.forward);
        assert_non_null(k->relu.backward);
        assert_non_null(k->mean.forward);
        assert_non_null(k->mean.backward);
        assert_non_null(k->max_pool.forward);
        assert_non_null(k->max_pool.backward);
        assert_non_null(k->shortcut.forward);
        assert_non_null(k->shortcut.backward);
        assert_non_null(k->upsample.forward);
        assert_non_null(k->upsample.backward);
        assert_non_null(k->gate.forward);
        assert_non_null(k->gate.backward);
        assert_non_null(k->gemm);
        assert_non_null(k->add);
        assert_non_null(k->sgd_step);
        assert_non_null(k->adamw_step);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_gradients),     cmocka_unit_test(test_tables),
        cmocka_unit_test(test_tables_random), cmocka_unit_test(test_batches),
        cmocka_unit_test(test_repeatable),    cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
