/* Charts as SVG within a page: axes with round numbers, lines, points, bars. Colours are classes of
 * the page's style ("c0".."c7" for models, "e0".."e7" for exits), so that they follow light and
 * dark. Every mark may carry a title, which browsers show where the mouse is. */
#ifndef TOOL_CHART_H
#define TOOL_CHART_H

#include <stdbool.h>
#include <stddef.h>

#include "html.h"

struct chart {
    struct html *html;
    double x0, x1, y0, y1;       /* what is shown, in units of the data */
    const char *x_name, *y_name; /* of the axes; trusted text */
    bool x_whole;                /* no fractions at the ticks */
    bool x_percent, y_percent;   /* fractions, written as percentages */
    bool square;                 /* as high as wide */
    const char *style;           /* of a picture that is a file by itself; NULL: a page has it */
    double left, top, plot_w, plot_h; /* set by chart_begin() */
};

/* Widens a range to round numbers; from 0 where that is near. */
void chart_round(double *low, double *high);

void chart_begin(struct chart *chart, const char *about /* for those who cannot see it */);
void chart_end(struct chart *chart);

/* Points that are not finite leave a gap. */
void chart_line(struct chart *chart, const char *colour, const double *x, const double *y,
                size_t n);

enum chart_mark { CHART_DOT, CHART_DIAMOND, CHART_RING };

/* title: text of strangers, escaped here. */
void chart_point(struct chart *chart, enum chart_mark mark, const char *colour, double x, double y,
                 const char *title);
void chart_bar(struct chart *chart, const char *colour, double x0, double x1, double y0, double y1,
               const char *title);

/* The diagonal from corner to corner, as what would be right. */
void chart_diagonal(struct chart *chart);

#endif
