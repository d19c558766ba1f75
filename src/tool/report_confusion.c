/* What the deepest classifier takes for what: a table with numbers where classes are few, a picture
 * of all cells where they are many, and the pairs that it confuses most. */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "report.h"

enum { FEW_CLASSES = 20, CONFUSED = 14, LEVELS = 10 };

static size_t images_of(const struct report_model *m, size_t label, size_t classes)
{
    size_t sum = 0;
    for (size_t k = 0; k < classes; k++) sum += m->confusion[label * classes + k];
    return sum;
}

static void matrix_table(struct html *h, const struct report_model *m, size_t classes)
{
    html_puts(h, "<div class=\"scroll\"><table class=\"matrix\"><thead><tr><th></th>");
    for (size_t k = 0; k < classes; k++) {
        html_puts(h, "<th class=\"up\"><span>");
        html_text(h, m->figures.labels[k]);
        html_puts(h, "</span></th>");
    }
    html_puts(h, "</tr></thead><tbody>");
    for (size_t i = 0; i < classes; i++) {
        size_t images = images_of(m, i, classes);
        html_puts(h, "<tr><th>");
        html_text(h, m->figures.labels[i]);
        html_puts(h, "</th>");
        for (size_t k = 0; k < classes; k++) {
            unsigned long n = m->confusion[i * classes + k];
            if (n == 0)
                html_puts(h, "<td></td>");
            else
                html_printf(h, "<td class=\"%s\" style=\"--v:%.0f%%\">%lu</td>",
                            i == k ? "hit" : "miss", 100 * sqrt((double)n / (double)images), n);
        }
        html_puts(h, "</tr>");
    }
    html_puts(h, "</tbody></table></div>\n");
}

/* The cells of one level as one path: each a square of 1. */
static void cells(struct html *h, const struct report_model *m, size_t classes, bool hits,
                  int level)
{
    bool any = false;
    for (size_t i = 0; i < classes; i++) {
        double images = (double)images_of(m, i, classes);
        for (size_t k = 0; k < classes; k++) {
            unsigned long n = m->confusion[i * classes + k];
            if (n == 0 || (i == k) != hits) continue;
            int own = (int)ceil(LEVELS * sqrt((double)n / images));
            if (own != level) continue;
            if (!any)
                html_printf(h, "<path class=\"%s\" opacity=\"%.2f\" d=\"", hits ? "hit" : "miss",
                            0.1 + 0.9 * level / LEVELS);
            any = true;
            html_printf(h, "M%zu %zuh1v1h-1z", k, i);
        }
    }
    if (any) html_puts(h, "\"/>");
}

static void matrix_picture(struct html *h, const struct report_model *m, size_t classes)
{
    html_printf(h,
                "<svg class=\"cells\" viewBox=\"-1 -1 %zu %zu\" role=\"img\"><title>lines: labels, "
                "columns: answers</title><rect class=\"frame\" x=\"0\" y=\"0\" width=\"%zu\" "
                "height=\"%zu\"/>",
                classes + 2, classes + 2, classes, classes);
    for (int level = 1; level <= LEVELS; level++) {
        cells(h, m, classes, true, level);
        cells(h, m, classes, false, level);
    }
    html_puts(h, "</svg>\n");
}

struct confused {
    size_t label, answer, n;
};

/* The most frequent mistakes, largest first; how many. */
static size_t find_confused(const struct report_model *m, size_t classes,
                            struct confused list[CONFUSED])
{
    size_t n = 0;
    for (size_t i = 0; i < classes * classes; i++) {
        struct confused c = {i / classes, i % classes, m->confusion[i]};
        if (c.label == c.answer || c.n == 0) continue;
        size_t at = n < CONFUSED ? n++ : CONFUSED;
        if (at == CONFUSED && c.n <= list[CONFUSED - 1].n) continue;
        if (at == CONFUSED) at--;
        for (; at > 0 && list[at - 1].n < c.n; at--) list[at] = list[at - 1];
        list[at] = c;
    }
    return n;
}

static void confused_table(struct html *h, const struct report_model *m, size_t classes)
{
    struct confused list[CONFUSED];
    size_t n = find_confused(m, classes, list);
    html_puts(h, "<figure><figcaption>Most confused</figcaption><div class=\"scroll\"><table "
                 "class=\"numbers\">"
                 "<thead><tr><th>label</th><th class=\"word\">taken for</th><th>images</th><th>of"
                 "</th></tr></thead><tbody>");
    for (size_t i = 0; i < n; i++) {
        html_puts(h, "<tr><th>");
        html_text(h, m->figures.labels[list[i].label]);
        html_puts(h, "</th><th>");
        html_text(h, m->figures.labels[list[i].answer]);
        html_printf(h, "</th><td>%zu</td><td>%zu</td></tr>", list[i].n,
                    images_of(m, list[i].label, classes));
    }
    html_puts(h, "</tbody></table></div></figure>\n");
}

void report_write_confusion(struct html *h, const struct report *r)
{
    html_puts(h, "<section><h2>Confusion</h2>\n<p class=\"lead\">What the deepest classifier takes "
                 "for what: a line for each label, a column for each answer. <span class=\"key\">"
                 "<i class=\"hit\"></i>right</span> <span class=\"key\"><i class=\"miss\"></i>wrong"
                 "</span></p>\n");
    for (int i = 0; i < r->n_models; i++) {
        const struct report_model *m = &r->models[i];
        const size_t classes = (size_t)m->figures.classes;
        if (r->n_models > 1) {
            html_puts(h, "<h3>");
            html_text(h, m->name);
            html_puts(h, "</h3>");
        }
        html_puts(h, "<div class=\"grid two\">\n");
        if (classes <= FEW_CLASSES)
            matrix_table(h, m, classes);
        else
            matrix_picture(h, m, classes);
        confused_table(h, m, classes);
        html_puts(h, "</div>\n");
    }
    html_puts(h, "</section>\n");
}
