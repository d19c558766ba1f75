/* What a training keeps from step to step: stopped and restored it ends in the same bits, with
 * every method and with all that there is to keep; the average of the parameters and the answers of
 * the last epoch against their definitions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "training.h"
#include "../near.h"

#include "base/mem.h"

static void test_resume(void **state)
{
    struct fixture *f = *state;
    const char *methods[] = {"baseline", "byot", "fitnet", "at", "dml"};
    struct pool *pool = pool_new(2);
    for (int m = 0; m < 5; m++) {
        choose_method(f, methods[m]);
        check_resume(f, pool, m < 2 ? 2 : 6);
    }
    pool_free(pool);
}

/* The same with everything random that there is. */
static void test_resume_augmented(void **state)
{
    struct fixture *f = *state;
    const char *methods[] = {"byot", "fitnet", "dml"};
    struct pool *pool = pool_new(2);
    f->recipe.augment =
        (struct augment){.words = AUGMENT_CROP | AUGMENT_ALTERNATING_FLIP | AUGMENT_RAND |
                                  AUGMENT_CUTOUT | AUGMENT_ERASING | AUGMENT_REFLECT,
                         .operations = 2,
                         .magnitude = 9,
                         .erasing = 250};
    f->recipe.mixup = 0.4;
    f->recipe.cutmix = 1;
    f->recipe.cutmix_prob = 0.5;
    f->recipe.label_smoothing = 0.1;
    f->recipe.accumulate = 2;
    for (int m = 0; m < 3; m++) {
        choose_method(f, methods[m]);
        check_resume(f, pool, m == 0 ? 3 : 6);
    }
    pool_free(pool);
}

/* The optimizer's moments, of the peer and the regressor, too, are state. */
static void test_resume_optimizers(void **state)
{
    struct fixture *f = *state;
    const char *methods[] = {"byot", "fitnet", "dml"};
    struct pool *pool = pool_new(2);
    for (int m = 0; m < 3; m++) {
        choose_method(f, methods[m]);
        f->recipe.rate = 0.01;
        f->recipe.clip = 0.5;
        f->recipe.decay_on = DECAY_ON_WEIGHTS;
        f->recipe.optimizer = OPTIMIZER_ADAMW;
        check_resume(f, pool, 7);
        f->recipe.optimizer = OPTIMIZER_SGD;
        f->recipe.nesterov = true;
        f->recipe.schedule.kind = SCHEDULE_ONE_CYCLE;
        f->recipe.schedule.rise = 0.3;
        check_resume(f, pool, 7);
    }
    pool_free(pool);
}

/* The average after some steps against the formula, and its norms' statistics against
 * torch.optim.swa_utils.update_bn()'s rule: the mean over batches of each one's mean and unbiased
 * variance, of augmented images. It is none of the steps' business. */
static void test_average(void **state)
{
    struct fixture *f = *state;
    enum { STEPS = 7 };
    choose_method(f, "byot");
    struct trainer *plain = make(f, NULL);
    f->recipe.ema = 0.6;
    f->recipe.ema_images = 101; /* three batches of 50 */
    struct trainer *t = make(f, NULL);
    const size_t trained = net_trained_size(f->net), all = net_block_size(f->net);
    double *wanted = mem_new(trained, sizeof(*wanted));
    for (int64_t step = 1; step <= STEPS; step++) {
        run(t, step);
        run(plain, step);
        const double keep = step == 1 ? 0 : step == 2 ? 0.5 : 0.6;
        for (size_t i = 0; i < trained; i++)
            wanted[i] = keep * wanted[i] + (1 - keep) * (double)trainer_params(t)[i];
        models_of(t); /* looking changes nothing */
    }
    assert_memory_equal(trainer_params(t), trainer_params(plain), all * sizeof(float));
    const float *model = models_of(t).student;
    for (size_t i = 0; i < trained; i++) assert_near((double)model[i], wanted[i], 1e-6);

    struct learner l = {0};
    open_learner(f, &l, f->net, 0, 0);
    float *sums = mem_new(all - trained, sizeof(*sums));
    for (int b = 0; b < 3; b++) {
        memcpy(l.params, model, trained * sizeof(*model));
        draw_batch(f, 1, b, grad_input(l.grad), NULL); /* step 7 was of the second epoch */
        grad_forward_moving(l.grad, l.params, 50, 1.0);
        for (size_t i = trained; i < all; i++) sums[i - trained] += l.params[i] / 3;
    }
    for (size_t i = trained; i < all; i++)
        assert_near((double)model[i], (double)sums[i - trained], 1e-5);
    assert_memory_not_equal(model + trained, trainer_params(t) + trained,
                            (all - trained) * sizeof(*model));
    mem_free(sums);
    mem_free(wanted);
    learner_release(&l);
    trainer_free(plain);
    trainer_free(t);
}

/* An average is made of batches of its epoch, also of those that a limit leaves out. */
static void test_average_limited(void **state)
{
    struct fixture *f = *state;
    choose_method(f, "byot");
    f->recipe.ema = 0.6;
    f->recipe.ema_images = 250;
    struct trainer *whole = make(f, NULL);
    f->recipe.limit_steps = 2;
    struct trainer *t = make(f, NULL);
    run(whole, 2);
    run(t, 2);
    assert_true(trainer_done(t));
    assert_memory_equal(models_of(t).student, models_of(whole).student,
                        net_block_size(f->net) * sizeof(float));
    trainer_free(whole);
    trainer_free(t);
}

/* Two epochs by hand with answers that are kept here: the same bits. */
static void test_progressive(void **state)
{
    struct fixture *f = *state;
    choose_method(f, "byot");
    f->recipe.ps_kd = 0.8;
    f->recipe.schedule.kind = SCHEDULE_LINEAR;
    struct trainer *t = make(f, NULL);
    struct learner l = {0};
    open_learner(f, &l, f->net, 0, f->recipe.seed);
    float *answers = mem_new((size_t)IMAGES * CLASSES, sizeof(*answers)), past[50 * CLASSES];
    uint32_t *order = mem_new(f->split.n_train, sizeof(*order));
    memset(answers, 0, (size_t)IMAGES * CLASSES * sizeof(*answers));
    for (size_t i = 0; i < IMAGES; i++) answers[i * CLASSES + (size_t)dataset_class(f->set, i)] = 1;
    for (int64_t step = 0; step < 10; step++) {
        const int64_t epoch = step / 5;
        int32_t labels[50];
        draw_batch(f, epoch, step % 5, grad_input(l.grad), labels);
        batch_order(f->split.train, f->split.n_train, f->recipe.seed, (uint32_t)epoch, order);
        const uint32_t *images = order + step % 5 * 50;
        for (size_t i = 0; i < 50; i++)
            memcpy(past + i * CLASSES, answers + images[i] * CLASSES, CLASSES * sizeof(*past));
        const struct loss_targets targets = {
            .labels = labels, .past = past, .past_share = 0.8 * (double)(epoch + 1) / 3};
        grad_forward(l.grad, l.params, 50);
        learner_loss(&l, &f->recipe, &targets, NULL);
        for (size_t i = 0; i < 50; i++)
            loss_softmax(CLASSES, grad_logits(l.grad, 1) + i * CLASSES, 1.0,
                         answers + images[i] * CLASSES);
        learner_backward(&l);
        const struct optimizer_step at = {step + 1, schedule_rate(&f->recipe, step, 5), 1};
        learner_update(&l, &at);
        run(t, step + 1);
        assert_memory_equal(trainer_params(t), l.params, net_block_size(f->net) * sizeof(float));
    }
    mem_free(answers);
    mem_free(order);
    learner_release(&l);
    trainer_free(t);
}

static void test_resume_progressive(void **state)
{
    struct fixture *f = *state;
    struct pool *pool = pool_new(2);
    const char *methods[] = {"byot", "fitnet"};
    for (int m = 0; m < 2; m++) {
        choose_method(f, methods[m]);
        f->recipe.ps_kd = 0.8;
        f->recipe.ema = 0.9;
        f->recipe.label_smoothing = 0.1;
        f->recipe.accumulate = m == 0 ? 1 : 2;
        f->recipe.exit_rescale = m == 0;
        f->recipe.distill_from = m == 0 ? DISTILL_FROM_ENSEMBLE : DISTILL_FROM_DEEPEST;
        f->recipe.class_weights.kind = CLASS_BALANCE_INVERSE;
        check_resume(f, pool, 3);
    }
    pool_free(pool);
}

/* With a frozen trunk nothing moves but the shallow head and its statistics; what it sees is what
 * the network says when it is served. */
static void test_frozen(void **state)
{
    struct fixture *f = *state;
    struct pool *pool = pool_new(2);
    size_t n;
    choose_method(f, "byot");
    f->recipe.freeze = FREEZE_TRUNK;
    f->recipe.ps_kd = 0.5;
    f->recipe.ema = 0.9;
    check_resume(f, pool, 4);
    const size_t all = net_block_size(f->net);
    struct trainer *t = make(f, pool);
    float *first = mem_new(all, sizeof(*first));
    memcpy(first, trainer_params(t), all * sizeof(*first));
    double before = run(t, 5).mean_loss, after = run(t, 15).mean_loss;
    assert_true(after < before);
    const struct param *list = net_params(f->net, &n);
    const float *params = trainer_params(t), *model = models_of(t).student;
    for (size_t i = 0; i < n; i++) {
        const size_t bytes = list[i].size * sizeof(*first), at = list[i].offset;
        assert_int_equal(memcmp(first + at, params + at, bytes) == 0, list[i].exit != 0);
        assert_int_equal(memcmp(first + at, model + at, bytes) == 0, list[i].exit != 0);
    }
    mem_free(first);
    trainer_free(t);
    pool_free(pool);
}

static void test_resume_average(void **state)
{
    struct fixture *f = *state;
    struct pool *pool = pool_new(2);
    f->recipe.ema = 0.9;
    for (int m = 0; m < 2; m++) {
        choose_method(f, m == 0 ? "byot" : "dml");
        f->recipe.ema = 0.9;
        f->recipe.mixup = 0.4;
        check_resume(f, pool, 4);
    }
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_resume, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resume_augmented, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resume_optimizers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_average, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_average_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_progressive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resume_progressive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_frozen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resume_average, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
