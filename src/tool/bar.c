/* Bars on a terminal. */
#include "config.h"

#include "bar.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

enum { WIDTH = 24 };

#define PAUSE_NS (CLOCK_SECOND / 5)

void bar_print(int64_t done, int64_t all)
{
    const int full = (int)(done * WIDTH / all);
    fprintf(stderr, "[%.*s%.*s]", full, "########################", WIDTH - full,
            "........................");
}

static void show(void *arg, size_t done, size_t all)
{
    struct bar *bar = arg;
    const int64_t now = clock_now();
    if (bar->is_shown && now - bar->said_ns < PAUSE_NS) return;
    bar->said_ns = now;
    bar->is_shown = true;
    fprintf(stderr, "\r%.80s ", bar->what);
    bar_print((int64_t)done, (int64_t)all);
    fprintf(stderr, " %zu/%zu images\033[K", done, all);
    fflush(stderr);
}

const struct evaluate_watch *bar_begin(struct bar *bar, const char *what, bool is_wanted)
{
    *bar = (struct bar){.what = what, .watch = {.told = show, .arg = bar}};
    return is_wanted && isatty(STDERR_FILENO) ? &bar->watch : NULL;
}

void bar_end(struct bar *bar)
{
    if (!bar->is_shown) return;
    fprintf(stderr, "\r\033[K");
    fflush(stderr);
}
