/* Making a trainer of all that its recipe asks for, and what it takes. */
#include "config.h"

#include "train/trainer.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "nn/grad.h"
#include "train/objective.h"
#include "trainer_parts.h"

static int allocate_sums(struct trainer *t, struct err *e)
{
    size_t n_regressor = 0;
    int rc = accumulator_init(&t->students, net_trained_size(t->student.net), t->parts, e);
    if (rc == 0 && t->peer.net != NULL)
        rc = accumulator_init(&t->peers, net_trained_size(t->peer.net), t->parts, e);
    if (rc < 0 || t->guide == NULL) return rc;
    guide_regressor(t->guide, &n_regressor);
    rc = accumulator_init(&t->regressors, n_regressor, t->parts, e);
    if (rc < 0) return rc;
    return exchange_new(t->setup.ranks, n_regressor, 1, &t->regressors_exchange, e);
}

/* By the numbers of the images that are trained on. */
static int weigh_classes(struct trainer *t, struct err *e)
{
    const struct trainer_setup *s = &t->setup;
    const size_t classes = (size_t)dataset_classes(s->set);
    if (t->recipe.class_weights.kind == CLASS_BALANCE_NONE) return 0;
    size_t *images = mem_new(classes, sizeof(*images));
    t->weights = mem_new(classes, sizeof(*t->weights));
    int rc = 0;
    if (images == NULL || t->weights == NULL) {
        rc = err_set(e, -ENOMEM, "out of memory for the weights of classes");
    } else {
        for (size_t i = 0; i < classes; i++) images[i] = 0;
        for (size_t i = 0; i < s->split->n_train; i++)
            images[dataset_class(s->set, s->split->train[i])]++;
        rc = class_balance_make(&t->recipe.class_weights, images, (int)classes, t->weights, e);
        if (rc < 0) err_prefix(e, "--class-weights");
    }
    mem_free(images);
    return rc;
}

/* And notes what they compute with. */
static int allocate_learners(struct trainer *t, struct err *e)
{
    const struct trainer_setup *s = &t->setup;
    const struct recipe *r = &t->recipe;
    struct grad_options how = {.borders = guide_borders(r->method, s->net),
                               .choices = s->choices,
                               .measure_s = s->measure_s};
    t->algorithms = choices_new(s->kernels);
    if (t->algorithms == NULL) return err_set(e, -ENOMEM, "out of memory for algorithms");
    int rc = learner_init(&t->student, s->net, r, &how, r->seed, s->pool, s->kernels, e);
    if (rc == 0) rc = learner_join(&t->student, s->ranks, e);
    if (rc == 0 && s->peer != NULL) {
        how.borders = 0;
        rc = learner_init(&t->peer, s->peer, r, &how, r->seed + 1, s->pool, s->kernels, e);
        if (rc == 0) rc = learner_join(&t->peer, s->ranks, e);
    }
    if (rc < 0) return rc;
    rc = grad_choices(t->student.grad, t->algorithms);
    if (rc == 0 && s->peer != NULL) rc = grad_choices(t->peer.grad, t->algorithms);
    return rc < 0 ? err_set(e, rc, "out of memory for algorithms") : 0;
}

static int allocate(struct trainer *t, struct err *e)
{
    const struct trainer_setup *s = &t->setup;
    const struct recipe *r = &t->recipe;
    const struct loader_setup loading = {
        .set = s->set,
        .images = s->split->train,
        .n_images = s->split->n_train,
        .preprocess = s->preprocess,
        .augment = &r->augment,
        .seed = r->seed,
        .batch = (size_t)r->batch,
        .shares = (size_t)r->ranks,
        .share = (size_t)ranks_number(s->ranks),
        .steps = t->epoch_steps * r->epochs, /* an average looks at batches behind a limit, too */
        .threads = s->loaders > 0 ? s->loaders : cpu_count(),
    };
    t->loader = loader_new(&loading, e);
    if (t->loader == NULL) return e->code;
    if (mix_is_on(r)) {
        t->others = mem_new(t->share, sizeof(*t->others));
        if (t->others == NULL) return err_set(e, -ENOMEM, "out of memory for labels to mix in");
    }
    int rc = allocate_learners(t, e);
    if (rc == 0 && average_is_on(r)) {
        t->average = average_new(s->net, r, s->pool, e);
        if (t->average == NULL) rc = e->code;
    }
    if (rc == 0 && average_is_on(r) && s->peer != NULL) {
        t->peers_average = average_new(s->peer, r, s->pool, e);
        if (t->peers_average == NULL) rc = e->code;
    }
    if (rc == 0 && s->teacher != NULL) {
        t->guide = guide_new(r, s->net, s->teacher->plan, s->pool, s->kernels, e);
        if (t->guide == NULL) rc = e->code;
    }
    if (rc == 0 && recipe_is_frozen(r)) {
        t->trunk = trunk_new(s->net, r, s->pool, s->kernels, e);
        if (t->trunk == NULL) rc = e->code;
    }
    if (rc == 0 && progressive_is_on(r)) {
        t->progressive = progressive_new(s->set, r, s->ranks, e);
        if (t->progressive == NULL) rc = e->code;
    }
    if (rc == 0) rc = weigh_classes(t, e);
    return rc == 0 ? allocate_sums(t, e) : rc;
}

struct trainer *trainer_new(const struct trainer_setup *setup, struct err *e)
{
    size_t n_train = setup->split->n_train;
    assert((setup->recipe->method->source == METHOD_TEACHER) == (setup->teacher != NULL));
    assert((setup->recipe->method->source == METHOD_PEER) == (setup->peer != NULL));
    if ((uint64_t)setup->recipe->batch > n_train) {
        err_set(e, ERR_RANGE, "--batch %lld: there are only %zu images to train on",
                (long long)setup->recipe->batch, n_train);
        return NULL;
    }
    if (objective_check(setup->recipe, net_sections(setup->net), e) < 0) return NULL;
    struct trainer *t = mem_new(1, sizeof(*t));
    if (t == NULL) {
        err_set(e, -ENOMEM, "out of memory");
        return NULL;
    }
    t->setup = *setup;
    t->mixed = -1;
    t->recipe = *setup->recipe;
    t->recipe.threads = pool_threads(setup->pool);
    t->recipe.ranks = ranks_count(setup->ranks);
    t->parts = t->recipe.accumulate;
    t->share = (size_t)(recipe_micro_batch(&t->recipe) * t->parts);
    t->epoch_steps = (int64_t)n_train / t->recipe.batch;
    if (trainer_make_texts(t, e) < 0 || allocate(t, e) < 0) {
        trainer_free(t);
        return NULL;
    }
    t->student.sums = &t->position.sums;
    return t;
}

void trainer_free(struct trainer *trainer)
{
    if (trainer == NULL) return;
    loader_free(trainer->loader);
    guide_free(trainer->guide);
    trunk_free(trainer->trunk);
    progressive_free(trainer->progressive);
    average_free(trainer->average);
    average_free(trainer->peers_average);
    learner_release(&trainer->student);
    learner_release(&trainer->peer);
    accumulator_release(&trainer->students);
    accumulator_release(&trainer->peers);
    accumulator_release(&trainer->regressors);
    mem_free(trainer->weights);
    choices_free(trainer->algorithms);
    exchange_free(trainer->regressors_exchange);
    mem_free(trainer->others);
    dump_free(trainer->dump);
    mem_free(trainer);
}

size_t trainer_bytes(const struct trainer *trainer)
{
    size_t bytes = learner_bytes(&trainer->student);
    if (trainer->peer.net != NULL) bytes += learner_bytes(&trainer->peer);
    bytes += accumulator_bytes(&trainer->students) + accumulator_bytes(&trainer->peers) +
             accumulator_bytes(&trainer->regressors);
    bytes += loader_bytes(trainer->loader);
    if (trainer->trunk != NULL) bytes += trunk_bytes(trainer->trunk);
    if (trainer->progressive != NULL) bytes += progressive_bytes(trainer->progressive);
    if (trainer->average != NULL) bytes += average_bytes(trainer->average);
    if (trainer->peers_average != NULL) bytes += average_bytes(trainer->peers_average);
    return trainer->guide != NULL ? bytes + guide_bytes(trainer->guide) : bytes;
}

int trainer_check_teacher(const struct model *teacher, const struct method *method,
                          const struct net *net, const struct dataset *set, struct err *e)
{
    int rc = guide_check(method, net, teacher->net, e);
    for (int i = 0; i < dataset_classes(set) && rc == 0; i++) {
        if (strcmp(teacher->labels[i], dataset_label(set, i)) == 0) continue;
        rc = err_set(e, ERR_CONFLICT, "class %d is \"%.100s\" there and \"%.100s\" in the data set",
                     i, teacher->labels[i], dataset_label(set, i));
    }
    return rc;
}
