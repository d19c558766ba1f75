/* The images of --split. */
#include "config.h"

#include "selection.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tool.h"

struct option_row selection_option(struct selection_wish *w, enum selection_option which,
                                   const char *help)
{
    if (which == SELECTION_SPLIT)
        return (struct option_row){"split", OPTION_STRING, "NAME", &w->split, NULL, help};
    return (struct option_row){
        "holdout-of", OPTION_STRING,
        "MODEL",      &w->holdout_of,
        NULL,         "the held-out images of that model, to judge models alike (each one's own)"};
}

int selection_check(const struct selection_wish *w, const char *usage, struct err *e)
{
    if (w->split == NULL) return err_set(e, ERR_USAGE, "--split is missing: usage: %s", usage);
    if (strcmp(w->split, "train") != 0 && strcmp(w->split, "holdout") != 0 &&
        strcmp(w->split, "test") != 0) {
        return err_set(e, ERR_USAGE, "--split %s: it takes train, holdout or test", w->split);
    }
    if (w->holdout_of != NULL && strcmp(w->split, "test") == 0)
        return err_set(e, ERR_USAGE, "--holdout-of goes with --split holdout or train");
    return 0;
}

int selection_open(struct selection_wish *wish, const char *data, const struct model *first,
                   struct dataset **ret_set, struct err *e)
{
    const bool test = strcmp(wish->split, "test") == 0;
    if (wish->holdout_of != NULL) {
        int rc = model_load(wish->holdout_of, &wish->judge, e);
        if (rc < 0) return err_prefix(e, "--holdout-of"), rc;
    }
    const struct model *judge = wish->judge != NULL ? wish->judge : first;
    const struct dataset_options options = tool_dataset_options(test ? 0 : tool_border_seed(judge),
                                                                test ? 0 : first->training.skipped);
    return dataset_open(data, test ? DATA_TEST : DATA_TRAIN, &options, ret_set, e);
}

void selection_close(struct selection_wish *wish)
{
    model_free(wish->judge);
    wish->judge = NULL;
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

/* The split by the border of `judge`. */
static int split_by(const struct selection_wish *w, const struct model *judge, struct dataset *set,
                    struct selection *s, struct err *e)
{
    struct holdout_border border = {.known = false};
    const bool holdout = strcmp(w->split, "holdout") == 0;
    int rc = dataset_use_seed(set, tool_border_seed(judge), e);
    if (rc == 0) rc = tool_border(judge, set, &border, e);
    if (rc == ERR_NOT_FOUND && !holdout) {
        *e = (struct err){.code = 0};
        return 0;
    }
    if (rc == 0) rc = split_by_border(set, &border, &s->split, e);
    holdout_border_release(&border);
    if (rc < 0) return rc;
    s->indices = holdout ? s->split.holdout : s->split.train;
    s->n = holdout ? s->split.n_holdout : s->split.n_train;
    if (s->n > 0) return 0;
    split_release(&s->split);
    return err_set(e, ERR_NOT_FOUND, "%s",
                   holdout ? "of these images nothing was held out when the model was trained"
                           : "all of these images were held out");
}

/* Figures on images that a model was trained on are too good, and no longer comparable. */
static int warn_of_seen(const struct selection_wish *w, const struct model *model,
                        const struct model *judge, struct err *e)
{
    bool seen = false;
    int rc = model_may_have_seen(model, judge, &seen, e);
    if (rc == 0 && seen)
        fprintf(stderr,
                "autodidact: warning: the model (%.8s..) may have been trained on images that %s "
                "holds out\n",
                model->sha256, w->holdout_of);
    return rc;
}

int selection_choose(const struct selection_wish *w, const struct model *model, struct dataset *set,
                     struct selection *ret_selection, struct err *e)
{
    struct selection s = {.n = dataset_count(set)};
    const struct model *judge = w->judge;
    *ret_selection = s;
    if (strcmp(w->split, "test") == 0) return 0;
    int rc = split_by(w, judge != NULL ? judge : model, set, &s, e);
    if (rc == 0 && judge != NULL && strcmp(w->split, "holdout") == 0)
        rc = warn_of_seen(w, model, judge, e);
    if (rc < 0) return err_prefix(e, "--split %s", w->split), rc;
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
                   "the models have no image of the split in common: --split test, or "
                   "--holdout-of one of them");
}

void selection_release(struct selection *selection)
{
    split_release(&selection->split);
    mem_free(selection->own);
    *selection = (struct selection){.n = 0};
}
