/* Small networks drawn at random, of every kind of block and head, odd sizes, few images on many
 * threads: each gradient, output and running statistic of every table, by every algorithm of
 * convolutions, against the same in double (float64.h). test_grad_random [NETS [SEED]]. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "float64.h"
#include "nn/grad.h"

enum { LANES_MAX = 4, BATCH_MAX = 6 };

static uint64_t seed = 20240917;
static int n_nets = 40;

static int pick(struct rng *r, int low, int high)
{
    return low + (int)rng_below(r, (uint32_t)(high - low + 1));
}

static int pick_channels(struct rng *r)
{
    static const int odd[] = {1, 2, 3, 7, 8, 9, 15, 16, 17, 20, 31, 33};
    return odd[rng_below(r, sizeof(odd) / sizeof(odd[0]))];
}

/* --- what is drawn ---------------------------------------------------------------------------- */

/* One training: a net, the images and parameters, what is asked of it. The loss is linear in what
 * the caller sees: its gradient there is drawn, too. */
struct draw {
    struct net *net;
    struct grad_options options;
    int batch, batch_max;
    unsigned lanes;
    float *images, *params, *slopes[3][SPEC_SECTIONS_MAX]; /* of logits, features, borders */
};

static void draw_stem(struct spec *s, struct rng *r)
{
    s->stem.kernel = pick(r, 0, 3) * 2 + 1;
    s->stem.channels = pick_channels(r);
    s->stem.stride = pick(r, 1, 3);
    s->stem.pad = pick(r, 0, s->stem.kernel - 1);
    s->stem.after = (enum spec_after)pick(r, 0, 2);
    if (pick(r, 0, 2) > 0) return;
    s->stem.pool.kernel = pick(r, 1, 3);
    s->stem.pool.stride = pick(r, 1, 3);
    s->stem.pool.pad = pick(r, 0, s->stem.pool.kernel - 1);
}

static void draw_stage(struct spec *s, struct spec_stage *stage, enum spec_block block,
                       struct rng *r)
{
    *stage = (struct spec_stage){.block = block,
                                 .blocks = pick(r, 1, 2),
                                 .channels = pick_channels(r),
                                 .stride = pick(r, 1, 3)};
    int before = stage > s->stages ? stage[-1].channels : s->stem.channels;
    if (block == SPEC_BLOCK_PYRAMID && stage->channels < before) stage->channels = before;
    if (block == SPEC_BLOCK_BOTTLENECK && pick(r, 0, 1) > 0) {
        stage->channels = stage->channels / 4 + 1;
        stage->groups = pick(r, 1, 9);
        stage->group_width = pick(r, 1, 3) > 1 ? pick(r, 1, 18) : 1;
    }
    if (block == SPEC_BLOCK_VGG && pick(r, 0, 2) == 0) stage->pool = pick(r, 2, 3);
}

static struct spec draw_spec(struct rng *r)
{
    struct spec s = {.name = "drawn",
                     .classes = pick(r, 2, 20),
                     .channels = pick(r, 1, 4),
                     .height = pick(r, 1, 13),
                     .width = pick(r, 1, 13),
                     .n_stages = pick(r, 1, 3)};
    enum spec_block block = (enum spec_block)pick(r, 0, SPEC_BLOCK_VGG);
    if (block != SPEC_BLOCK_VGG || pick(r, 0, 1) > 0) draw_stem(&s, r);
    int blocks = 0;
    for (int i = 0; i < s.n_stages; i++) {
        draw_stage(&s, &s.stages[i], block, r);
        blocks += s.stages[i].blocks;
    }
    for (int i = 1; i <= blocks && s.n_sections < SPEC_SECTIONS_MAX; i++)
        if (i == blocks || pick(r, 0, 1) > 0) s.cuts[s.n_sections++] = i;
    s.heads.kind = (enum spec_head)pick(r, 0, 2);
    if (s.heads.kind != SPEC_HEAD_SEPCONV_ATTENTION) s.heads.mid_channels = pick_channels(r);
    if (pick(r, 0, 2) == 0) {
        s.classifier.n_hidden = pick(r, 1, 2);
        for (int i = 0; i < 2; i++) s.classifier.hidden[i] = pick_channels(r);
        s.classifier.pooled = pick(r, 0, 2);
    }
    return s;
}

static float *numbers(size_t count, struct rng *r)
{
    float *x = mem_new(count, sizeof(*x));
    assert_non_null(x);
    for (size_t i = 0; i < count; i++) x[i] = (float)rng_normal(r);
    return x;
}

/* Norms and biases with values of their own, and in some nets one output of a convolution that is
 * the same everywhere: of variance 0, so that its gradient is multiplied by 1 / sqrt(epsilon). */
static void draw_params(struct draw *d, struct rng *r)
{
    size_t n;
    const struct param *params = net_params(d->net, &n);
    size_t dead = rng_below(r, (uint32_t)(2 * n));
    d->params = mem_new(net_block_size(d->net), sizeof(float));
    assert_non_null(d->params);
    net_init_params(d->net, rng_below(r, 1u << 30), d->params);
    for (size_t i = 0; i < n; i++) {
        float *p = d->params + params[i].offset;
        size_t outputs = (size_t)params[i].dims[0];
        if (i == dead && params[i].role == PARAM_CONV_WEIGHT && outputs > 1)
            memset(p, 0, params[i].size / outputs * sizeof(*p));
        for (size_t j = 0; j < params[i].size; j++) {
            if (params[i].role == PARAM_NORM_SCALE) p[j] = 0.5F + (float)rng_uniform(r);
            if (params[i].role == PARAM_NORM_SHIFT) p[j] = 0.5F * (float)rng_normal(r);
            if (params[i].role == PARAM_NORM_MEAN) p[j] = (float)rng_normal(r);
        }
    }
}

/* What the caller sees of an exit or the end of a section; NULL where it sees nothing. */
static size_t seen_size(const struct draw *d, int what, int i)
{
    bool runs = (d->options.exits >> i & 1) != 0;
    size_t batch = (size_t)d->batch;
    if (what == 0) return runs ? batch * (size_t)net_classes(d->net) : 0;
    if (what == 1) return runs ? batch * (size_t)net_feature_size(d->net) : 0;
    return (d->options.borders >> i & 1) != 0 ? batch * shape_size(net_section_output(d->net, i))
                                              : 0;
}

static void draw_free(struct draw *d)
{
    net_free(d->net);
    mem_free(d->images);
    mem_free(d->params);
    for (int i = 0; i < 3 * SPEC_SECTIONS_MAX; i++) mem_free(d->slopes[i / 8][i % 8]);
}

/* Number `number` of the seed; false where what was drawn is no network. */
static bool draw_new(struct draw *d, uint32_t number, uint32_t attempt)
{
    struct err e;
    struct rng r;
    rng_init(&r, seed, RNG_TEST, number, attempt);
    struct spec spec = draw_spec(&r);
    *d = (struct draw){.net = net_new(&spec, &e)};
    if (d->net == NULL) return false;
    int sections = net_sections(d->net);
    d->batch = pick(&r, 1, BATCH_MAX);
    d->batch_max = d->batch + pick(&r, 0, 1) * pick(&r, 0, 3);
    d->lanes = (unsigned)pick(&r, 1, LANES_MAX);
    d->options.exits = 1 + rng_below(&r, (1u << sections) - 1);
    for (int i = 0; i < sections; i++)
        if (d->options.exits >> i != 0 && pick(&r, 0, 2) == 0) d->options.borders |= 1u << i;
    d->images = numbers((size_t)d->batch * shape_size(net_input(d->net)), &r);
    draw_params(d, &r);
    for (int what = 0; what < 3; what++)
        for (int i = 0; i < sections; i++) d->slopes[what][i] = numbers(seen_size(d, what, i), &r);
    return true;
}

/* --- in double -------------------------------------------------------------------------------- */

/* The values that the caller sees. */
static int seen_value(const struct draw *d, int what, int i)
{
    const int *const of[] = {d->net->logits, d->net->features, d->net->section_out};
    return of[what][i];
}

static struct float64 *run_float64(const struct draw *d, float64_rounds *rounds, const void *arg)
{
    struct float64 *f = float64_new(d->net, d->batch, d->options.exits, d->params);
    f->rounds = rounds;
    f->arg = arg;
    float64_forward(f, d->images);
    for (int what = 0; what < 3; what++)
        for (int i = 0; i < net_sections(d->net); i++)
            for (size_t k = 0; k < seen_size(d, what, i); k++)
                f->grads[seen_value(d, what, i)][k] += (double)d->slopes[what][i][k];
    float64_backward(f);
    return f;
}

/* Whether float32 can be compared with it: no ReLU or maximum that the last bits decide, no norm
 * of a few pixels or of hardly different ones, whose gradient is what cancels out. */
static bool is_tame(const struct float64 *f, double kink)
{
    return f->kink > kink && f->rows >= 6 && f->variance > 0.02;
}

/* --- in float --------------------------------------------------------------------------------- */

/* Every convolution by one algorithm, where the table has it; else directly. */
static void force(struct choices *choices, const struct draw *d, enum conv_algorithm a)
{
    const struct kernels *k = choices_kernels(choices);
    for (int i = 0; i < d->net->n_ops; i++) {
        const struct op *op = &d->net->ops[i];
        if (strncmp(op_kind_name(op), "conv", 4) != 0) continue;
        for (int use = 0; use < CONV_DIRECTIONS * CHOICE_SIZES; use++) {
            enum conv_direction direction = (enum conv_direction)(use / CHOICE_SIZES);
            bool takes = conv_takes(k, direction, a, &op->conv);
            assert_int_equal(choices_put(choices, choice_use_of(direction), &op->conv,
                                         d->options.precision, use % CHOICE_SIZES,
                                         takes ? a : CONV_DIRECT),
                             0);
        }
    }
}

static bool rounds_where_taken(const void *arg, const struct op *op, enum conv_direction d)
{
    return conv_takes(arg, d, CONV_BF16, &op->conv);
}

/* What a pass left. */
struct outcome {
    float *params, *dparams, *seen[3][SPEC_SECTIONS_MAX];
};

static void outcome_free(struct outcome *o)
{
    mem_free(o->params);
    mem_free(o->dparams);
    for (int i = 0; i < 3 * SPEC_SECTIONS_MAX; i++) mem_free(o->seen[i / 8][i % 8]);
}

static const float *seen_of(const struct grad *g, int what, int i)
{
    return what == 0 ? grad_logits(g, i) : what == 1 ? grad_features(g, i) : grad_border(g, i);
}

static float *slope_of(struct grad *g, int what, int i)
{
    return what == 0 ? grad_dlogits(g, i) : what == 1 ? grad_dfeatures(g, i) : grad_dborder(g, i);
}

static void run_grad(struct grad *g, const struct draw *d, const float *images, struct outcome *o)
{
    memcpy(o->params, d->params, net_block_size(d->net) * sizeof(float));
    memcpy(grad_input(g), images, (size_t)d->batch * shape_size(net_input(d->net)) * sizeof(float));
    grad_forward(g, o->params, d->batch);
    for (int what = 0; what < 3; what++) {
        for (int i = 0; i < net_sections(d->net); i++) {
            size_t n = seen_size(d, what, i);
            if (n > 0) memcpy(o->seen[what][i], seen_of(g, what, i), n * sizeof(float));
            for (size_t k = 0; k < n; k++) slope_of(g, what, i)[k] += d->slopes[what][i][k];
        }
    }
    grad_backward(g, o->params, o->dparams);
}

/* A pass behind one on images that are no numbers: what reads something that nobody has written in
 * this pass, reads one. */
static struct outcome outcome_of(const struct draw *d, const struct kernels *kernels,
                                 struct choices *choices, struct pool *pool)
{
    struct err e;
    struct outcome o = {.params = mem_new(net_block_size(d->net), sizeof(float)),
                        .dparams = mem_new(net_trained_size(d->net), sizeof(float))};
    struct grad_options options = d->options;
    options.choices = choices;
    struct grad *g = grad_new(d->net, d->batch_max, &options, pool, kernels, &e);
    if (g == NULL) fail_msg("%s", e.text);
    size_t pixels = (size_t)d->batch * shape_size(net_input(d->net));
    float *none = mem_new(pixels, sizeof(float));
    assert_true(o.params != NULL && o.dparams != NULL && none != NULL);
    for (size_t i = 0; i < pixels; i++) none[i] = NAN;
    for (int i = 0; i < 3 * SPEC_SECTIONS_MAX; i++)
        o.seen[i / 8][i % 8] = mem_new(seen_size(d, i / 8, i % 8), sizeof(float));
    run_grad(g, d, none, &o);
    run_grad(g, d, d->images, &o);
    grad_free(g);
    mem_free(none);
    return o;
}

/* --- comparing -------------------------------------------------------------------------------- */

/* What is said of a difference, and the largest so far in units of what is allowed. */
struct judge {
    const struct draw *draw;
    const struct kernels *kernels;
    const char *algorithm;
    uint32_t number;
    double tolerance, worst;
};

/* |got - want| <= tolerance |want| + a hundredth of it of what was added up, in L2. */
static void compare(struct judge *j, const char *what, const float *got, const double *want,
                    const double *sizes, size_t count)
{
    double error = 0, length = 0, added = 0;
    for (size_t i = 0; i < count; i++) {
        error += pow((double)got[i] - want[i], 2);
        length += want[i] * want[i];
        if (sizes != NULL) added += sizes[i] * sizes[i];
    }
    double allowed = j->tolerance * (sqrt(length) + 0.01 * sqrt(added)) + 1e-9;
    if (!(sqrt(error) <= allowed))
        fail_msg("net %u of seed %llu, %s, %s, %u threads, batch %d: %s is off by %g of %g",
                 j->number, (unsigned long long)seed, cpu_isa_name(j->kernels->isa), j->algorithm,
                 j->draw->lanes, j->draw->batch, what, sqrt(error), sqrt(length));
    j->worst = fmax(j->worst, sqrt(error) / allowed);
}

static void compare_all(struct judge *j, const struct outcome *o, const struct float64 *f)
{
    static const char *const names[] = {"logits", "features", "border"};
    const struct draw *d = j->draw;
    size_t n;
    const struct param *params = net_params(d->net, &n);
    for (int i = 0; i < 3 * net_sections(d->net); i++) {
        int what = i % 3, section = i / 3;
        compare(j, names[what], o->seen[what][section], f->values[seen_value(d, what, section)],
                NULL, seen_size(d, what, section));
    }
    for (size_t i = 0; i < n; i++) {
        size_t at = params[i].offset;
        if (params[i].trained)
            compare(j, params[i].name, o->dparams + at, f->dparams + at, f->sizes + at,
                    params[i].size);
        else
            compare(j, params[i].name, o->params + at, f->params + at, NULL, params[i].size);
    }
}

/* --- tests ------------------------------------------------------------------------------------ */

struct bench {
    struct pool *pools[LANES_MAX + 1];
};

static void pools_new(struct bench *b)
{
    b->pools[0] = b->pools[1] = NULL;
    for (unsigned l = 2; l <= LANES_MAX; l++) {
        b->pools[l] = pool_new(l);
        assert_non_null(b->pools[l]);
    }
}

static void pools_free(struct bench *b)
{
    for (unsigned l = 2; l <= LANES_MAX; l++) pool_free(b->pools[l]);
}

/* The next one that can be compared, with its passes in double. */
static struct draw next_draw(uint32_t number, double kink, float64_rounds *rounds, const void *arg,
                             struct float64 **ret)
{
    struct draw d;
    for (uint32_t attempt = 0;; attempt++) {
        if (!draw_new(&d, number, attempt)) continue;
        *ret = run_float64(&d, rounds, arg);
        if (is_tame(*ret, kink)) return d;
        float64_free(*ret);
        draw_free(&d);
    }
}

/* By the rule, then by each algorithm that rounds nothing. */
static void compare_algorithms(struct judge *j, struct pool *pool, const struct float64 *want)
{
    for (int a = -1; a < CONV_BF16; a++) {
        struct choices *choices = a < 0 ? NULL : choices_new(j->kernels);
        j->algorithm = a < 0 ? "by rule" : conv_algorithm_name((enum conv_algorithm)a);
        if (a >= 0) force(choices, j->draw, (enum conv_algorithm)a);
        struct outcome o = outcome_of(j->draw, j->kernels, choices, pool);
        compare_all(j, &o, want);
        outcome_free(&o);
        choices_free(choices);
        if (j->kernels->isa == CPU_REFERENCE) break; /* it has but one */
    }
}

static void test_fp32(void **state)
{
    struct bench bench;
    double worst = 0;
    (void)state;
    pools_new(&bench);
    for (int i = 0; i < n_nets; i++) {
        struct float64 *want;
        struct draw d = next_draw((uint32_t)i, 5e-5, NULL, NULL, &want);
        for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
            struct judge j = {.draw = &d,
                              .kernels = kernels_of((enum cpu_isa)isa),
                              .number = (uint32_t)i,
                              .tolerance = 1e-4,
                              .worst = worst};
            if (j.kernels == NULL) continue;
            compare_algorithms(&j, bench.pools[d.lanes], want);
            worst = j.worst;
        }
        float64_free(want);
        draw_free(&d);
    }
    print_message("# at most %.2g of 1e-4\n", worst);
    pools_free(&bench);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* In bfloat16 the factors of the products are rounded, those of one, and nothing else: no sum, no
 * norm, no gradient of either. Now and then the last bits of fp32 decide to which side a factor is
 * rounded, which moves a small net's gradient by up to a percent; where none does, only the last
 * bits differ, and that is so in most nets. */
static void test_bf16(void **state)
{
    struct bench bench;
    const struct kernels *k = kernels_of(CPU_AVX512BF16);
    double *worst = mem_new((size_t)n_nets, sizeof(*worst));
    (void)state;
    assert_non_null(worst);
    if (k == NULL) {
        mem_free(worst);
        skip();
    }
    pools_new(&bench);
    for (int i = 0; i < n_nets; i++) {
        struct float64 *want;
        struct draw d = next_draw((uint32_t)i, 2e-3, rounds_where_taken, k, &want);
        d.options.precision = PRECISION_BF16;
        struct judge j = {.draw = &d,
                          .kernels = k,
                          .number = (uint32_t)i,
                          .algorithm = "bf16",
                          .tolerance = 0.02};
        struct choices *choices = choices_new(k);
        force(choices, &d, CONV_BF16);
        struct outcome o = outcome_of(&d, k, choices, bench.pools[d.lanes]);
        compare_all(&j, &o, want);
        worst[i] = j.worst * j.tolerance;
        outcome_free(&o);
        choices_free(choices);
        float64_free(want);
        draw_free(&d);
    }
    qsort(worst, (size_t)n_nets, sizeof(*worst), compare_doubles);
    print_message("# off by %.2g at most, %.2g in the middle\n", worst[n_nets - 1],
                  worst[n_nets / 2]);
    assert_true(worst[n_nets / 2] < 3e-4);
    mem_free(worst);
    pools_free(&bench);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fp32), cmocka_unit_test(test_bf16)};
    if (argc > 1) n_nets = atoi(argv[1]) > 0 ? atoi(argv[1]) : 1;
    if (argc > 2) seed = strtoull(argv[2], NULL, 10);
    print_message("# seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests_name("grad, drawn", tests, NULL, NULL);
}
