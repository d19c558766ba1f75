/* The curve as CSV and as SVG. */
#include "config.h"

#include "tune_curve.h"

#include <errno.h>
#include <stdio.h>

#include "answers.h"
#include "base/file.h"
#include "chart.h"
#include "train/risk.h"

enum { TITLE_MAX = 160 };

struct early_outcome tune_judge_confidence(const struct tune_judge *j, double confidence,
                                           double *ret_macs)
{
    const struct early_rule rule = early_rule_confidence(j->exits, confidence);
    const struct early_outcome o = early_judge(j->early, &rule);
    *ret_macs = early_mean_cost(&j->macs, early_rule_heads(&j->heads, &rule), &o);
    return o;
}

static int finish(int status, const char *option, const char *path, const struct buf *text,
                  struct err *e)
{
    const struct file_piece piece = {text->data, text->size};
    if (status < 0) return err_set(e, status, "--%s: %s", option, err_text(status));
    int rc = file_write_atomic(path, &piece, 1, e);
    if (rc < 0) err_prefix(e, "--%s", option);
    return rc;
}

int tune_write_curve(const char *path, const struct tune_judge *j, struct err *e)
{
    const size_t n = early_images(j->early);
    struct html table; /* text that grows, and the first failure */
    html_init(&table);
    html_puts(&table, "confidence,top1,macs,loss,loss_bound");
    for (int k = 0; k < j->macs.n_exits; k++) html_printf(&table, ",%s", model_classifier_name(k));
    html_printf(&table, ",else_%s\n", model_classifier_name(j->best));
    for (int i = 0; i < RISK_POINTS; i++) {
        double macs;
        const double confidence = risk_confidence_at(i);
        const struct early_outcome o = tune_judge_confidence(j, confidence, &macs);
        html_printf(&table, "%.4g,%.6g,%.8g,%.6g,%.6g", confidence, o.top1, macs,
                    ((double)o.lost - (double)o.won) / (double)n,
                    risk_bound(n, o.lost, o.won, j->sure));
        for (int k = 0; k < j->macs.n_exits; k++) html_printf(&table, ",%.6g", o.share[k]);
        html_printf(&table, ",%.6g\n", o.rest);
    }
    int rc = finish(table.status, "curve", path, &table.text, e);
    html_release(&table);
    return rc;
}

/* --- the picture ------------------------------------------------------------------------------ */

static const char style[] =
    "<style>svg{font:11px system-ui,sans-serif;--ink:#333;--line:#ddd;--one:#1f6fb2;--two:#c2571a}"
    "@media(prefers-color-scheme:dark){svg{--ink:#ccc;--line:#444;--one:#6db3f2;--two:#f09a5e}}"
    "text{fill:var(--ink)}.grid,.tickmark{stroke:var(--line);fill:none}"
    ".axis{stroke:var(--ink);fill:none}.line{fill:none;stroke-width:1.8;stroke:var(--one)}"
    ".mark.c0{fill:var(--one)}.mark.c1{fill:var(--two)}.ring{fill:none;stroke-width:1.8;"
    "stroke:var(--one)}</style>";

struct point {
    double cost, top1;
};

static struct point fixed_point(const struct tune_judge *j, int classifier)
{
    const struct calibration *c = &j->model->calibration;
    const unsigned heads = answers_heads(j->model, classifier);
    int last = 0;
    while (heads >> (last + 1) != 0) last++;
    const double top1 = classifier == MODEL_ENSEMBLE ? c->ensemble.top1
                        : classifier >= MODEL_RUNNING(0)
                            ? c->running[classifier - MODEL_RUNNING(0)].figures.top1
                            : c->exits[classifier].top1;
    return (struct point){1e-6 * early_cost(&j->macs, heads, last), top1};
}

static void widen(struct chart *c, struct point p)
{
    if (p.cost > c->x1) c->x1 = p.cost;
    if (p.top1 > c->y1) c->y1 = p.top1;
    if (p.top1 < c->y0) c->y0 = p.top1;
}

static void draw_fixed(struct chart *c, const struct tune_judge *j, int classifier)
{
    char title[TITLE_MAX];
    const struct point p = fixed_point(j, classifier);
    snprintf(title, sizeof(title), "classifier %s: %.2f %%, %.4g million MACs",
             model_classifier_name(classifier), 100 * p.top1, p.cost);
    chart_point(c, classifier == MODEL_ENSEMBLE ? CHART_RING : CHART_DOT, "c0", p.cost, p.top1,
                title);
}

static void draw_levels(struct chart *c, const struct tune_judge *j)
{
    const struct calibration_levels *levels = &j->model->calibration.levels;
    char title[TITLE_MAX];
    for (int i = 0; i < levels->n; i++) {
        const struct calibration_level *level = &levels->at[i];
        snprintf(title, sizeof(title), "SLA-Max-Loss %g: %.2f %%, %.4g million MACs",
                 level->max_loss, 100 * level->top1, 1e-6 * level->macs);
        chart_point(c, CHART_DIAMOND, "c1", 1e-6 * level->macs, level->top1, title);
    }
}

int tune_write_picture(const char *path, const struct tune_judge *j, struct err *e)
{
    struct html svg;
    double x[RISK_POINTS], y[RISK_POINTS];
    html_init(&svg);
    struct chart c = {.html = &svg,
                      .x_name = "multiply-accumulates an image, millions",
                      .y_name = "top-1, held-out images",
                      .y_percent = true,
                      .style = style,
                      .y0 = 1};
    for (int i = 0; i < RISK_POINTS; i++) {
        const struct early_outcome o = tune_judge_confidence(j, risk_confidence_at(i), &x[i]);
        x[i] *= 1e-6;
        y[i] = o.top1;
        widen(&c, (struct point){x[i], y[i]});
    }
    for (int k = MODEL_ENSEMBLE; k < j->macs.n_exits; k++) widen(&c, fixed_point(j, k));
    chart_round(&c.x0, &c.x1);
    chart_round(&c.y0, &c.y1);
    chart_begin(&c, "Accuracy over cost: the curve of one least confidence, a dot for each "
                    "classifier alone (the ensemble a ring), a diamond for each SLA-Max-Loss");
    chart_line(&c, "c0", x, y, RISK_POINTS);
    for (int k = MODEL_ENSEMBLE; k < j->macs.n_exits; k++) {
        if (k < 0 || (answers_learned(j->model) >> k & 1) != 0) draw_fixed(&c, j, k);
    }
    draw_levels(&c, j);
    chart_end(&c);
    int rc = finish(svg.status, "picture", path, &svg.text, e);
    html_release(&svg);
    return rc;
}
