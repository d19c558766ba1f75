/* The page of a report: style, heading, table at a glance, and where each model comes from. Nothing
 * in it is fetched from anywhere. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "report.h"
#include "tool.h"

static const char style[] =
    ":root{color-scheme:light dark;--bg:#f7f7f5;--card:#fff;--ink:#1d2129;--soft:#5c6470;"
    "--line:#e3e4e0;--grid:#ececea;--hit:#0f9d76;--miss:#dd5a24;--over:#e0702e;--under:#2f80c9;"
    "--c0:#2f6fdb;--c1:#d9480f;--c2:#0b8f6a;--c3:#b5179e;--c4:#b7791f;--c5:#0e8fa8;--c6:#6d4bd8;"
    "--c7:#6b7280;--e0:#a8c8f0;--e1:#8fb6ea;--e2:#74a2e2;--e3:#5a8ed9;--e4:#447acd;--e5:#3266bb;"
    "--e6:#2453a3;--e7:#173f85}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#14171c;--card:#1c2027;--ink:#e6e8ec;"
    "--soft:#9aa3b0;--line:#2c323c;--grid:#272c35;--hit:#34c79b;--miss:#ff8552;--over:#ff9457;"
    "--under:#5fa8ee;--c0:#6ea0ff;--c1:#ff8552;--c2:#3fcf9f;--c3:#f06bdc;--c4:#e6b04c;"
    "--c5:#45c4dd;--c6:#a58bff;--c7:#a3acb8;--e0:#33507d;--e1:#3d619a;--e2:#4873b5;--e3:#5685cc;"
    "--e4:#6a99dd;--e5:#83adea;--e6:#a0c3f4;--e7:#c3dbfb}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif}\n"
    "main{max-width:1180px;margin:0 auto;padding:2rem 1.25rem 4rem}\n"
    "h1{font-size:1.7rem;letter-spacing:-.02em;margin:0}h2{font-size:1.2rem;margin:0 0 .25rem}"
    "h3{font-size:1rem;margin:1.5rem 0 .5rem}header p,.lead{color:var(--soft);margin:.25rem 0 1rem;"
    "max-width:78ch}section{margin-top:2.75rem}\n"
    ".grid{display:grid;gap:1rem}.two{grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),"
    "1fr))}.small{grid-template-columns:repeat(auto-fill,minmax(min(100%,200px),1fr))}\n"
    "figure,.card,.matrix{background:var(--card);border:1px solid var(--line);"
    "border-radius:10px}figure{margin:0;align-self:start;padding:.8rem .9rem .5rem;min-width:0}\n"
    "figcaption{font-weight:600;font-size:.9rem;margin-bottom:.35rem;overflow-wrap:anywhere}"
    ".chart,.cells{display:block;width:100%;height:auto}\n"
    ".cells{background:var(--card);border:1px solid var(--line);border-radius:10px;max-width:600px;"
    "shape-rendering:crispEdges;padding:.5rem}.cells .frame{fill:var(--bg)}\n"
    "svg text{fill:var(--soft);font-size:11px;font-family:inherit}svg .name{fill:var(--soft)}"
    ".grid path.grid,path.grid{stroke:var(--grid);fill:none}"
    ".axis,.tickmark{stroke:var(--soft);fill:none;opacity:.6}.ideal{stroke:var(--soft);"
    "stroke-dasharray:4 4;fill:none}\n"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round;stroke:var(--k)}.mark{fill:var(--k);"
    "stroke:var(--card);stroke-width:1.5}.ring{fill:var(--card);stroke:var(--k);stroke-width:2}"
    ".bar{fill:var(--k)}.mark:hover,.ring:hover,.bar:hover{filter:brightness(1.2)}\n"
    ".c0{--k:var(--c0)}.c1{--k:var(--c1)}.c2{--k:var(--c2)}.c3{--k:var(--c3)}.c4{--k:var(--c4)}"
    ".c5{--k:var(--c5)}.c6{--k:var(--c6)}.c7{--k:var(--c7)}.e0{--k:var(--e0)}.e1{--k:var(--e1)}"
    ".e2{--k:var(--e2)}.e3{--k:var(--e3)}.e4{--k:var(--e4)}.e5{--k:var(--e5)}.e6{--k:var(--e6)}"
    ".e7{--k:var(--e7)}.en{--k:var(--miss)}.line.en{stroke-dasharray:5 3}\n"
    ".acc{--k:var(--e2)}.over{--k:var(--over)}.under{--k:var(--under)}.bar.over,.bar.under{"
    "fill-opacity:.75}.hit{--k:var(--hit)}.miss{--k:var(--miss)}path.hit,path.miss{fill:var(--k)}\n"
    ".legend{margin:0 0 .5rem;display:flex;flex-wrap:wrap;gap:.15rem 1rem}.key{display:inline-flex;"
    "align-items:center;gap:.4rem;font-size:.85rem;color:var(--soft)}.key i{width:.8rem;"
    "height:.8rem;border-radius:3px;background:var(--k);flex:none}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.88rem;"
    "font-variant-numeric:tabular-nums}.numbers{border-collapse:separate;border-spacing:0;"
    "width:100%}"
    ".numbers td,.numbers th{padding:.28rem .6rem;text-align:right;border-bottom:1px solid "
    "var(--grid);white-space:nowrap}.numbers th{font-weight:500}.numbers tbody th,.numbers "
    "thead th:first-child{text-align:left}.numbers thead th{color:var(--soft);font-size:.8rem;"
    "vertical-align:bottom}.numbers tr:last-child>*{border-bottom:0}\n"
    ".numbers thead th.word{text-align:left}.glance{padding:.4rem "
    ".5rem}.best{font-weight:700}.none{color:var(--soft)}\n"
    ".matrix{border-collapse:separate;border-spacing:1px;padding:.5rem}.matrix th{font-weight:500;"
    "font-size:.78rem;text-align:right;padding-right:.4rem;white-space:nowrap}.matrix td{width:"
    "2.1rem;height:1.75rem;text-align:center;background:var(--bg);font-size:.78rem}.matrix td.hit,"
    ".matrix td.miss{background:color-mix(in srgb,var(--k) var(--v),var(--bg))}.matrix .up span{"
    "writing-mode:vertical-rl;transform:rotate(180deg)}\n"
    ".card{padding:.9rem 1rem;min-width:0}.card h3{margin:0 0 .4rem}dl{display:grid;"
    "grid-template-columns:max-content 1fr;gap:.15rem .9rem;margin:0;font-size:.88rem}dt{"
    "color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}code{font:.85em ui-monospace,"
    "\"DejaVu Sans Mono\",monospace}pre{margin:.7rem 0 0;white-space:pre-wrap;overflow-wrap:"
    "anywhere;font:.8rem/1.45 ui-monospace,\"DejaVu Sans Mono\",monospace;color:var(--soft)}\n"
    "@media(max-width:560px){.numbers td,.numbers th{padding:.28rem "
    ".4rem}.numbers{font-size:.82rem}"
    "main{padding:1.25rem .9rem 3rem}h1{font-size:1.4rem}}\n"
    "@media print{body{background:#fff}section{break-inside:avoid}}\n";

static void heading(struct html *h, const struct report *r)
{
    html_puts(h, "<header><h1>");
    for (int i = 0; i < r->n_models; i++) {
        if (i > 0) html_puts(h, i + 1 == r->n_models ? " and " : ", ");
        html_text(h, r->models[i].name);
    }
    html_puts(h, "</h1><p>");
    if (r->split != NULL) {
        html_printf(h, "%zu images of ", r->models[0].n);
        html_text(h, r->kind);
        html_printf(h, ", %s.",
                    strcmp(r->split, "test") == 0      ? "the test images"
                    : strcmp(r->split, "holdout") == 0 ? "held out from training"
                                                       : "those of training");
    } else {
        html_puts(h, "What the model files say of themselves, on their held-out images.");
    }
    html_printf(h, " %s.</p></header>\n", PACKAGE_STRING);
}

/* --- at a glance ------------------------------------------------------------------------------ */

enum { NO_FIGURE = -1 };

/* Top-1 of a classifier: of the images, or what the file says. */
static double top1_of(const struct report_model *m, int classifier)
{
    const int exits = net_sections(m->model->net);
    const struct calibration *c = &m->model->calibration;
    if (classifier >= exits) return NO_FIGURE;
    if (classifier >= 0 && (m->model->training.untrained >> classifier & 1) != 0) return NO_FIGURE;
    if (m->n > 0)
        return m->figures.rows[classifier == MODEL_ENSEMBLE ? exits : classifier].figures.top1;
    if (!c->present) return NO_FIGURE;
    return classifier == MODEL_ENSEMBLE ? c->ensemble.top1 : c->exits[classifier].top1;
}

static double best_of(const struct report *r, int classifier)
{
    double best = NO_FIGURE;
    for (int i = 0; i < r->n_models; i++) {
        double top1 = top1_of(&r->models[i], classifier);
        if (top1 > best) best = top1;
    }
    return best;
}

static void glance_figure(struct html *h, const struct report *r, const struct report_model *m,
                          int classifier)
{
    double top1 = top1_of(m, classifier);
    if (top1 < 0) {
        html_puts(h, "<td class=\"none\">&ndash;</td>");
        return;
    }
    bool best = r->n_models > 1 && top1 >= best_of(r, classifier);
    html_printf(h, "<td%s>%.2f</td>", best ? " class=\"best\"" : "", 100 * top1);
}

static void glance_row(struct html *h, const struct report *r, int i, int exits)
{
    const struct report_model *m = &r->models[i];
    const struct net_cost cost = net_deepest_cost(m->model->net);
    html_printf(h, "<tr><th><span class=\"key\"><i class=\"c%d\"></i></span> ", i);
    html_text(h, m->name);
    html_puts(h, "</th><td>");
    html_text(h, net_spec(m->model->net)->name);
    html_puts(h, "</td><td>");
    html_text(h, m->model->training.method[0] != '\0' ? m->model->training.method : "-");
    html_printf(h, "</td><td>%.2f</td><td>%.1f</td>", 1e-6 * (double)cost.params,
                1e-6 * (double)cost.macs);
    for (int k = 0; k < exits; k++) glance_figure(h, r, m, k);
    glance_figure(h, r, m, MODEL_ENSEMBLE);
    if (m->n > 0) {
        const struct eval_row *deepest = &m->figures.rows[m->figures.n_exits - 1];
        html_printf(h, "<td>%.2f</td><td>%.3f</td><td>%.4f</td>", 100 * deepest->balanced,
                    deepest->figures.nll, deepest->figures.ece);
    }
    html_puts(h, "</tr>");
}

static void glance(struct html *h, const struct report *r)
{
    int exits = 0;
    for (int i = 0; i < r->n_models; i++) {
        int own = net_sections(r->models[i].model->net);
        if (own > exits) exits = own;
    }
    html_puts(h,
              "<section><h2>At a glance</h2>\n<p class=\"lead\">Accuracies in per cent, by "
              "classifier from the shallowest on. Parameters and multiply-accumulates, in "
              "millions, of the trunk with its deepest classifier.</p>\n<div class=\"scroll card "
              "glance\">"
              "<table class=\"numbers\"><thead><tr><th>model</th><th>network</th><th>method</th>"
              "<th>params</th><th>MACs</th>");
    for (int k = 0; k < exits; k++) html_printf(h, "<th>%s</th>", model_classifier_name(k));
    html_puts(h, "<th>ensemble</th>");
    if (r->split != NULL) html_puts(h, "<th>balanced</th><th>nll</th><th>ece</th>");
    html_puts(h, "</tr></thead><tbody>");
    for (int i = 0; i < r->n_models; i++) glance_row(h, r, i, exits);
    html_puts(h, "</tbody></table></div>\n");
    if (r->split != NULL)
        html_puts(h, "<p class=\"lead\">balanced, nll and ece are the deepest classifier's.</p>");
    html_puts(h, "</section>\n");
}

/* --- where it comes from ---------------------------------------------------------------------- */

static void fact(struct html *h, const char *name, const char *value)
{
    if (value[0] == '\0') return;
    html_printf(h, "<dt>%s</dt><dd>", name);
    html_text(h, value);
    html_puts(h, "</dd>");
}

static void origin(struct html *h, const struct report_model *m)
{
    const struct training *t = &m->model->training;
    const struct calibration *c = &m->model->calibration;
    char text[128];
    html_puts(h, "<div class=\"card\"><h3>");
    html_text(h, m->name);
    html_puts(h, "</h3><dl>");
    fact(h, "SHA-256", m->model->sha256);
    fact(h, "method", t->method);
    fact(h, "data", t->data);
    if (t->recipe.method != NULL) {
        snprintf(text, sizeof(text), "%lld epochs of batches of %lld, seed %llu",
                 (long long)t->recipe.epochs, (long long)t->recipe.batch,
                 (unsigned long long)t->recipe.seed);
        fact(h, "training", text);
    }
    if (c->present) {
        snprintf(text, sizeof(text), "%lld images", (long long)c->n_images);
        fact(h, "calibrated on", text);
    }
    fact(h, "parent", t->parent);
    fact(h, "teacher", t->teacher);
    fact(h, "written by", t->program);
    html_puts(h, "</dl>");
    if (t->command[0] != '\0') {
        html_puts(h, "<pre>");
        html_text(h, t->command);
        html_puts(h, "</pre>");
    }
    html_puts(h, "</div>\n");
}

void report_write_page(struct html *h, const struct report *r)
{
    html_puts(h, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                 "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                 "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                 "style-src 'unsafe-inline'\">\n<title>Autodidact: ");
    html_text(h, r->models[0].name);
    html_puts(h, r->n_models > 1 ? " and others</title>\n<style>\n" : "</title>\n<style>\n");
    html_puts(h, style);
    html_puts(h, "</style></head><body><main>\n");
    heading(h, r);
    glance(h, r);
    if (r->split != NULL) report_write_costs(h, r);
    report_write_training(h, r);
    if (r->split != NULL) {
        report_write_reliability(h, r);
        report_write_classes(h, r);
        report_write_confusion(h, r);
    }
    html_puts(h, "<section><h2>Where they come from</h2>\n<p class=\"lead\">Everything here stands "
                 "in the model files.</p>\n<div class=\"grid two\">\n");
    for (int i = 0; i < r->n_models; i++) origin(h, &r->models[i]);
    html_puts(h, "</div></section>\n</main></body></html>\n");
}
