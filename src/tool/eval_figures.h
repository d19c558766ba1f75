/* The figures of all classifiers of a model on a set of images. */
#ifndef TOOL_EVAL_FIGURES_H
#define TOOL_EVAL_FIGURES_H

#include <stdbool.h>

#include "base/err.h"
#include "json/write.h"
#include "model/model.h"
#include "train/evaluate.h"

/* A classifier's. */
struct eval_row {
    int classifier;
    bool learned;          /* else there are none */
    const double *weights; /* of a running ensemble: the model's */
    struct training_figures figures;
    double balanced;
    double auroc; /* evaluate_auroc() */
};

struct eval_figures {
    struct eval_row rows[2 * SPEC_SECTIONS_MAX + 1]; /* exits, ensemble, running ensembles */
    int n, n_exits, classes;
    char *const *labels;        /* the model's */
    struct class_count *counts; /* [n_exits + 1][classes]: of each exit and the ensemble */
};

/* Blends the logits (logits_blend()). The model must outlive it. -ENOMEM. eval_figures_release() is
 * due after a failure, too. */
int eval_figures_make(const struct model *model, struct logits *logits,
                      struct eval_figures *ret_figures, struct err *e);
void eval_figures_release(struct eval_figures *figures);

/* As members of an object, "exits" and so on; "classes", each with its figures. */
void eval_figures_write(struct json_writer *w, const struct eval_figures *figures);
void eval_figures_write_classes(struct json_writer *w, const struct eval_figures *figures);

/* As tables. */
void eval_figures_print(const struct eval_figures *figures);
void eval_figures_print_classes(const struct eval_figures *figures);

#endif
