/* Exits are named as their classifiers are, from 1; those that do not learn are in no row. */
#include "config.h"

#include "log_row.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "model/model.h"

static struct log_cell *add(struct log_row *row, double value, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static struct log_cell *add(struct log_row *row, double value, const char *format, ...)
{
    struct log_cell *cell = &row->cells[row->n++];
    va_list args;
    *cell = (struct log_cell){.value = value};
    va_start(args, format);
    vsnprintf(cell->name, sizeof(cell->name), format, args);
    va_end(args);
    return cell;
}

/* The mean of a sum over so many; NaN of none. */
static double mean(double sum, int64_t n)
{
    return n > 0 ? sum / (double)n : NAN;
}

static void add_losses(struct log_row *row, const struct objective_sums *s, unsigned exits)
{
    for (int i = 0; i < SPEC_SECTIONS_MAX; i++) {
        for (int t = 0; t < OBJECTIVE_TERMS && (exits >> i & 1) != 0; t++)
            add(row, mean(s->loss[t][i], s->batches), "loss/exit_%d/%s", i + 1, objective_terms[t])
                ->is_term = true;
    }
    add(row, mean(s->maps, s->batches), "loss/maps")->is_term = true;
    for (int i = 0; i < SPEC_SECTIONS_MAX; i++) {
        if ((exits >> i & 1) != 0)
            add(row, mean((double)s->right[i], s->images), "training_accuracy/exit_%d", i + 1);
    }
}

/* Of the held-out images. */
static double figure(const struct training_figures *f, double balanced, int which)
{
    const double figures[] = {f->top1, balanced, f->nll, f->ece};
    return figures[which];
}

static void add_figures(struct log_row *row, const struct heldout *h, unsigned exits)
{
    static const char *const names[] = {"accuracy", "balanced_accuracy", "nll", "ece"};
    const bool known = h != NULL && h->n_exits > 0;
    for (int f = 0; f < (int)(sizeof(names) / sizeof(names[0])); f++) {
        for (int i = 0; i < SPEC_SECTIONS_MAX; i++) {
            if ((exits >> i & 1) == 0) continue;
            add(row, known ? figure(&h->exits[i], h->balanced[i], f) : NAN, "%s/exit_%d", names[f],
                i + 1);
        }
        add(row, known ? figure(&h->ensemble, h->ensemble_balanced, f) : NAN, "%s/ensemble",
            names[f]);
    }
}

void log_row_make(const struct progress *p, const struct train_report *r, const struct heldout *h,
                  double seconds, struct log_row *ret_row)
{
    static const struct objective_sums nothing;
    const bool known = r != NULL;
    struct log_row *row = ret_row;
    row->n = 0;
    add(row, known ? (double)r->epoch : NAN, LOG_EPOCH);
    add(row, known ? (double)r->step : NAN, LOG_STEP);
    add(row, seconds, "seconds");
    add(row, known ? p->img_per_s : NAN, "img_per_s");
    add(row, known ? r->rate : NAN, "lr");
    add(row, known ? r->mean_loss : NAN, "loss/total");
    add_losses(row, known ? r->sums : &nothing, p->about.exits);
    if (p->about.n_holdout > 0) add_figures(row, h, p->about.learned);
}
