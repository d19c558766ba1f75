/* Which images a training holds out.
 *
 * Those that a parent or a teacher has seen never are, nor those that any model has seen which
 * these come from: nothing is judged on images that it, or who taught it, was trained on. What they
 * hold out stays so, of whatever has become of the data and whatever came between; a smaller number
 * may be asked for, a larger one not. */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tool.h"
#include "train.h"

enum { IMAGES_DEFAULT_PART = 10 };

/* --- what is known of those that it begins with and learns from ------------------------------- */

/* One of them: where it comes from. */
struct origin {
    const struct model *model; /* NULL: there is none */
    const char *option;
    struct lineage lineage;
    bool is_doubtful; /* it may have seen these images, and that cannot be told */
};

enum { ORIGINS = 2 };

static void name_origins(const struct train_session *s, struct origin origins[ORIGINS])
{
    origins[0] = (struct origin){.model = s->parent, .option = "--init"};
    origins[1] = (struct origin){.model = s->teacher, .option = "--teacher"};
}

static int trace(struct origin *origin, struct err *e)
{
    if (origin->model == NULL) return 0;
    int rc = model_lineage(origin->model, &origin->lineage, e);
    return rc < 0 ? err_prefix(e, "%s", origin->option) : 0;
}

/* Whether it was trained on data of the kind that the command names. */
static bool is_of_kind(const struct train_session *s, const struct lineage_set *set)
{
    const char *data = s->command.draft.data;
    const size_t n = strlen(set->kind);
    return strncmp(data, set->kind, n) == 0 && data[n] == ':';
}

int train_holdout_seed(const struct train_session *s, uint64_t *ret_seed, struct err *e)
{
    const struct recipe_draft *d = &s->command.draft;
    struct origin origins[ORIGINS];
    bool found = recipe_is_given(d, "holdout-seed");
    int rc = 0;
    *ret_seed = d->recipe.holdout.seed;
    name_origins(s, origins);
    for (int i = 0; rc == 0 && i < ORIGINS && !found; i++) {
        const struct lineage *l = &origins[i].lineage;
        rc = trace(&origins[i], e);
        for (size_t k = 0; k < l->n && !found; k++) {
            found = is_of_kind(s, &l->sets[k]);
            if (found) *ret_seed = l->sets[k].border.seed;
        }
        lineage_release(&origins[i].lineage);
    }
    return rc;
}

/* --- the borders within which the new one must lie -------------------------------------------- */

enum { BOUNDS_MAX = ORIGINS * (LINEAGE_SETS_MAX + 1) };

struct bounds {
    struct holdout_border borders[BOUNDS_MAX];
    const struct holdout_border *list[BOUNDS_MAX];
    size_t n;
};

/* Why the border of a set cannot be had; *e has what is wrong with it. */
static int refuse_set(const struct origin *origin, const struct lineage_set *set, bool is_own,
                      struct err *e)
{
    const char *whose = is_own ? "its model" : "one that its model comes from";
    char text[ERR_TEXT_MAX];
    if (e->code == ERR_CONFLICT) {
        return err_set(
            e, ERR_CONFLICT,
            "%s: %s was made with --holdout-seed %llu, and images that it saw "
            "cannot judge what learns from it: use the same seed, and models of one seed",
            origin->option, whose, (unsigned long long)set->border.seed);
    }
    if (e->code != ERR_RANGE) return err_prefix(e, "%s", origin->option);
    snprintf(text, sizeof(text), "%s", e->text);
    return err_set(e, ERR_CONFLICT,
                   "%s: %s says how many images were held out, but not which, as "
                   "programs once did: %.200s: use the data that it was trained on",
                   origin->option, whose, text);
}

/* Those of an origin. What it has seen of the same kind, and is not these data by anything that
 * would say so, may be these under other names where nothing could. */
static int add_bounds(const struct train_session *s, struct origin *origin,
                      const struct lineage_set *here, struct bounds *bounds, struct err *e)
{
    const struct lineage *l = &origin->lineage;
    bool own_is_here = false;
    for (size_t i = 0; i < l->n; i++) {
        const struct lineage_set *set = &l->sets[i];
        const bool is_own = i == 0 && origin->model->training.data[0] != '\0';
        if (!tool_shares_data(set, here, s->set)) {
            const bool told = set->border.n_seen > 0 && set->border.seed == here->border.seed;
            origin->is_doubtful |= strcmp(set->kind, here->kind) == 0 && !told;
            continue;
        }
        struct holdout_border *b = &bounds->borders[bounds->n];
        if (tool_border_of(set, s->set, b, e) < 0) return refuse_set(origin, set, is_own, e);
        bounds->list[bounds->n] = b;
        bounds->n++;
        own_is_here |= is_own;
    }
    if (origin->model != NULL && l->has_unknown)
        origin->is_doubtful |= !own_is_here || !origin->model->training.has_lineage;
    return 0;
}

/* How many: what is said, else all that the bounds allow, else a tenth, but not more than the
 * recipe has. */
static size_t choose_number(const struct train_session *s, const struct bounds *bounds)
{
    const struct holdout *h = &s->command.draft.recipe.holdout;
    const size_t count = dataset_count(s->set);
    if (h->share > 0) return (size_t)floor(h->share * (double)count + 0.5);
    if (recipe_is_given(&s->command.draft, "holdout")) return (size_t)h->images;
    if (bounds->n > 0) return SPLIT_ALL;
    const size_t tenth = count / IMAGES_DEFAULT_PART;
    return (size_t)h->images < tenth ? (size_t)h->images : tenth;
}

/* The split within the bounds, and how many that is. */
static int split_within(struct train_session *s, const struct bounds *bounds, struct err *e)
{
    struct recipe *recipe = &s->command.draft.recipe;
    const struct recipe_option *option = recipe_option_find("holdout");
    const size_t images = choose_number(s, bounds);
    char text[RECIPE_TEXT_MAX];
    int rc = split_make(s->set, images, bounds->list, bounds->n, &s->split, e);
    if (rc < 0) return err_prefix(e, "--holdout %s", recipe_option_format(option, recipe, text));
    recipe->holdout.images = (int64_t)(images == SPLIT_ALL ? s->split.n_holdout : images);
    recipe->holdout.share = 0;
    if (recipe->limit_images == 0) return 0;
    rc = split_limit(&s->split, (size_t)recipe->limit_images, recipe->holdout.seed, e);
    return rc < 0 ? err_prefix(e, "--limit-images %lld", (long long)recipe->limit_images) : 0;
}

/* What the model will come from, less what its own data say. */
static int keep_lineage(struct train_session *s, const struct origin origins[ORIGINS],
                        struct err *e)
{
    struct lineage_set own;
    int rc = 0;
    for (int i = 0; rc == 0 && i < ORIGINS; i++)
        rc = lineage_add_all(&s->lineage, &origins[i].lineage, e);
    if (rc == 0) rc = tool_data(s->set, &s->split.border, 0, &own, e);
    if (rc < 0) return rc;
    lineage_drop(&s->lineage, &own);
    holdout_border_see_all(&s->split.border, &own.border);
    lineage_set_release(&own);
    return lineage_check(&s->lineage, e);
}

/* Memory for the work, which is large. */
struct work {
    struct origin origins[ORIGINS];
    struct bounds bounds;
    struct lineage_set here;
};

static int make_split(struct train_session *s, struct work *w, struct err *e)
{
    const struct holdout_border none = {.seed = dataset_key_seed(s->set)};
    int rc = tool_data(s->set, &none, 0, &w->here, e);
    name_origins(s, w->origins);
    for (int i = 0; rc == 0 && i < ORIGINS; i++) {
        rc = trace(&w->origins[i], e);
        if (rc == 0) rc = add_bounds(s, &w->origins[i], &w->here, &w->bounds, e);
        s->is_doubtful[i] = w->origins[i].is_doubtful;
    }
    if (rc == 0) rc = split_within(s, &w->bounds, e);
    return rc == 0 ? keep_lineage(s, w->origins, e) : rc;
}

int train_holdout_split(struct train_session *s, struct err *e)
{
    struct work *w = mem_new(1, sizeof(*w));
    if (w == NULL) return err_set(e, -ENOMEM, "out of memory for borders");
    s->command.draft.recipe.holdout.seed = dataset_key_seed(s->set);
    int rc = make_split(s, w, e);
    for (int i = 0; i < ORIGINS; i++) lineage_release(&w->origins[i].lineage);
    for (size_t i = 0; i < w->bounds.n; i++) holdout_border_release(&w->bounds.borders[i]);
    lineage_set_release(&w->here);
    mem_free(w);
    return rc;
}

void train_holdout_warn(struct train_session *s)
{
    struct progress *p = &s->progress;
    struct origin origins[ORIGINS];
    name_origins(s, origins);
    for (int i = 0; i < ORIGINS && s->split.n_holdout > 0; i++) {
        if (!s->is_doubtful[i] || p->n_warnings == RECIPE_WARNINGS_MAX) continue;
        snprintf(p->warnings[p->n_warnings++].text, RECIPE_WARNING_SIZE,
                 "%s: not all is known that its model, or one that it comes from, was trained on: "
                 "if some are the images that are held out here, these judge too well",
                 origins[i].option);
    }
}

/* Images of each class on one side. */
static void count_classes(const struct dataset *set, const uint32_t *images, size_t n,
                          size_t *ret_counts)
{
    for (size_t i = 0; i < n; i++) ret_counts[dataset_class(set, images[i])]++;
}

/* Classes with images of which none is held out, the first few by name. */
static void warn_of_classes(const struct dataset *set, const size_t *train, const size_t *held)
{
    enum { NAMED = 5 };
    size_t n = 0;
    for (int c = 0; c < dataset_classes(set); c++) n += train[c] > 0 && held[c] == 0;
    if (n == 0) return;
    fprintf(stderr, "autodidact train: warning: no image is held out of %zu of %d classes (", n,
            dataset_classes(set));
    size_t named = 0;
    for (int c = 0; c < dataset_classes(set) && named < NAMED; c++) {
        if (train[c] == 0 || held[c] > 0) continue;
        fprintf(stderr, "%s%.60s", named++ > 0 ? ", " : "", dataset_label(set, c));
    }
    fprintf(stderr, "%s): nothing judges what is learnt of them\n", n > named ? ", .." : "");
}

static void say_side(const size_t *counts, size_t classes, size_t n, const char *what)
{
    size_t least = SIZE_MAX, most = 0;
    for (size_t c = 0; c < classes; c++) {
        least = counts[c] < least ? counts[c] : least;
        most = counts[c] > most ? counts[c] : most;
    }
    fprintf(stderr, "%zu images %s", n, what);
    if (least == most)
        fprintf(stderr, ", %zu of each class", least);
    else
        fprintf(stderr, ", %zu to %zu of a class", least, most);
}

void train_holdout_say(const struct train_session *s)
{
    const size_t classes = (size_t)dataset_classes(s->set);
    size_t *train = mem_new(2 * classes, sizeof(*train)), *held = train + classes;
    if (train == NULL) return; /* out of memory costs a line, not the training */
    count_classes(s->set, s->split.train, s->split.n_train, train);
    count_classes(s->set, s->split.holdout, s->split.n_holdout, held);
    if (s->progress.mode == PROGRESS_BAR || s->progress.mode == PROGRESS_LINES) {
        say_side(train, classes, s->split.n_train, "to train on");
        fprintf(stderr, "; ");
        say_side(held, classes, s->split.n_holdout, "held out");
        if (dataset_skipped(s->set) > 0)
            fprintf(stderr, "; %zu broken ones are left out", dataset_skipped(s->set));
        fprintf(stderr, "\n");
    }
    if (s->split.n_holdout > 0) warn_of_classes(s->set, train, held);
    mem_free(train);
}
