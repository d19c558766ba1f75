/* Bars on a terminal: how far something is. All go to stderr, over the line that is there. */
#ifndef TOOL_BAR_H
#define TOOL_BAR_H

#include <stdbool.h>
#include <stdint.h>

#include "train/evaluate.h"

/* "[########................]", nothing before or behind it. */
void bar_print(int64_t done, int64_t all);

/* An evaluation that is watched: "WHAT [####....] 640/10000 images" while it goes on,
 * and nothing when it is over. Not on a terminal: nothing at all. */
struct bar {
    const char *what;
    bool is_shown;
    int64_t said_ns;
    struct evaluate_watch watch;
};

/* The watch of an evaluation, which stays the bar's; bar_end() is due, also after a failure.
 * is_wanted: false where somebody else has the line. */
const struct evaluate_watch *bar_begin(struct bar *bar, const char *what, bool is_wanted);
void bar_end(struct bar *bar);

#endif
