/* What values say of each other. Where two contradict, the draft is refused; where what they say
 * can be done, but hardly be meant, there is a warning. Each check is a row of one of two lists. */
#include "config.h"

#include "check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "words.h"

/* A norm over one image has no deviation in a map of one pixel. */
enum { BATCH_MIN = 2 };

static const char *name(const struct recipe_draft *draft, const char *option,
                        char ret_name[RECIPE_NAME_MAX])
{
    return recipe_option_name(recipe_option_find(option), draft->voice, ret_name);
}

static int check_cuts(const struct recipe_draft *draft, struct err *e)
{
    const struct recipe *r = &draft->recipe;
    char prob[RECIPE_NAME_MAX], own[RECIPE_NAME_MAX];
    if (r->cutmix == 0 && recipe_is_given(draft, "cutmix-prob")) {
        return err_set(e, ERR_RANGE, "%s: nothing is cut without %s",
                       name(draft, "cutmix-prob", prob), name(draft, "cutmix", own));
    }
    if (r->cutmix > 0 && r->mixup > 0 && r->cutmix_prob >= 1) {
        return err_set(e, ERR_RANGE, "%s: with %s 1 every step is cut, none is left to it",
                       name(draft, "mixup", own), name(draft, "cutmix-prob", prob));
    }
    return 0;
}

static int check_parts(const struct recipe_draft *draft, struct err *e)
{
    const struct recipe *r = &draft->recipe;
    char own[RECIPE_NAME_MAX];
    if (r->batch % r->accumulate == 0 && recipe_micro_batch(r) >= BATCH_MIN) return 0;
    return err_set(e, ERR_RANGE,
                   "%s %" PRId64 ": a batch of %" PRId64
                   " is not so many equal parts of at least %d images",
                   name(draft, "accumulate", own), r->accumulate, r->batch, BATCH_MIN);
}

/* Who judges by held-out images needs some. */
static int check_judges(const struct recipe_draft *draft, struct err *e)
{
    const struct recipe *r = &draft->recipe;
    char own[RECIPE_NAME_MAX], holdout[RECIPE_NAME_MAX];
    const char *judge = r->patience > 0 ? "patience" : r->keep == KEEP_BEST ? "keep" : NULL;
    if (judge == NULL || r->holdout.images > 0 || r->holdout.share > 0) return 0;
    return err_set(e, ERR_RANGE, "%s: there is nothing to judge by with %s 0",
                   name(draft, judge, own), name(draft, "holdout", holdout));
}

static int check_frozen(const struct recipe_draft *draft, struct err *e)
{
    char own[RECIPE_NAME_MAX], init[RECIPE_NAME_MAX];
    if (!recipe_is_frozen(&draft->recipe) || draft->init != NULL) return 0;
    return err_set(e, ERR_RANGE, "%s: it needs %s, whose trunk is kept", name(draft, "freeze", own),
                   name(draft, "init", init));
}

int check_together(const struct recipe_draft *draft, struct err *e)
{
    static int (*const checks[])(const struct recipe_draft *, struct err *) = {
        check_cuts, check_parts, check_judges, check_frozen};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(checks) / sizeof(checks[0]); i++)
        rc = checks[i](draft, e);
    return rc;
}

int recipe_share(struct recipe_draft *draft, int64_t ranks, struct err *e)
{
    struct recipe *r = &draft->recipe;
    const int64_t wish = r->ranks;
    char own[RECIPE_NAME_MAX], other[RECIPE_NAME_MAX];
    r->ranks = ranks;
    if (recipe_is_given(draft, "ranks") && wish != ranks) {
        return err_set(e, ERR_CONFLICT,
                       "%s %" PRId64 ": there %s: mpirun -np %" PRId64 " starts as many",
                       name(draft, "ranks", own), wish, ranks == 1 ? "is one" : "are others", wish);
    }
    if (ranks == 1) return 0;
    if (r->batch % (r->accumulate * ranks) != 0 || recipe_micro_batch(r) < BATCH_MIN) {
        return err_set(e, ERR_RANGE,
                       "%s %" PRId64 ": %" PRId64 " ranks with %s %" PRId64
                       " cannot share it in equal parts of at least %d images",
                       name(draft, "batch", own), r->batch, ranks, name(draft, "accumulate", other),
                       r->accumulate, BATCH_MIN);
    }
    if (r->method->self_distillation && r->hint == HINT_NORM) {
        return err_set(
            e, ERR_UNSUPPORTED,
            "%s norm: it is the root of a sum over a whole batch, of which a rank sees a "
            "part: mean and sum work with ranks",
            name(draft, "hint", own));
    }
    return 0;
}

/* --- warnings --------------------------------------------------------------------------------- */

struct warnings {
    struct recipe_warning *list;
    size_t n;
};

static void __attribute__((format(printf, 2, 3))) warn(struct warnings *w, const char *format, ...)
{
    va_list values;
    if (w->n == RECIPE_WARNINGS_MAX) return;
    va_start(values, format);
    vsnprintf(w->list[w->n++].text, RECIPE_WARNING_SIZE, format, values);
    va_end(values);
}

static void look_at_warmup(const struct recipe_draft *d, struct warnings *w)
{
    const struct recipe *r = &d->recipe;
    char warmup[RECIPE_NAME_MAX], epochs[RECIPE_NAME_MAX];
    const bool warms = recipe_option_applies(recipe_option_find("warmup"), d);
    if (!warms || r->warmup == 0 || r->warmup < r->epochs) return;
    warn(w, "%s %" PRId64 ": the whole training is warm-up, since %s is %" PRId64,
         name(d, "warmup", warmup), r->warmup, name(d, "epochs", epochs), r->epochs);
}

static void look_at_milestones(const struct recipe_draft *d, struct warnings *w)
{
    const struct recipe *r = &d->recipe;
    char schedule[RECIPE_NAME_MAX], other[RECIPE_NAME_MAX];
    for (int i = 0; i < r->schedule.n_milestones; i++) {
        const int64_t at = r->schedule.milestones[i];
        if (at >= r->epochs) { /* those behind it are not reached either */
            warn(w, "%s: the step at epoch %" PRId64 " comes never, since %s is %" PRId64,
                 name(d, "schedule", schedule), at, name(d, "epochs", other), r->epochs);
            return;
        }
        if (at < r->warmup) {
            warn(w, "%s: the step at epoch %" PRId64 " lies in the warm-up, since %s is %" PRId64,
                 name(d, "schedule", schedule), at, name(d, "warmup", other), r->warmup);
        }
    }
}

static void look_at_looks(const struct recipe_draft *d, struct warnings *w)
{
    const struct recipe *r = &d->recipe;
    char own[RECIPE_NAME_MAX], epochs[RECIPE_NAME_MAX];
    if (r->patience > 0 && r->patience * r->eval_every >= r->epochs) {
        warn(w, "%s %" PRId64 ": it never ends before the last epoch, since %s is %" PRId64,
             name(d, "patience", own), r->patience, name(d, "epochs", epochs), r->epochs);
    }
    if (r->eval_every > r->epochs && recipe_is_given(d, "eval-every")) {
        warn(w, "%s %" PRId64 ": only the last epoch is looked at, since %s is %" PRId64,
             name(d, "eval-every", own), r->eval_every, name(d, "epochs", epochs), r->epochs);
    }
}

static void look_at_rate(const struct recipe_draft *d, struct warnings *w)
{
    char lr[RECIPE_NAME_MAX];
    if (d->recipe.rate > 0) return;
    warn(w, "%s 0: no parameter learns; only running statistics move", name(d, "lr", lr));
}

static void look_at_labels(const struct recipe_draft *d, struct warnings *w)
{
    const struct recipe *r = &d->recipe;
    char own[RECIPE_NAME_MAX];
    if (r->label_smoothing >= 1)
        warn(w, "%s 1: nothing is left of the labels", name(d, "label-smoothing", own));
}

static void look_at_teacher(const struct recipe_draft *d, struct warnings *w)
{
    const struct recipe *r = &d->recipe;
    char own[RECIPE_NAME_MAX];
    if (r->method->source == METHOD_TEACHER && r->method->guide == METHOD_NO_MAPS && r->alpha == 0)
        warn(w, "%s 0: nothing is learnt from the teacher", name(d, "alpha", own));
}

size_t recipe_warnings(const struct recipe_draft *draft,
                       struct recipe_warning ret_warnings[RECIPE_WARNINGS_MAX])
{
    static void (*const looks[])(const struct recipe_draft *, struct warnings *) = {
        look_at_warmup, look_at_milestones, look_at_looks,
        look_at_rate,   look_at_labels,     look_at_teacher};
    struct warnings w = {ret_warnings, 0};
    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) looks[i](draft, &w);
    return w.n;
}
