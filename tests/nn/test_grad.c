/* Training passes: against PyTorch in float64 for every instruction set, against central
 * differences, and what is promised about threads, smaller batches and memory. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "nets.h"
#include "nn/grad.h"
#include "nn/loss.h"
#include "vectors.h"

/* As in make_vectors.py. */
static const double TEMPERATURE = 3.0, ALPHA = 0.3, LAMBDA = 0.5;
static const double TOLERANCE = 1e-4;

enum method { BASELINE, DSN, BYOT };
static const char *const method_names[] = {"baseline", "dsn", "byot"};

/* The loss of a method after grad_forward(), its gradients put where they belong. */
static double method_loss(struct grad *grad, const struct net *net, enum method method, int batch,
                          const int32_t *labels)
{
    int last = net_sections(net) - 1, classes = net_classes(net), d = net_feature_size(net);
    double sum = loss_cross_entropy(batch, classes, grad_logits(grad, last), labels, 1.0,
                                    grad_dlogits(grad, last));
    for (int i = 0; method != BASELINE && i < last; i++) {
        sum += loss_cross_entropy(batch, classes, grad_logits(grad, i), labels,
                                  method == BYOT ? 1 - ALPHA : 1.0, grad_dlogits(grad, i));
        if (method != BYOT) continue;
        sum += loss_distill(batch, classes, grad_logits(grad, i), grad_logits(grad, last),
                            TEMPERATURE, ALPHA * TEMPERATURE * TEMPERATURE, grad_dlogits(grad, i));
        sum += loss_hint(batch, d, grad_features(grad, i), grad_features(grad, last), LAMBDA,
                         grad_dfeatures(grad, i));
    }
    return sum;
}

static unsigned exits_of(const struct net *net, enum method method)
{
    int n = net_sections(net);
    return method == BASELINE ? 1u << (n - 1) : (1u << n) - 1;
}

struct result {
    double loss;
    float *params, *dparams; /* after the pass */
};

static void result_free(struct result *r)
{
    mem_free(r->params);
    mem_free(r->dparams);
}

/* One whole pass over the vectors' batch. */
static struct result run_pass(const struct vectors *v, const struct kernels *kernels,
                              enum method method, unsigned threads, int batch_max)
{
    struct err e;
    struct result r = {0};
    size_t block = net_block_size(v->net), trained = net_trained_size(v->net);
    struct pool *pool = threads > 1 ? pool_new(threads) : NULL;
    const struct grad_options options = {.exits = exits_of(v->net, method)};
    struct grad *grad = grad_new(v->net, batch_max, &options, pool, kernels, &e);
    if (grad == NULL) fail_msg("%s", e.text);
    r.params = mem_new(block, sizeof(float));
    r.dparams = mem_new(trained, sizeof(float));
    assert_non_null(r.params);
    assert_non_null(r.dparams);
    memcpy(r.params, v->params, block * sizeof(float));
    for (size_t i = 0; i < trained; i++) /* the pass must overwrite, not add */
        r.dparams[i] = 1e9f;

    memcpy(grad_input(grad), v->images,
           (size_t)v->batch * shape_size(net_input(v->net)) * sizeof(float));
    grad_forward(grad, r.params, v->batch);
    r.loss = method_loss(grad, v->net, method, v->batch, v->labels);
    if (method == BYOT) {
        for (int i = 0; i < net_sections(v->net); i++) {
            size_t n = (size_t)v->batch;
            vectors_compare(vectors_find(v, "train.logits.%d", i + 1), grad_logits(grad, i),
                            n * (size_t)net_classes(v->net), TOLERANCE);
            vectors_compare(vectors_find(v, "train.features.%d", i + 1), grad_features(grad, i),
                            n * (size_t)net_feature_size(v->net), TOLERANCE);
        }
    }
    grad_backward(grad, r.params, r.dparams);
    grad_free(grad);
    pool_free(pool);
    return r;
}

/* Every gradient and every running statistic. Exits that are not trained: 0, and not moved. */
static void compare_result(const struct vectors *v, const struct result *r, enum method method)
{
    size_t n;
    const struct param *params = net_params(v->net, &n);
    const struct record *total = vectors_find(v, "%s.total", method_names[method]);
    assert_true(fabs(r->loss - (double)total->values[0]) <= 1e-5 * fabs(r->loss));
    for (size_t i = 0; i < n; i++) {
        const struct param *p = &params[i];
        bool runs = p->exit < 0 || (exits_of(v->net, method) >> p->exit & 1) != 0;
        if (p->trained && runs) {
            vectors_compare(vectors_find(v, "%s.grad.%s", method_names[method], p->name),
                            r->dparams + p->offset, p->size, TOLERANCE);
        } else if (p->trained) {
            for (size_t j = 0; j < p->size; j++) assert_true(r->dparams[p->offset + j] == 0.0f);
        } else if (runs) {
            vectors_compare(vectors_find(v, "after.%s", p->name), r->params + p->offset, p->size,
                            TOLERANCE);
        }
        if (p->trained || !runs)
            assert_memory_equal(r->params + p->offset, v->params + p->offset,
                                p->size * sizeof(float));
    }
}

static void check_vectors(const char *file, enum method method)
{
    struct vectors *v = vectors_load(file);
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *kernels = kernels_of((enum cpu_isa)isa);
        for (unsigned threads = 1; kernels != NULL && threads <= 3; threads++) {
            struct result r = run_pass(v, kernels, method, threads, v->batch);
            compare_result(v, &r, method);
            result_free(&r);
        }
    }
    vectors_free(v);
}

static void test_baseline(void **state)
{
    (void)state;
    check_vectors("resnet18_even.bin", BASELINE);
}

static void test_dsn(void **state)
{
    (void)state;
    check_vectors("resnet18_even.bin", DSN);
}

static void test_byot(void **state)
{
    (void)state;
    check_vectors("resnet18_even.bin", BYOT);
}

static void test_byot_odd_sizes(void **state)
{
    (void)state;
    check_vectors("resnet18_odd.bin", BYOT);
}

/* A grad for more images than the batch has gives the same bits; so does a second run. */
static void test_same_bits(void **state)
{
    (void)state;
    struct vectors *v = vectors_load("resnet18_even.bin");
    size_t bytes = net_trained_size(v->net) * sizeof(float);
    for (unsigned threads = 1; threads <= 3; threads++) {
        struct result a = run_pass(v, kernels_best(), BYOT, threads, v->batch);
        struct result b = run_pass(v, kernels_best(), BYOT, threads, v->batch);
        struct result c = run_pass(v, kernels_best(), BYOT, threads, v->batch + 4);
        assert_memory_equal(a.dparams, b.dparams, bytes);
        assert_memory_equal(a.dparams, c.dparams, bytes);
        assert_memory_equal(a.params, b.params, net_block_size(v->net) * sizeof(float));
        result_free(&a);
        result_free(&b);
        result_free(&c);
    }
    vectors_free(v);
}

/* With the algorithms of another grad it gives that one's bits, whatever the rule says. */
static void test_algorithms(void **state)
{
    (void)state;
    struct err e;
    struct spec spec = spec_tiny(SPEC_BLOCK_BASIC, SPEC_HEAD_SCALA);
    assert_int_equal(spec_scale(&spec, 32, 3, &e), 0);
    struct net *net = net_new(&spec, &e);
    struct choices *direct = choices_new(kernels_best()), *kept = choices_new(kernels_best());
    assert_true(net != NULL && direct != NULL && kept != NULL);
    const struct grad_options plain = {.exits = 3};
    struct grad_options chosen = {.exits = 3, .choices = direct};
    /* The reference has nothing but direct ones. */
    struct grad *grads[4] = {grad_new(net, 6, &plain, NULL, kernels_of(CPU_REFERENCE), &e)};
    assert_int_equal(grad_choices(grads[0], direct), 0);
    grads[1] = grad_new(net, 6, &chosen, NULL, kernels_best(), &e);
    assert_int_equal(grad_choices(grads[1], kept), 0);
    chosen.choices = kept;
    grads[2] = grad_new(net, 6, &chosen, NULL, kernels_best(), &e);
    grads[3] = grad_new(net, 6, &plain, NULL, kernels_best(), &e);
    assert_int_equal(choices_count(kept), choices_count(direct));

    size_t trained = net_trained_size(net), pixels = 6 * shape_size(net_input(net));
    float *params = mem_new(net_block_size(net), sizeof(float));
    float *dparams = mem_new(4 * trained, sizeof(float));
    int32_t labels[6] = {0, 1, 2, 0, 1, 2};
    for (int i = 0; i < 4; i++) {
        struct rng rng;
        rng_init(&rng, 3, RNG_TEST, 0, 0);
        net_init_params(net, 3, params);
        for (size_t j = 0; j < pixels; j++) grad_input(grads[i])[j] = (float)rng_normal(&rng);
        grad_forward(grads[i], params, 6);
        method_loss(grads[i], net, DSN, 6, labels);
        grad_backward(grads[i], params, dparams + (size_t)i * trained);
        grad_free(grads[i]);
    }
    const float *began = dparams + trained, *resumed = began + trained,
                *by_rule = resumed + trained;
    assert_memory_equal(resumed, began, trained * sizeof(float));
    if (kernels_best()->isa != CPU_REFERENCE)
        assert_memory_not_equal(by_rule, began, trained * sizeof(float));
    mem_free(params);
    mem_free(dparams);
    choices_free(direct);
    choices_free(kept);
    net_free(net);
}

/* One pass of byot over five random images. */
static struct result pass_over_five(const struct net *net, const struct kernels *kernels,
                                    const struct grad_options *options, unsigned threads)
{
    enum { BATCH = 5 };
    struct err e;
    struct rng rng;
    struct result r = {.params = mem_new(net_block_size(net), sizeof(float)),
                       .dparams = mem_new(net_trained_size(net), sizeof(float))};
    struct pool *pool = threads > 1 ? pool_new(threads) : NULL;
    struct grad *grad = grad_new(net, BATCH, options, pool, kernels, &e);
    const int32_t labels[BATCH] = {0, 1, 2, 3, 4};
    if (grad == NULL) fail_msg("%s", e.text);
    assert_true(r.params != NULL && r.dparams != NULL);
    net_init_params(net, 1, r.params);
    rng_init(&rng, 1, RNG_TEST, 0, 0);
    for (size_t i = 0; i < BATCH * shape_size(net_input(net)); i++)
        grad_input(grad)[i] = (float)rng_normal(&rng);
    grad_forward(grad, r.params, BATCH);
    r.loss = method_loss(grad, net, BYOT, BATCH, labels);
    grad_backward(grad, r.params, r.dparams);
    grad_free(grad);
    pool_free(pool);
    return r;
}

static void compare_gradients(const struct net *net, const struct result *got,
                              const struct result *want, double tolerance)
{
    size_t n;
    const struct param *params = net_params(net, &n);
    for (size_t i = 0; i < n; i++) {
        if (!params[i].trained) continue;
        struct record record = {.values = want->dparams + params[i].offset,
                                .count = params[i].size};
        snprintf(record.name, sizeof(record.name), "%s", params[i].name);
        vectors_compare(&record, got->dparams + params[i].offset, params[i].size, tolerance);
    }
}

static struct net *net_of_many_weights(void)
{
    struct err e;
    struct spec spec = spec_resnet18();
    spec.height = spec.width = 16;
    assert_int_equal(spec_scale(&spec, 16, 100, &e), 0);
    struct net *net = net_new(&spec, &e);
    assert_non_null(net);
    return net;
}

/* So many weights that their operations work on all images of a lane at once: every table against
 * the reference, whose sums are doubles. */
static void test_many_weights(void **state)
{
    (void)state;
    struct net *net = net_of_many_weights();
    const struct grad_options options = {.exits = exits_of(net, BYOT)};
    struct result want = pass_over_five(net, kernels_of(CPU_REFERENCE), &options, 1);
    for (int isa = CPU_REFERENCE + 1; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *kernels = kernels_of((enum cpu_isa)isa);
        for (unsigned threads = 1; kernels != NULL && threads <= 2; threads++) {
            struct result got = pass_over_five(net, kernels, &options, threads);
            compare_gradients(net, &got, &want, TOLERANCE);
            result_free(&got);
        }
    }
    result_free(&want);
    net_free(net);
}

/* Nets for differences and for running out of memory: every kind of block with every kind of head,
 * then what only some nets have. */
enum { KINDS = 5 * 3, PROBES = KINDS + 4 };

static struct spec probe_spec(int i)
{
    struct spec s = spec_tiny((enum spec_block)(i % KINDS % 5), (enum spec_head)(i % KINDS / 5));
    if (i == KINDS) { /* a map that is not square, and a stem that pools */
        s.height = 11;
        s.width = 9;
        s.stem.pool.kernel = 3;
        s.stem.pool.stride = 2;
        s.stem.pool.pad = 1;
    }
    if (i == KINDS + 1) { /* groups */
        s.stages[0].block = s.stages[1].block = SPEC_BLOCK_BOTTLENECK;
        s.stages[0].groups = s.stages[1].groups = 2;
        s.stages[0].group_width = s.stages[1].group_width = 3;
    }
    if (i ==
        KINDS + 2) { /* hidden layers, on a map that must be pooled for them, and pooled stages */
        s = spec_tiny(SPEC_BLOCK_VGG, SPEC_HEAD_SCALA);
        s.height = s.width = 16;
        s.stages[0].pool = 2;
        s.classifier.n_hidden = 2;
        s.classifier.hidden[0] = 5;
        s.classifier.hidden[1] = 4;
        s.classifier.pooled = 2;
    }
    if (i ==
        KINDS + 3) { /* without its head, the end of the first section has one reader, a norm */
        s = spec_tiny(SPEC_BLOCK_PREACT, SPEC_HEAD_SCALA);
        s.cuts[0] = 2;
    }
    return s;
}

/* The loss as a function of the parameters: DSN's, as a detached teacher would show in differences;
 * with borders the baseline's, and at the end of every section a linear function of what is there.
 */
struct probe {
    bool borders;
    struct net *net;
    struct grad *grad;
    int batch;
    int32_t labels[8];
    float *params, *copy, *dparams;
};

static struct probe probe_new(int number, uint64_t seed, bool borders)
{
    struct err e;
    struct rng rng;
    struct spec spec = probe_spec(number);
    struct probe p = {.borders = borders, .net = net_new(&spec, &e), .batch = 8};
    assert_non_null(p.net);
    const struct grad_options options = {.exits = borders ? 2 : 3, .borders = borders ? 3 : 0};
    p.grad = grad_new(p.net, p.batch, &options, NULL, kernels_of(CPU_REFERENCE), &e);
    p.params = mem_new(net_block_size(p.net), sizeof(float));
    p.copy = mem_new(net_block_size(p.net), sizeof(float));
    p.dparams = mem_new(net_trained_size(p.net), sizeof(float));
    assert_true(p.grad != NULL && p.params != NULL && p.copy != NULL && p.dparams != NULL);
    net_init_params(p.net, seed, p.params);
    rng_init(&rng, seed, RNG_TEST, 0, 0);
    for (int i = 0; i < p.batch; i++) p.labels[i] = (int32_t)rng_below(&rng, 3);
    for (size_t i = 0; i < (size_t)p.batch * shape_size(net_input(p.net)); i++)
        grad_input(p.grad)[i] = (float)rng_normal(&rng);
    return p;
}

static void probe_free(struct probe *p)
{
    mem_free(p->params);
    mem_free(p->copy);
    mem_free(p->dparams);
    grad_free(p->grad);
    net_free(p->net);
}

/* A different weight for every number, of the size that keeps the terms alike. */
static double border_term(struct probe *p, int section)
{
    size_t count = (size_t)p->batch * shape_size(net_section_output(p->net, section));
    const float *y = grad_border(p->grad, section);
    float *dy = grad_dborder(p->grad, section);
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        double weight = 4.0 * sin((double)(i + 1)) / (double)count;
        sum += weight * (double)y[i];
        dy[i] += (float)weight;
    }
    return sum;
}

static double probe_loss(struct probe *p)
{
    memcpy(p->copy, p->params, net_block_size(p->net) * sizeof(float));
    grad_forward(p->grad, p->copy, p->batch);
    double sum = method_loss(p->grad, p->net, p->borders ? BASELINE : DSN, p->batch, p->labels);
    for (int s = 0; p->borders && s < 2; s++) sum += border_term(p, s);
    return sum;
}

/* The slope from params[at] - h to params[at] + h, and how much its two halves differ. */
static double probe_difference(struct probe *p, size_t at, float h, double *ret_bend)
{
    float old = p->params[at];
    double here = probe_loss(p), middle = (double)old;
    p->params[at] = old + h;
    double up = probe_loss(p), high = (double)p->params[at];
    p->params[at] = old - h;
    double down = probe_loss(p), low = (double)p->params[at];
    p->params[at] = old;
    *ret_bend = fabs((up - here) / (high - middle) - (here - down) / (middle - low));
    return (up - down) / (high - low);
}

/* Central differences of the whole loss. The loss has kinks, at every ReLU: where two widths of the
 * step disagree, one has crossed a kink, and where the two halves of a step do, it lies between
 * them; that parameter is passed over. float32 leaves about three digits; the vectors test the
 * rest.
 */
static void check_central_differences(int number, bool borders)
{
    const uint64_t seed = 20240611;
    struct probe p = probe_new(number, seed, borders);
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 1, 0);
    probe_loss(&p);
    grad_backward(p.grad, p.copy, p.dparams);
    size_t n;
    const struct param *list = net_params(p.net, &n);
    int checked = 0, seen = 0;
    for (size_t i = 0; i < n && list[i].trained; i++) {
        if (borders && list[i].exit == 0) continue; /* that head does not run */
        for (int j = 0; j < 3; j++, seen++) {
            size_t at = list[i].offset + rng_below(&rng, (uint32_t)list[i].size);
            double bend, narrow = probe_difference(&p, at, 1.0f / 4096, &bend);
            double wide = probe_difference(&p, at, 1.0f / 1024, &bend), own = (double)p.dparams[at];
            double allowed = 1e-3 + 0.01 * fabs(own);
            if (fabs(narrow - wide) > allowed / 3 || bend > allowed) continue;
            if (!(fabs(wide - own) <= allowed)) /* the one with less rounding */
                fail_msg("net %d, %s[%zu], seed %llu: difference %g, gradient %g", number,
                         list[i].name, at - list[i].offset, (unsigned long long)seed, wide, own);
            checked++;
        }
    }
    if (checked < seen / 2)
        fail_msg("net %d: only %d of %d parameters were away from kinks", number, checked, seen);
    probe_free(&p);
}

static void test_central_differences(void **state)
{
    (void)state;
    for (int i = 0; i < PROBES; i++) check_central_differences(i, false);
}

/* Gradients that the caller adds at the ends of sections reach all parameters before them. */
static void test_borders(void **state)
{
    (void)state;
    for (int i = 0; i < PROBES; i++) check_central_differences(i, true);
}

/* A border that is only looked at changes no gradient, and only those asked for are shown. */
static void test_borders_change_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < PROBES; i++) {
        struct probe a = probe_new(i, 7, false), b = probe_new(i, 7, false);
        struct err e;
        size_t bytes = net_trained_size(a.net) * sizeof(float);
        grad_free(b.grad);
        const struct grad_options options = {.exits = 3, .borders = 1};
        b.grad = grad_new(b.net, b.batch, &options, NULL, kernels_of(CPU_REFERENCE), &e);
        memcpy(grad_input(b.grad), grad_input(a.grad),
               (size_t)a.batch * shape_size(net_input(a.net)) * sizeof(float));
        assert_true(probe_loss(&a) == probe_loss(&b));
        assert_non_null(grad_border(b.grad, 0));
        assert_null(grad_border(b.grad, 1));
        assert_null(grad_dborder(b.grad, 1));
        assert_null(grad_border(a.grad, 0));
        grad_backward(a.grad, a.copy, a.dparams);
        grad_backward(b.grad, b.copy, b.dparams);
        for (size_t j = 0; j < bytes / sizeof(float); j++) /* sums in another order at the border */
            assert_true(fabsf(a.dparams[j] - b.dparams[j]) <= 1e-5f + 1e-4f * fabsf(a.dparams[j]));
        probe_free(&a);
        probe_free(&b);
    }
}

static void test_refuses(void **state)
{
    (void)state;
    struct err e;
    struct spec spec = probe_spec(0);
    struct net *net = net_new(&spec, &e);
    static const struct {
        int batch;
        struct grad_options options;
    } refused[] = {
        {0, {.exits = 3}}, {4, {.exits = 0}}, {4, {.exits = 4}}, {4, {.exits = 1, .borders = 3}}};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_null(grad_new(net, refused[i].batch, &refused[i].options, NULL, kernels_best(), &e));
        assert_int_equal(e.code, ERR_RANGE);
    }
    assert_non_null(strstr(e.text, "section 2"));
    net_free(net);
}

static void check_out_of_memory(int number)
{
    struct err e;
    struct spec spec = probe_spec(number);
    struct net *net = net_new(&spec, &e);
    struct pool *pool = pool_new(2);
    struct grad *grad = NULL;
    unsigned n = 0;
    while (grad == NULL) {
        assert_true(n < 100);
        mem_fail_at(++n);
        e.code = 0;
        grad = grad_new(net, 4, &(struct grad_options){.exits = 3}, pool, kernels_best(), &e);
        if (grad == NULL) assert_int_equal(e.code, -12 /* ENOMEM */);
    }
    mem_fail_at(0);
    assert_true(n > 10);
    assert_true(grad_bytes(grad) > 4 * shape_size(net_input(net)) * sizeof(float));
    grad_free(grad);
    pool_free(pool);
    net_free(net);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    for (int i = 0; i < PROBES; i++) check_out_of_memory(i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_baseline),     cmocka_unit_test(test_dsn),
        cmocka_unit_test(test_byot),         cmocka_unit_test(test_byot_odd_sizes),
        cmocka_unit_test(test_same_bits),    cmocka_unit_test(test_algorithms),
        cmocka_unit_test(test_many_weights), cmocka_unit_test(test_central_differences),
        cmocka_unit_test(test_borders),      cmocka_unit_test(test_borders_change_nothing),
        cmocka_unit_test(test_refuses),      cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("grad", tests, NULL, NULL);
}
