/* The methods with a teacher or a peer as a whole: the loss and the gradient of every parameter,
 * the regressor's and the peer's included, against PyTorch in float64 for every instruction set and
 * several threads; and the whole loss by central differences. The trainer puts the same parts
 * together: test_trainer.c compares it with them. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/train/guide.h"
#include "../../src/train/learner.h"
#include "../nn/vectors.h"
#include "base/mem.h"
#include "base/rng.h"

static const double TOLERANCE = 1e-4;

/* As in make_vectors.py. */
enum { HEIGHT = 15, WIDTH = 19, CLASSES = 7, BATCH = 5, STAGES = 4 };
static const struct {
    const char *name;
    int channels[STAGES], strides[STAGES];
} nets[] = {
    {"student", {3, 4, 5, 6}, {1, 2, 2, 2}},
    {"teacher", {4, 4, 6, 8}, {2, 2, 1, 1}},
    {"peer", {2, 3, 4, 5}, {1, 2, 2, 2}},
};
static const struct {
    const char *name;
    struct recipe constants;
} methods[] = {
    {"kd", {.temperature = 4, .alpha = 0.9, .kd_scale = true}},
    {"fitnet", {.temperature = 4, .alpha = 0.9, .lambda = 10, .kd_scale = true}},
    {"at", {.temperature = 3, .alpha = 0.25, .beta = 1000, .kd_scale = true}},
    {"dml", {.temperature = 2, .alpha = 0.5, .kd_scale = true}},
};

struct scene {
    struct vectors *v;
    struct net *nets[3];
    float *params[3]; /* the nets' blocks, as the vectors have them */
    float *images;    /* NHWC */
    int32_t labels[BATCH];
    struct recipe recipe;
    struct pool *pool;
    const struct kernels *kernels;
    struct learner student, peer; /* peer.net NULL: none */
    struct plan *plan;
    struct guide *guide; /* NULL: none */
};

/* --- the nets and numbers of the vectors ------------------------------------------------------ */

static struct net *make_net(int which)
{
    struct err e;
    struct spec s = {.classes = CLASSES,
                     .channels = 3,
                     .height = HEIGHT,
                     .width = WIDTH,
                     .n_stages = STAGES,
                     .n_sections = STAGES,
                     .cuts = {1, 2, 3, 4}};
    snprintf(s.name, sizeof(s.name), "%s", nets[which].name);
    s.stem.kernel = 3;
    s.stem.channels = nets[which].channels[0];
    s.stem.stride = s.stem.pad = 1;
    for (int i = 0; i < STAGES; i++) {
        s.stages[i] = (struct spec_stage){.block = SPEC_BLOCK_BASIC,
                                          .blocks = 1,
                                          .channels = nets[which].channels[i],
                                          .stride = nets[which].strides[i]};
    }
    s.heads.kind = SPEC_HEAD_SCALA;
    s.heads.mid_channels = 2;
    struct net *net = net_new(&s, &e);
    if (net == NULL) fail_msg("%s: %s", nets[which].name, e.text);
    return net;
}

static bool runs(const struct param *p)
{
    return p->exit < 0 || p->exit == STAGES - 1;
}

/* Those of the shallow heads, which nobody runs, are of no matter. */
static float *make_params(const struct vectors *v, const struct net *net, const char *name)
{
    size_t n;
    const struct param *list = net_params(net, &n);
    float *params = mem_new(net_block_size(net), sizeof(*params));
    assert_non_null(params);
    net_init_params(net, 1, params);
    for (size_t i = 0; i < n; i++) {
        if (!runs(&list[i])) continue;
        const struct record *r = vectors_find(v, "%s.%s", name, list[i].name);
        if (r == NULL || r->count != list[i].size) fail_msg("%s.%s", name, list[i].name);
        memcpy(params + list[i].offset, r->values, r->count * sizeof(*params));
    }
    return params;
}

static void read_scene(struct scene *s)
{
    *s = (struct scene){.v = vectors_read("train/vectors/teacher.bin")};
    for (int i = 0; i < 3; i++) {
        s->nets[i] = make_net(i);
        s->params[i] = make_params(s->v, s->nets[i], nets[i].name);
    }
    const struct record *images = vectors_find(s->v, "images");
    const size_t pixels = HEIGHT * WIDTH;
    assert_int_equal(images->count, BATCH * pixels * 3);
    s->images = mem_new(images->count, sizeof(*s->images));
    for (size_t i = 0; i < images->count; i++) {
        size_t pixel = i % pixels, channel = i / pixels % 3, image = i / pixels / 3;
        s->images[(image * pixels + pixel) * 3 + channel] = images->values[i];
    }
    for (int i = 0; i < BATCH; i++) s->labels[i] = (int32_t)vectors_find(s->v, "labels")->values[i];
}

static void free_scene(struct scene *s)
{
    for (int i = 0; i < 3; i++) {
        net_free(s->nets[i]);
        mem_free(s->params[i]);
    }
    mem_free(s->images);
    vectors_free(s->v);
}

/* --- a method at work ------------------------------------------------------------------------- */

static void open_learner(struct scene *s, struct learner *l, int which, unsigned borders)
{
    struct err e = {0};
    const struct grad_options how = {.borders = borders};
    if (learner_init(l, s->nets[which], &s->recipe, &how, 1, s->pool, s->kernels, &e) < 0)
        fail_msg("%s", e.text);
    memcpy(l->params, s->params[which], net_block_size(l->net) * sizeof(float));
    memcpy(grad_input(l->grad), s->images, (size_t)BATCH * HEIGHT * WIDTH * 3 * sizeof(float));
}

static void open_method(struct scene *s, int method, unsigned threads, const struct kernels *k)
{
    struct err e = {0};
    const struct recipe *constants = &methods[method].constants;
    recipe_default(&s->recipe, method_find(methods[method].name));
    s->recipe.temperature = constants->temperature;
    s->recipe.alpha = constants->alpha;
    s->recipe.lambda = constants->lambda;
    s->recipe.beta = constants->beta;
    s->recipe.kd_scale = constants->kd_scale;
    s->recipe.batch = BATCH;
    s->pool = threads > 1 ? pool_new(threads) : NULL;
    s->kernels = k;
    open_learner(s, &s->student, 0, guide_borders(s->recipe.method, s->nets[0]));
    if (s->recipe.method->source == METHOD_PEER) open_learner(s, &s->peer, 2, 0);
    if (s->recipe.method->source != METHOD_TEACHER) return;
    s->plan = plan_new(s->nets[1], s->params[1], k, &e);
    assert_non_null(s->plan);
    s->guide = guide_new(&s->recipe, s->nets[0], s->plan, s->pool, k, &e);
    if (s->guide == NULL) fail_msg("%s", e.text);
    size_t n;
    float *regressor = guide_regressor(s->guide, &n);
    const struct record *wanted = vectors_find(s->v, "regressor");
    if (regressor == NULL) return;
    assert_int_equal(n, wanted->count);
    memcpy(regressor, wanted->values, n * sizeof(*regressor));
}

static void close_method(struct scene *s)
{
    guide_free(s->guide);
    plan_free(s->plan);
    learner_release(&s->student);
    learner_release(&s->peer);
    pool_free(s->pool);
    s->guide = NULL;
    s->plan = NULL;
    s->pool = NULL;
}

/* Values of the student's loss, its part of maps, and the peer's loss. */
struct losses {
    double total, maps, peer;
};

static struct losses forward(struct scene *s)
{
    struct losses l = {0, 0, 0};
    const struct loss_targets targets = {.labels = s->labels, .share = 1};
    const float *source;
    grad_forward(s->student.grad, s->student.params, BATCH);
    if (s->guide != NULL) {
        l.maps = guide_pass(s->guide, s->student.grad);
        source = guide_logits(s->guide);
    } else {
        grad_forward(s->peer.grad, s->peer.params, BATCH);
        l.peer =
            learner_loss(&s->peer, &s->recipe, &targets, grad_logits(s->student.grad, STAGES - 1));
        source = grad_logits(s->peer.grad, STAGES - 1);
    }
    l.total = l.maps + learner_loss(&s->student, &s->recipe, &targets, source);
    return l;
}

static void check_value(const struct record *wanted, double value)
{
    assert_non_null(wanted);
    if (!(fabs(value - (double)wanted->values[0]) <= 2e-5 * fabs(value)))
        fail_msg("%s: %.9g, wanted %.9g", wanted->name, value, (double)wanted->values[0]);
}

static void check_gradients(const struct scene *s, struct learner *l, const char *name)
{
    size_t n;
    const struct param *list = net_params(l->net, &n);
    grad_backward(l->grad, l->params, l->dparams);
    for (size_t i = 0; i < n && list[i].trained; i++) {
        const struct param *p = &list[i];
        if (runs(p)) {
            vectors_compare(vectors_find(s->v, "%s.%s", name, p->name), l->dparams + p->offset,
                            p->size, TOLERANCE);
            continue;
        }
        for (size_t j = 0; j < p->size; j++) assert_true(l->dparams[p->offset + j] == 0.0f);
    }
}

static void check_vectors(struct scene *s, int method)
{
    char name[64];
    const struct losses l = forward(s);
    check_value(vectors_find(s->v, "%s.total", methods[method].name), l.total);
    snprintf(name, sizeof(name), "%s.grad", methods[method].name);
    check_gradients(s, &s->student, name);
    if (s->guide != NULL) {
        const struct record *maps = vectors_find(s->v, "%s.maps", methods[method].name);
        if (maps != NULL)
            check_value(maps, l.maps);
        else
            assert_true(l.maps == 0.0);
        vectors_compare(vectors_find(s->v, "teacher.logits"), guide_logits(s->guide),
                        BATCH * CLASSES, TOLERANCE);
        size_t n;
        if (guide_regressor(s->guide, &n) != NULL) {
            vectors_compare(vectors_find(s->v, "fitnet.dregressor"), guide_dregressor(s->guide), n,
                            TOLERANCE);
        }
        return;
    }
    check_value(vectors_find(s->v, "%s.peer.total", methods[method].name), l.peer);
    snprintf(name, sizeof(name), "%s.peer.grad", methods[method].name);
    check_gradients(s, &s->peer, name);
}

static void check_method(int method)
{
    struct scene s;
    read_scene(&s);
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *kernels = kernels_of((enum cpu_isa)isa);
        for (unsigned threads = 1; kernels != NULL && threads <= 3; threads++) {
            open_method(&s, method, threads, kernels);
            check_vectors(&s, method);
            check_vectors(&s, method); /* a second pass leaves nothing of the first */
            close_method(&s);
        }
    }
    free_scene(&s);
}

static void test_kd(void **state)
{
    (void)state;
    check_method(0);
}

static void test_fitnet(void **state)
{
    (void)state;
    check_method(1);
}

static void test_at(void **state)
{
    (void)state;
    check_method(2);
}

static void test_dml(void **state)
{
    (void)state;
    check_method(3);
}

/* --- central differences ---------------------------------------------------------------------- */

/* The student's loss as a function of a number of its or the regressor's. Running statistics move,
 * but nothing here reads them. */
static double slope(struct scene *s, float *at, float h, double *ret_bend)
{
    float old = *at;
    double here = forward(s).total, middle = (double)old;
    *at = old + h;
    double up = forward(s).total, high = (double)*at;
    *at = old - h;
    double down = forward(s).total, low = (double)*at;
    *at = old;
    *ret_bend = fabs((up - here) / (high - middle) - (here - down) / (middle - low));
    return (up - down) / (high - low);
}

/* As test_grad.c does: where two widths, or the two halves of a step, disagree, a ReLU's kink is
 * within it, and the number is passed over. */
static void check_number(struct scene *s, float *at, double own, int *seen, int *checked)
{
    double bend, narrow = slope(s, at, 1.0f / 2048, &bend), wide = slope(s, at, 1.0f / 512, &bend);
    double allowed = 4e-3 + 0.01 * fabs(own);
    (*seen)++;
    if (fabs(narrow - wide) > allowed / 2 || bend > allowed) return;
    (*checked)++;
    if (!(fabs(wide - own) <= allowed)) {
        fail_msg("%s: difference %g, gradient %g", s->recipe.method->name, wide, own);
    }
}

static void check_differences(int method)
{
    struct scene s;
    struct rng rng;
    size_t n, n_regressor = 0;
    int seen = 0, checked = 0;
    read_scene(&s);
    open_method(&s, method, 1, kernels_of(CPU_REFERENCE));
    s.recipe.beta = 100; /* beside which float32 still shows the rest */
    rng_init(&rng, 3, RNG_TEST, (uint32_t)method, 0);
    forward(&s);
    grad_backward(s.student.grad, s.student.params, s.student.dparams);
    const struct param *list = net_params(s.nets[0], &n);
    for (size_t i = 0; i < n && list[i].trained; i++) {
        size_t at = list[i].offset + rng_below(&rng, (uint32_t)list[i].size);
        if (runs(&list[i])) {
            check_number(&s, &s.student.params[at], (double)s.student.dparams[at], &seen, &checked);
        }
    }
    float *regressor = s.guide != NULL ? guide_regressor(s.guide, &n_regressor) : NULL;
    for (size_t i = 0; i < n_regressor; i++) {
        forward(&s);
        check_number(&s, &regressor[i], (double)guide_dregressor(s.guide)[i], &seen, &checked);
    }
    if (checked < seen / 2)
        fail_msg("%s: only %d of %d were away from kinks", methods[method].name, checked, seen);
    close_method(&s);
    free_scene(&s);
}

static void test_differences(void **state)
{
    (void)state;
    for (int m = 0; m < 4; m++) check_differences(m);
}

/* --- the rest --------------------------------------------------------------------------------- */

/* Equal threads, equal bits; the teacher's do not even depend on the threads. */
static void test_same_bits(void **state)
{
    (void)state;
    struct scene s;
    float logits[BATCH * CLASSES], gradient[64];
    size_t n = 0;
    read_scene(&s);
    for (unsigned threads = 1; threads <= 3; threads++) {
        for (int round = 0; round < 2; round++) {
            open_method(&s, 1, threads, kernels_best());
            forward(&s);
            guide_regressor(s.guide, &n);
            assert_true(n <= 64);
            if (threads == 1 && round == 0) memcpy(logits, guide_logits(s.guide), sizeof(logits));
            assert_memory_equal(guide_logits(s.guide), logits, sizeof(logits));
            if (round == 0) memcpy(gradient, guide_dregressor(s.guide), n * sizeof(*gradient));
            assert_memory_equal(guide_dregressor(s.guide), gradient, n * sizeof(*gradient));
            close_method(&s);
        }
    }
    free_scene(&s);
}

/* The regressor learns as the student does: PyTorch's SGD, step after step. */
static void test_regressor_step(void **state)
{
    (void)state;
    struct scene s;
    size_t n;
    read_scene(&s);
    open_method(&s, 1, 1, kernels_best());
    float *w = guide_regressor(s.guide, &n);
    double wanted = (double)w[3], v = 0;
    for (int i = 0; i < 3; i++) {
        forward(&s);
        v = 0.9 * v + (double)guide_dregressor(s.guide)[3] + 5e-4 * wanted;
        wanted -= 0.02 * v;
        const struct optimizer_step step = {i + 1, 0.02, 1};
        guide_step(s.guide, &step);
        assert_true(fabs((double)w[3] - wanted) < 1e-6);
    }
    close_method(&s);
    free_scene(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kd),
        cmocka_unit_test(test_fitnet),
        cmocka_unit_test(test_at),
        cmocka_unit_test(test_dml),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_regressor_step),
    };
    return cmocka_run_group_tests_name("teacher", tests, NULL, NULL);
}
