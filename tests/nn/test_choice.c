/* Choices of algorithms: the rule, measured ones and their file, and plans that follow them. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nets.h"
#include "nn/choices.h"

static const struct conv_geometry few = {32, 32, 64, 64, 3, 3, 1, 1, 1};
static const struct conv_geometry many = {4, 4, 512, 512, 3, 3, 1, 1, 1};
static const struct conv_geometry waiting = {8, 8, 256, 256, 3, 3, 1, 1, 1};
static const struct conv_geometry strided = {8, 8, 64, 64, 3, 3, 2, 1, 1};
static const struct conv_geometry linear = {1, 1, 512, 100, 1, 1, 1, 0, 1};

static void test_index(void **state)
{
    (void)state;
    for (int i = 0; i < CHOICE_SIZES; i++) {
        assert_int_equal(choice_index(choice_images(i)), i);
        if (i > 0) assert_int_equal(choice_index(choice_images(i - 1) + 1), i);
    }
    assert_int_equal(choice_index(1), 0);
    assert_int_equal(choice_index(100000), CHOICE_SIZES - 1);
}

static void test_rule(void **state)
{
    (void)state;
    const struct kernels *reference = kernels_of(CPU_REFERENCE), *k = kernels_of(CPU_AVX2);
    assert_int_equal(choice_by_rule(reference, &few, PRECISION_FP32).of[3], CONV_DIRECT);
    if (k == NULL) skip();
    struct choice c = choice_by_rule(k, &few, PRECISION_FP32);
    assert_int_equal(c.of[0], CONV_WINOGRAD);
    assert_int_equal(c.of[CHOICE_SIZES - 1], CONV_WINOGRAD);
    c = choice_by_rule(k, &many, PRECISION_FP32);
    assert_int_equal(c.of[0], CONV_DIRECT);
    assert_int_equal(c.of[CHOICE_SIZES - 1], CONV_WINOGRAD_LEAN);
    /* One image of few tiles and many weights; an image that is mostly border; few weights. */
    c = choice_by_rule(k, &waiting, PRECISION_FP32);
    assert_int_equal(c.of[0], CONV_WINOGRAD_SMALL);
    assert_int_equal(c.of[1], CONV_WINOGRAD);
    c = choice_by_rule(k, &(struct conv_geometry){4, 4, 256, 256, 3, 3, 1, 1, 1}, PRECISION_FP32);
    assert_int_equal(c.of[0], CONV_WINOGRAD);
    c = choice_by_rule(k, &(struct conv_geometry){8, 8, 64, 64, 3, 3, 1, 1, 1}, PRECISION_FP32);
    assert_int_equal(c.of[0], CONV_WINOGRAD);
    c = choice_by_rule(k, &strided, PRECISION_FP32);
    assert_int_equal(c.of[2], CONV_DIRECT);
    assert_false(choice_permits(k, CHOICE_PLAN, &many, PRECISION_FP32, CONV_WINOGRAD));
    assert_false(choice_permits(k, CHOICE_PLAN, &strided, PRECISION_FP32, CONV_WINOGRAD_LEAN));
    assert_true(choice_permits(k, CHOICE_PLAN, &strided, PRECISION_FP32, CONV_DIRECT));
}

/* bfloat16 only where it is asked for and there, and never for what goes into the net or comes out.
 */
static void test_rule_bf16(void **state)
{
    (void)state;
    const struct conv_geometry stem = {32, 32, 3, 64, 3, 3, 1, 1, 1};
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k == NULL) continue;
        bool has = k->isa == CPU_AVX512BF16;
        assert_int_equal(choice_by_rule(k, &strided, PRECISION_BF16).of[0] == CONV_BF16, has);
        assert_int_equal(choice_permits(k, CHOICE_PLAN, &strided, PRECISION_BF16, CONV_BF16), has);
        assert_false(choice_permits(k, CHOICE_PLAN, &strided, PRECISION_FP32, CONV_BF16));
        assert_false(choice_permits(k, CHOICE_PLAN, &stem, PRECISION_BF16, CONV_BF16));
        assert_false(choice_permits(k, CHOICE_PLAN, &linear, PRECISION_BF16, CONV_BF16));
        if (has) {
            struct choice c = choice_by_rule(k, &waiting, PRECISION_BF16);
            assert_int_equal(c.of[0], CONV_BF16);
            assert_int_equal(c.of[1], CONV_BF16);
            assert_int_equal(c.of[2], CONV_WINOGRAD);
        }
        assert_int_equal(choice_by_rule(k, &stem, PRECISION_BF16).of[0], CONV_DIRECT);
        assert_int_equal(choice_by_rule(k, &linear, PRECISION_BF16).of[0], CONV_DIRECT);
    }
}

static struct choices *new_choices(void)
{
    struct choices *c = choices_new(kernels_best());
    assert_non_null(c);
    return c;
}

static void test_find(void **state)
{
    (void)state;
    struct choices *c = new_choices();
    struct conv_geometry g = few;
    enum conv_algorithm a = CONV_ALGORITHMS;
    assert_false(choices_find(c, CHOICE_PLAN, &few, PRECISION_FP32, 0, &a));
    assert_int_equal(a, CONV_ALGORITHMS);
    for (int i = 0; i < 300; i++) {
        g.out_channels = 1 + i;
        assert_int_equal(
            choices_put(c, CHOICE_PLAN, &g, PRECISION_FP32, i % CHOICE_SIZES, CONV_DIRECT), 0);
    }
    assert_int_equal(choices_count(c), 300);
    g.out_channels = 8; /* i was 7 */
    assert_true(choices_find(c, CHOICE_PLAN, &g, PRECISION_FP32, 0, &a));
    assert_int_equal(a, CONV_DIRECT);
    assert_false(choices_find(c, CHOICE_PLAN, &g, PRECISION_FP32, 1, &a));
    assert_false(choices_find(c, CHOICE_PLAN, &g, PRECISION_BF16, 0, &a));
    assert_int_equal(choices_put(c, CHOICE_PLAN, &g, PRECISION_FP32, 0, CONV_WINOGRAD), 0);
    assert_int_equal(choices_count(c), 300);
    assert_true(choices_find(c, CHOICE_PLAN, &g, PRECISION_FP32, 0, &a));
    assert_int_equal(a, CONV_WINOGRAD);
    choices_free(c);
    choices_free(NULL);
}

static char *written(const struct choices *c, size_t *size)
{
    struct buf text;
    buf_init(&text, 1 << 16);
    assert_int_equal(choices_write(c, &text), 0);
    *size = text.size;
    return buf_take(&text);
}

static void test_text(void **state)
{
    (void)state;
    struct choices *c = new_choices(), *again = new_choices();
    enum conv_algorithm a;
    size_t size, size_again;
    choices_put(c, CHOICE_PLAN, &few, PRECISION_FP32, 3, CONV_DIRECT);
    choices_put(c, CHOICE_PLAN, &many, PRECISION_FP32, 6, CONV_DIRECT);
    char *text = written(c, &size);
    assert_non_null(strstr(text, cpu_model()));
    assert_non_null(strstr(text, "\nplan fp32 8 32x32x64 64 3x3 1 1 1 direct\n"));
    assert_int_equal(choices_read(again, text, size, NULL), 0);
    assert_int_equal(choices_count(again), 2);
    assert_true(choices_find(again, CHOICE_PLAN, &few, PRECISION_FP32, 3, &a));
    char *text_again = written(again, &size_again);
    assert_string_equal(text, text_again);
    mem_free(text);
    mem_free(text_again);
    choices_free(c);
    choices_free(again);
}

/* Every line that is none is refused by its number; whole files of others are no error. */
static void test_bad_text(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "x",
        "",
        "fp64 8 32x32x64 64 3x3 1 1 1 direct",
        "back fp32 8 32x32x64 64 3x3 1 1 1 direct",
        "fp32 8 32x32x64 64 3x3 1 1 1 direct",
        "backward-data fp32 8 32x32x64 64 3x3 1 1 1 winograd-small",
        "plan fp32 9 32x32x64 64 3x3 1 1 1 direct",
        "plan fp32 0 32x32x64 64 3x3 1 1 1 direct",
        "plan fp32 8 0x32x64 64 3x3 1 1 1 direct",
        "plan fp32 8 32x32x64 64 3x3 1 1 1 quick",
        "plan fp32 8 32x32x64 64 3x3 1 1 1 direct and more",
        "plan fp32 8 32x32x64 64 3x3 2 1 1 winograd",
        "plan fp32 8 32x32x64 64 3x3 1 1 1 bf16",
        "plan fp32 8 32x32x64 -64 3x3 1 1 1 direct",
        "plan fp32 8 32x32x64 64 3x3 1 -1 1 direct",
        "plan fp32 8 32x32x64 64 3x3 0 1 1 direct",
        "plan fp32 8 1025x32x64 64 3x3 1 1 1 direct",
        "plan fp32 8 99999999999999999999x32x64 64 3x3 1 1 1 direct"};
    struct choices *c = new_choices();
    size_t size;
    char *head = written(c, &size), text[1024];
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct err e = {.code = 0};
        int n = snprintf(text, sizeof(text), "%splan fp32 1 32x32x64 64 3x3 1 1 1 direct\n%s\n",
                         head, lines[i]);
        if (choices_read(c, text, (size_t)n, &e) != ERR_FORMAT) fail_msg("accepted: %s", lines[i]);
        assert_non_null(strstr(e.text, "line 3"));
        assert_int_equal(choices_count(c), 1);
    }
    memset(text, 'a', sizeof(text)); /* a line longer than any */
    memcpy(text, head, size);
    assert_int_equal(choices_read(c, text, sizeof(text), NULL), ERR_FORMAT);
    memcpy(text + size, "plan fp32\0 8", 12);
    assert_int_equal(choices_read(c, text, size + 7, NULL), ERR_FORMAT);

    static const char other[] = "autodidact choices 2, another processor, avx2\nplan fp32 x\n";
    assert_int_equal(choices_read(c, other, sizeof(other) - 1, NULL), 0);
    assert_int_equal(choices_read(c, "", 0, NULL), 0);
    assert_int_equal(choices_count(c), 1);
    mem_free(head);
    choices_free(c);
}

/* What a training keeps: without the first line, and read by another table as far as it goes. */
static void test_lines(void **state)
{
    (void)state;
    static const char text[] = "forward fp32 8 32x32x64 64 3x3 1 1 1 direct\n"
                               "backward-weight fp32 8 32x32x64 64 3x3 1 1 1 winograd\n";
    static const char bad[] = "forward fp32 8 32x32x64 64 3x3 1 1 1 direct\nforward\n";
    struct err e;
    struct choices *c = new_choices(), *other = choices_new(kernels_of(CPU_REFERENCE));
    struct buf lines;
    enum conv_algorithm a;
    buf_init(&lines, 1 << 12);
    assert_int_equal(choices_read_lines(c, text, sizeof(text) - 1, &e), 0);
    bool has = conv_takes(kernels_best(), CONV_BACKWARD_WEIGHT, CONV_WINOGRAD, &few);
    assert_int_equal(choices_count(c), has ? 2 : 1);
    assert_true(choices_find(c, CHOICE_FORWARD, &few, PRECISION_FP32, 3, &a));
    assert_false(choices_find(c, CHOICE_PLAN, &few, PRECISION_FP32, 3, &a));
    assert_int_equal(choices_write_lines(c, &lines), 0);
    if (has) assert_string_equal(buf_text(&lines), text);
    assert_int_equal(choices_read_lines(other, text, sizeof(text) - 1, &e), 0);
    assert_int_equal(choices_count(other), 1);
    assert_int_equal(choices_read_lines(other, bad, sizeof(bad) - 1, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "line 2"));
    buf_release(&lines);
    choices_free(c);
    choices_free(other);
}

/* Each direction is measured once, and what has no choice is not. */
static void test_training(void **state)
{
    (void)state;
    const struct kernels *k = kernels_best();
    struct choices *c = new_choices();
    struct pool *pool = pool_new(2);
    const struct conv_geometry g = {8, 8, 32, 32, 3, 3, 1, 1, 1},
                               wide = {8, 8, 32, 32, 5, 5, 1, 2, 1};
    for (int d = 0; d < CONV_DIRECTIONS; d++) {
        struct choice_load load = {(enum conv_direction)d, &g, PRECISION_FP32, 3, 2};
        enum conv_algorithm a;
        int candidates = 0;
        for (int i = 0; i < CONV_ALGORITHMS; i++)
            candidates += choice_permits(k, choice_use_of(load.direction), &g, PRECISION_FP32,
                                         (enum conv_algorithm)i);
        int added = choices_measure_training(c, &load, d == 0 ? NULL : pool);
        assert_int_equal(added, candidates > 1);
        assert_int_equal(
            choices_find(c, choice_use_of(load.direction), &g, PRECISION_FP32, choice_index(3), &a),
            candidates > 1);
        assert_int_equal(choices_measure_training(c, &load, pool), 0);
        enum conv_algorithm rule = choice_training(k, load.direction, &g, PRECISION_FP32);
        assert_true(choice_permits(k, choice_use_of(load.direction), &g, PRECISION_FP32, rule));
    }
    struct choice_load load = {CONV_BACKWARD_WEIGHT, &wide, PRECISION_FP32, 3, 2};
    int candidates = 0;
    for (int i = 0; i < CONV_ALGORITHMS; i++)
        candidates += choice_permits(k, CHOICE_BACKWARD_WEIGHT, &wide, PRECISION_FP32,
                                     (enum conv_algorithm)i);
    assert_int_equal(choices_measure_training(c, &load, pool), candidates > 1);
    for (unsigned n = 1;; n++) {
        struct choices *none = new_choices();
        load.g = &g;
        mem_fail_at(n);
        int rc = choices_measure_training(none, &load, NULL);
        mem_fail_at(0);
        choices_free(none);
        if (rc >= 0) break;
        assert_int_equal(rc, -ENOMEM);
    }
    pool_free(pool);
    choices_free(c);
}

static void test_file(void **state)
{
    (void)state;
    char directory[] = "/tmp/choices-XXXXXX", path[64];
    struct err e;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof(path), "%s/cache/choices", directory);
    struct choices *c = new_choices();
    assert_int_equal(choices_load(c, path, &e), 0); /* none yet */
    choices_put(c, CHOICE_PLAN, &few, PRECISION_FP32, 3, CONV_DIRECT);
    assert_int_equal(choices_save(c, path, &e), 0);
    choices_free(c);
    c = new_choices();
    assert_int_equal(choices_load(c, path, &e), 0);
    assert_int_equal(choices_count(c), 1);
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs("damaged\n", f);
    fclose(f);
    assert_int_equal(choices_load(c, path, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, path));
    snprintf(path, sizeof(path), "%s/cache/choices/below-a-file", directory);
    assert_true(choices_save(c, path, &e) < 0);
    choices_free(c);
    assert_int_equal(file_remove_tree(directory, &e), 0);
}

/* --- plans ------------------------------------------------------------------------------------ */

struct fixture {
    struct net *net;
    float *params, *images;
};

enum { IMAGES = 9, CLASSES = 11, LOGITS = 4 * IMAGES * CLASSES };

static struct fixture fixture_new(void)
{
    struct err e;
    struct rng rng;
    struct spec spec = spec_resnet18();
    assert_int_equal(spec_scale(&spec, 18, CLASSES, &e), 0);
    struct fixture f = {.net = net_new(&spec, &e)};
    assert_non_null(f.net);
    size_t pixels = IMAGES * shape_size(net_input(f.net));
    f.params = mem_new(net_block_size(f.net), sizeof(float));
    f.images = mem_new(pixels, sizeof(float));
    assert_true(f.params != NULL && f.images != NULL);
    net_init_params(f.net, 7, f.params);
    rng_init(&rng, 7, RNG_TEST, 1, 0);
    for (size_t i = 0; i < pixels; i++) f.images[i] = (float)rng_normal(&rng);
    return f;
}

static void fixture_free(struct fixture *f)
{
    net_free(f->net);
    mem_free(f->params);
    mem_free(f->images);
}

/* logits [exit][image][class]; returns the largest. */
static double run(const struct fixture *f, const struct kernels *k,
                  const struct plan_options *options, float *logits, struct buf *text)
{
    struct err e;
    struct plan *plan = plan_new_with(f->net, f->params, k, options, &e);
    assert_non_null(plan);
    struct exec *exec = exec_new(plan, IMAGES, &e);
    assert_non_null(exec);
    memcpy(exec_input(exec, 0), f->images, IMAGES * shape_size(net_input(f->net)) * sizeof(float));
    for (int s = 0; s < 4; s++) {
        exec_section(exec, s, IMAGES, s > 0);
        exec_head(exec, s, 0, IMAGES, logits + (size_t)s * IMAGES * CLASSES);
    }
    if (text != NULL) assert_int_equal(plan_describe(plan, text), 0);
    exec_free(exec);
    plan_free(plan);
    double most = 0;
    for (int i = 0; i < LOGITS; i++)
        if (most < logits[i] || most < -logits[i]) most = logits[i] > 0 ? logits[i] : -logits[i];
    return most;
}

/* Whatever the algorithms, the logits are the reference's, but for rounding. */
static void test_plans_agree(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    static float want[LOGITS], got[LOGITS];
    double most = run(&f, kernels_of(CPU_REFERENCE), &(struct plan_options){0}, want, NULL);
    for (int isa = CPU_REFERENCE + 1; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *k = kernels_of((enum cpu_isa)isa);
        if (k == NULL) continue;
        for (int a = -2; a < CONV_ALGORITHMS; a++) { /* -2: by rule in bf16, -1: by rule */
            struct plan_options options = {.precision = a == -2 ? PRECISION_BF16 : PRECISION_FP32,
                                           .forced = a >= 0,
                                           .algorithm =
                                               a >= 0 ? (enum conv_algorithm)a : CONV_DIRECT};
            bool rounds = k->conv[CONV_BF16].forward.takes != NULL && (a == -2 || a == CONV_BF16);
            double error = 0, bound = rounds ? 3e-2 : 1e-5;
            run(&f, k, &options, got, NULL);
            for (int i = 0; i < LOGITS; i++) {
                double d = (double)got[i] - (double)want[i];
                error = d > error ? d : -d > error ? -d : error;
            }
            if (!(error <= bound * most))
                fail_msg("%s, algorithm %d: off by %g of %g", cpu_isa_name(k->isa), a, error, most);
            if (rounds) assert_true(error > 1e-5 * most); /* it is what it says */
        }
    }
    fixture_free(&f);
}

static void test_measured(void **state)
{
    (void)state;
    struct fixture f = fixture_new();
    struct choices *c = new_choices();
    struct err e;
    struct plan *plan = plan_new(f.net, f.params, kernels_best(), &e);
    assert_non_null(plan);
    assert_int_equal(choices_measure(c, plan, PRECISION_FP32, 4, 0), 0); /* no time for any */
    int added = choices_measure(c, plan, PRECISION_FP32, 4, 60);
    bool chooses = kernels_best()->isa != CPU_REFERENCE;
    assert_int_equal(added > 0, chooses);
    assert_int_equal(choices_count(c), (size_t)added);
    assert_int_equal(choices_measure(c, plan, PRECISION_FP32, 4, 60), 0);
    if (chooses) {
        assert_true(choices_measure(c, plan, PRECISION_FP32, 8, 60) > 0);
        unsigned n = 0; /* out of memory, everywhere */
        for (int rc = -12; rc < 0;) {
            struct choices *other = new_choices();
            mem_fail_at(++n);
            rc = choices_measure(other, plan, PRECISION_FP32, 1, 60);
            if (mem_fail_left() > 0)
                mem_fail_at(0);
            else
                assert_int_equal(rc, -12);
            choices_free(other);
        }
        assert_true(n > 8);
    }
    plan_free(plan);
    choices_free(c);
    fixture_free(&f);
}

/* A plan follows what was measured, for that many images and no others. */
static void test_plan_follows(void **state)
{
    (void)state;
    const struct conv_geometry g = {32, 32, 18, 18, 3, 3, 1, 1, 1};
    const struct kernels *k = kernels_best();
    if (!conv_takes(k, CONV_FORWARD, CONV_WINOGRAD_LEAN, &g) ||
        !conv_takes(k, CONV_FORWARD, CONV_WINOGRAD, &g))
        skip();
    struct fixture f = fixture_new();
    struct choices *c = new_choices();
    static float logits[LOGITS], before[LOGITS];
    struct buf text;
    choices_put(c, CHOICE_PLAN, &g, PRECISION_FP32, 2, CONV_WINOGRAD);
    run(&f, k, &(struct plan_options){.choices = c}, before, NULL);
    choices_put(c, CHOICE_PLAN, &g, PRECISION_FP32, 0, CONV_WINOGRAD_LEAN);
    choices_put(c, CHOICE_PLAN, &g, PRECISION_FP32, 1, CONV_DIRECT);
    buf_init(&text, 1 << 16);
    run(&f, k, &(struct plan_options){.choices = c}, logits, &text);
    assert_non_null(strstr(buf_text(&text), "conv 3x3/1 32x32x18 -> 32x32x18, norm folded, relu; "
                                            "winograd-lean to 1, direct to 2, winograd\n"));
    buf_release(&text);
    /* The section takes three of nine images at a time: what was put last is not for them. */
    assert_memory_equal(logits, before, sizeof(logits));
    choices_put(c, CHOICE_PLAN, &g, PRECISION_FP32, 2, CONV_DIRECT);
    run(&f, k, &(struct plan_options){.choices = c}, logits, NULL);
    assert_memory_not_equal(logits, before, sizeof(logits));
    choices_free(c);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),     cmocka_unit_test(test_training),
        cmocka_unit_test(test_index),     cmocka_unit_test(test_rule),
        cmocka_unit_test(test_rule_bf16), cmocka_unit_test(test_find),
        cmocka_unit_test(test_text),      cmocka_unit_test(test_bad_text),
        cmocka_unit_test(test_file),      cmocka_unit_test(test_plans_agree),
        cmocka_unit_test(test_measured),  cmocka_unit_test(test_plan_follows),
    };
    return cmocka_run_group_tests_name("choice", tests, NULL, NULL);
}
