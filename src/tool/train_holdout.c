/* Which images a training holds out.
 *
 * Those that a parent or a teacher has seen never are: nothing is judged on images that it, or who
 * taught it, was trained on. What they hold out stays so, of whatever has become of the data; a
 * smaller number may be asked for, a larger one not. */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tool.h"
#include "train.h"

enum { IMAGES_DEFAULT_PART = 10 };

/* Whether the model may have been trained on data of the kind that the command names. */
static bool is_of_kind(const struct train_session *s, const struct model *model)
{
    const char *data = s->command.draft.data;
    const size_t n = strlen(model->training.data);
    return n > 0 && strncmp(data, model->training.data, n) == 0 && data[n] == ':';
}

uint64_t train_holdout_seed(const struct train_session *s)
{
    const struct recipe_draft *d = &s->command.draft;
    if (recipe_is_given(d, "holdout-seed")) return d->recipe.holdout.seed;
    if (s->parent != NULL && is_of_kind(s, s->parent)) return tool_border_seed(s->parent);
    if (s->teacher != NULL && is_of_kind(s, s->teacher)) return tool_border_seed(s->teacher);
    return d->recipe.holdout.seed;
}

/* The borders within which the new one must lie. */
struct bounds {
    struct holdout_border borders[2];
    const struct holdout_border *list[2];
    size_t n;
};

static int add_bound(const struct train_session *s, const struct model *model, const char *from,
                     struct bounds *bounds, struct err *e)
{
    if (model == NULL || !tool_shares_data(model, s->set)) return 0;
    struct holdout_border *b = &bounds->borders[bounds->n];
    int rc = tool_border(model, s->set, b, e);
    if (rc == ERR_CONFLICT) {
        return err_set(
            e, rc,
            "%s: its model was made with --holdout-seed %llu, and images that it saw "
            "cannot judge what learns from it: use the same seed, and models of one seed",
            from, (unsigned long long)tool_border_seed(model));
    }
    if (rc == ERR_RANGE) {
        char text[ERR_TEXT_MAX];
        snprintf(text, sizeof(text), "%s", e->text);
        return err_set(e, ERR_CONFLICT,
                       "%s: its model says how many images were held out, but not which, as "
                       "programs once did: %.200s: use the data that it was trained on",
                       from, text);
    }
    if (rc < 0) return err_prefix(e, "%s", from), rc;
    bounds->list[bounds->n] = b;
    bounds->n++;
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

int train_holdout_split(struct train_session *s, struct err *e)
{
    struct recipe_draft *draft = &s->command.draft;
    struct holdout *h = &draft->recipe.holdout;
    const struct recipe_option *option = recipe_option_find("holdout");
    struct bounds bounds = {.n = 0};
    char text[RECIPE_TEXT_MAX];
    size_t images = 0;
    h->seed = dataset_key_seed(s->set);
    int rc = add_bound(s, s->parent, "--init", &bounds, e);
    if (rc == 0) rc = add_bound(s, s->teacher, "--teacher", &bounds, e);
    if (rc == 0) {
        images = choose_number(s, &bounds);
        rc = split_make(s->set, images, bounds.list, bounds.n, &s->split, e);
        if (rc < 0)
            err_prefix(e, "--holdout %s", recipe_option_format(option, &draft->recipe, text));
    }
    for (size_t i = 0; i < bounds.n; i++) holdout_border_release(&bounds.borders[i]);
    if (rc < 0) return rc;
    h->images = (int64_t)(images == SPLIT_ALL ? s->split.n_holdout : images);
    h->share = 0;
    const int64_t limit = draft->recipe.limit_images;
    if (limit == 0) return 0;
    rc = split_limit(&s->split, (size_t)limit, h->seed, e);
    return rc < 0 ? err_prefix(e, "--limit-images %lld", (long long)limit) : 0;
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
