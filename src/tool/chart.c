/* SVG charts. The picture is drawn in a fixed space of units, which the page scales. */
#include "config.h"

#include "chart.h"

#include <math.h>
#include <stdio.h>

static const double width = 480, height = 300, square_width = 250, square_height = 240;

/* The round step that makes about n of a range. */
static double step_of(double range, double n)
{
    double rough = range / n, power = pow(10, floor(log10(rough))), rest = rough / power;
    return power * (rest < 1.5 ? 1 : rest < 3.5 ? 2 : rest < 7.5 ? 5 : 10);
}

void chart_round(double *low, double *high)
{
    if (!(*high > *low)) {
        double middle = *low;
        *low = middle - 0.5;
        *high = middle + 0.5;
    }
    if (*low > 0 && *low < 0.4 * *high) *low = 0;
    double step = step_of(*high - *low, 5);
    *low = step * floor(*low / step + 1e-9);
    *high = step * ceil(*high / step - 1e-9);
}

static double x_of(const struct chart *c, double x)
{
    return c->left + (x - c->x0) / (c->x1 - c->x0) * c->plot_w;
}

static double y_of(const struct chart *c, double y)
{
    return c->top + (c->y1 - y) / (c->y1 - c->y0) * c->plot_h;
}

static void number(double value, double step, bool percent, char text[32])
{
    int digits = 0;
    if (percent) {
        value *= 100;
        step *= 100;
    }
    while (digits < 6 && fabs(step * pow(10, digits) - round(step * pow(10, digits))) > 1e-6)
        digits++;
    snprintf(text, 32, "%.*f%s", digits, fabs(value) < step / 1e6 ? 0.0 : value,
             percent ? "%" : "");
}

static void axes(struct chart *c)
{
    struct html *h = c->html;
    char text[32];
    double step = step_of(c->y1 - c->y0, 5), right = c->left + c->plot_w, low = c->top + c->plot_h;
    for (double k = ceil(c->y0 / step - 1e-9); k * step <= c->y1 + step * 1e-9; k++) {
        number(k * step, step, c->y_percent, text);
        html_printf(h,
                    "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/><text class=\"tick\" x=\"%.1f\" "
                    "y=\"%.1f\" text-anchor=\"end\">%s</text>",
                    c->left, y_of(c, k * step), right, c->left - 7, y_of(c, k * step) + 3.5, text);
    }
    step = step_of(c->x1 - c->x0, c->square ? 3 : 6);
    if (c->x_whole) step = fmax(step, 1);
    for (double k = ceil(c->x0 / step - 1e-9); k * step <= c->x1 + step * 1e-9; k++) {
        number(k * step, step, c->x_percent, text);
        html_printf(h,
                    "<path class=\"tickmark\" d=\"M%.1f %.1fv4\"/><text class=\"tick\" x=\"%.1f\" "
                    "y=\"%.1f\" text-anchor=\"middle\">%s</text>",
                    x_of(c, k * step), low, x_of(c, k * step), low + 16, text);
    }
    html_printf(h, "<path class=\"axis\" d=\"M%.1f %.1fH%.1f\"/>", c->left, low, right);
    html_printf(h, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>",
                c->left + c->plot_w / 2, low + 33, c->x_name);
    html_printf(h, "<text class=\"name\" x=\"%.1f\" y=\"11\" text-anchor=\"start\">%s</text>", 2.0,
                c->y_name);
}

void chart_begin(struct chart *c, const char *about)
{
    const double w = c->square ? square_width : width, h = c->square ? square_height : height;
    c->left = c->square ? 40 : 44;
    c->top = 22;
    c->plot_w = w - c->left - 14;
    c->plot_h = h - c->top - 40;
    html_printf(c->html, "<svg class=\"chart\"%s viewBox=\"0 0 %.0f %.0f\" role=\"img\"><title>",
                c->style != NULL ? " xmlns=\"http://www.w3.org/2000/svg\"" : "", w, h);
    html_text(c->html, about);
    html_puts(c->html, "</title>");
    if (c->style != NULL) html_puts(c->html, c->style);
    axes(c);
}

void chart_end(struct chart *c)
{
    html_puts(c->html, "</svg>\n");
}

void chart_line(struct chart *c, const char *colour, const double *x, const double *y, size_t n)
{
    bool down = false;
    html_printf(c->html, "<path class=\"line %s\" d=\"", colour);
    for (size_t i = 0; i < n; i++) {
        bool known = isfinite(x[i]) && isfinite(y[i]);
        if (known)
            html_printf(c->html, "%c%.1f %.1f", down ? 'L' : 'M', x_of(c, x[i]), y_of(c, y[i]));
        down = known;
    }
    html_puts(c->html, "\"/>");
}

static void titled(struct html *h, const char *element, const char *title)
{
    html_puts(h, "><title>");
    html_text(h, title);
    html_printf(h, "</title></%s>", element);
}

void chart_point(struct chart *c, enum chart_mark mark, const char *colour, double x, double y,
                 const char *title)
{
    double px = x_of(c, x), py = y_of(c, y);
    if (!isfinite(px) || !isfinite(py)) return;
    if (mark == CHART_DIAMOND) {
        html_printf(c->html, "<path class=\"mark %s\" d=\"M%.1f %.1fl6 6l-6 6l-6 -6z\"", colour, px,
                    py - 6);
        titled(c->html, "path", title);
        return;
    }
    html_printf(c->html, "<circle class=\"%s %s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"",
                mark == CHART_RING ? "ring" : "mark", colour, px, py);
    titled(c->html, "circle", title);
}

void chart_bar(struct chart *c, const char *colour, double x0, double x1, double y0, double y1,
               const char *title)
{
    html_printf(
        c->html, "<rect class=\"bar %s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"",
        colour, x_of(c, x0), y_of(c, y1), x_of(c, x1) - x_of(c, x0), y_of(c, y0) - y_of(c, y1));
    titled(c->html, "rect", title);
}

void chart_diagonal(struct chart *c)
{
    html_printf(c->html, "<path class=\"ideal\" d=\"M%.1f %.1fL%.1f %.1f\"/>", c->left,
                c->top + c->plot_h, c->left + c->plot_w, c->top);
}
