/* Opening what a training needs: data, parent, network, held-out images, trainer.
 *
 * What can go wrong goes wrong here, before the first step: hours of training must not end in "no
 * such directory". Held-out images of a parent stay held out. */
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

static int check_writable(const char *option, const char *out, struct err *e)
{
    char dir[PATH_MAX];
    struct stat st;
    if (strlen(out) + sizeof(".ckpt") > sizeof(dir)) {
        return err_set(e, -ENAMETOOLONG, "%s: %s", option, err_text(-ENAMETOOLONG));
    }
    snprintf(dir, sizeof(dir), "%s", out);
    const char *parent = dirname(dir);
    if (access(parent, W_OK | X_OK) < 0) {
        return err_set(e, -errno, "%s %s: cannot write to %s: %s", option, out, parent,
                       err_text(-errno));
    }
    if (stat(out, &st) == 0 && !S_ISREG(st.st_mode)) {
        return err_set(e, -EEXIST, "%s %s: there is something that is not a file", option, out);
    }
    return 0;
}

/* Of files that need not be there: the same name in the same directory. */
static bool is_same_place(const char *a, const char *b)
{
    char dir_a[PATH_MAX], dir_b[PATH_MAX];
    struct stat of_a, of_b;
    const char *name_a = strrchr(a, '/'), *name_b = strrchr(b, '/');
    if (strcmp(name_a != NULL ? name_a + 1 : a, name_b != NULL ? name_b + 1 : b) != 0) return false;
    snprintf(dir_a, sizeof(dir_a), "%s", a);
    snprintf(dir_b, sizeof(dir_b), "%s", b);
    return stat(dirname(dir_a), &of_a) == 0 && stat(dirname(dir_b), &of_b) == 0 &&
           of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

/* The peer's file would be overwritten by the model, or removed with the checkpoint. */
static int check_peer_out(const struct train_session *s, struct err *e)
{
    const char *peer_out = s->command.draft.peer_out;
    int rc = check_writable("--peer-out", peer_out, e);
    if (rc < 0) return rc;
    bool is_out = is_same_place(peer_out, s->command.out);
    if (!is_out && !is_same_place(peer_out, s->checkpoint)) return 0;
    return err_set(e, ERR_USAGE, "--peer-out %s: that is %s: name another file", peer_out,
                   is_out ? "--out" : "the checkpoint of --out");
}

static int check_out(struct train_session *s, struct err *e)
{
    const char *out = s->command.out;
    int rc = check_writable("--out", out, e);
    if (rc < 0) return rc;
    snprintf(s->checkpoint, sizeof(s->checkpoint), "%s.ckpt", out);
    if (s->command.draft.peer_out != NULL) rc = check_peer_out(s, e);
    if (rc < 0) return rc;
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
        if (rc < 0) return err_prefix(e, "--data %.200s: class %d", s->command.draft.data, i), rc;
    }
    return 0;
}

/* The network that is asked for, at its own width. */
static int choose_spec(const struct train_session *s, struct spec *ret_spec, struct err *e)
{
    const struct train_command *c = &s->command;
    enum spec_head heads;
    int rc = 0;
    if (c->spec != NULL) {
        rc = spec_read(c->spec, ret_spec, e);
    } else {
        *ret_spec = *net_spec(s->parent->net);
    }
    const char *word = recipe_choice("heads", c->draft.heads);
    if (rc < 0 || word == NULL) return rc;
    rc = spec_head_parse(word, &heads, e);
    if (rc == 0) spec_set_heads(ret_spec, heads);
    return rc;
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
    int rc = choose_spec(s, &spec, e);
    if (rc == 0) rc = spec_scale(&spec, (int)c->draft.width, classes, e);
    if (rc < 0) return rc;
    if (spec.channels != 3) {
        return err_set(e, ERR_CONFLICT,
                       "the network takes images of %d channels, the data set's have 3",
                       spec.channels);
    }
    s->net = net_new(&spec, e);
    return s->net != NULL ? 0 : e->code;
}

/* Unless somebody says otherwise: a tenth of the images, but not more than the recipe has. */
static void choose_holdout(struct train_session *s)
{
    const int64_t tenth = (int64_t)(dataset_count(s->set) / 10);
    struct train_command *c = &s->command;
    if (!recipe_is_given(&c->draft, "holdout") && c->draft.recipe.holdout > tenth)
        c->draft.recipe.holdout = tenth;
}

/* A number of the held-out images that `by` has said already; NULL is the option itself. */
static int differs(const char *name, const char *by, uint64_t value, const char *from,
                   uint64_t theirs, struct err *e)
{
    if (by != NULL) {
        return err_set(e, ERR_CONFLICT,
                       "%s: its model was made with --%s %llu, that of %s with %llu: they need the "
                       "same held-out images, as those that one of them saw cannot judge its %s",
                       from, name, (unsigned long long)theirs, by, (unsigned long long)value,
                       strcmp(from, "--init") == 0 ? "child" : "student");
    }
    return err_set(e, ERR_CONFLICT,
                   "--%s %llu: the model of %s was made with %llu, and images that it saw cannot "
                   "judge its %s: leave the option out",
                   name, (unsigned long long)value, from, (unsigned long long)theirs,
                   strcmp(from, "--init") == 0 ? "child" : "student");
}

/* The held-out images of a model stay held out: a parent passes on what it has seen, and so does a
 * teacher, unless that is not what the option or *by, the model before, said. On other data
 * everything is new. */
static int inherit_holdout(struct train_session *s, const struct model *model, const char *from,
                           const char **by, struct err *e)
{
    struct train_command *c = &s->command;
    struct recipe *r = &c->draft.recipe;
    if (model == NULL || !tool_same_data(model, s->set)) return 0;
    const uint64_t holdout = (uint64_t)model->training.recipe.holdout,
                   seed = model->training.recipe.holdout_seed;
    if ((*by != NULL || recipe_is_given(&c->draft, "holdout")) && (uint64_t)r->holdout != holdout)
        return differs("holdout", *by, (uint64_t)r->holdout, from, holdout, e);
    if ((*by != NULL || recipe_is_given(&c->draft, "holdout-seed")) && r->holdout_seed != seed)
        return differs("holdout-seed", *by, r->holdout_seed, from, seed, e);
    r->holdout = (int64_t)holdout;
    r->holdout_seed = seed;
    *by = from;
    return 0;
}

/* What of the way from an image to a network's input differs, or NULL. The size of the input does
 * not count: the networks say that, and a spec may bring another one. */
static const char *other_view(const struct preprocess *a, const struct preprocess *b)
{
    if (memcmp(a->mean, b->mean, sizeof(a->mean)) != 0) return "normalises images by another mean";
    if (memcmp(a->std, b->std, sizeof(a->std)) != 0) return "normalises images by another std";
    if (a->resize != b->resize) {
        return a->resize == PREPROCESS_STRETCH ? "stretches images instead of cropping them, other"
                                               : "crops images instead of stretching them, other";
    }
    return a->filter != b->filter ? "resizes images by another filter" : NULL;
}

/* Who is taught sees images as its teacher does; a parent must have seen them so, too. */
static int check_teacher(const struct train_session *s, struct err *e)
{
    const struct train_command *c = &s->command;
    if (s->teacher == NULL) return 0;
    int rc = trainer_check_teacher(s->teacher, c->draft.recipe.method, s->net, s->set, e);
    const char *other =
        s->parent != NULL ? other_view(&s->teacher->preprocess, &s->parent->preprocess) : NULL;
    if (rc == 0 && other != NULL)
        rc = err_set(e, ERR_CONFLICT, "it %s than the model of --init", other);
    if (rc < 0) err_prefix(e, "--teacher %.200s", c->draft.teacher);
    return rc;
}

/* The second network: another spec, or the same one again, of the first one's width unless it has
 * one of its own. That is scaled from the spec, too, since scaling twice would round twice. */
static int open_peer(struct train_session *s, struct err *e)
{
    const struct train_command *c = &s->command;
    struct spec spec;
    int64_t width =
        c->draft.peer == NULL && c->draft.peer_width == 0 ? c->draft.width : c->draft.peer_width;
    struct shape in = net_input(s->net);
    if (c->draft.recipe.method->source != METHOD_PEER) return 0;
    int rc = c->draft.peer != NULL ? spec_read(c->draft.peer, &spec, e) : choose_spec(s, &spec, e);
    if (rc == 0) rc = spec_scale(&spec, (int)width, net_classes(s->net), e);
    if (rc < 0) return rc;
    if (spec.width != in.width || spec.height != in.height || spec.channels != in.channels) {
        return err_set(e, ERR_CONFLICT,
                       "--peer %s: it takes images of %dx%d with %d channels, the first network of "
                       "%dx%d with %d",
                       c->draft.peer, spec.width, spec.height, spec.channels, in.width, in.height,
                       in.channels);
    }
    s->peer = net_new(&spec, e);
    return s->peer != NULL ? 0 : e->code;
}

static void choose_preprocess(struct train_session *s)
{
    const struct shape input = net_input(s->net);
    struct preprocess *p = &s->preprocess;
    const struct model *known = s->parent != NULL ? s->parent : s->teacher;
    if (known != NULL) {
        *p = known->preprocess; /* its weights know these; a spec may bring another size */
        p->width = input.width;
        p->height = input.height;
        return;
    }
    *p = (struct preprocess){.width = input.width,
                             .height = input.height,
                             .resize = PREPROCESS_COVER,
                             .filter = PREPROCESS_BILINEAR};
    dataset_normalisation(s->set, p->mean, p->std);
}

/* Another network than the parent's, at this tensor. */
static int refuse_parent(const struct train_session *s, const struct param *p, bool is_there,
                         struct err *e)
{
    const struct train_command *c = &s->command;
    const enum spec_head own = net_spec(s->net)->heads.kind,
                         parents = net_spec(s->parent->net)->heads.kind;
    if (own != parents && strncmp(p->name, "exits.", 6) == 0) {
        const bool given = recipe_is_given(&c->draft, "heads");
        const bool preset = !given && c->draft.heads >= 0;
        return err_set(e, ERR_CONFLICT,
                       "--init %s: its heads are %s, not %s as %s%s: --heads %s keeps them",
                       c->draft.init, spec_head_name(parents), spec_head_name(own),
                       given    ? "--heads asks for"
                       : preset ? "of --preset "
                                : "in the spec",
                       preset ? c->draft.preset->name : "", spec_head_name(parents));
    }
    return err_set(e, ERR_CONFLICT, "--init %s: its network is another one: it %s the tensor %s",
                   c->draft.init, is_there ? "has another shape of" : "lacks", p->name);
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
        bool equal = q != NULL && q->n_dims == p->n_dims &&
                     memcmp(q->dims, p->dims, (size_t)p->n_dims * sizeof(*p->dims)) == 0;
        bool linear = p->role == PARAM_LINEAR_WEIGHT || p->role == PARAM_LINEAR_BIAS;
        if (!equal && q != NULL && linear && !same_classes) continue;
        if (!equal) return refuse_parent(s, p, q != NULL, e);
        memcpy(params + p->offset, s->parent->params + q->offset, p->size * sizeof(*params));
    }
    return 0;
}

static int open_trainer(struct train_session *s, struct err *e)
{
    const struct train_command *c = &s->command;
    const struct trainer_setup setup = {.recipe = &c->draft.recipe,
                                        .net = s->net,
                                        .set = s->set,
                                        .split = &s->split,
                                        .preprocess = &s->preprocess,
                                        .parent = s->parent != NULL ? s->parent->sha256 : "",
                                        .pool = s->pool,
                                        .kernels = s->kernels,
                                        .teacher = s->teacher,
                                        .peer = s->peer};
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
    int64_t wish = s->command.draft.recipe.threads;
    char text[RECIPE_TEXT_MAX];
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
    const char *by = NULL;
    unsigned threads = 1;
    int rc = check_out(s, e);
    if (rc == 0) rc = choose_threads(s, &threads, e);
    if (rc == 0 && c->draft.init != NULL) rc = model_load(c->draft.init, &s->parent, e);
    if (rc == 0) rc = dataset_open(c->draft.data, DATA_TRAIN, &s->set, e);
    if (rc == 0) rc = check_labels(s, e);
    if (rc == 0 && c->draft.teacher != NULL) {
        const struct plan_options by_rule = {0};
        rc = model_load(c->draft.teacher, &s->teacher, e);
        if (rc == 0) rc = model_plan(s->teacher, &by_rule, e);
        if (rc < 0) err_prefix(e, "--teacher");
    }
    if (rc == 0) choose_holdout(s);
    if (rc == 0) rc = inherit_holdout(s, s->parent, "--init", &by, e);
    if (rc == 0) rc = inherit_holdout(s, s->teacher, "--teacher", &by, e);
    if (rc == 0) rc = open_net(s, e);
    if (rc == 0) rc = check_teacher(s, e);
    if (rc == 0) rc = open_peer(s, e);
    if (rc < 0) return rc;
    rc = split_make(s->set, (size_t)c->draft.recipe.holdout, c->draft.recipe.holdout_seed,
                    &s->split, e);
    if (rc < 0) return err_prefix(e, "--holdout %lld", (long long)c->draft.recipe.holdout);
    choose_preprocess(s);
    s->kernels = kernels_best();
    s->pool = pool_new(threads);
    if (s->pool == NULL) return err_set(e, -EAGAIN, "cannot start %u threads", threads);
    rc = open_trainer(s, e);
    if (rc < 0) return rc;
    s->progress.epochs = c->draft.recipe.epochs;
    s->progress.batch = c->draft.recipe.batch;
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
    net_free(s->peer);
    dataset_free(s->set);
    model_free(s->parent);
    model_free(s->teacher);
}
