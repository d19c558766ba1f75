/* `autodidact report`: what a page says of models (report_page.c), and how it is put together
 * (report.c). */
#ifndef TOOL_REPORT_H
#define TOOL_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "eval_figures.h"
#include "eval_policy.h"
#include "html.h"
#include "model/model.h"
#include "report_log.h"
#include "selection.h"
#include "train/evaluate.h"

enum { REPORT_MODELS_MAX = 8, REPORT_NAME_MAX = 80 };

/* A model as the page shows it. */
struct report_model {
    const char *path;
    char name[REPORT_NAME_MAX]; /* of the file */
    struct model *model;
    struct report_log log; /* n 0: no curves */
    /* On images of the data set; n 0: there are none. */
    size_t n;
    struct selection selection;
    struct eval_figures figures;
    struct eval_policy policy;
    struct evaluate_bin bins[SPEC_SECTIONS_MAX + 1][EVALUATE_ECE_BINS]; /* the last: ensemble */
    uint32_t *confusion; /* [classes][classes] of the deepest */
};

struct report {
    struct report_model models[REPORT_MODELS_MAX];
    int n_models;
    const char *split; /* NULL: no images */
    const char *kind;  /* of the data set */
};

/* The whole page. The first failure is html->status. */
void report_write_page(struct html *html, const struct report *report);

/* Its parts (report_charts.c): figures over cost, over epochs, of confidence, of classes. */
void report_write_costs(struct html *html, const struct report *report);
void report_write_training(struct html *html, const struct report *report);
void report_write_reliability(struct html *html, const struct report *report);
void report_write_classes(struct html *html, const struct report *report);
void report_write_confusion(struct html *html, const struct report *report);

#endif
