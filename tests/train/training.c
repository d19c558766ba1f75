/* The training that tests share. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "training.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nn/plan.h"
#include "../nn/tiny.h"
#include "train/checkpoint.h"

/* A file in CIFAR-100's layout: coarse label, fine label, planes. The class is how bright the
 * planes are, so that it can be learnt; only five classes occur. */
static void write_records(const char *dir, const char *name, size_t n)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    struct rng r;
    rng_init(&r, 5, RNG_TEST, 0, 0);
    for (size_t i = 0; i < n; i++) {
        unsigned label = rng_below(&r, 5);
        fputc(0, f);
        fputc((int)label, f);
        for (int c = 0; c < 3; c++) {
            for (int k = 0; k < PIXELS; k++) {
                fputc((int)(rng_below(&r, 100) + (label >> c & 1) * 120), f);
            }
        }
    }
    assert_int_equal(fclose(f), 0);
}

static void write_labels(const char *dir, const char *name, int n)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < n; i++) fprintf(f, "class_%d\n", i);
    assert_int_equal(fclose(f), 0);
}

/* A peer, and a teacher of the same architecture with parameters of its own. */
static void make_others(struct fixture *f)
{
    struct err e = {0};
    struct spec spec = *net_spec(f->net);
    assert_int_equal(spec_scale(&spec, 6, CLASSES, &e), 0);
    f->peer = net_new(&spec, &e);
    f->teacher = mem_new(1, sizeof(*f->teacher));
    float *params = mem_new(net_block_size(f->peer), sizeof(*params));
    assert_true(f->peer != NULL && f->teacher != NULL && params != NULL);
    net_init_params(f->peer, 77, params);
    f->teacher->net = f->peer;
    f->teacher->plan = plan_new(f->peer, params, kernels_best(), &e);
    assert_non_null(f->teacher->plan);
    snprintf(f->teacher->sha256, sizeof(f->teacher->sha256), "0123");
    mem_free(params);
}

int set_up(void **state)
{
    struct fixture *f = mem_new(1, sizeof(*f));
    struct err e = {0};
    snprintf(f->dir, sizeof(f->dir), "/tmp/autodidact-test-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(f->source, sizeof(f->source), "cifar100:%s", f->dir);
    snprintf(f->checkpoint, sizeof(f->checkpoint), "%s/x.ckpt", f->dir);
    write_records(f->dir, "train.bin", IMAGES);
    write_labels(f->dir, "fine_label_names.txt", CLASSES);
    write_labels(f->dir, "coarse_label_names.txt", 20);
    if (dataset_open(f->source, DATA_TRAIN, NULL, &f->set, &e) < 0) fail_msg("%s", e.text);
    assert_int_equal(split_make(f->set, 40, NULL, 0, &f->split, &e), 0);
    f->net = tiny_net(32, CLASSES);
    make_others(f);
    f->preprocess = (struct preprocess){.width = 32, .height = 32};
    dataset_normalisation(f->set, f->preprocess.mean, f->preprocess.std);
    recipe_default(&f->recipe, method_find("byot"));
    f->recipe.epochs = 3;
    f->recipe.batch = 50; /* 5 steps an epoch, 10 images dropped */
    f->recipe.warmup = 1;
    *state = f;
    return 0;
}

int tear_down(void **state)
{
    struct fixture *f = *state;
    plan_free(f->teacher->plan);
    mem_free(f->teacher);
    net_free(f->peer);
    file_remove_tree(f->dir, NULL);
    split_release(&f->split);
    dataset_free(f->set);
    net_free(f->net);
    mem_free(f);
    return 0;
}

struct trainer_setup setup_of(const struct fixture *f, struct pool *pool)
{
    const struct method *m = f->recipe.method;
    return (struct trainer_setup){.recipe = &f->recipe,
                                  .net = f->net,
                                  .set = f->set,
                                  .split = &f->split,
                                  .preprocess = &f->preprocess,
                                  .parent = "",
                                  .pool = pool,
                                  .kernels = kernels_best(),
                                  .loaders = 2,
                                  .teacher = m->source == METHOD_TEACHER ? f->teacher : NULL,
                                  .peer = m->source == METHOD_PEER ? f->peer : NULL};
}

void choose_method(struct fixture *f, const char *name)
{
    const struct recipe old = f->recipe;
    recipe_default(&f->recipe, method_find(name));
    f->recipe.epochs = old.epochs;
    f->recipe.batch = old.batch;
    f->recipe.accumulate = old.accumulate;
    f->recipe.warmup = old.warmup;
    f->recipe.augment = old.augment;
    f->recipe.mixup = old.mixup;
    f->recipe.cutmix = old.cutmix;
    f->recipe.label_smoothing = old.label_smoothing;
}

struct trainer *make(struct fixture *f, struct pool *pool)
{
    const struct trainer_setup setup = setup_of(f, pool);
    struct err e = {0};
    struct trainer *t = trainer_new(&setup, &e);
    if (t == NULL) fail_msg("%s", e.text);
    return t;
}

struct train_report run(struct trainer *t, int64_t until)
{
    struct train_report report = {0};
    struct err e = {0};
    while (trainer_position(t) < until) {
        if (trainer_step(t, &report, &e) < 0) fail_msg("%s", e.text);
    }
    return report;
}

struct trainer_models models_of(struct trainer *t)
{
    struct trainer_models m;
    struct err e = {0};
    if (trainer_models(t, &m, &e) < 0) fail_msg("%s", e.text);
    return m;
}

/* Stopped after every number of steps, the middle of an epoch and its border included. */
void check_resume(struct fixture *f, struct pool *pool, int64_t stride)
{
    struct err e = {0};
    size_t bytes = net_block_size(f->net) * sizeof(float);
    size_t peer_bytes = net_block_size(f->peer) * sizeof(float);
    struct trainer *whole = make(f, pool);
    assert_int_equal(trainer_epoch_steps(whole), 5);
    assert_int_equal(trainer_steps(whole), 15);
    struct train_report last = run(whole, 15);
    assert_true(trainer_done(whole) && last.epoch_end && last.epoch == 3);
    const struct trainer_models wanted = models_of(whole);
    for (int64_t stop = 1; stop < 15; stop += stride) {
        struct trainer *a = make(f, pool), *b = make(f, pool);
        run(a, stop);
        assert_int_equal(trainer_save(a, f->checkpoint, &e), 0);
        struct choices *kept = choices_new(kernels_best());
        assert_int_equal(checkpoint_algorithms(f->checkpoint, kept, &e), 0);
        assert_true(choices_count(kept) > 0);
        choices_free(kept);
        assert_int_equal(trainer_restore(b, f->checkpoint, &e), 0);
        assert_int_equal(trainer_position(b), stop);
        assert_int_equal(trainer_save(b, f->checkpoint, &e), 0); /* killed again before a step */
        struct train_report end = run(b, 15);
        assert_memory_equal(&end, &last, offsetof(struct train_report, epoch_end));
        assert_memory_equal(trainer_params(b), trainer_params(whole), bytes);
        const struct trainer_models after = models_of(b);
        assert_memory_equal(after.student, wanted.student, bytes);
        if (f->recipe.method->source == METHOD_PEER) {
            assert_memory_equal(after.peer, wanted.peer, peer_bytes);
        }
        trainer_free(a);
        trainer_free(b);
    }
    trainer_free(whole);
}

void open_learner(struct fixture *f, struct learner *l, const struct net *net, unsigned borders,
                  uint64_t seed)
{
    struct err e = {0};
    const struct grad_options how = {.borders = borders};
    assert_int_equal(learner_init(l, net, &f->recipe, &how, seed, NULL, kernels_best(), &e), 0);
}

void draw_batch(struct fixture *f, int64_t epoch, int64_t step, float *input, int32_t *labels)
{
    uint32_t *order = mem_new(f->split.n_train, sizeof(*order));
    batch_order(f->split.train, f->split.n_train, f->recipe.seed, (uint32_t)epoch, order);
    for (int64_t i = 0; i < f->recipe.batch; i++) {
        uint32_t index = order[step * f->recipe.batch + i];
        int rc = batch_sample(f->set, index, &f->preprocess, &f->recipe.augment, f->recipe.seed,
                              (uint32_t)epoch, input + i * 3 * PIXELS, NULL);
        assert_int_equal(rc, 0);
        if (labels != NULL) labels[i] = dataset_class(f->set, index);
    }
    mem_free(order);
}
