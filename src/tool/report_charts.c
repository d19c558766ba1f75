/* The parts of a report that are pictures.
 *
 * A chart of several models has a colour a model; a chart of one has a shade an exit, the deeper
 * the darker, and a dashed line for the ensemble. */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "chart.h"
#include "report.h"
#include "tool.h"

enum { TITLE_MAX = 256, HARDEST = 12 };

static void colour_of_model(const struct report *r, const struct report_model *m, char text[16])
{
    snprintf(text, 16, "c%d", (int)(m - r->models));
}

static void colour_of_exit(int exit, int exits, char text[16])
{
    if (exit == MODEL_ENSEMBLE)
        snprintf(text, 16, "en");
    else
        snprintf(text, 16, "e%d", exits > 1 ? exit * 7 / (exits - 1) : 7);
}

static void begin_section(struct html *h, const char *title, const char *text)
{
    html_printf(h, "<section><h2>%s</h2>\n<p class=\"lead\">%s</p>\n", title, text);
}

static void end_section(struct html *h)
{
    html_puts(h, "</section>\n");
}

static void begin_figure(struct html *h, const char *title)
{
    html_puts(h, "<figure><figcaption>");
    html_text(h, title);
    html_puts(h, "</figcaption>");
}

static void end_figure(struct html *h)
{
    html_puts(h, "</figure>\n");
}

static void legend_item(struct html *h, const char *colour, const char *text)
{
    html_printf(h, "<span class=\"key\"><i class=\"%s\"></i>", colour);
    html_text(h, text);
    html_puts(h, "</span>");
}

static void legend_of_models(struct html *h, const struct report *r)
{
    char colour[16];
    if (r->n_models == 1) return;
    html_puts(h, "<p class=\"legend\">");
    for (int i = 0; i < r->n_models; i++) {
        colour_of_model(r, &r->models[i], colour);
        legend_item(h, colour, r->models[i].name);
    }
    html_puts(h, "</p>");
}

static void legend_of_exits(struct html *h, int exits)
{
    char colour[16];
    html_puts(h, "<p class=\"legend\">");
    for (int i = 0; i < exits; i++) {
        colour_of_exit(i, exits, colour);
        legend_item(h, colour, model_classifier_name(i));
    }
    legend_item(h, "en", "ensemble");
    html_puts(h, "</p>");
}

/* --- accuracy over cost ----------------------------------------------------------------------- */

/* Millions of multiply-accumulates, or milliseconds. */
static double cost_of(double macs, double ms, bool time)
{
    return time ? ms : 1e-6 * macs;
}

static void cost_of_model(struct chart *c, const struct report *r, const struct report_model *m,
                          bool time)
{
    const struct eval_policy *p = &m->policy;
    double x[EVAL_POLICY_POINTS], y[EVAL_POLICY_POINTS];
    char colour[16], title[TITLE_MAX];
    const char *unit = time ? "ms" : "million MACs";
    colour_of_model(r, m, colour);
    for (int i = 0; i < EVAL_POLICY_POINTS; i++) {
        x[i] = cost_of(p->curve[i].macs, p->curve[i].ms, time);
        y[i] = p->curve[i].outcome.top1;
    }
    chart_line(c, colour, x, y, EVAL_POLICY_POINTS);
    for (int i = 0; i < p->n_fixed; i++) {
        const struct eval_policy_fixed *f = &p->fixed[i];
        double cost = cost_of(f->macs, f->ms, time);
        snprintf(title, sizeof(title), "%s, classifier %s: %.2f %%, %.3g %s", m->name,
                 model_classifier_name(f->classifier), 100 * f->top1, cost, unit);
        chart_point(c, f->classifier == MODEL_ENSEMBLE ? CHART_RING : CHART_DOT, colour, cost,
                    f->top1, title);
    }
    if (!p->has_thresholds) return;
    double cost = cost_of(p->thresholds.macs, p->thresholds.ms, time);
    snprintf(title, sizeof(title), "%s, auto by its thresholds: %.2f %%, %.3g %s", m->name,
             100 * p->thresholds.outcome.top1, cost, unit);
    chart_point(c, CHART_DIAMOND, colour, cost, p->thresholds.outcome.top1, title);
}

static void cost_chart(struct html *h, const struct report *r, bool time)
{
    struct chart c = {.html = h,
                      .x_name = time ? "milliseconds an image, one thread"
                                     : "multiply-accumulates an image, in millions",
                      .y_name = "accuracy",
                      .y_percent = true,
                      .x0 = INFINITY,
                      .x1 = 0,
                      .y0 = 1,
                      .y1 = 0};
    for (int i = 0; i < r->n_models; i++) {
        const struct eval_policy *p = &r->models[i].policy;
        for (int k = 0; k < p->n_fixed; k++) {
            double cost = cost_of(p->fixed[k].macs, p->fixed[k].ms, time);
            c.x0 = fmin(c.x0, cost);
            c.x1 = fmax(c.x1, cost);
            c.y0 = fmin(c.y0, p->fixed[k].top1);
            c.y1 = fmax(c.y1, p->fixed[k].top1);
        }
        for (int k = 0; k < EVAL_POLICY_POINTS; k++) {
            c.x1 = fmax(c.x1, cost_of(p->curve[k].macs, p->curve[k].ms, time));
            c.y1 = fmax(c.y1, p->curve[k].outcome.top1);
        }
    }
    chart_round(&c.x0, &c.x1);
    chart_round(&c.y0, &c.y1);
    begin_figure(h, time ? "Accuracy over time" : "Accuracy over work");
    chart_begin(&c, time ? "Accuracy over milliseconds" : "Accuracy over multiply-accumulates");
    for (int i = 0; i < r->n_models; i++) cost_of_model(&c, r, &r->models[i], time);
    chart_end(&c);
    end_figure(h);
}

void report_write_costs(struct html *h, const struct report *r)
{
    begin_section(
        h, "What accuracy costs",
        "A line is every balance that answers by confidence can have, from the first exit to the "
        "best classifier: one least confidence for all exits (SLA-Min-Confidence). <b>&#9679;</b> "
        "are the exits by themselves, <b>&#9675;</b> the ensemble, <b>&#9670;</b> "
        "<code>auto</code> with the thresholds in the file. Heads that were tried and did not "
        "answer are paid for.");
    legend_of_models(h, r);
    html_puts(h, "<div class=\"grid two\">\n");
    cost_chart(h, r, false);
    cost_chart(h, r, true);
    html_puts(h, "</div>\n");
    end_section(h);
}

/* --- training --------------------------------------------------------------------------------- */

/* One of an epoch's numbers: exit 0.., or these. */
enum { OF_LOSS = -3, OF_RATE = -2, OF_ENSEMBLE = MODEL_ENSEMBLE };

static double number_of(const struct report_epoch *epoch, int what)
{
    switch (what) {
    case OF_LOSS:
        return epoch->loss;
    case OF_RATE:
        return epoch->rate;
    case OF_ENSEMBLE:
        return epoch->ensemble;
    default:
        return epoch->top1[what];
    }
}

static void widen(struct chart *c, const struct report_log *log, int what)
{
    for (size_t i = 0; i < log->n; i++) {
        double y = number_of(&log->epochs[i], what);
        if (!isfinite(y)) continue;
        c->y0 = fmin(c->y0, y);
        c->y1 = fmax(c->y1, y);
    }
    if (log->n > 0) c->x1 = fmax(c->x1, log->epochs[log->n - 1].epoch);
}

static void curve(struct chart *c, const struct report_log *log, int what, const char *colour)
{
    double *x = mem_new(log->n, sizeof(*x)), *y = mem_new(log->n, sizeof(*y));
    if (x != NULL && y != NULL) {
        for (size_t i = 0; i < log->n; i++) {
            x[i] = log->epochs[i].epoch;
            y[i] = number_of(&log->epochs[i], what);
        }
        chart_line(c, colour, x, y, log->n);
    }
    mem_free(x);
    mem_free(y);
}

static void training_chart(struct html *h, const struct report *r, int what, const char *title)
{
    struct chart c = {.html = h,
                      .x_name = "epoch",
                      .x_whole = true,
                      .y_name = "",
                      .y0 = INFINITY,
                      .y1 = -INFINITY};
    char colour[16];
    for (int i = 0; i < r->n_models; i++) widen(&c, &r->models[i].log, what);
    if (!isfinite(c.y0)) return;
    chart_round(&c.x0, &c.x1);
    chart_round(&c.y0, &c.y1);
    begin_figure(h, title);
    chart_begin(&c, title);
    for (int i = 0; i < r->n_models; i++) {
        colour_of_model(r, &r->models[i], colour);
        curve(&c, &r->models[i].log, what, colour);
    }
    chart_end(&c);
    end_figure(h);
}

static void accuracy_chart(struct html *h, const struct report_model *m)
{
    const int exits = net_sections(m->model->net);
    struct chart c = {.html = h,
                      .x_name = "epoch",
                      .x_whole = true,
                      .y_name = "",
                      .y_percent = true,
                      .y0 = INFINITY,
                      .y1 = -INFINITY};
    char colour[16], title[TITLE_MAX];
    for (int i = MODEL_ENSEMBLE; i < exits; i++) widen(&c, &m->log, i);
    if (!isfinite(c.y0)) return;
    chart_round(&c.x0, &c.x1);
    chart_round(&c.y0, &c.y1);
    snprintf(title, sizeof(title), "Held-out accuracy: %s", m->name);
    begin_figure(h, title);
    legend_of_exits(h, exits);
    chart_begin(&c, title);
    for (int i = 0; i < exits; i++) {
        colour_of_exit(i, exits, colour);
        curve(&c, &m->log, i, colour);
    }
    curve(&c, &m->log, OF_ENSEMBLE, "en");
    chart_end(&c);
    end_figure(h);
}

void report_write_training(struct html *h, const struct report *r)
{
    bool any = false;
    for (int i = 0; i < r->n_models; i++) any = any || r->models[i].log.n > 0;
    if (!any) return;
    begin_section(h, "Training",
                  "By epoch: the mean loss, in which methods have different terms, the learning "
                  "rate, and what the held-out images said of every classifier.");
    legend_of_models(h, r);
    html_puts(h, "<div class=\"grid two\">\n");
    training_chart(h, r, OF_LOSS, "Loss");
    training_chart(h, r, OF_RATE, "Learning rate");
    for (int i = 0; i < r->n_models; i++) accuracy_chart(h, &r->models[i]);
    html_puts(h, "</div>\n");
    end_section(h);
}

/* --- calibration ------------------------------------------------------------------------------ */

static void reliability_chart(struct html *h, const struct report_model *m, int row)
{
    const struct eval_row *figures = &m->figures.rows[row];
    const struct evaluate_bin *bins = m->bins[row];
    struct chart c = {.html = h,
                      .x_name = "confidence",
                      .y_name = "accuracy",
                      .x_percent = true,
                      .y_percent = true,
                      .x1 = 1,
                      .y1 = 1,
                      .square = true};
    char title[TITLE_MAX];
    const char *name = model_classifier_name(figures->classifier);
    bool ensemble = figures->classifier == MODEL_ENSEMBLE;
    snprintf(title, sizeof(title), "%s%s, ECE %.3f", ensemble ? "" : "exit ", name,
             figures->figures.ece);
    begin_figure(h, title);
    chart_begin(&c, title);
    for (int b = 0; b < EVALUATE_ECE_BINS; b++) {
        if (bins[b].n == 0) continue;
        const double low = b / (double)EVALUATE_ECE_BINS, high = (b + 1.0) / EVALUATE_ECE_BINS;
        double accuracy = (double)bins[b].right / (double)bins[b].n;
        double confidence = bins[b].confidence / (double)bins[b].n;
        snprintf(title, sizeof(title),
                 "%zu images of confidence %.0f to %.0f %%: %.1f %% right, mean confidence %.1f %%",
                 bins[b].n, 100 * low, 100 * high, 100 * accuracy, 100 * confidence);
        chart_bar(&c, "acc", low + 0.004, high - 0.004, 0, accuracy, title);
        chart_bar(&c, accuracy < confidence ? "over" : "under", low + 0.004, high - 0.004,
                  fmin(accuracy, confidence), fmax(accuracy, confidence), title);
    }
    chart_diagonal(&c);
    chart_end(&c);
    end_figure(h);
}

void report_write_reliability(struct html *h, const struct report *r)
{
    begin_section(h, "Calibration",
                  "Of images with such a confidence, how many are right? Calibrated answers keep "
                  "to the diagonal. <span class=\"key\"><i class=\"over\"></i>surer than "
                  "right</span> <span class=\"key\"><i class=\"under\"></i>righter than "
                  "sure</span>");
    for (int i = 0; i < r->n_models; i++) {
        const struct report_model *m = &r->models[i];
        if (r->n_models > 1) {
            html_puts(h, "<h3>");
            html_text(h, m->name);
            html_puts(h, "</h3>");
        }
        html_puts(h, "<div class=\"grid small\">\n");
        for (int k = 0; k <= m->figures.n_exits; k++) {
            if (m->figures.rows[k].learned) reliability_chart(h, m, k);
        }
        html_puts(h, "</div>\n");
    }
    end_section(h);
}

/* --- classes ---------------------------------------------------------------------------------- */

struct class_figure {
    int class_index;
    size_t images;
    double top1; /* of the deepest */
};

static int compare_classes(const void *a, const void *b)
{
    const struct class_figure *x = a, *y = b;
    if (x->top1 != y->top1) return x->top1 < y->top1 ? -1 : 1;
    return x->class_index - y->class_index;
}

/* Those with images, the hardest first. NULL when out of memory. */
static struct class_figure *sort_classes(const struct report_model *m, size_t *ret_n)
{
    const struct eval_figures *f = &m->figures;
    const struct class_count *counts = f->counts + (size_t)(f->n_exits - 1) * (size_t)f->classes;
    struct class_figure *list = mem_new((size_t)f->classes, sizeof(*list));
    *ret_n = 0;
    if (list == NULL) return NULL;
    for (int k = 0; k < f->classes; k++) {
        if (counts[k].images == 0) continue;
        list[(*ret_n)++] = (struct class_figure){
            k, counts[k].images, (double)counts[k].right / (double)counts[k].images};
    }
    qsort(list, *ret_n, sizeof(*list), compare_classes);
    return list;
}

static void hardest_table(struct html *h, const struct report_model *m,
                          const struct class_figure *list, size_t n)
{
    const struct eval_figures *f = &m->figures;
    html_puts(h, "<figure><figcaption>The hardest</figcaption><div class=\"scroll\"><table "
                 "class=\"numbers\">"
                 "<thead><tr><th>class</th><th>images</th>");
    for (int i = 0; i <= f->n_exits; i++) {
        if (f->rows[i].learned)
            html_printf(h, "<th>%s</th>", model_classifier_name(f->rows[i].classifier));
    }
    html_puts(h, "</tr></thead><tbody>");
    for (size_t k = 0; k < n && k < HARDEST; k++) {
        html_puts(h, "<tr><th>");
        html_text(h, f->labels[list[k].class_index]);
        html_printf(h, "</th><td>%zu</td>", list[k].images);
        for (int i = 0; i <= f->n_exits; i++) {
            const struct class_count *c =
                &f->counts[(size_t)i * (size_t)f->classes + (size_t)list[k].class_index];
            if (f->rows[i].learned)
                html_printf(h, "<td>%.1f</td>", 100 * (double)c->right / (double)c->images);
        }
        html_puts(h, "</tr>");
    }
    html_puts(h, "</tbody></table></div></figure>\n");
}

static void classes_of_model(struct html *h, const struct report *r, const struct report_model *m)
{
    size_t n;
    char colour[16], title[TITLE_MAX];
    struct class_figure *list = sort_classes(m, &n);
    if (list == NULL) {
        h->status = h->status < 0 ? h->status : -ENOMEM;
        return;
    }
    struct chart c = {.html = h,
                      .x_name = "classes, the hardest first",
                      .y_name = "accuracy of the deepest",
                      .y_percent = true,
                      .x1 = n > 0 ? (double)n : 1,
                      .y1 = 1};
    colour_of_model(r, m, colour);
    html_puts(h, "<div class=\"grid two\">\n");
    begin_figure(h, m->name);
    chart_begin(&c, "Accuracy of every class");
    for (size_t k = 0; k < n; k++) {
        snprintf(title, sizeof(title), "%.150s: %.1f %% of %zu images",
                 m->figures.labels[list[k].class_index], 100 * list[k].top1, list[k].images);
        chart_bar(&c, colour, (double)k + 0.08, (double)k + 0.92, 0, list[k].top1, title);
    }
    chart_end(&c);
    end_figure(h);
    hardest_table(h, m, list, n);
    html_puts(h, "</div>\n");
    mem_free(list);
}

void report_write_classes(struct html *h, const struct report *r)
{
    begin_section(h, "Classes", "Which are hard, and for whom? Accuracies in per cent.");
    for (int i = 0; i < r->n_models; i++) classes_of_model(h, r, &r->models[i]);
    end_section(h);
}
