/* The images of --split. */
#include "config.h"

#include "selection.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "tool.h"

struct option_row selection_option(struct selection_wish *w, enum selection_option which,
                                   const char *help)
{
    switch (which) {
    case SELECTION_HOLDOUT:
        return (struct option_row){
            "holdout",
            OPTION_INT,
            "N",
            &w->holdout.images,
            &w->holdout_given,
            "so many held-out images instead of a model's own choice, to judge models alike"};
    case SELECTION_HOLDOUT_SEED:
        return (struct option_row){
            "holdout-seed",   OPTION_SEED,    "N",
            &w->holdout.seed, &w->seed_given, "of that choice; goes with --holdout (0)"};
    case SELECTION_SPLIT:
        break;
    }
    return (struct option_row){"split", OPTION_STRING, "NAME", &w->split, NULL, help};
}

int selection_check(const struct selection_wish *w, const char *usage, struct err *e)
{
    if (w->split == NULL) return err_set(e, ERR_USAGE, "--split is missing: usage: %s", usage);
    if (strcmp(w->split, "train") != 0 && strcmp(w->split, "holdout") != 0 &&
        strcmp(w->split, "test") != 0) {
        return err_set(e, ERR_USAGE, "--split %s: it takes train, holdout or test", w->split);
    }
    if (w->seed_given && !w->holdout_given) {
        return err_set(e, ERR_USAGE, "--holdout-seed goes with --holdout");
    }
    if (w->holdout_given && (w->holdout.images < 1 || strcmp(w->split, "test") == 0)) {
        return err_set(
            e, ERR_USAGE,
            "--holdout %lld: it takes a whole number from 1, with --split holdout or train",
            (long long)w->holdout.images);
    }
    return 0;
}

enum data_part selection_part(const struct selection_wish *wish)
{
    return strcmp(wish->split, "test") == 0 ? DATA_TEST : DATA_TRAIN;
}

int selection_check_classes(const struct model *model, const struct dataset *set, struct err *e)
{
    int classes = net_classes(model->net);
    if (dataset_classes(set) != classes) {
        return err_set(e, ERR_CONFLICT, "the model has %d classes, the data set %d", classes,
                       dataset_classes(set));
    }
    for (int i = 0; i < classes; i++) {
        if (strcmp(model->labels[i], dataset_label(set, i)) == 0) continue;
        return err_set(e, ERR_CONFLICT,
                       "class %d is \"%.80s\" in the model and \"%.80s\" in the data set", i,
                       model->labels[i], dataset_label(set, i));
    }
    return 0;
}

int selection_choose(const struct selection_wish *w, const struct model *model,
                     const struct dataset *set, struct selection *ret_selection, struct err *e)
{
    bool same_data = w->holdout_given || tool_same_data(model, set);
    const struct holdout h = w->holdout_given ? w->holdout : model->training.recipe.holdout;
    struct selection s = {.n = dataset_count(set)};
    *ret_selection = s;
    if (strcmp(w->split, "test") == 0) return 0;
    bool holdout = strcmp(w->split, "holdout") == 0;
    if (holdout && (!same_data || h.images == 0)) {
        return err_set(e, ERR_NOT_FOUND, "--split holdout: %s",
                       same_data ? "nothing was held out when the model was trained"
                                 : "the model was trained on other data");
    }
    if (!same_data || h.images == 0) return 0;
    int rc = split_make(set, (size_t)h.images, h.seed, &s.split, e);
    if (rc < 0) return rc;
    s.indices = holdout ? s.split.holdout : s.split.train;
    s.n = holdout ? s.split.n_holdout : s.split.n_train;
    *ret_selection = s;
    return 0;
}

int selection_meet(struct selection *s, const struct selection *other, struct err *e)
{
    if (other->indices == NULL) return 0; /* all */
    uint32_t *own = mem_new(other->n, sizeof(*own));
    if (own == NULL) return err_set(e, -ENOMEM, "out of memory for %zu images", other->n);
    size_t n = 0;
    for (size_t i = 0, j = 0; i < s->n && j < other->n;) { /* both increase */
        uint32_t a = s->indices != NULL ? s->indices[i] : (uint32_t)i, b = other->indices[j];
        if (a == b) own[n++] = a;
        i += a <= b;
        j += b <= a;
    }
    mem_free(s->own);
    s->own = own;
    s->indices = own;
    s->n = n;
    if (n > 0) return 0;
    return err_set(e, ERR_CONFLICT,
                   "the models have no image of the split in common: --split test, or --holdout N "
                   "for a choice that is neither's");
}

void selection_release(struct selection *selection)
{
    split_release(&selection->split);
    mem_free(selection->own);
    *selection = (struct selection){.n = 0};
}
