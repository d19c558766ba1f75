/* Plans: against PyTorch's evaluation mode for every instruction set, the same bits whatever the
 * batch, and running out of memory. */
#include "config.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "nets.h"
#include "nn/plan.h"
#include "vectors.h"

static struct plan *new_plan(const struct net *net, const float *params,
                             const struct kernels *kernels)
{
    struct err e;
    struct plan *plan = plan_new(net, params, kernels, &e);
    if (plan == NULL) fail_msg("%s", e.text);
    return plan;
}

static struct exec *new_exec(const struct plan *plan, int batch_max)
{
    struct err e;
    struct exec *exec = exec_new(plan, batch_max, &e);
    if (exec == NULL) fail_msg("%s", e.text);
    return exec;
}

/* Runs the whole net on n images; logits [exits][n][classes]. Gathers each section's input anew
 * where that is asked for, as a scheduler does. */
static void run_net(struct exec *exec, const struct net *net, const float *images, int n,
                    bool gather, float *logits)
{
    size_t images_n = (size_t)n, classes = (size_t)net_classes(net);
    memcpy(exec_input(exec, 0), images, images_n * shape_size(net_input(net)) * sizeof(float));
    for (int s = 0; s < net_sections(net); s++) {
        const float *out = exec_section(exec, s, n, s > 0 && !gather);
        if (gather && s + 1 < net_sections(net))
            memcpy(exec_input(exec, s + 1), out,
                   images_n * shape_size(net_section_output(net, s)) * sizeof(float));
        exec_head(exec, s, 0, n, logits + (size_t)s * images_n * classes);
    }
}

static void check_vectors(const char *file)
{
    struct vectors *v = vectors_load(file);
    size_t n = (size_t)v->batch * (size_t)net_classes(v->net);
    float *logits = mem_new(n * (size_t)net_sections(v->net), sizeof(float));
    assert_non_null(logits);
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *kernels = kernels_of((enum cpu_isa)isa);
        if (kernels == NULL) continue;
        struct plan *plan = new_plan(v->net, v->params, kernels);
        assert_ptr_equal(plan_net(plan), v->net);
        for (int gather = 0; gather < 2; gather++) {
            struct exec *exec = new_exec(plan, v->batch + gather);
            run_net(exec, v->net, v->images, v->batch, gather == 1, logits);
            for (int i = 0; i < net_sections(v->net); i++)
                vectors_compare(vectors_find(v, "eval.logits.%d", i + 1), logits + (size_t)i * n, n,
                                1e-5);
            exec_free(exec);
        }
        plan_free(plan);
    }
    mem_free(logits);
    vectors_free(v);
}

static void test_vectors_even(void **state)
{
    (void)state;
    check_vectors("resnet18_even.bin");
}

static void test_vectors_odd(void **state)
{
    (void)state;
    check_vectors("resnet18_odd.bin");
}

struct big {
    struct net *net;
    float *params, *images;
};

/* A net of the real depth and image size with random values. */
static struct big make_big(int width, int images)
{
    struct err e;
    struct rng rng;
    struct spec spec = spec_resnet18();
    assert_int_equal(spec_scale(&spec, width, 11, &e), 0);
    struct big b = {.net = net_new(&spec, &e)};
    assert_non_null(b.net);
    size_t pixels = (size_t)images * shape_size(net_input(b.net));
    b.params = mem_new(net_block_size(b.net), sizeof(float));
    b.images = mem_new(pixels, sizeof(float));
    assert_true(b.params != NULL && b.images != NULL);
    net_init_params(b.net, 7, b.params);
    rng_init(&rng, 7, RNG_TEST, 1, 0);
    for (size_t i = 0; i < pixels; i++) b.images[i] = (float)rng_normal(&rng);
    return b;
}

static void big_free(struct big *b)
{
    net_free(b->net);
    mem_free(b->params);
    mem_free(b->images);
}

/* One batch against other batches of the same images, in parts and through other execs: bit by bit.
 */
static void check_batches(const struct kernels *kernels, int width, int images)
{
    struct big b = make_big(width, images);
    struct plan *plan = new_plan(b.net, b.params, kernels);
    size_t classes = (size_t)net_classes(b.net), exits = (size_t)net_sections(b.net);
    size_t pixels = shape_size(net_input(b.net));
    float *whole = mem_new(exits * (size_t)images * classes, sizeof(float));
    float *part = mem_new(exits * (size_t)images * classes, sizeof(float));
    assert_true(whole != NULL && part != NULL);
    struct exec *exec = new_exec(plan, images);
    run_net(exec, b.net, b.images, images, false, whole);

    for (int n = 1; n < images; n = n * 2 + 1) {
        struct exec *small = new_exec(plan, n);
        struct exec *both[] = {small, exec};
        for (int i = 0; i < 2; i++) {
            for (int first = 0; first + n <= images; first += n) {
                run_net(both[i], b.net, b.images + (size_t)first * pixels, n, i == 1, part);
                for (size_t s = 0; s < exits; s++)
                    assert_memory_equal(part + s * (size_t)n * classes,
                                        whole + (s * (size_t)images + (size_t)first) * classes,
                                        (size_t)n * classes * sizeof(float));
            }
        }
        exec_free(small);
    }
    mem_free(whole);
    mem_free(part);
    exec_free(exec);
    plan_free(plan);
    big_free(&b);
}

static void test_batches(void **state)
{
    (void)state;
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *kernels = kernels_of((enum cpu_isa)isa);
        if (kernels != NULL) {
            bool slow = isa == CPU_REFERENCE;
            check_batches(kernels, slow ? 2 : 16, slow ? 5 : 40);
            if (!slow) check_batches(kernels, 5, 19);
        }
    }
}

/* Others help with an exec's work, as they come and go. */
struct helper {
    pthread_t thread;
    struct exec *exec, *own;
    const atomic_uint *calls;
    atomic_bool *over;
};

static void *help(void *arg)
{
    struct helper *h = arg;
    while (!atomic_load(h->over)) {
        unsigned seen = atomic_load(h->calls);
        if (exec_join(h->exec))
            exec_help(h->exec, h->own, h->calls, seen);
        else
            sched_yield();
    }
    return NULL;
}

/* The same bits with helpers as alone, when one algorithm is used for all sizes of blocks. */
static void check_help(const struct kernels *kernels, enum conv_algorithm algorithm, int helpers)
{
    enum { IMAGES = 19, HELPERS_MAX = 4 };
    static const int batches[] = {1, 2, 3, 9, IMAGES};
    struct big b = make_big(40, IMAGES);
    struct err e;
    struct plan_options options = {.forced = true, .algorithm = algorithm};
    struct plan *plan = plan_new_with(b.net, b.params, kernels, &options, &e);
    assert_non_null(plan);
    size_t n = (size_t)net_classes(b.net) * (size_t)net_sections(b.net);
    float *want = mem_new(IMAGES * n, sizeof(float)), *got = mem_new(IMAGES * n, sizeof(float));
    assert_true(want != NULL && got != NULL);
    struct exec *alone = new_exec(plan, IMAGES), *exec = new_exec(plan, IMAGES);
    struct helper helper[HELPERS_MAX];
    static atomic_uint calls;
    static atomic_bool over;
    atomic_store(&over, false);
    for (int i = 0; i < helpers; i++) {
        helper[i] = (struct helper){.exec = exec, .calls = &calls, .over = &over};
        helper[i].own = new_exec(plan, IMAGES);
        assert_int_equal(pthread_create(&helper[i].thread, NULL, help, &helper[i]), 0);
    }
    for (size_t k = 0; k < sizeof(batches) / sizeof(batches[0]); k++) {
        run_net(alone, b.net, b.images, batches[k], false, want);
        for (int round = 0; round < 3; round++) {
            memset(got, 0, IMAGES * n * sizeof(float));
            exec_invite(exec);
            run_net(exec, b.net, b.images, batches[k], round == 1, got);
            if (round == 2) atomic_fetch_add(&calls, 1);
            exec_dismiss(exec);
            assert_memory_equal(got, want, (size_t)batches[k] * n * sizeof(float));
        }
    }
    atomic_store(&over, true);
    for (int i = 0; i < helpers; i++) {
        pthread_join(helper[i].thread, NULL);
        exec_free(helper[i].own);
    }
    exec_free(exec);
    exec_free(alone);
    mem_free(want);
    mem_free(got);
    plan_free(plan);
    big_free(&b);
}

static void test_help(void **state)
{
    (void)state;
    const struct kernels *kernels = kernels_best();
    struct conv_geometry g = {8, 8, 40, 40, 3, 3, 1, 1, 1};
    for (int a = 0; a < CONV_ALGORITHMS; a++) {
        if (!conv_takes(kernels, CONV_FORWARD, (enum conv_algorithm)a, &g)) continue;
        for (int helpers = 1; helpers <= 4; helpers += 3)
            check_help(kernels, (enum conv_algorithm)a, helpers);
    }
}

/* A head on some of the images, after the scheduler has gathered something else. */
static void test_head_of_some(void **state)
{
    (void)state;
    enum { IMAGES = 7, CLASSES = 11 };
    struct big b = make_big(3, IMAGES);
    struct plan *plan = new_plan(b.net, b.params, kernels_best());
    struct exec *exec = new_exec(plan, IMAGES);
    float whole[4 * IMAGES * CLASSES], some[3 * CLASSES];
    run_net(exec, b.net, b.images, IMAGES, false, whole);

    memcpy(exec_input(exec, 0), b.images, IMAGES * shape_size(net_input(b.net)) * sizeof(float));
    const float *out = exec_section(exec, 0, IMAGES, false);
    float first = out[0];
    float *next = exec_input(exec, 1);
    for (size_t i = 0; i < IMAGES * shape_size(net_section_input(b.net, 1)); i++) next[i] = -1.0f;
    assert_true(out[0] == first);
    exec_head(exec, 0, 2, 3, some);
    assert_memory_equal(some, whole + 2 * CLASSES, sizeof(some));
    assert_true(out[0] == first); /* the next section can still start from it */
    exec_section(exec, 1, IMAGES, true);
    exec_head(exec, 1, 4, 3, some);
    assert_memory_equal(some, whole + (IMAGES + 4) * CLASSES, sizeof(some));
    exec_free(exec);
    plan_free(plan);
    big_free(&b);
}

static void test_describe(void **state)
{
    (void)state;
    struct big b = make_big(8, 1);
    struct plan *plan = new_plan(b.net, b.params, kernels_best());
    struct buf text;
    buf_init(&text, 1 << 16);
    assert_int_equal(plan_describe(plan, &text), 0);
    assert_non_null(strstr(buf_text(&text), cpu_isa_name(kernels_best()->isa)));
    assert_non_null(strstr(buf_text(&text), "section 4"));
    assert_non_null(
        strstr(buf_text(&text), "conv 1x1/2 32x32x8 -> 16x16x16, norm folded; direct\n"));
    assert_non_null(strstr(buf_text(&text), "norm folded, residual added, relu"));
    assert_non_null(strstr(buf_text(&text), "linear 64 -> 11"));
    buf_release(&text);
    buf_init(&text, 100);
    assert_int_equal(plan_describe(plan, &text), ERR_LIMIT);
    buf_release(&text);
    plan_free(plan);
    big_free(&b);
}

/* What becomes of the norms of the other blocks, and of their heads. */
static void check_described(enum spec_block block, enum spec_head head, const char *const *lines)
{
    struct err e;
    struct spec spec = spec_tiny(block, head);
    struct net *net = net_new(&spec, &e);
    assert_non_null(net);
    float *params = mem_new(net_block_size(net), sizeof(float));
    assert_non_null(params);
    struct plan *plan = new_plan(net, params, kernels_best());
    struct buf text;
    buf_init(&text, 1 << 16);
    assert_int_equal(plan_describe(plan, &text), 0);
    const char *at = buf_text(&text);
    for (; *lines != NULL; lines++) {
        const char *found = strstr(at, *lines);
        if (found == NULL)
            fail_msg("after what was found before, no \"%s\" in\n%s", *lines, buf_text(&text));
        at = found + strlen(*lines);
    }
    buf_release(&text);
    plan_free(plan);
    mem_free(params);
    net_free(net);
}

static void test_describe_others(void **state)
{
    (void)state;
    static const char *const preact[] = {
        "section 1",
        "  conv 3x3/1 6x6x2 -> 6x6x4; direct\n  norm 6x6x4, relu\n",
        "  conv 3x3/1 6x6x4 -> 6x6x4, norm folded, relu; direct\n",
        "  conv 3x3/1 6x6x4 -> 6x6x4, residual added; direct\nexit 1",
        "  norm 6x6x4, relu\n  conv 1x1/1 6x6x4 -> 6x6x3, norm folded, relu; direct\n",
        "section 2",
        "  conv 3x3/1 3x3x6 -> 3x3x6, residual added; direct\n  norm 3x3x6, relu\nexit 2",
        NULL};
    /* The stem's norm goes into the stem; the blocks' first ones go into what follows them. */
    static const char *const pyramid[] = {
        "  conv 3x3/1 6x6x2 -> 6x6x4, norm folded; direct\n  conv 1x1/1 6x6x4 -> 6x6x4, norm "
        "before it "
        "folded, norm folded, relu; direct\n",
        "  shortcut 6x6x4 -> 6x6x16\n",
        "  conv 1x1/1 6x6x4 -> 6x6x16, norm folded, residual added; direct\nexit 1",
        "section 2",
        "  shortcut 6x6x16 -> 3x3x24\n",
        NULL};
    static const char *const attention[] = {
        "exit 1",
        "  conv 3x3/2 6x6x16 -> 3x3x16, norm folded, relu; direct\n"
        "  conv 4x4/2 transposed 3x3x16 -> 6x6x16, norm folded\n"
        "  sigmoid gate 6x6x16\n",
        NULL};
    static const char *const separable[] = {
        "exit 1",
        "  conv 3x3/2 6x6x4 -> 3x3x4, 4 groups; direct\n"
        "  conv 1x1/1 3x3x4 -> 3x3x4, norm folded, relu; direct\n",
        "  norm 3x3x4, relu\n  upsample 3x3x4 -> 6x6x4\n  sigmoid gate 6x6x4\n", NULL};
    check_described(SPEC_BLOCK_PREACT, SPEC_HEAD_SCALA, preact);
    check_described(SPEC_BLOCK_PYRAMID, SPEC_HEAD_SCALA, pyramid);
    check_described(SPEC_BLOCK_BOTTLENECK, SPEC_HEAD_SCALA_ATTENTION, attention);
    check_described(SPEC_BLOCK_BASIC, SPEC_HEAD_SEPCONV_ATTENTION, separable);
}

static void check_out_of_memory(const struct net *net, const float *params)
{
    struct err e;
    struct plan *plan = NULL;
    struct exec *exec = NULL;
    unsigned n = 0;
    while (plan == NULL) {
        assert_true(n < 50);
        mem_fail_at(++n);
        e.code = 0;
        plan = plan_new(net, params, kernels_best(), &e);
        assert_true(plan != NULL || e.code == -12);
    }
    assert_true(n > 5);
    for (n = 0; exec == NULL;) {
        assert_true(n < 10);
        mem_fail_at(++n);
        e.code = 0;
        exec = exec_new(plan, 3, &e);
        assert_true(exec != NULL || e.code == -12);
    }
    mem_fail_at(0);
    assert_true(n > 2);
    assert_null(exec_new(plan, 0, &e));
    assert_int_equal(e.code, ERR_RANGE);
    assert_true(plan_activation_bytes(plan, 3) > plan_activation_bytes(plan, 1));
    assert_true(plan_weight_bytes(plan) > 0);
    exec_free(exec);
    plan_free(plan);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct big b = make_big(2, 1);
    check_out_of_memory(b.net, b.params);
    big_free(&b);
    for (int block = 0; block <= SPEC_BLOCK_VGG; block++) {
        for (int head = 0; head <= SPEC_HEAD_SEPCONV_ATTENTION; head++) {
            struct err e;
            struct spec spec = spec_tiny((enum spec_block)block, (enum spec_head)head);
            struct net *net = net_new(&spec, &e);
            assert_non_null(net);
            float *params = mem_new(net_block_size(net), sizeof(float));
            assert_non_null(params);
            check_out_of_memory(net, params);
            mem_free(params);
            net_free(net);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors_even),    cmocka_unit_test(test_vectors_odd),
        cmocka_unit_test(test_batches),         cmocka_unit_test(test_help),
        cmocka_unit_test(test_head_of_some),    cmocka_unit_test(test_describe),
        cmocka_unit_test(test_describe_others), cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
