/* What evaluations of held-out images decide: which epoch is the best so far, and whether more are
 * worth it. What they have said is part of the checkpoint, so that a training that was killed
 * decides as one that was not. The look behind the last step, where no training of another length
 * has one, decides about the model of this length alone.
 *
 * The best epoch stands in OUT.best.ckpt, written before the checkpoint that knows of it: whoever
 * is killed between the two comes to the same epoch again, and to the same bytes. Test images are
 * never looked at. */
#include "config.h"

#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "train.h"
#include "train/checkpoint.h"

static bool keeps_best(const struct train_session *s)
{
    return s->command.draft.recipe.keep == KEEP_BEST;
}

/* OUT.best.ckpt; its name is shorter than that of the lock beside it or as long (train_out.c). */
static void best_path(const struct train_session *s, char ret_path[PATH_MAX])
{
    snprintf(ret_path, PATH_MAX, "%.*s.best.ckpt", PATH_MAX - 11, s->command.out);
}

/* Whether a training of any length looks at this moment. */
static bool is_regular(const struct train_session *s, const struct train_report *report)
{
    return report->epoch_end && report->epoch % s->command.draft.recipe.eval_every == 0;
}

bool train_is_due(const struct train_session *s, const struct train_report *report)
{
    if (s->split.n_holdout == 0) return false;
    return is_regular(s, report) || trainer_done(s->trainer);
}

/* The deepest classifier that learns. */
static double judge(const struct heldout *h)
{
    int i = h->n_exits - 1;
    while (i > 0 && (h->untrained >> i & 1) != 0) i--;
    return h->exits[i].top1;
}

int train_judge(struct train_session *s, const struct train_report *report, const struct heldout *h,
                struct err *e)
{
    struct checkpoint_history *history = trainer_history(s->trainer);
    const double top1 = judge(h);
    char path[PATH_MAX];
    history->has_end = !is_regular(s, report);
    if (history->has_end) {
        history->end_top1 = top1;
        return 0;
    }
    if (history->best_epoch > 0 && top1 <= history->best_top1) {
        history->idle++;
        return 0;
    }
    *history = (struct checkpoint_history){.best_top1 = top1, .best_epoch = report->epoch};
    if (!keeps_best(s)) return 0;
    best_path(s, path);
    return trainer_save(s->trainer, path, e);
}

bool train_is_over(const struct train_session *s)
{
    const int64_t patience = s->command.draft.recipe.patience;
    if (trainer_done(s->trainer)) return true;
    return patience > 0 && trainer_history(s->trainer)->idle >= patience;
}

int train_take_best(struct train_session *s, struct err *e)
{
    const struct checkpoint_history *history = trainer_history(s->trainer);
    char path[PATH_MAX];
    if (!keeps_best(s) || history->best_epoch == 0) return 0;
    if (history->has_end && history->end_top1 > history->best_top1) return 0;
    best_path(s, path);
    return trainer_restore(s->trainer, path, e);
}

/* A checkpoint that stays needs it: more epochs may be no better. */
void train_drop_best(const struct train_session *s)
{
    char path[PATH_MAX];
    best_path(s, path);
    if (keeps_best(s) && !s->command.keep_checkpoint) unlink(path);
}

int train_control_check(const struct train_session *s, struct err *e)
{
    char path[PATH_MAX];
    const bool judges = keeps_best(s) || s->command.draft.recipe.patience > 0;
    if (judges && s->split.n_holdout == 0) {
        return err_set(e, ERR_RANGE,
                       "there is nothing to choose an epoch by: no image is held out; ask for some "
                       "by --holdout, or take the last epoch");
    }
    if (!keeps_best(s) || trainer_history(s->trainer)->best_epoch == 0) return 0;
    best_path(s, path);
    if (file_exists(path)) return 0;
    return err_set(e, ERR_NOT_FOUND,
                   "%.300s is not there: it is the best epoch of %.300s, which cannot be gone on "
                   "from without",
                   path, s->checkpoint);
}
