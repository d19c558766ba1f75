/* The curve of a tuned model: accuracy over cost of answers by one least confidence from 1 to 0,
 * with what their loss against the best classifier is at most. As a table and as a picture. */
#ifndef TOOL_TUNE_CURVE_H
#define TOOL_TUNE_CURVE_H

#include "base/err.h"
#include "model/model.h"
#include "train/early.h"

/* What rules are judged by: of the images that were held out. */
struct tune_judge {
    const struct model *model;
    const struct early *early;
    struct early_costs macs;
    struct early_heads heads; /* of what answers in the end, the best classifier */
    unsigned exits;           /* that may answer before it does */
    int best;
    double sure;
};

struct early_outcome tune_judge_confidence(const struct tune_judge *judge, double confidence,
                                           double *ret_macs);

/* A line for each confidence: it, top1, macs, loss, loss_bound, and the share of each exit and of
 * the best classifier in the end. */
int tune_write_curve(const char *path, const struct tune_judge *judge, struct err *e);

/* SVG by itself, for light and dark: the curve, each classifier, the levels. */
int tune_write_picture(const char *path, const struct tune_judge *judge, struct err *e);

#endif
