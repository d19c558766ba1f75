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

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/loader.h"
#include "nn/grad.h"
#include "trainer_dump.h"
#include "trainer_parts.h"

float *trainer_params(struct trainer *trainer)
{
    return trainer->student.params;
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

struct checkpoint_log *trainer_log(struct trainer *trainer)
{
    return &trainer->position.log;
}

bool trainer_done(const struct trainer *trainer)
{
    return trainer->position.step >= trainer_steps(trainer);
}

const struct choices *trainer_algorithms(const struct trainer *trainer)
{
    return trainer->algorithms;
}

/* Images and labels of a step as they are augmented, in t->batch. */
static int draw_batch(struct trainer *t, int64_t step, struct err *e)
{
    t->mixed = -1;
    int rc = loader_take(t->loader, step, &t->batch, e);
    return ranks_settle(t->setup.ranks, rc, e);
}

/* Images and labels in pairs, where the recipe wants it. */
static void mix_batch(struct trainer *t, int64_t step)
{
    const struct shape image = net_input(t->setup.net);
    const uint32_t epoch = (uint32_t)(step / t->epoch_steps);
    if (t->others == NULL) return;
    t->mix = mix_draw(&t->recipe, epoch, (uint32_t)(step % t->epoch_steps), image);
    mix_images(&t->mix, t->batch.input, t->share, image, t->setup.pool);
    mix_labels(t->batch.labels, t->share, t->others);
}

/* The batch that a step learns from. One that has been tried is there: taking it once more would
 * have it made again, and throw away those that are made ahead. */
static int draw_mixed(struct trainer *t, int64_t step, struct err *e)
{
    if (t->mixed == step) return 0;
    int rc = draw_batch(t, step, e);
    if (rc < 0) return rc;
    mix_batch(t, step);
    t->mixed = step;
    return 0;
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
 * nothing that the next step would see: trainer_try() calls it, too. */
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

/* One of the batch's micro-batches: this rank's loss, and its part of the gradients. One that is
 * not finite is learned, too, since the other ranks are, which do not know of it yet. */
static double learn_part(struct trainer *t, int64_t part)
{
    const struct loss_targets targets = targets_of(t, t->position.step, part);
    take_part(t, part);
    double value = forward(t, &targets);
    trainer_dump_part(t, part, &targets);
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

/* This rank's loss, the mean of its parts'; the mean gradient of all ranks' stands ready. */
static double learn_batch(struct trainer *t)
{
    double sum = 0;
    for (int64_t part = 0; part < t->parts; part++) sum += learn_part(t, part);
    learner_share(&t->student);
    if (t->peer.net != NULL) learner_share(&t->peer);
    if (t->guide != NULL) exchange_mean(t->regressors_exchange, guide_dregressor(t->guide));
    return sum / (double)t->parts;
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

/* The loss of this step becomes the mean of the ranks', and what the epoch's sums have of it that
 * of all ranks' images. Behind the way back: at a meeting before it all would wait for the slowest
 * one once more. */
static void share_sums(struct trainer *t, const struct objective_sums *before, double *loss)
{
    enum { TERMS = OBJECTIVE_TERMS * SPEC_SECTIONS_MAX, ALL = TERMS + SPEC_SECTIONS_MAX + 3 };
    struct objective_sums *sums = &t->position.sums;
    const double *was = &before->loss[0][0];
    double *is = &sums->loss[0][0], all[ALL];
    const double ranks = (double)ranks_count(t->setup.ranks);
    if (t->setup.ranks == NULL) return;
    for (int i = 0; i < TERMS; i++) all[i] = is[i] - was[i];
    for (int i = 0; i < SPEC_SECTIONS_MAX; i++)
        all[TERMS + i] = (double)(sums->right[i] - before->right[i]);
    all[ALL - 3] = *loss;
    all[ALL - 2] = sums->maps - before->maps;
    all[ALL - 1] = (double)(sums->images - before->images);
    ranks_sum(t->setup.ranks, all, ALL);
    for (int i = 0; i < TERMS; i++) is[i] = was[i] + all[i] / ranks;
    for (int i = 0; i < SPEC_SECTIONS_MAX; i++)
        sums->right[i] = before->right[i] + (int64_t)all[TERMS + i];
    *loss = all[ALL - 3] / ranks;
    sums->maps = before->maps + all[ALL - 2] / ranks;
    sums->images = before->images + (int64_t)all[ALL - 1];
}

static int settle_trunk(struct trainer *t, struct err *e)
{
    int rc = t->trunk != NULL ? trunk_settle(t->trunk, t->student.params, e) : 0;
    return ranks_settle(t->setup.ranks, rc, e);
}

int trainer_try(struct trainer *t, int64_t step, struct err *e)
{
    int rc = settle_trunk(t, e);
    if (rc == 0) rc = draw_mixed(t, step, e);
    if (rc < 0) return rc;
    const struct loss_targets targets = targets_of(t, step, 0);
    take_part(t, 0);
    t->fault[0] = '\0';
    double value = forward(t, &targets);
    ranks_sum(t->setup.ranks, &value, 1);
    return isfinite(value) ? 0 : say_diverged(t, step, e);
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
    if (rc == 0) rc = draw_mixed(t, at->step, e);
    if (rc < 0) return rc;
    trainer_dump_begin(t);
    t->fault[0] = '\0';
    const struct objective_sums before = at->sums;
    double value = learn_batch(t);
    double rate = schedule_rate(r, at->step, t->epoch_steps);
    share_sums(t, &before, &value);
    if (!isfinite(value)) return say_diverged(t, at->step, e);
    trainer_dump_gradient(t, value, &before);
    update(t, rate);
    rc = trainer_dump_end(t, rate, e);
    if (rc < 0) return rc;
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
    const int64_t epoch = (t->position.step - 1) / t->epoch_steps, parts = t->parts;
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
