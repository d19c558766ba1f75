/* Which images a training holds out.
 *
 * Those of a parent or a teacher stay held out: nothing is judged on images that it, or who taught
 * it, has seen. */
#include "config.h"

#include <string.h>

#include "tool.h"
#include "train.h"

/* Unless somebody says otherwise: a tenth of the images, but not more than the recipe has. */
static void choose_number(struct train_session *s)
{
    const int64_t tenth = (int64_t)(dataset_count(s->set) / 10);
    struct train_command *c = &s->command;
    if (!recipe_is_given(&c->draft, "holdout") && c->draft.recipe.holdout.images > tenth)
        c->draft.recipe.holdout.images = tenth;
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

/* A parent passes on what it has seen, and so does a teacher, unless that is not what the option or
 * *by, the model before, said. On other data everything is new. */
static int inherit(struct train_session *s, const struct model *model, const char *from,
                   const char **by, struct err *e)
{
    const struct recipe_draft *draft = &s->command.draft;
    struct holdout *own = &s->command.draft.recipe.holdout;
    if (model == NULL || !tool_same_data(model, s->set)) return 0;
    const struct holdout theirs = model->training.recipe.holdout;
    if ((*by != NULL || recipe_is_given(draft, "holdout")) && own->images != theirs.images)
        return differs("holdout", *by, (uint64_t)own->images, from, (uint64_t)theirs.images, e);
    if ((*by != NULL || recipe_is_given(draft, "holdout-seed")) && own->seed != theirs.seed)
        return differs("holdout-seed", *by, own->seed, from, theirs.seed, e);
    *own = theirs;
    *by = from;
    return 0;
}

int train_holdout_choose(struct train_session *s, struct err *e)
{
    const char *by = NULL;
    choose_number(s);
    int rc = inherit(s, s->parent, "--init", &by, e);
    return rc == 0 ? inherit(s, s->teacher, "--teacher", &by, e) : rc;
}

int train_holdout_split(struct train_session *s, struct err *e)
{
    const struct holdout *h = &s->command.draft.recipe.holdout;
    const int64_t limit = s->command.draft.recipe.limit_images;
    int rc = split_make(s->set, (size_t)h->images, h->seed, &s->split, e);
    if (rc < 0) return err_prefix(e, "--holdout %lld", (long long)h->images), rc;
    if (limit == 0) return 0;
    rc = split_limit(&s->split, (size_t)limit, h->seed, e);
    return rc < 0 ? err_prefix(e, "--limit-images %lld", (long long)limit) : 0;
}
