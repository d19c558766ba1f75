/* The trainer on a data set made here: the loss falls, the baseline leaves the other heads alone,
 * divergence is an error, evaluation does not depend on the number of threads. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/train/guide.h"
#include "training.h"
#include "../near.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/sha256.h"
#include "nn/plan.h"
#include "../nn/tiny.h"
#include "train/evaluate.h"
#include "train/trainer.h"

/* Each of these options changes what is learnt, and what is not switched on changes nothing. */
static void test_options_matter(void **state)
{
    struct fixture *f = *state;
    enum { OPTIONS = 16 };
    struct recipe recipes[OPTIONS];
    double losses[OPTIONS];
    choose_method(f, "byot");
    for (int i = 0; i < OPTIONS; i++) recipes[i] = f->recipe;
    recipes[1].mixup = 0.4;
    recipes[2].label_smoothing = 0.1;
    recipes[3].augment.words |= AUGMENT_AUTO;
    recipes[4].augment.words |= AUGMENT_CUTOUT;
    recipes[5].hint = HINT_SUM;
    recipes[6].nesterov = true;
    recipes[7].optimizer = OPTIMIZER_ADAMW;
    recipes[8].decay_on = DECAY_ON_WEIGHTS;
    recipes[9].clip = 0.5;
    recipes[10].schedule.kind = SCHEDULE_ONE_CYCLE;
    recipes[11].class_weights.kind = CLASS_BALANCE_INVERSE;
    recipes[12].exit_weights = (struct exit_balance){2, {0.5, 1}};
    recipes[13].exit_rescale = true;
    recipes[14].distill_from = DISTILL_FROM_ENSEMBLE;
    recipes[15].cutmix = 1;
    recipes[15].cutmix_prob = 1;
    for (int i = 0; i < OPTIONS; i++) {
        f->recipe = recipes[i];
        struct trainer *t = make(f, NULL);
        losses[i] = run(t, 2).loss;
        trainer_free(t);
        for (int j = 0; j < i; j++) assert_true(losses[i] != losses[j]);
    }
}

static void test_hint_exits(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    choose_method(f, "byot");
    f->recipe.hint_exits = 2; /* the deepest of two */
    const struct trainer_setup setup = setup_of(f, NULL);
    assert_null(trainer_new(&setup, &e));
    assert_int_equal(e.code, ERR_RANGE);
    assert_non_null(strstr(e.text, "--hint-exits 2: the network has 1 shallow classifier;"));
    choose_method(f, "dsn"); /* reads none of it */
    f->recipe.hint_exits = 2;
    trainer_free(make(f, NULL));
}

/* Neither other threads nor other images go on with a checkpoint: they would end in other bits. */
static void test_resume_elsewhere(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct pool *pool = pool_new(2);
    struct trainer *t = make(f, pool);
    run(t, 2);
    assert_int_equal(trainer_save(t, f->checkpoint, &e), 0);
    trainer_free(t);

    t = make(f, NULL);
    assert_int_equal(trainer_restore(t, f->checkpoint, &e), ERR_CONFLICT);
    assert_non_null(strstr(e.text, "--threads 2, not 1"));
    trainer_free(t);

    char path[128];
    snprintf(path, sizeof(path), "%s/train.bin", f->dir);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    int last = fgetc(file);
    assert_int_equal(fseek(file, -1, SEEK_END), 0);
    assert_int_equal(fputc(last ^ 1, file), last ^ 1);
    assert_int_equal(fclose(file), 0);
    dataset_free(f->set);
    f->set = NULL;
    assert_int_equal(dataset_open(f->source, DATA_TRAIN, NULL, &f->set, &e), 0);
    t = make(f, pool);
    assert_int_equal(trainer_restore(t, f->checkpoint, &e), ERR_CONFLICT);
    assert_non_null(strstr(e.text, "--data"));
    trainer_free(t);
    pool_free(pool);
}

static void test_learns(void **state)
{
    struct fixture *f = *state;
    f->recipe.epochs = 8;
    f->recipe.method = method_find("byot");
    struct trainer *t = make(f, NULL);
    double first = run(t, 5).mean_loss, last = run(t, 40).mean_loss;
    assert_true(last < 0.6 * first);
    trainer_free(t);
}

static void test_baseline_leaves_heads(void **state)
{
    struct fixture *f = *state;
    f->recipe.method = method_find("baseline");
    struct trainer *t = make(f, NULL);
    float *first = mem_new(net_block_size(f->net), sizeof(*first));
    net_init_params(f->net, f->recipe.seed, first);
    run(t, 15);
    size_t n;
    const struct param *list = net_params(f->net, &n);
    for (size_t i = 0; i < n; i++) {
        bool same = memcmp(first + list[i].offset, trainer_params(t) + list[i].offset,
                           list[i].size * sizeof(*first)) == 0;
        assert_int_equal(same, list[i].exit == 0);
    }
    mem_free(first);
    trainer_free(t);
}

/* It draws the first parameters, and the order of the images: with the same parameters another
 * seed's first loss is another one. */
static void test_seed(void **state)
{
    struct fixture *f = *state;
    const size_t size = net_block_size(f->net);
    float *first = mem_new(size, sizeof(*first));
    double losses[2];
    for (int i = 0; i < 2; i++) {
        f->recipe.seed = 5 + (uint64_t)i;
        struct trainer *t = make(f, NULL);
        net_init_params(f->net, f->recipe.seed, first);
        assert_memory_equal(trainer_params(t), first, size * sizeof(*first));
        net_init_params(f->net, 5, trainer_params(t));
        losses[i] = run(t, 1).loss;
        trainer_free(t);
    }
    assert_true(losses[0] != losses[1]);
    mem_free(first);
}

/* Far too great a rate: an error that names it; what was saved before can still be restored. */
static void test_diverges(void **state)
{
    struct fixture *f = *state;
    f->recipe.rate = 1e9;
    f->recipe.warmup = 0;
    struct trainer *t = make(f, NULL), *u = make(f, NULL);
    struct train_report report;
    struct err e = {0};
    int rc = 0;
    while (rc == 0 && !trainer_done(t)) {
        if (trainer_save(t, f->checkpoint, &e) == 0) rc = trainer_restore(u, f->checkpoint, &e);
        assert_int_equal(rc, 0);
        rc = trainer_step(t, &report, &e);
    }
    assert_int_equal(rc, ERR_DIVERGED);
    assert_non_null(strstr(e.text, "learning rate "));
    assert_true(strstr(e.text, "classifier") != NULL && strstr(e.text, "not finite") != NULL);
    assert_int_equal(trainer_restore(u, f->checkpoint, &e), 0);
    trainer_free(t);
    trainer_free(u);
}

/* Finite, and far too large to go on from: the last good one stays. Saving moves nothing. */
static void test_saves_what_is_good(void **state)
{
    struct fixture *f = *state;
    struct trainer *t = make(f, NULL);
    struct train_report report;
    struct err e = {0};
    char before[SHA256_HEX_SIZE], after[SHA256_HEX_SIZE];
    const size_t size = net_block_size(f->net);
    float *kept = mem_new(size, sizeof(*kept));
    assert_true(kept != NULL && trainer_step(t, &report, &e) == 0);
    memcpy(kept, trainer_params(t), size * sizeof(*kept));
    assert_int_equal(trainer_save(t, f->checkpoint, &e), 0);
    assert_memory_equal(kept, trainer_params(t), size * sizeof(*kept));
    sha256_file(f->checkpoint, 1 << 28, before, &e);
    for (size_t i = 0; i < net_trained_size(f->net); i++) trainer_params(t)[i] *= 1e30f;
    assert_int_equal(trainer_save(t, f->checkpoint, &e), ERR_DIVERGED);
    assert_non_null(strstr(e.text, "at step 2 (epoch 1"));
    assert_true(sha256_file(f->checkpoint, 1 << 28, after, NULL) == 0);
    assert_string_equal(before, after);
    mem_free(kept);
    trainer_free(t);
}

static void test_too_few_images(void **state)
{
    struct fixture *f = *state;
    f->recipe.batch = 261;
    const struct trainer_setup setup = setup_of(f, NULL);
    struct err e = {0};
    assert_null(trainer_new(&setup, &e));
    assert_int_equal(e.code, ERR_RANGE);
    assert_non_null(strstr(e.text, "260 images"));
}

static void check_no_memory(struct fixture *f)
{
    const struct trainer_setup setup = setup_of(f, NULL);
    bool made = false;
    for (unsigned n = 1; !made; n++) {
        struct err e = {0};
        mem_fail_at(n);
        struct trainer *t = trainer_new(&setup, &e);
        made = mem_fail_left() > 0;
        mem_fail_at(0);
        assert_true(made == (t != NULL));
        if (!made) assert_true(e.code < 0);
        trainer_free(t);
    }
}

static void test_no_memory(void **state)
{
    struct fixture *f = *state;
    const char *methods[] = {"byot", "fitnet", "at", "dml"};
    for (int m = 0; m < 4; m++) {
        choose_method(f, methods[m]);
        check_no_memory(f);
    }
}

/* Wide enough for convolutions that round their factors. The losses of fifteen steps stay near
 * those of fp32, and a training that goes on has the same bits. */
static void test_bf16(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    f->recipe.precision = RECIPE_BF16;
    struct trainer_setup setup = setup_of(f, NULL);
    setup.kernels = kernels_of(CPU_REFERENCE);
    assert_null(trainer_new(&setup, &e));
    assert_int_equal(e.code, ERR_UNSUPPORTED);
    assert_non_null(strstr(e.text, "reference, do not have it; use fp32"));
    if (kernels_best()->conv[CONV_BF16].backward_weight.takes == NULL) skip();

    struct spec spec = *net_spec(f->net);
    assert_int_equal(spec_scale(&spec, 16, CLASSES, &e), 0);
    struct net *narrow = f->net, *wide = net_new(&spec, &e);
    assert_non_null(wide);
    f->net = wide;
    f->recipe.rate = 0.01;
    struct trainer *rounded = make(f, NULL);
    f->recipe.precision = RECIPE_FP32;
    struct trainer *exact = make(f, NULL);
    for (int64_t step = 1; step <= 15; step++) {
        double got = run(rounded, step).loss, want = run(exact, step).loss;
        if (fabs(got - want) > 0.01 * want) fail_msg("step %d: %g, not %g", (int)step, got, want);
    }
    assert_memory_not_equal(trainer_params(rounded), trainer_params(exact),
                            net_trained_size(wide) * sizeof(float));
    assert_int_equal(trainer_save(exact, f->checkpoint, &e), 0);
    assert_int_equal(trainer_restore(rounded, f->checkpoint, &e), ERR_CONFLICT);
    assert_non_null(strstr(e.text, "--precision fp32, not bf16"));
    trainer_free(rounded);
    trainer_free(exact);
    f->recipe.precision = RECIPE_BF16;
    struct pool *pool = pool_new(2);
    check_resume(f, pool, 6);
    pool_free(pool);
    f->net = narrow;
    net_free(wide);
}

/* A checkpoint belongs to a teacher, by its digest, and to a peer, by its architecture. */
static void test_resume_with_others(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    choose_method(f, "kd");
    struct trainer *t = make(f, NULL);
    assert_int_equal(trainer_save(t, f->checkpoint, &e), 0);
    trainer_free(t);
    snprintf(f->teacher->sha256, sizeof(f->teacher->sha256), "4567");
    t = make(f, NULL);
    assert_int_equal(trainer_restore(t, f->checkpoint, &e), ERR_CONFLICT);
    assert_non_null(strstr(e.text, "--teacher 0123, not 4567"));
    trainer_free(t);

    choose_method(f, "dml");
    t = make(f, NULL);
    assert_int_equal(trainer_save(t, f->checkpoint, &e), 0);
    trainer_free(t);
    struct net *peer = f->peer;
    f->peer = f->net;
    t = make(f, NULL);
    f->peer = peer;
    /* The same architecture again is another network: it begins with other parameters. */
    assert_memory_not_equal(trainer_params(t), models_of(t).peer,
                            net_trained_size(f->net) * sizeof(float));
    assert_int_equal(trainer_restore(t, f->checkpoint, &e), ERR_CONFLICT);
    assert_non_null(strstr(e.text, "--peer tiny with 6 channels"));
    trainer_free(t);
}

/* The gradients of a part of a batch of what test_teacher.c compares with PyTorch. peer and guide:
 * NULL where the method has none. */
static void part_by_hand(struct fixture *f, struct learner *student, struct learner *peer,
                         struct guide *guide, const int32_t *labels)
{
    const struct recipe *o = &f->recipe;
    const struct loss_targets targets = {.labels = labels, .share = 1};
    const int n = (int)recipe_micro_batch(o);
    const float *source;
    grad_forward(student->grad, student->params, n);
    if (peer != NULL) {
        grad_forward(peer->grad, peer->params, n);
        learner_loss(peer, o, &targets, grad_logits(student->grad, 1));
        source = grad_logits(peer->grad, 1);
    } else {
        guide_pass(guide, student->grad);
        source = guide_logits(guide);
    }
    learner_loss(student, o, &targets, source);
    learner_backward(student);
    if (peer != NULL) learner_backward(peer);
}

/* values becomes the mean of the parts', of which sum has those before. */
static void mean_by_hand(const struct fixture *f, int64_t part, size_t n, float *values, float *sum)
{
    for (size_t i = 0; i < n; i++) {
        sum[i] = part == 0 ? values[i] : sum[i] + values[i];
        if (part + 1 == f->recipe.accumulate) values[i] = sum[i] / (float)f->recipe.accumulate;
    }
}

/* One step; images: [batch]. */
static void step_by_hand(struct fixture *f, struct learner *student, struct learner *peer,
                         struct guide *guide, const float *images, const int32_t *labels)
{
    const size_t micro = (size_t)recipe_micro_batch(&f->recipe), size = (size_t)3 * PIXELS;
    const size_t n_student = net_trained_size(f->net), n_peer = net_trained_size(f->peer);
    size_t n_regressor = 0;
    if (guide != NULL) guide_regressor(guide, &n_regressor);
    float *sums = mem_new(n_student + n_peer + n_regressor, sizeof(*sums));
    for (int64_t part = 0; part < f->recipe.accumulate; part++) {
        const size_t first = (size_t)part * micro;
        memcpy(grad_input(student->grad), images + first * size, micro * size * sizeof(*images));
        if (peer != NULL)
            memcpy(grad_input(peer->grad), images + first * size, micro * size * sizeof(*images));
        part_by_hand(f, student, peer, guide, labels + first);
        mean_by_hand(f, part, n_student, student->dparams, sums);
        if (peer != NULL) mean_by_hand(f, part, n_peer, peer->dparams, sums + n_student);
        if (guide != NULL)
            mean_by_hand(f, part, n_regressor, guide_dregressor(guide), sums + n_student + n_peer);
    }
    const struct optimizer_step at = {1, f->recipe.rate, 1}; /* SGD does not ask for its number */
    learner_update(student, &at);
    if (peer != NULL) learner_update(peer, &at);
    if (guide != NULL) guide_step(guide, &at);
    mem_free(sums);
}

/* The trainer takes the same steps: the same bits, the peer's, too; the second step shows what the
 * first one did to the regressor. */
static void check_step(struct fixture *f, const char *method, int64_t accumulate)
{
    struct err e = {0};
    struct learner student = {0}, peer = {0};
    struct guide *guide = NULL;
    int32_t labels[50];
    choose_method(f, method);
    f->recipe.warmup = 0;
    f->recipe.augment = (struct augment){0};
    f->recipe.accumulate = accumulate;
    f->recipe.schedule.kind = SCHEDULE_STEPS; /* the rate stays */
    float *images = mem_new(50, 3 * PIXELS * sizeof(*images));
    struct trainer *t = make(f, NULL);
    bool paired = f->recipe.method->source == METHOD_PEER;
    open_learner(f, &student, f->net, guide_borders(f->recipe.method, f->net), 0);
    if (paired) {
        open_learner(f, &peer, f->peer, 0, 1);
    } else {
        guide = guide_new(&f->recipe, f->net, f->teacher->plan, NULL, kernels_best(), &e);
        assert_non_null(guide);
    }
    for (int64_t step = 0; step < 2; step++) {
        run(t, step + 1);
        draw_batch(f, 0, step, images, labels);
        step_by_hand(f, &student, paired ? &peer : NULL, guide, images, labels);
        assert_memory_equal(trainer_params(t), student.params,
                            net_block_size(f->net) * sizeof(float));
        if (paired)
            assert_memory_equal(models_of(t).peer, peer.params,
                                net_block_size(f->peer) * sizeof(float));
    }
    mem_free(images);
    guide_free(guide);
    learner_release(&student);
    learner_release(&peer);
    trainer_free(t);
}

static void test_step(void **state)
{
    struct fixture *f = *state;
    for (int64_t accumulate = 1; accumulate <= 5; accumulate += 4) {
        check_step(f, "fitnet", accumulate);
        check_step(f, "at", accumulate);
        check_step(f, "dml", accumulate);
    }
}

/* What a teacher must have in common with its student, and what it need not. */
static void test_check_teacher(void **state)
{
    struct fixture *f = *state;
    char names[CLASSES][16], *labels[CLASSES];
    struct model teacher = {.labels = labels};
    for (int i = 0; i < CLASSES; i++) {
        snprintf(names[i], sizeof(names[i]), "class_%d", i);
        labels[i] = names[i];
    }
    struct spec one = *net_spec(f->net);
    one.n_sections = 1;
    one.cuts[0] = 2;
    struct err e = {0};
    struct net *cut = net_new(&one, &e);
    assert_non_null(cut);
    const struct {
        struct net *net; /* freed here */
        const char *method, *label, *text;
    } rows[] = {
        {tiny_net(32, CLASSES), "kd", "class_7", NULL},
        {tiny_net(32, CLASSES), "kd", "class_70", "class 7 is \"class_70\" there and \"class_7\""},
        {tiny_net(32, 50), "at", "class_7", "it has 50 classes, the student 100"},
        {tiny_net(24, CLASSES), "kd", "class_7", "images of 24x24 with 3 channels"},
        {cut, "fitnet", "class_7", NULL},
        {cut, "at", "class_7", "it has 1 sections, the student 2: at compares them one by one"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        e = (struct err){0};
        teacher.net = rows[i].net;
        snprintf(names[7], sizeof(names[7]), "%s", rows[i].label);
        int rc = trainer_check_teacher(&teacher, method_find(rows[i].method), f->net, f->set, &e);
        assert_int_equal(rc, rows[i].text != NULL ? ERR_CONFLICT : 0);
        if (rows[i].text != NULL && strstr(e.text, rows[i].text) == NULL) fail_msg("%s", e.text);
        if (rows[i].net != cut) net_free(rows[i].net);
    }
    net_free(cut);
}

struct told {
    size_t times, last, all;
};

/* More each time. */
static void tell(void *arg, size_t done, size_t all)
{
    struct told *told = arg;
    assert_true(done > told->last && done <= all);
    *told = (struct told){told->times + 1, done, all};
}

static void test_evaluate(void **state)
{
    struct fixture *f = *state;
    struct err e = {0};
    struct trainer *t = make(f, NULL);
    run(t, 15);
    struct plan *plan = plan_new(f->net, trainer_params(t), kernels_best(), &e);
    assert_non_null(plan);
    struct logits one;
    struct told told = {0};
    const struct evaluate_watch watch = {tell, &told};
    assert_int_equal(
        evaluate_logits(plan, 0, f->set, NULL, IMAGES, &f->preprocess, NULL, &watch, &one, &e), 0);
    assert_int_equal(told.times, (IMAGES + EVALUATE_BATCH - 1) / EVALUATE_BATCH);
    assert_true(told.last == IMAGES && told.all == IMAGES);
    for (unsigned threads = 2; threads <= 3; threads++) {
        struct pool *pool = pool_new(threads);
        struct logits l;
        assert_int_equal(
            evaluate_logits(plan, 0, f->set, NULL, IMAGES, &f->preprocess, pool, NULL, &l, &e), 0);
        assert_memory_equal(l.values, one.values, (size_t)3 * IMAGES * CLASSES * sizeof(float));
        assert_memory_equal(l.labels, one.labels, IMAGES * sizeof(*l.labels));
        logits_release(&l);
        pool_free(pool);
    }
    for (size_t j = 0; j < (size_t)IMAGES * CLASSES; j++) {
        float mean = (logits_of(&one, 0)[j] + logits_of(&one, 1)[j]) / 2;
        assert_near((double)logits_of(&one, MODEL_ENSEMBLE)[j], (double)mean, 1e-5);
    }
    struct logits part; /* chosen images are those of the list */
    assert_int_equal(evaluate_logits(plan, 0, f->set, f->split.holdout, f->split.n_holdout,
                                     &f->preprocess, NULL, NULL, &part, &e),
                     0);
    for (size_t i = 0; i < part.n; i++) {
        size_t at = f->split.holdout[i];
        assert_int_equal(part.labels[i], dataset_class(f->set, at));
        for (size_t k = 0; k < CLASSES; k++) {
            assert_near((double)logits_of(&part, 1)[i * CLASSES + k],
                        (double)logits_of(&one, 1)[at * CLASSES + k], 1e-3);
        }
    }
    logits_release(&part);
    logits_release(&one);
    plan_free(plan);
    trainer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_options_matter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hint_exits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resume_elsewhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_learns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_baseline_leaves_heads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_seed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_diverges, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_saves_what_is_good, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bf16, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_few_images, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resume_with_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_step, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_check_teacher, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_evaluate, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
