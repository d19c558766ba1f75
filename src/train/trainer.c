/* The steps of a training.
 *
 * One step: the ranks of the pool fill the input (augmented and normalised) of their images,
 * forward, loss, backward, SGD. Everything is in a fixed order; what is random comes from (seed,
 * epoch, sample), so nothing random is part of the state. The order of an epoch is made anew when
 * the epoch changes. Left out: clocks, evaluation and files other than checkpoints; the caller
 * decides when. */
#include "config.h"

#include "train/trainer.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/sha256.h"
#include "model/spec_file.h"
#include "nn/grad.h"
#include "train/checkpoint.h"
#include "train/optimizer.h"

struct trainer {
    struct trainer_setup setup;
    struct train_options options;
    struct grad *grad;
    struct optimizer *optimizer;
    float *params, *dparams;
    int32_t *labels;       /* [batch] */
    uint32_t *order;       /* [split->n_train], of the epoch ordered_epoch */
    int64_t ordered_epoch; /* -1: none yet */
    int64_t epoch_steps;
    struct checkpoint_position position;
    struct train_text texts[TRAIN_TEXTS_MAX];
    size_t n_texts;
};

/* Beside the options a checkpoint belongs to an architecture, to data, to first parameters and to a
 * number of threads. Not to a processor: elsewhere the bits differ, but hours of work go on. */
static int make_texts(struct trainer *t, struct err *e)
{
    t->n_texts = train_options_texts(&t->options, t->texts);
    char *json = spec_format(net_spec(t->setup.net));
    if (json == NULL) return err_set(e, -ENOMEM, "out of memory for the spec's text");
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE], data[SHA256_HEX_SIZE];
    sha256(json, strlen(json), digest);
    sha256_hex(digest, hex);
    mem_free(json);
    dataset_digest(t->setup.set, data);

    struct train_text *text = &t->texts[t->n_texts++];
    text->name = "spec";
    snprintf(text->value, sizeof text->value, "%s with %d channels (%.16s)",
             net_spec(t->setup.net)->name, net_spec(t->setup.net)->stages[0].channels, hex);
    text = &t->texts[t->n_texts++];
    text->name = "data";
    snprintf(text->value, sizeof text->value, "%.64s of %zu images (%.16s)",
             dataset_kind(t->setup.set), dataset_count(t->setup.set), data);
    text = &t->texts[t->n_texts++];
    text->name = "init";
    snprintf(text->value, sizeof text->value, "%.64s", *t->setup.parent ? t->setup.parent : "none");
    text = &t->texts[t->n_texts++];
    text->name = "threads";
    snprintf(text->value, sizeof text->value, "%u", pool_threads(t->setup.pool));
    return 0;
}

static int allocate(struct trainer *t, struct err *e)
{
    const struct net *net = t->setup.net;
    int batch = (int)t->options.batch;
    unsigned exits = method_exits(t->options.method, net_sections(net));
    t->params = mem_new_aligned(net_block_size(net), sizeof *t->params);
    t->dparams = mem_new_aligned(net_trained_size(net), sizeof *t->dparams);
    t->labels = mem_new((size_t)batch, sizeof *t->labels);
    t->order = mem_new(t->setup.split->n_train, sizeof *t->order);
    if (t->params == NULL || t->dparams == NULL || t->labels == NULL || t->order == NULL) {
        return err_set(e, -ENOMEM, "out of memory for %zu parameters", net_block_size(net));
    }
    t->grad = grad_new(net, batch, exits, t->setup.pool, t->setup.kernels, e);
    if (t->grad == NULL) return -ENOMEM;
    t->optimizer = optimizer_new(net, exits, t->setup.pool, t->setup.kernels, e);
    return t->optimizer != NULL ? 0 : -ENOMEM;
}

struct trainer *trainer_new(const struct trainer_setup *setup, struct err *e)
{
    size_t n_train = setup->split->n_train;
    if ((uint64_t)setup->options->batch > n_train) {
        err_set(e, ERR_RANGE, "--batch %lld: there are only %zu images to train on",
                (long long)setup->options->batch, n_train);
        return NULL;
    }
    struct trainer *t = mem_new(1, sizeof *t);
    if (t == NULL) {
        err_set(e, -ENOMEM, "out of memory");
        return NULL;
    }
    t->setup = *setup;
    t->options = *setup->options;
    t->ordered_epoch = -1;
    t->epoch_steps = (int64_t)n_train / t->options.batch;
    if (make_texts(t, e) < 0 || allocate(t, e) < 0) {
        trainer_free(t);
        return NULL;
    }
    net_init_params(setup->net, t->options.seed, t->params);
    return t;
}

void trainer_free(struct trainer *trainer)
{
    if (trainer == NULL) return;
    grad_free(trainer->grad);
    optimizer_free(trainer->optimizer);
    mem_free(trainer->params);
    mem_free(trainer->dparams);
    mem_free(trainer->labels);
    mem_free(trainer->order);
    mem_free(trainer);
}

float *trainer_params(struct trainer *trainer)
{
    return trainer->params;
}

size_t trainer_bytes(const struct trainer *trainer)
{
    const struct net *net = trainer->setup.net;
    return grad_bytes(trainer->grad) +
           (net_block_size(net) + 2 * net_trained_size(net)) * sizeof(float);
}

int64_t trainer_epoch_steps(const struct trainer *trainer)
{
    return trainer->epoch_steps;
}

int64_t trainer_steps(const struct trainer *trainer)
{
    return trainer->epoch_steps * trainer->options.epochs;
}

int64_t trainer_position(const struct trainer *trainer)
{
    return trainer->position.step;
}

bool trainer_done(const struct trainer *trainer)
{
    return trainer->position.step >= trainer_steps(trainer);
}

/* What the ranks need to fill the input. */
struct preparation {
    const struct trainer *trainer;
    const uint32_t *indices;
    uint32_t epoch;
    float *input;
};

static void prepare_part(void *arg, unsigned rank, unsigned n_ranks)
{
    const struct preparation *p = arg;
    const struct trainer *t = p->trainer;
    size_t first, end, size = shape_size(net_input(t->setup.net));
    pool_part((size_t)t->options.batch, rank, n_ranks, &first, &end);
    for (size_t i = first; i < end; i++) {
        batch_sample(t->setup.set, p->indices[i], t->setup.preprocess, t->options.augment,
                     t->options.seed, p->epoch, p->input + i * size);
        t->labels[i] = dataset_class(t->setup.set, p->indices[i]);
    }
}

static void prepare(struct trainer *t, int64_t epoch, int64_t step_of_epoch)
{
    if (t->ordered_epoch != epoch) {
        batch_order(t->setup.split->train, t->setup.split->n_train, t->options.seed,
                    (uint32_t)epoch, t->order);
        t->ordered_epoch = epoch;
    }
    struct preparation p = {t, t->order + step_of_epoch * t->options.batch, (uint32_t)epoch,
                            grad_input(t->grad)};
    pool_run(t->setup.pool, prepare_part, &p);
}

static double loss(struct trainer *t)
{
    const struct net *net = t->setup.net;
    struct method_batch b = {
        .n = (int)t->options.batch,
        .n_exits = net_sections(net),
        .classes = net_classes(net),
        .features = net_feature_size(net),
        .labels = t->labels,
    };
    unsigned exits = method_exits(t->options.method, b.n_exits);
    for (int i = 0; i < b.n_exits; i++) {
        if ((exits >> i & 1) == 0) continue;
        b.logits[i] = grad_logits(t->grad, i);
        b.feature[i] = grad_features(t->grad, i);
        b.dlogits[i] = grad_dlogits(t->grad, i);
        b.dfeature[i] = grad_dfeatures(t->grad, i);
    }
    return method_loss(t->options.method, &t->options.distillation, &b);
}

int trainer_step(struct trainer *t, struct train_report *ret_report, struct err *e)
{
    const struct train_options *o = &t->options;
    struct checkpoint_position *at = &t->position;
    int64_t epoch = at->step / t->epoch_steps, step_of_epoch = at->step % t->epoch_steps;
    if (step_of_epoch == 0) {
        at->loss_sum = 0;
        at->loss_count = 0;
    }
    prepare(t, epoch, step_of_epoch);
    grad_forward(t->grad, t->params, (int)o->batch);
    double value = loss(t);
    double rate =
        o->lr * schedule_factor(&o->schedule, at->step, t->epoch_steps, o->epochs, o->warmup);
    if (!isfinite(value)) {
        return err_set(
            e, ERR_DIVERGED,
            "the loss is not finite at step %lld (epoch %lld, learning rate %g): a smaller "
            "--lr or a longer --warmup helps",
            (long long)at->step + 1, (long long)epoch + 1, rate);
    }
    grad_backward(t->grad, t->params, t->dparams);
    optimizer_step(t->optimizer, rate, o->momentum, o->weight_decay, t->dparams, t->params);
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
    };
    return 0;
}

int trainer_save(const struct trainer *trainer, const char *path, struct err *e)
{
    return checkpoint_write(path, trainer->setup.net, trainer->params,
                            optimizer_momentum(trainer->optimizer), &trainer->position,
                            trainer->texts, trainer->n_texts, e);
}

int trainer_restore(struct trainer *trainer, const char *path, struct err *e)
{
    struct checkpoint_position position;
    int rc = checkpoint_read(path, trainer->setup.net, trainer->texts, trainer->n_texts, &position,
                             trainer->params, optimizer_momentum(trainer->optimizer), e);
    if (rc < 0) return rc;
    if (position.step > trainer_steps(trainer)) {
        return err_set(e, ERR_FORMAT, "the checkpoint %s stands at step %lld of %lld", path,
                       (long long)position.step, (long long)trainer_steps(trainer));
    }
    trainer->position = position;
    return 0;
}
