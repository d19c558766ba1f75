/* Opening what a training needs: data, parent, network, held-out images, trainer.
 *
 * What can go wrong goes wrong here, before the first step: hours of training must not end in "no
 * such directory". Where it writes, which images it holds out and the second network have files of
 * their own. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "model/spec_file.h"
#include "tool.h"
#include "train.h"
#include "train/checkpoint.h"
#include "train/objective.h"

enum { ALGORITHMS_MAX_BYTES = 1 << 20 };

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
int train_choose_spec(const struct train_session *s, struct spec *ret_spec, struct err *e)
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
    int rc = train_choose_spec(s, &spec, e);
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
        char said_by[RECIPE_TEXT_MAX];
        if (!recipe_said_by(&c->draft, "heads", said_by))
            snprintf(said_by, sizeof(said_by), "the spec");
        return err_set(e, ERR_CONFLICT,
                       "--init %s: its heads are %s, not %s as %s says: --heads %s keeps them",
                       c->draft.init, spec_head_name(parents), spec_head_name(own), said_by,
                       spec_head_name(parents));
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
        if (!equal && q != NULL && linear && !same_classes &&
            !recipe_is_frozen(&s->command.draft.recipe))
            continue;
        if (!equal) return refuse_parent(s, p, q != NULL, e);
        memcpy(params + p->offset, s->parent->params + q->offset, p->size * sizeof(*params));
    }
    return 0;
}

static int make_trainer(struct train_session *s, struct choices *choices, double measure_s,
                        struct err *e)
{
    const struct train_command *c = &s->command;
    const struct trainer_setup setup = {.recipe = &c->draft.recipe,
                                        .net = s->net,
                                        .set = s->set,
                                        .split = &s->split,
                                        .preprocess = &s->preprocess,
                                        .parent = s->parent != NULL ? s->parent->sha256 : "",
                                        .ranks = s->ranks,
                                        .pool = s->pool,
                                        .kernels = s->kernels,
                                        .teacher = s->teacher,
                                        .peer = s->peer,
                                        .loaders = (unsigned)c->loaders,
                                        .choices = choices,
                                        .measure_s = measure_s};
    s->trainer = trainer_new(&setup, e);
    return s->trainer != NULL ? 0 : e->code;
}

/* A training goes on with the algorithms that it began with, as other ones give other bits. One
 * that begins takes those that are known of this machine and measures the others, unless that could
 * not be kept: then two trainings with one seed would differ. */
static int choose_algorithms(struct train_session *s, struct err *e)
{
    const double measure_s = 10;
    struct tool_choices kept = {.lock = -1};
    struct choices *choices = NULL;
    int rc = 0;
    if (s->goes_on || s->command.by_rule) {
        choices = choices_new(s->kernels);
        if (s->goes_on && choices != NULL) rc = checkpoint_algorithms(s->checkpoint, choices, e);
    } else {
        progress_note(&s->progress, "measuring the convolutions");
        choices = tool_choices_open(&kept, s->command.choices);
    }
    if (choices == NULL) rc = err_set(e, -ENOMEM, "out of memory for algorithms");
    if (rc == 0) rc = make_trainer(s, choices, kept.kept ? measure_s : 0, e);
    tool_choices_close(&kept);
    choices_free(choices);
    return rc;
}

/* The other ranks compute with rank 0's. */
static int take_algorithms(struct train_session *s, const struct buf *lines, struct err *e)
{
    struct choices *choices = choices_new(s->kernels);
    int rc = choices == NULL ? err_set(e, -ENOMEM, "out of memory for algorithms") : 0;
    if (rc == 0) rc = choices_read_lines(choices, buf_text(lines), lines->size, e);
    if (rc == 0) rc = make_trainer(s, choices, 0, e);
    choices_free(choices);
    return rc;
}

static int make_trainers(struct train_session *s, struct err *e)
{
    struct buf lines;
    int rc = 0;
    buf_init(&lines, ALGORITHMS_MAX_BYTES);
    if (train_is_first(s)) {
        rc = choose_algorithms(s, e);
        if (rc == 0 && choices_write_lines(trainer_algorithms(s->trainer), &lines) < 0)
            rc = err_set(e, -ENOMEM, "out of memory for algorithms");
    }
    rc = train_ranks_tell(s, rc, &lines, e);
    if (rc == 0 && !train_is_first(s)) rc = take_algorithms(s, &lines, e);
    rc = ranks_settle(s->ranks, rc, e);
    buf_release(&lines);
    return rc == 0 ? trainer_agree(s->trainer, e) : rc;
}

static int open_trainer(struct train_session *s, struct err *e)
{
    int rc = make_trainers(s, e);
    if (rc < 0) return rc;
    if (s->goes_on) return trainer_restore(s->trainer, s->checkpoint, e);
    if (s->parent != NULL) rc = copy_parent(s, trainer_params(s->trainer), e);
    return ranks_settle(s->ranks, rc, e);
}

/* A training goes on with the threads that it began with, as other ones give other bits, unless the
 * user names some: then the checkpoint is compared with those. */
static int choose_threads(const struct train_session *s, unsigned *ret_threads, struct err *e)
{
    int64_t wish = s->command.draft.recipe.threads;
    char text[RECIPE_TEXT_MAX];
    if (wish == 0 && s->goes_on) {
        int rc = checkpoint_text(s->checkpoint, "threads", text, e);
        if (rc < 0) return rc;
        wish = strtoll(text, NULL, 10);
    }
    return tool_threads(wish, ret_threads, e);
}

static int open_data(struct train_session *s, struct err *e)
{
    const struct recipe_draft *d = &s->command.draft;
    uint64_t seed;
    int rc = train_holdout_seed(s, &seed, e);
    if (rc < 0) return rc;
    const struct dataset_options options = tool_dataset_options(seed, d->broken_max);
    return dataset_open(d->data, DATA_TRAIN, &options, &s->set, e);
}

/* What decoded images may take. */
static uint64_t cache_bytes(const struct train_command *c)
{
    if (c->cache_mb >= 0) return (uint64_t)c->cache_mb << 20;
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages / 4 * (uint64_t)page : 0;
}

/* Data and networks; each rank has them. */
static int open_files(struct train_session *s, struct err *e)
{
    const struct train_command *c = &s->command;
    int rc = 0;
    if (c->draft.init != NULL) rc = model_load(c->draft.init, &s->parent, e);
    if (rc == 0 && c->draft.teacher != NULL) {
        const struct plan_options by_rule = {0};
        rc = model_load(c->draft.teacher, &s->teacher, e);
        if (rc == 0) rc = model_plan(s->teacher, &by_rule, e);
        if (rc < 0) err_prefix(e, "--teacher");
    }
    if (rc == 0) rc = open_data(s, e);
    if (rc == 0) rc = check_labels(s, e);
    if (rc == 0) rc = open_net(s, e);
    if (rc == 0) rc = check_teacher(s, e);
    if (rc == 0) rc = train_peer_open(s, e);
    if (rc == 0) rc = train_holdout_split(s, e);
    if (rc < 0) return rc;
    choose_preprocess(s);
    return dataset_keep(s->set, &s->preprocess, cache_bytes(c), e);
}

static int open_log(struct train_session *s, struct err *e)
{
    const struct train_command *c = &s->command;
    const char *const outs[] = {c->out, train_peer_out(s), c->dump_step, c->choices};
    if (c->log == NULL) return 0;
    return train_log_open(c->log, outs, sizeof(outs) / sizeof(outs[0]), &s->progress,
                          trainer_log(s->trainer), &s->log, e);
}

/* All ranks stand at the same step. */
static int dump_next(struct train_session *s, struct err *e)
{
    const char *dump = s->command.dump_step;
    if (!train_is_over(s)) return trainer_dump_next(s->trainer, dump, e);
    return err_set(e, ERR_CONFLICT,
                   "--dump-step %s: the checkpoint stands behind the last step, %lld: give more "
                   "--epochs or --limit-steps",
                   dump, (long long)trainer_position(s->trainer));
}

int train_session_open(struct train_session *s, struct err *e)
{
    struct train_command *c = &s->command;
    unsigned threads = 1;
    int rc = recipe_share(&c->draft, ranks_count(s->ranks), e);
    if (rc == 0 && train_is_first(s)) {
        rc = train_out_check(s, e);
        if (rc == 0) rc = train_log_check(c->log, e);
        s->goes_on = c->resume && file_exists(s->checkpoint);
        if (rc == 0) rc = choose_threads(s, &threads, e);
    }
    if (rc == 0) rc = open_files(s, e);
    rc = ranks_settle(s->ranks, rc, e);
    if (rc < 0) return rc;
    ranks_tell(s->ranks, &s->goes_on, sizeof(s->goes_on));
    ranks_tell(s->ranks, &threads, sizeof(threads));
    s->kernels = kernels_best();
    s->pool = pool_new(threads);
    if (s->pool == NULL) rc = err_set(e, -EAGAIN, "cannot start %u threads", threads);
    rc = ranks_settle(s->ranks, rc, e);
    if (rc == 0) rc = open_trainer(s, e);
    if (rc == 0 && c->dump_step != NULL) rc = dump_next(s, e);
    if (rc == 0) rc = ranks_settle(s->ranks, train_is_first(s) ? train_control_check(s, e) : 0, e);
    if (rc < 0) return rc;
    s->progress.about = (struct progress_about){
        .recipe = c->draft.recipe,
        .network = net_spec(s->net)->name,
        .data = dataset_kind(s->set),
        .width = net_spec(s->net)->stages[0].channels,
        .classes = net_classes(s->net),
        .params = net_trained_size(s->net),
        .exits = objective_exits(c->draft.recipe.method, net_sections(s->net)),
        .learned = objective_learned(&c->draft.recipe, net_sections(s->net)),
        .n_train = s->split.n_train,
        .n_holdout = s->split.n_holdout,
        .parent = s->parent != NULL ? s->parent->sha256 : NULL,
        .teacher = s->teacher != NULL ? s->teacher->sha256 : NULL,
    };
    s->progress.about.recipe.threads = threads;
    s->progress.epochs = c->draft.recipe.epochs;
    s->progress.batch = c->draft.recipe.batch;
    s->progress.steps = trainer_steps(s->trainer);
    s->progress.epoch_steps = trainer_epoch_steps(s->trainer);
    return ranks_settle(s->ranks, train_is_first(s) ? open_log(s, e) : 0, e);
}

void train_session_close(struct train_session *s)
{
    train_log_close(s->log);
    trainer_free(s->trainer);
    pool_free(s->pool);
    split_release(&s->split);
    lineage_release(&s->lineage);
    net_free(s->net);
    net_free(s->peer);
    dataset_free(s->set);
    model_free(s->parent);
    model_free(s->teacher);
    for (size_t i = 0; i < sizeof(s->locks) / sizeof(s->locks[0]); i++)
        train_lock_release(&s->locks[i]);
}
