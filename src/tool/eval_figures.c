/* Figures of classifiers, for people and for programs. */
#include "config.h"

#include "eval_figures.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "tool.h"

static int add_row(struct eval_figures *t, const struct model *model, struct logits *l,
                   int classifier, struct class_count *counts, struct err *e)
{
    struct eval_row *row = &t->rows[t->n++];
    *row = (struct eval_row){.classifier = classifier, .learned = true};
    if (classifier >= 0 && classifier < l->n_exits && (l->untrained >> classifier & 1) != 0) {
        row->learned = false;
        return 0;
    }
    if (classifier >= MODEL_RUNNING(0)) {
        int last = classifier - MODEL_RUNNING(0);
        row->weights = model->calibration.running[last].weights;
        int rc = logits_blend(l, row->weights, last, e);
        if (rc < 0) return rc;
    }
    row->figures = evaluate_figures(l, classifier, model_temperature(model, classifier));
    evaluate_classes(l, classifier, counts);
    row->balanced = evaluate_balanced(counts, l->classes);
    return evaluate_auroc(l, classifier, model_temperature(model, classifier), &row->auroc, e);
}

int eval_figures_make(const struct model *model, struct logits *l, struct eval_figures *ret_figures,
                      struct err *e)
{
    struct eval_figures *t = ret_figures;
    const size_t classes = (size_t)l->classes, exits = (size_t)l->n_exits;
    int rc = 0;
    *t = (struct eval_figures){
        .n_exits = l->n_exits, .classes = l->classes, .labels = model->labels};
    t->counts = mem_new((exits + 2) * classes, sizeof(*t->counts)); /* the last is for blends */
    if (t->counts == NULL) return err_set(e, -ENOMEM, "out of memory for %d classes", l->classes);
    for (size_t i = 0; i <= exits && rc == 0; i++) {
        int classifier = i < exits ? (int)i : MODEL_ENSEMBLE;
        rc = add_row(t, model, l, classifier, t->counts + i * classes, e);
    }
    for (size_t i = 0; i < exits && rc == 0; i++) {
        if (model->calibration.running[i].present)
            rc = add_row(t, model, l, MODEL_RUNNING((int)i), t->counts + (exits + 1) * classes, e);
    }
    return rc;
}

void eval_figures_release(struct eval_figures *figures)
{
    mem_free(figures->counts);
    *figures = (struct eval_figures){.n = 0};
}

/* --- for programs ----------------------------------------------------------------------------- */

static void write_row(struct json_writer *w, const char *key, const struct eval_row *row)
{
    const struct training_figures *f = &row->figures;
    json_write_open(w, key, '{');
    if (key == NULL) json_write_string(w, "name", model_classifier_name(row->classifier));
    if (row->classifier >= 0 && row->classifier < SPEC_SECTIONS_MAX)
        json_write_bool(w, "learned", row->learned);
    const struct {
        const char *key;
        double value;
    } figures[] = {{"top1", f->top1}, {"balanced", row->balanced},
                   {"top5", f->top5}, {"nll", f->nll},
                   {"ece", f->ece},   {"auroc", row->auroc}};
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        if (row->learned)
            json_write_rounded(w, figures[i].key, figures[i].value, TOOL_DIGITS);
        else
            json_write_null(w, figures[i].key);
    }
    if (row->weights != NULL) {
        json_write_open(w, "weights", '[');
        for (int i = 0; i <= row->classifier - MODEL_RUNNING(0); i++)
            json_write_rounded(w, NULL, row->weights[i], TOOL_DIGITS);
        json_write_close(w, ']');
    }
    json_write_close(w, '}');
}

void eval_figures_write(struct json_writer *w, const struct eval_figures *t)
{
    json_write_open(w, "exits", '[');
    for (int i = 0; i < t->n_exits; i++) write_row(w, NULL, &t->rows[i]);
    json_write_close(w, ']');
    write_row(w, "ensemble", &t->rows[t->n_exits]);
    json_write_open(w, "running", '[');
    for (int i = t->n_exits + 1; i < t->n; i++) write_row(w, NULL, &t->rows[i]);
    json_write_close(w, ']');
}

static const struct class_count *count_of(const struct eval_figures *t, int row, int k)
{
    return &t->counts[(size_t)row * (size_t)t->classes + (size_t)k];
}

void eval_figures_write_classes(struct json_writer *w, const struct eval_figures *t)
{
    json_write_open(w, "classes", '[');
    for (int k = 0; k < t->classes; k++) {
        size_t images = count_of(t, t->n_exits, k)->images;
        json_write_open(w, NULL, '{');
        json_write_string(w, "label", t->labels[k]);
        json_write_int(w, "images", (int64_t)images);
        json_write_open(w, "top1", '[');
        for (int i = 0; i <= t->n_exits; i++) {
            if (t->rows[i].learned && images > 0)
                json_write_rounded(w, NULL, (double)count_of(t, i, k)->right / (double)images,
                                   TOOL_DIGITS);
            else
                json_write_null(w, NULL);
        }
        json_write_close(w, ']');
        json_write_close(w, '}');
    }
    json_write_close(w, ']');
}

/* --- for people ------------------------------------------------------------------------------- */

void eval_figures_print(const struct eval_figures *t)
{
    printf("%-12s %8s %8s %8s %8s %8s %8s\n", "classifier", "top-1", "balanced", "top-5", "nll",
           "ece", "auroc");
    for (int i = 0; i < t->n; i++) {
        const struct eval_row *row = &t->rows[i];
        const struct training_figures *f = &row->figures;
        printf("%-12s", model_classifier_name(row->classifier));
        if (row->learned)
            printf(" %8.4f %8.4f %8.4f %8.4f %8.4f %8.4f\n", f->top1, row->balanced, f->top5,
                   f->nll, f->ece, row->auroc);
        else
            printf(" has not learned\n");
    }
}

void eval_figures_print_classes(const struct eval_figures *t)
{
    printf("\n%-24s %7s", "class", "images");
    for (int i = 0; i <= t->n_exits; i++)
        printf(" %8s", model_classifier_name(i < t->n_exits ? i : MODEL_ENSEMBLE));
    printf("\n");
    for (int k = 0; k < t->classes; k++) {
        size_t images = count_of(t, t->n_exits, k)->images;
        printf("%-24s %7zu", t->labels[k], images);
        for (int i = 0; i <= t->n_exits; i++) {
            if (t->rows[i].learned && images > 0)
                printf(" %8.4f", (double)count_of(t, i, k)->right / (double)images);
            else
                printf(" %8s", "-");
        }
        printf("\n");
    }
}
