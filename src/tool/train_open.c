/* Opening what a training needs: data, parent, network, held-out images, trainer.
 *
 * What can go wrong goes wrong here, before the first step: hours of training must not end in "no
 * such directory". Held-out images of a parent stay held out (facts: the design, "Held-out
 * images"). */
#include "config.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "model/spec_file.h"
#include "tool.h"
#include "train.h"
#include "train/checkpoint.h"

static int check_out(struct train_session *s, struct err *e)
{
    const char *out = s->command.out;
    char dir[PATH_MAX];
    struct stat st;
    if (strlen(out) + sizeof ".ckpt" > sizeof dir) {
        return err_set(e, -ENAMETOOLONG, "--out: %s", err_text(-ENAMETOOLONG));
    }
    snprintf(dir, sizeof dir, "%s", out);
    const char *parent = dirname(dir);
    if (access(parent, W_OK | X_OK) < 0) {
        return err_set(e, -errno, "--out %s: cannot write to %s: %s", out, parent,
                       err_text(-errno));
    }
    if (stat(out, &st) == 0 && !S_ISREG(st.st_mode)) {
        return err_set(e, -EEXIST, "--out %s: there is something that is not a file", out);
    }
    snprintf(s->checkpoint, sizeof s->checkpoint, "%s.ckpt", out);
    if (!s->command.resume && file_exists(s->checkpoint)) {
        return err_set(
            e, ERR_CONFLICT,
            "%s is the checkpoint of an unfinished training: go on with --resume, or remove it",
            s->checkpoint);
    }
    return 0;
}

/* Labels that the model file could not hold. */
static int check_labels(const struct train_session *s, struct err *e)
{
    for (int i = 0; i < dataset_classes(s->set); i++) {
        int rc = model_check_label(dataset_label(s->set, i), e);
        if (rc < 0) return err_prefix(e, "--data %.200s: class %d", s->command.data, i), rc;
    }
    return 0;
}

static int open_net(struct train_session *s, struct err *e)
{
    const struct train_command *c = &s->command;
    int classes = dataset_classes(s->set);
    struct spec spec;
    if (c->classes != 0 && c->classes != classes) {
        return err_set(e, ERR_CONFLICT, "--classes %lld: the data set has %d",
                       (long long)c->classes, classes);
    }
    if (c->width < 0 || c->width > SPEC_CHANNELS_MAX) {
        return err_set(e, ERR_USAGE, "--width %lld: it takes 1 to %d", (long long)c->width,
                       SPEC_CHANNELS_MAX);
    }
    int rc = 0;
    if (c->spec != NULL) {
        rc = spec_read(c->spec, &spec, e);
    } else {
        spec = *net_spec(s->parent->net);
    }
    if (rc == 0) rc = spec_scale(&spec, (int)c->width, classes, e);
    if (rc < 0) return rc;
    if (spec.channels != 3 || spec.height != dataset_height(s->set) ||
        spec.width != dataset_width(s->set)) {
        return err_set(
            e, ERR_CONFLICT,
            "the network takes images of %dx%d with %d channels, the data set's are %dx%d",
            spec.width, spec.height, spec.channels, dataset_width(s->set), dataset_height(s->set));
    }
    s->net = net_new(&spec, e);
    return s->net != NULL ? 0 : e->code;
}

static int inherit_number(const char *name, bool given, uint64_t *value, uint64_t parents,
                          struct err *e)
{
    if (given && *value != parents) {
        return err_set(
            e, ERR_CONFLICT,
            "--%s %llu: the model of --init was made with %llu, and images that it saw cannot "
            "judge its child: leave the option out",
            name, (unsigned long long)*value, (unsigned long long)parents);
    }
    *value = parents;
    return 0;
}

/* The held-out images of the parent stay held out. On other data everything is new. */
static int inherit_holdout(struct train_session *s, struct err *e)
{
    struct train_command *c = &s->command;
    struct train_options *o = &c->options;
    if (s->parent == NULL || strcmp(s->parent->training.data, dataset_kind(s->set)) != 0) return 0;
    uint64_t wish = (uint64_t)o->holdout;
    int rc = inherit_number("holdout", c->holdout_given, &wish,
                            (uint64_t)s->parent->training.holdout, e);
    o->holdout = (int64_t)wish;
    if (rc == 0) {
        rc = inherit_number("holdout-seed", c->holdout_seed_given, &o->holdout_seed,
                            s->parent->training.holdout_seed, e);
    }
    return rc;
}

static void choose_preprocess(struct train_session *s)
{
    struct preprocess *p = &s->preprocess;
    if (s->parent != NULL) {
        *p = s->parent->preprocess; /* its weights know these; a spec may bring another size */
        p->width = dataset_width(s->set);
        p->height = dataset_height(s->set);
        return;
    }
    *p = (struct preprocess){.width = dataset_width(s->set),
                             .height = dataset_height(s->set),
                             .resize = PREPROCESS_COVER,
                             .filter = PREPROCESS_BILINEAR};
    dataset_normalisation(s->set, p->mean, p->std);
}

/* Copies the parent's tensors by name. Those of the last linear layers may have other classes; they
 * then keep their first values from the seed. */
static int copy_parent(const struct train_session *s, float *params, struct err *e)
{
    size_t n, n_parent;
    const struct param *list = net_params(s->net, &n);
    const struct param *from = net_params(s->parent->net, &n_parent);
    bool same_classes = net_classes(s->net) == net_classes(s->parent->net);
    for (size_t i = 0; i < n; i++) {
        const struct param *p = &list[i], *q = NULL;
        for (size_t j = 0; j < n_parent && q == NULL; j++) {
            if (strcmp(from[j].name, p->name) == 0) q = &from[j];
        }
        bool equal = q != NULL && q->rank == p->rank &&
                     memcmp(q->dims, p->dims, (size_t)p->rank * sizeof *p->dims) == 0;
        bool linear = p->role == PARAM_LINEAR_WEIGHT || p->role == PARAM_LINEAR_BIAS;
        if (!equal && q != NULL && linear && !same_classes) continue;
        if (!equal) {
            return err_set(e, ERR_CONFLICT,
                           "--init %s: its network is another one: it %s the tensor %s",
                           s->command.init, q != NULL ? "has another shape of" : "lacks", p->name);
        }
        memcpy(params + p->offset, s->parent->params + q->offset, p->size * sizeof *params);
    }
    return 0;
}

static int open_trainer(struct train_session *s, struct err *e)
{
    const struct train_command *c = &s->command;
    const struct trainer_setup setup = {&c->options,    s->net,
                                        s->set,         &s->split,
                                        &s->preprocess, s->parent != NULL ? s->parent->sha256 : "",
                                        s->pool,        s->kernels};
    s->trainer = trainer_new(&setup, e);
    if (s->trainer == NULL) return e->code;
    if (c->resume && file_exists(s->checkpoint))
        return trainer_restore(s->trainer, s->checkpoint, e);
    return s->parent != NULL ? copy_parent(s, trainer_params(s->trainer), e) : 0;
}

/* A training goes on with the threads that it began with, as other ones give other bits, unless the
 * user names some: then the checkpoint is compared with those. */
static int choose_threads(const struct train_session *s, unsigned *ret_threads, struct err *e)
{
    int64_t wish = s->command.threads;
    char text[TRAIN_TEXT_MAX];
    if (wish == 0 && s->command.resume && file_exists(s->checkpoint)) {
        int rc = checkpoint_text(s->checkpoint, "threads", text, e);
        if (rc < 0) return rc;
        wish = strtoll(text, NULL, 10);
    }
    return tool_threads(wish, ret_threads, e);
}

int train_session_open(struct train_session *s, struct err *e)
{
    struct train_command *c = &s->command;
    unsigned threads = 1;
    int rc = check_out(s, e);
    if (rc == 0) rc = choose_threads(s, &threads, e);
    if (rc == 0 && c->init != NULL) rc = model_load(c->init, &s->parent, e);
    if (rc == 0) rc = dataset_open(c->data, DATA_TRAIN, &s->set, e);
    if (rc == 0) rc = check_labels(s, e);
    if (rc == 0) rc = inherit_holdout(s, e);
    if (rc == 0) rc = open_net(s, e);
    if (rc < 0) return rc;
    rc = split_make(s->set, (size_t)c->options.holdout, c->options.holdout_seed, &s->split, e);
    if (rc < 0) return err_prefix(e, "--holdout %lld", (long long)c->options.holdout);
    choose_preprocess(s);
    s->kernels = kernels_best();
    s->pool = pool_new(threads);
    if (s->pool == NULL) return err_set(e, -EAGAIN, "cannot start %u threads", threads);
    rc = open_trainer(s, e);
    if (rc < 0) return rc;
    s->progress.epochs = c->options.epochs;
    s->progress.batch = c->options.batch;
    s->progress.steps = trainer_steps(s->trainer);
    s->progress.epoch_steps = trainer_epoch_steps(s->trainer);
    return 0;
}

void train_session_close(struct train_session *s)
{
    trainer_free(s->trainer);
    pool_free(s->pool);
    split_release(&s->split);
    net_free(s->net);
    dataset_free(s->set);
    model_unref(s->parent);
}
