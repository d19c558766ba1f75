/* What a study says: means and deviations over seeds, beside the paper's row. */
#ifndef TOOL_STUDY_TABLE_H
#define TOOL_STUDY_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "nn/spec.h"
#include "study_file.h"

/* The accuracies of a model. NaN: it has not learned, or the network has no such exit. */
struct study_figures {
    bool present;
    int n_exits;
    double top1[SPEC_SECTIONS_MAX], ensemble;
};

/* A mean over seeds and the deviation of one (n - 1); of one seed that is NaN. */
struct study_value {
    size_t n;
    double mean, deviation;
};

/* A row: network, width and method. The classifiers of all rows are columns: exits from the first
 * on, of which the deepest of a network has one of its own, and the ensemble. */
struct study_row {
    const char *network; /* the spec's file without directory and ending */
    int network_length;
    int64_t width; /* 0: the spec's own */
    const struct study_method *method;
    size_t n_seeds; /* that are done */
    int n_exits;
    struct study_value exits[SPEC_SECTIONS_MAX], ensemble;
    /* Means less the deepest's of the row of `baseline` of the same network and width; NaN: there
     * is none. */
    double gain_deepest, gain_ensemble;
};

struct study_table {
    struct study_row *rows; /* [n] */
    size_t n;
    int shallow;   /* columns for shallow exits: the most that a network has */
    bool cifar100; /* the paper has rows beside these */
};

/* figures: [networks][widths][methods][seeds] of the study, which must outlive the table. -ENOMEM.
 * study_table_release() is due afterwards. */
int study_table_make(const struct study *study, const struct study_figures *figures,
                     struct study_table *ret_table, struct err *e);
void study_table_release(struct study_table *table);

/* As text for a terminal, as Markdown, as CSV, as a JSON object. The buffers' errors. */
int study_table_text(const struct study_table *table, struct buf *out);
int study_table_markdown(const struct study_table *table, struct buf *out);
int study_table_csv(const struct study_table *table, struct buf *out);
int study_table_json(const struct study_table *table, struct buf *out);

#endif
