/* The file of --dump-step (doc/training.md says what is in it). Names are those of checkpoints,
 * behind "before." and "after.". */
#include "config.h"

#include "trainer_dump.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "nn/grad.h"
#include "nn/loss.h"

enum { TEXTS = 5, NUMBER_MAX = 40, KEY_MAX = 128 };

int trainer_dump_next(struct trainer *trainer, const char *path, struct err *e)
{
    int rc = 0;
    if (ranks_number(trainer->setup.ranks) == 0) {
        dump_free(trainer->dump);
        trainer->dump = dump_new();
        if (trainer->dump == NULL) rc = err_set(e, -ENOMEM, "out of memory for %s", path);
    }
    trainer->dump_path = path;
    return ranks_settle(trainer->setup.ranks, rc, e);
}

/* A block of the net, tensor by tensor. */
static void add_block(struct dump *d, const char *prefix, const struct net *net, bool whole,
                      const float *values)
{
    size_t n;
    const struct param *list = net_params(net, &n);
    for (size_t i = 0; i < n; i++) {
        const struct param *p = &list[i];
        if (whole || p->trained)
            dump_add(d, prefix, p->name, p->n_dims, p->dims, values + p->offset);
    }
}

static void add_state(struct trainer *t, const char *when)
{
    const struct checkpoint_state s = trainer_state_of(t);
    char prefix[DUMP_NAME_MAX];
    for (size_t i = 0; i < s.n_blocks; i++) {
        snprintf(prefix, sizeof(prefix), "%s.%s.", when, s.blocks[i].name);
        add_block(t->dump, prefix, s.net, s.blocks[i].whole, s.blocks[i].values);
    }
    for (size_t i = 0; i < s.n_arrays; i++) {
        const struct checkpoint_array *a = &s.arrays[i];
        const int64_t count = (int64_t)a->count;
        snprintf(prefix, sizeof(prefix), "%s.state.%s", when, a->name);
        dump_add(t->dump, prefix, a->of, 1, &count, a->values);
    }
}

/* [n][h][w][c] as PyTorch has it, [n][c][h][w]. */
static void add_images(struct trainer *t)
{
    const struct shape s = net_input(t->setup.net);
    const int64_t dims[] = {(int64_t)t->share, s.channels, s.height, s.width};
    const size_t pixels = (size_t)s.height * (size_t)s.width, channels = (size_t)s.channels;
    float *to = dump_add(t->dump, "", "input", 4, dims, NULL);
    for (size_t i = 0; to != NULL && i < t->share; i++) {
        const float *from = t->batch.input + i * pixels * channels;
        for (size_t k = 0; k < pixels * channels; k++)
            to[i * pixels * channels + k % channels * pixels + k / channels] = from[k];
    }
}

/* Rows for what the parts of the batch say. */
static void add_rows(struct trainer *t)
{
    const int64_t dims[] = {(int64_t)t->share, net_classes(t->student.net)};
    struct trainer_dump_rows *rows = &t->dump_rows;
    *rows = (struct trainer_dump_rows){.targets = dump_add(t->dump, "", "targets", 2, dims, NULL)};
    for (int i = 0; i < net_sections(t->student.net); i++) {
        char number[NUMBER_MAX];
        if ((t->student.exits >> i & 1) == 0) continue;
        snprintf(number, sizeof(number), "%d", i + 1);
        rows->logits[i] = dump_add(t->dump, "logits.", number, 2, dims, NULL);
    }
    if (t->guide != NULL || t->peer.net != NULL)
        rows->source = dump_add(t->dump, "", "source", 2, dims, NULL);
    if (t->weights != NULL) dump_add(t->dump, "", "class_weights", 1, &dims[1], t->weights);
}

void trainer_dump_begin(struct trainer *t)
{
    if (t->dump == NULL) return;
    add_images(t);
    add_rows(t);
    add_state(t, "before");
}

static void put_row(float *to, const float *from, size_t first, size_t count)
{
    if (to != NULL) memcpy(to + first, from, count * sizeof(*to));
}

void trainer_dump_part(struct trainer *t, int64_t part, const struct loss_targets *targets)
{
    const int n = (int)recipe_micro_batch(&t->recipe), classes = net_classes(t->student.net);
    const size_t count = (size_t)n * (size_t)classes, first = (size_t)part * count;
    struct trainer_dump_rows *rows = &t->dump_rows;
    if (t->dump == NULL) return;
    for (int i = 0; rows->targets != NULL && i < n * classes; i++)
        rows->targets[first + (size_t)i] =
            (float)loss_target(targets, classes, i / classes, i % classes);
    for (int i = 0; i < SPEC_SECTIONS_MAX; i++) {
        if (rows->logits[i] != NULL)
            put_row(rows->logits[i], grad_logits(t->student.grad, i), first, count);
    }
    if (t->guide != NULL) put_row(rows->source, guide_logits(t->guide), first, count);
    if (t->peer.net != NULL)
        put_row(rows->source, grad_logits(t->peer.grad, net_sections(t->peer.net) - 1), first,
                count);
}

/* What the step added, by exit. */
static void add_losses(struct trainer *t, double loss, const struct objective_sums *before)
{
    const struct objective_sums *now = &t->position.sums;
    const int64_t exits = net_sections(t->student.net), one = 1;
    const double batches = (double)(now->batches - before->batches);
    const float maps = (float)((now->maps - before->maps) / batches), whole = (float)loss;
    for (int k = 0; k < OBJECTIVE_TERMS; k++) {
        float *to = dump_add(t->dump, "loss.", objective_terms[k], 1, &exits, NULL);
        for (int i = 0; to != NULL && i < exits; i++)
            to[i] = (float)((now->loss[k][i] - before->loss[k][i]) / batches);
    }
    dump_add(t->dump, "loss.", "maps", 1, &one, &maps);
    dump_add(t->dump, "", "loss", 1, &one, &whole);
}

void trainer_dump_gradient(struct trainer *t, double loss, const struct objective_sums *before)
{
    if (t->dump == NULL) return;
    add_losses(t, loss, before);
    add_block(t->dump, "gradient.", t->student.net, false, t->student.dparams);
    size_t n = 0;
    if (t->guide != NULL && guide_regressor(t->guide, &n) != NULL) {
        const int64_t count = (int64_t)n;
        dump_add(t->dump, "gradient.", "state.regressor", 1, &count, guide_dregressor(t->guide));
    }
}

static int write_file(const struct trainer *t, double rate, struct err *e)
{
    struct meta_out meta[TEXTS + RECIPE_TEXTS_MAX];
    char keys[RECIPE_TEXTS_MAX][KEY_MAX], step[NUMBER_MAX], epoch[NUMBER_MAX], lr[NUMBER_MAX];
    size_t n = 0;
    snprintf(step, sizeof(step), "%lld", (long long)t->position.step + 1);
    snprintf(epoch, sizeof(epoch), "%lld", (long long)(t->position.step / t->epoch_steps) + 1);
    snprintf(lr, sizeof(lr), "%.17g", rate);
    meta[n++] = (struct meta_out){"autodidact.dump", "1"};
    meta[n++] = (struct meta_out){"step", step};
    meta[n++] = (struct meta_out){"epoch", epoch};
    meta[n++] = (struct meta_out){"lr", lr};
    for (size_t i = 0; i < t->n_texts; i++) {
        snprintf(keys[i], sizeof(keys[i]), "option.%s", t->texts[i].name);
        meta[n++] = (struct meta_out){keys[i], t->texts[i].value};
    }
    return dump_write(t->dump, t->dump_path, meta, n, e);
}

int trainer_dump_end(struct trainer *t, double rate, struct err *e)
{
    int rc = 0;
    if (t->dump_path == NULL) return 0;
    if (t->dump != NULL) {
        add_state(t, "after");
        rc = write_file(t, rate, e);
        dump_free(t->dump);
        t->dump = NULL;
        t->dump_rows = (struct trainer_dump_rows){0};
    }
    t->dump_path = NULL;
    return ranks_settle(t->setup.ranks, rc, e);
}
