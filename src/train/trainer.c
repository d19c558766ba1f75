/* The steps of a training.
 *
 * One step: a batch is drawn, augmented, normalised and mixed; each of its micro-batches (one,
 * unless gradients are accumulated) goes forward, through the loss and back; the optimizer takes
 * the mean of their gradients. A teacher and a peer see the same input; two peers each learn from
 * what the other said before either moved (our choice; the paper moves one and asks it again, a
 * pass more). Everything is in a fixed order; what is random comes from (seed,
 * epoch, sample), so nothing random belongs to the state. Batches are made ahead (data/loader.h).
 * Left out: clocks, evaluation and files other than checkpoints; the caller
 * decides when. */
#include "config.h"

#include "train/trainer.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "data/loader.h"
#include "model/spec_file.h"
#include "accumulator.h"
#include "average.h"
#include "guide.h"
#include "learner.h"
#include "mix.h"
#include "progressive.h"
#include "trunk.h"
#include "nn/grad.h"
#include "train/checkpoint.h"
#include "train/objective.h"

struct trainer {
    struct trainer_setup setup;
    struct recipe recipe;
    struct learner student, peer;                   /* peer.net NULL: there is none */
    struct average *average, *peers_average;        /* NULL: there is none */
    struct guide *guide;                            /* NULL: there is no teacher */
    struct trunk *trunk;                            /* NULL: it learns */
    struct progressive *progressive;                /* NULL: there are no answers of before */
    float *weights;                                 /* [classes]; NULL: all 1 */
    struct accumulator students, peers, regressors; /* of their gradients */
    struct exchange *regressors_exchange;           /* NULL: no other rank has any */
    struct loader *loader;
    struct loader_batch batch; /* of this step */
    size_t share;              /* images of a batch that are this rank's */
    int32_t *others;           /* [share], what is mixed into labels; NULL: nothing is */
    struct mix mix;            /* of this step */
    int64_t epoch_steps;
    struct choices *algorithms; /* of all convolutions */
    char fault[80];             /* what was not finite, the first of it; "": nothing */
    struct checkpoint_position position;
    struct recipe_text texts[RECIPE_TEXTS_MAX];
    size_t n_texts;
};

/* Beside the recipe a checkpoint belongs to an architecture, to data and to first parameters. Not
 * to a processor: elsewhere the bits differ, but hours of work go on. */
static int add_spec(struct trainer *t, const char *name, const struct net *net, struct err *e)
{
    char *json = spec_format(net_spec(net));
    if (json == NULL) return err_set(e, -ENOMEM, "out of memory for the spec's text");
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    sha256(json, strlen(json), digest);
    sha256_hex(digest, hex);
    mem_free(json);
    struct recipe_text *text;
    if (strcmp(name, "spec") == 0 && net_sections(net) > 1) { /* in the digest, too; here by name */
        text = &t->texts[t->n_texts++];
        *text = (struct recipe_text){.name = "heads", .implied = true};
        snprintf(text->value, sizeof(text->value), "%s", spec_head_name(net_spec(net)->heads.kind));
    }
    text = &t->texts[t->n_texts++];
    text->name = name;
    snprintf(text->value, sizeof(text->value), "%s with %d channels (%.16s)", net_spec(net)->name,
             net_spec(net)->stages[0].channels, hex);
    return 0;
}

/* Which images are held out, by a digest: their number does not say it. */
static int add_border(struct trainer *t, struct err *e)
{
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE];
    char *border = holdout_border_format(&t->setup.split->border);
    if (border == NULL) return err_set(e, -ENOMEM, "out of memory for the border's text");
    sha256(border, strlen(border), digest);
    sha256_hex(digest, hex);
    mem_free(border);
    struct recipe_text *text = &t->texts[t->n_texts++];
    *text = (struct recipe_text){.name = "held-out", .implied = t->setup.split->n_holdout == 0};
    snprintf(text->value, sizeof(text->value), "%zu images (%.16s)", t->setup.split->n_holdout,
             hex);
    return 0;
}

static int make_texts(struct trainer *t, struct err *e)
{
    char data[SHA256_HEX_SIZE];
    t->n_texts = recipe_texts(&t->recipe, t->texts);
    int rc = add_spec(t, "spec", t->setup.net, e);
    if (rc == 0 && t->setup.peer != NULL) rc = add_spec(t, "peer", t->setup.peer, e);
    if (rc < 0) return rc;
    struct recipe_text *text;
    if (t->setup.teacher != NULL) {
        text = &t->texts[t->n_texts++];
        text->name = "teacher";
        snprintf(text->value, sizeof(text->value), "%.64s", t->setup.teacher->sha256);
    }
    dataset_digest(t->setup.set, data);
    text = &t->texts[t->n_texts++];
    text->name = "data";
    snprintf(text->value, sizeof(text->value), "%.64s of %zu images (%.16s)",
             dataset_kind(t->setup.set), dataset_count(t->setup.set), data);
    if (rc == 0) rc = add_border(t, e);
    if (rc < 0) return rc;
    text = &t->texts[t->n_texts++];
    text->name = "init";
    snprintf(text->value, sizeof(text->value), "%.64s",
             *t->setup.parent ? t->setup.parent : "none");
    return 0;
}

static int allocate_sums(struct trainer *t, struct err *e)
{
    const int64_t parts = t->recipe.accumulate;
    size_t n_regressor = 0;
    int rc = accumulator_init(&t->students, net_trained_size(t->student.net), parts, e);
    if (rc == 0 && t->peer.net != NULL)
        rc = accumulator_init(&t->peers, net_trained_size(t->peer.net), parts, e);
    if (rc < 0 || t->guide == NULL) return rc;
    guide_regressor(t->guide, &n_regressor);
    rc = accumulator_init(&t->regressors, n_regressor, parts, e);
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
    t->recipe = *setup->recipe;
    t->recipe.threads = pool_threads(setup->pool);
    t->recipe.ranks = ranks_count(setup->ranks);
    t->share = (size_t)(recipe_micro_batch(&t->recipe) * t->recipe.accumulate);
    t->epoch_steps = (int64_t)n_train / t->recipe.batch;
    if (make_texts(t, e) < 0 || allocate(t, e) < 0) {
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
    mem_free(trainer);
}

float *trainer_params(struct trainer *trainer)
{
    return trainer->student.params;
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

int64_t trainer_epoch_steps(const struct trainer *trainer)
{
    return trainer->epoch_steps;
}

int64_t trainer_steps(const struct trainer *trainer)
{
    const struct recipe *r = &trainer->recipe;
    const int64_t all = trainer->epoch_steps * r->epochs;
    return r->limit_steps > 0 && r->limit_steps < all ? r->limit_steps : all;
}

int64_t trainer_position(const struct trainer *trainer)
{
    return trainer->position.step;
}

struct checkpoint_history *trainer_history(struct trainer *trainer)
{
    return &trainer->position.history;
}

bool trainer_done(const struct trainer *trainer)
{
    return trainer->position.step >= trainer_steps(trainer);
}

/* Images and labels of a step as they are augmented, in t->batch. */
static int draw_batch(struct trainer *t, int64_t step, struct err *e)
{
    int rc = loader_take(t->loader, step, &t->batch, e);
    return ranks_settle(t->setup.ranks, rc, e);
}

/* Images and labels in pairs, where the recipe wants it. */
static void mix_batch(struct trainer *t, int64_t epoch, int64_t step_of_epoch)
{
    const struct shape image = net_input(t->setup.net);
    if (t->others == NULL) return;
    t->mix = mix_draw(&t->recipe, (uint32_t)epoch, (uint32_t)step_of_epoch, image);
    mix_images(&t->mix, t->batch.input, t->share, image, t->setup.pool);
    mix_labels(t->batch.labels, t->share, t->others);
}

/* Puts the images of a micro-batch where the student's pass begins. */
static void take_part(struct trainer *t, int64_t part)
{
    const size_t count =
        (size_t)recipe_micro_batch(&t->recipe) * shape_size(net_input(t->setup.net));
    memcpy(grad_input(t->student.grad), t->batch.input + (size_t)part * count,
           count * sizeof(*t->batch.input));
}

static void copy_to_peer(struct trainer *t)
{
    const size_t count =
        (size_t)recipe_micro_batch(&t->recipe) * shape_size(net_input(t->setup.net));
    memcpy(grad_input(t->peer.grad), grad_input(t->student.grad), count * sizeof(float));
}

/* The first thing that was not finite is the one that is told. */
static void note_fault(struct trainer *t, const char *what)
{
    if (t->fault[0] == '\0') snprintf(t->fault, sizeof(t->fault), "%s", what);
}

static double loss_of(struct trainer *t, const struct learner *l,
                      const struct loss_targets *targets, const float *source)
{
    char text[sizeof(t->fault)];
    double value = learner_loss(l, &t->recipe, targets, source);
    if (isfinite(value)) return value;
    learner_fault(l, (int)recipe_micro_batch(&t->recipe), text, sizeof(text));
    if (l == &t->peer) strncat(text, " of the peer", sizeof(text) - strlen(text) - 1);
    note_fault(t, text);
    return value;
}

/* The forward passes of all who learn on a micro-batch, and the losses with their gradients. Not
 * finite when the peer's is not. Returns the student's. But for running statistics it changes
 * nothing that the next step would see: probe() calls it, too. */
static double forward(struct trainer *t, const struct loss_targets *targets)
{
    const struct recipe *r = &t->recipe;
    int batch = (int)recipe_micro_batch(r), deepest = net_sections(t->student.net) - 1;
    if (t->trunk != NULL) trunk_pass(t->trunk, t->student.grad);
    grad_forward(t->student.grad, t->student.params, batch);
    if (t->guide != NULL) {
        double value = guide_pass(t->guide, t->student.grad);
        if (!isfinite(value)) note_fault(t, "what is compared with the teacher's maps");
        t->position.sums.maps += value;
        return value + loss_of(t, &t->student, targets, guide_logits(t->guide));
    }
    if (t->peer.net == NULL) return loss_of(t, &t->student, targets, NULL);

    int peers_deepest = net_sections(t->peer.net) - 1;
    copy_to_peer(t);
    grad_forward(t->peer.grad, t->peer.params, batch);
    double value = loss_of(t, &t->student, targets, grad_logits(t->peer.grad, peers_deepest));
    double peers = loss_of(t, &t->peer, targets, grad_logits(t->student.grad, deepest));
    return isfinite(peers) ? value : peers;
}

/* The images of a micro-batch of the step that was drawn. */
static const uint32_t *images_of(const struct trainer *t, int64_t part)
{
    return t->batch.images + part * recipe_micro_batch(&t->recipe);
}

/* What the labels of a step's micro-batch become. */
static struct loss_targets targets_of(struct trainer *t, int64_t step, int64_t part)
{
    const size_t n = (size_t)recipe_micro_batch(&t->recipe), first = (size_t)part * n;
    struct loss_targets targets = {.labels = t->batch.labels + first,
                                   .share = t->mix.share,
                                   .smoothing = t->recipe.label_smoothing,
                                   .weights = t->weights};
    if (t->mix.kind != MIX_NOTHING) targets.others = t->others + first;
    if (t->progressive == NULL) return targets;
    targets.past = progressive_answers(t->progressive, images_of(t, part), n);
    targets.past_share = progressive_share(&t->recipe, step / t->epoch_steps + 1);
    return targets;
}

/* The mean of the ranks' losses. */
static double mean_loss(const struct trainer *t, double value)
{
    ranks_sum(t->setup.ranks, &value, 1);
    return value / (double)t->recipe.ranks;
}

/* One of the batch's micro-batches: its loss, and its part of the gradients. */
static double learn_part(struct trainer *t, int64_t part)
{
    const struct loss_targets targets = targets_of(t, t->position.step, part);
    take_part(t, part);
    double value = mean_loss(t, forward(t, &targets));
    if (!isfinite(value)) return value;
    if (t->progressive != NULL) {
        const int deepest = net_sections(t->student.net) - 1;
        progressive_keep(t->progressive, images_of(t, part), (size_t)recipe_micro_batch(&t->recipe),
                         grad_logits(t->student.grad, deepest));
    }
    learner_backward(&t->student);
    accumulator_take(&t->students, part, t->student.dparams, t->setup.pool);
    if (t->peer.net != NULL) {
        learner_backward(&t->peer);
        accumulator_take(&t->peers, part, t->peer.dparams, t->setup.pool);
    }
    if (t->guide != NULL)
        accumulator_take(&t->regressors, part, guide_dregressor(t->guide), t->setup.pool);
    return value;
}

/* The batch's loss, the mean of its parts'; their mean gradient stands ready. */
static double learn_batch(struct trainer *t)
{
    const int64_t parts = t->recipe.accumulate;
    double sum = 0;
    for (int64_t part = 0; part < parts && isfinite(sum); part++) sum += learn_part(t, part);
    if (!isfinite(sum)) return sum;
    learner_share(&t->student);
    if (t->peer.net != NULL) learner_share(&t->peer);
    if (t->guide != NULL) exchange_mean(t->regressors_exchange, guide_dregressor(t->guide));
    return sum / (double)parts;
}

/* The factor of the gradient of a network and what is trained beside it. */
static double clip(const struct trainer *t, const struct learner *l, double beside)
{
    if (t->recipe.clip == 0.0) return 1.0;
    return optimizer_clip(&t->recipe, optimizer_square(l->optimizer, l->dparams) + beside);
}

static void update(struct trainer *t, double rate)
{
    struct learner *student = &t->student, *peer = &t->peer;
    struct optimizer_step s = {.number = t->position.step + 1, .rate = rate};
    s.scale = clip(t, student, t->guide != NULL ? guide_square(t->guide) : 0.0);
    learner_update(student, &s);
    if (t->guide != NULL) guide_step(t->guide, &s);
    if (t->average != NULL) average_take(t->average, s.number, student->params);
    if (peer->net == NULL) return;
    s.scale = clip(t, peer, 0.0);
    learner_update(peer, &s);
    if (t->peers_average != NULL) average_take(t->peers_average, s.number, peer->params);
}

static int set_diverged(const struct trainer *t, int64_t step, struct err *e)
{
    return err_set(e, ERR_DIVERGED,
                   "it diverged: at step %lld (epoch %lld, learning rate %g) %s not finite",
                   (long long)step + 1, (long long)(step / t->epoch_steps) + 1,
                   schedule_rate(&t->recipe, step, t->epoch_steps), t->fault);
}

/* At a step, from 0, whose loss is not finite: what that rank says in which something is not. */
static int say_diverged(struct trainer *t, int64_t step, struct err *e)
{
    const bool knows = t->fault[0] != '\0';
    note_fault(t, "the ranks' losses together are");
    int rc = set_diverged(t, step, e), told = ranks_settle(t->setup.ranks, knows ? rc : 0, e);
    return told < 0 ? told : rc;
}

/* What the losses of this step, of all ranks' images, added to the epoch's sums. */
static void share_sums(struct trainer *t, const struct objective_sums *before)
{
    enum { TERMS = OBJECTIVE_TERMS * SPEC_SECTIONS_MAX, ALL = TERMS + SPEC_SECTIONS_MAX + 2 };
    struct objective_sums *sums = &t->position.sums;
    const double *was = &before->loss[0][0];
    double *is = &sums->loss[0][0], all[ALL];
    const double ranks = (double)t->recipe.ranks;
    if (t->setup.ranks == NULL) return;
    for (int i = 0; i < TERMS; i++) all[i] = is[i] - was[i];
    for (int i = 0; i < SPEC_SECTIONS_MAX; i++)
        all[TERMS + i] = (double)(sums->right[i] - before->right[i]);
    all[ALL - 2] = sums->maps - before->maps;
    all[ALL - 1] = (double)(sums->images - before->images);
    ranks_sum(t->setup.ranks, all, ALL);
    for (int i = 0; i < TERMS; i++) is[i] = was[i] + all[i] / ranks;
    for (int i = 0; i < SPEC_SECTIONS_MAX; i++)
        sums->right[i] = before->right[i] + (int64_t)all[TERMS + i];
    sums->maps = before->maps + all[ALL - 2] / ranks;
    sums->images = before->images + (int64_t)all[ALL - 1];
}

static int settle_trunk(struct trainer *t, struct err *e)
{
    int rc = t->trunk != NULL ? trunk_settle(t->trunk, t->student.params, e) : 0;
    return ranks_settle(t->setup.ranks, rc, e);
}

int trainer_step(struct trainer *t, struct train_report *ret_report, struct err *e)
{
    const struct recipe *r = &t->recipe;
    struct checkpoint_position *at = &t->position;
    int64_t epoch = at->step / t->epoch_steps, step_of_epoch = at->step % t->epoch_steps;
    if (step_of_epoch == 0) {
        at->loss_sum = 0;
        at->loss_count = 0;
        at->sums = (struct objective_sums){0};
    }
    int rc = settle_trunk(t, e);
    if (rc == 0) rc = draw_batch(t, at->step, e);
    if (rc < 0) return rc;
    mix_batch(t, epoch, step_of_epoch);
    t->fault[0] = '\0';
    const struct objective_sums before = at->sums;
    double value = learn_batch(t);
    double rate = schedule_rate(r, at->step, t->epoch_steps);
    if (!isfinite(value)) return say_diverged(t, at->step, e);
    share_sums(t, &before);
    update(t, rate);
    at->step++;
    at->loss_sum += value;
    at->loss_count++;
    *ret_report = (struct train_report){
        .epoch = epoch + 1,
        .step = at->step,
        .loss = value,
        .rate = rate,
        .mean_loss = at->loss_sum / (double)at->loss_count,
        .epoch_end = step_of_epoch + 1 == t->epoch_steps,
        .sums = &at->sums,
    };
    return 0;
}

int trainer_models(struct trainer *t, struct trainer_models *ret_models, struct err *e)
{
    struct trainer_models m = {t->student.params, t->peer.params};
    *ret_models = m;
    if (t->average == NULL) return 0;
    m.student = average_begin(t->average, t->student.params);
    if (t->peers_average != NULL) m.peer = average_begin(t->peers_average, t->peer.params);
    int rc = settle_trunk(t, e);
    if (rc < 0) return rc;
    const int64_t epoch = (t->position.step - 1) / t->epoch_steps, parts = t->recipe.accumulate;
    const int64_t n = average_batches(&t->recipe, t->epoch_steps) * parts;
    const int batch = (int)recipe_micro_batch(&t->recipe);
    for (int64_t i = 0; i < n; i++) {
        rc = i % parts == 0 ? draw_batch(t, epoch * t->epoch_steps + i / parts, e) : 0;
        if (rc < 0) return rc;
        take_part(t, i % parts);
        if (t->trunk != NULL) trunk_pass(t->trunk, t->student.grad);
        grad_forward_moving(t->student.grad, m.student, batch, 1.0 / (double)(i + 1));
        if (t->peers_average == NULL) continue;
        copy_to_peer(t);
        grad_forward_moving(t->peer.grad, m.peer, batch, 1.0 / (double)(i + 1));
    }
    learner_share_statistics(&t->student, m.student);
    if (t->peers_average != NULL) learner_share_statistics(&t->peer, m.peer);
    *ret_models = m;
    return 0;
}

/* All that changes from step to step. */
static struct checkpoint_state state_of(struct trainer *t)
{
    const struct learner *student = &t->student, *peer = &t->peer;
    struct checkpoint_state s = {.net = student->net, .algorithms = t->algorithms};
    s.blocks[s.n_blocks++] = (struct checkpoint_block){"model", student->params, true};
    for (size_t m = 0; m < optimizer_moments(&t->recipe); m++) {
        const char *name = optimizer_moment_name(&t->recipe, m);
        s.blocks[s.n_blocks++] =
            (struct checkpoint_block){name, optimizer_moment(student->optimizer, m), false};
        if (peer->net == NULL) continue;
        s.arrays[s.n_arrays++] = (struct checkpoint_array){
            "peer.", name, optimizer_moment(peer->optimizer, m), net_trained_size(peer->net)};
    }
    if (peer->net != NULL) {
        s.arrays[s.n_arrays++] =
            (struct checkpoint_array){"peer", "", peer->params, net_block_size(peer->net)};
    }
    if (t->average != NULL) {
        s.blocks[s.n_blocks++] =
            (struct checkpoint_block){"average", average_values(t->average), false};
    }
    if (t->peers_average != NULL) {
        s.arrays[s.n_arrays++] = (struct checkpoint_array){
            "peer.", "average", average_values(t->peers_average), net_trained_size(peer->net)};
    }
    if (t->progressive != NULL) {
        struct checkpoint_array *a = &s.arrays[s.n_arrays++];
        *a = (struct checkpoint_array){.name = "answers", .of = ""};
        a->values = progressive_values(t->progressive, &a->count);
    }
    if (t->guide != NULL) s.n_arrays += guide_state(t->guide, s.arrays + s.n_arrays);
    return s;
}

static size_t statistics_size(const struct learner *l)
{
    return l->net != NULL ? net_block_size(l->net) - net_trained_size(l->net) : 0;
}

/* Numbers can be finite and far too large to compute with: whether the parameters as they stand
 * have a loss, that of the step that comes next, or behind the last one of that again. A checkpoint
 * without could only be resumed into an error. Moves nothing. */
static int probe(struct trainer *t, struct err *e)
{
    struct learner *student = &t->student, *peer = &t->peer;
    const size_t n = statistics_size(student), n_peer = statistics_size(peer);
    const struct checkpoint_position position = t->position; /* whose sums the pass adds to */
    const int64_t step = trainer_done(t) ? t->position.step - 1 : t->position.step;
    const int64_t epoch = step / t->epoch_steps, step_of_epoch = step % t->epoch_steps;
    float *kept = mem_new(n + n_peer + 1, sizeof(*kept));
    int rc = kept == NULL ? err_set(e, -ENOMEM, "out of memory for statistics of norms") : 0;
    if (rc == 0 && t->trunk != NULL) rc = trunk_settle(t->trunk, student->params, e);
    rc = ranks_settle(t->setup.ranks, rc, e);
    if (rc == 0) rc = draw_batch(t, step, e);
    if (rc < 0) goto out;
    mix_batch(t, epoch, step_of_epoch);
    memcpy(kept, student->params + net_trained_size(student->net), n * sizeof(*kept));
    if (peer->net != NULL)
        memcpy(kept + n, peer->params + net_trained_size(peer->net), n_peer * sizeof(*kept));
    const struct loss_targets targets = targets_of(t, step, 0);
    take_part(t, 0);
    t->fault[0] = '\0';
    if (!isfinite(mean_loss(t, forward(t, &targets)))) rc = say_diverged(t, step, e);
    t->position = position;
    memcpy(student->params + net_trained_size(student->net), kept, n * sizeof(*kept));
    if (peer->net != NULL)
        memcpy(peer->params + net_trained_size(peer->net), kept + n, n_peer * sizeof(*kept));
out:
    mem_free(kept);
    return rc;
}

int trainer_save(struct trainer *trainer, const char *path, struct err *e)
{
    struct ranks *ranks = trainer->setup.ranks;
    int rc = probe(trainer, e);
    if (rc < 0) return rc;
    const struct checkpoint_state state = state_of(trainer);
    if (ranks_number(ranks) == 0)
        rc =
            checkpoint_write(path, &state, &trainer->position, trainer->texts, trainer->n_texts, e);
    return ranks_settle(ranks, rc, e);
}

static int read_state(struct trainer *t, const char *path, const struct checkpoint_state *state,
                      struct checkpoint_position *ret_position, struct err *e)
{
    int rc = checkpoint_read(path, t->texts, t->n_texts, ret_position, state, e);
    if (rc < 0 || ret_position->step <= trainer_steps(t)) return rc;
    return err_set(e, ERR_FORMAT, "the checkpoint %s stands at step %lld of %lld", path,
                   (long long)ret_position->step, (long long)trainer_steps(t));
}

int trainer_restore(struct trainer *trainer, const char *path, struct err *e)
{
    struct ranks *ranks = trainer->setup.ranks;
    struct checkpoint_position position = {0};
    const struct checkpoint_state state = state_of(trainer);
    if (trainer->trunk != NULL) trunk_unsettle(trainer->trunk);
    int rc = ranks_number(ranks) == 0 ? read_state(trainer, path, &state, &position, e) : 0;
    rc = ranks_settle(ranks, rc, e);
    if (rc < 0) return rc;
    for (size_t i = 0; i < state.n_blocks; i++) {
        const struct checkpoint_block *b = &state.blocks[i];
        size_t n = b->whole ? net_block_size(state.net) : net_trained_size(state.net);
        ranks_tell(ranks, b->values, n * sizeof(*b->values));
    }
    for (size_t i = 0; i < state.n_arrays; i++) {
        const struct checkpoint_array *a = &state.arrays[i];
        ranks_tell(ranks, a->values, a->count * sizeof(*a->values));
    }
    ranks_tell(ranks, &position, sizeof(position));
    trainer->position = position;
    return 0;
}

/* Of all that says which training it is. */
static int digest_texts(const struct trainer *t, uint8_t ret_digest[SHA256_SIZE], struct err *e)
{
    struct buf text;
    int rc = 0;
    buf_init(&text, RECIPE_TEXTS_MAX * sizeof(t->texts[0]));
    for (size_t i = 0; i < t->n_texts && rc == 0; i++)
        rc = buf_printf(&text, "%s=%s\n", t->texts[i].name, t->texts[i].value);
    if (rc < 0) rc = err_set(e, rc, "out of memory for the options' digest");
    if (rc == 0) sha256(buf_text(&text), text.size, ret_digest);
    buf_release(&text);
    return rc;
}

int trainer_agree(struct trainer *t, struct err *e)
{
    struct ranks *ranks = t->setup.ranks;
    uint8_t own[SHA256_SIZE] = {0}, first[SHA256_SIZE];
    int rc = digest_texts(t, own, e);
    memcpy(first, own, sizeof(first));
    ranks_tell(ranks, first, sizeof(first));
    if (rc == 0 && memcmp(first, own, sizeof(own)) != 0)
        rc = err_set(e, ERR_CONFLICT,
                     "it has other options, images or models than rank 0: each rank needs the same "
                     "files at the same places");
    return ranks_settle(ranks, rc, e);
}

const struct choices *trainer_algorithms(const struct trainer *trainer)
{
    return trainer->algorithms;
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
