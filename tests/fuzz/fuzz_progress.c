/* Any bytes as what a training says on its stdout, in pieces: lines of bounded length, and of those
 * that say something a progress with numbers in range, which can be written. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "../../src/jobs/progress.h"
#include "../../src/loop/lines.h"
#include "base/mem.h"
#include "fuzz.h"

enum { TEXT_MAX = 1 << 16 };

static void check_text(const struct progress *p)
{
    struct buf text;
    struct json_writer w;
    buf_init(&text, TEXT_MAX);
    json_writer_init(&w, &text);
    progress_write_epoch(p, &w);
    FUZZ_CHECK(w.status == 0 && text.size > 0);
    buf_release(&text);
}

static void read_line(void *arg, const char *line, size_t size)
{
    struct progress *p = arg;
    FUZZ_CHECK(size <= LINES_MAX && line[size] == '\0' && memchr(line, '\n', size) == NULL);
    if (progress_read(p, line, size) == PROGRESS_NOTHING) return;
    FUZZ_CHECK(isfinite(p->loss) && isfinite(p->lr) && isfinite(p->img_per_s) &&
               isfinite(p->eta_s));
    FUZZ_CHECK(p->n_exits >= 0 && p->n_exits <= SPEC_SECTIONS_MAX);
    for (int i = 0; i < p->n_exits; i++) FUZZ_CHECK(p->top1[i] >= 0 && p->top1[i] <= 1);
    check_text(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lines *lines = mem_new(1, sizeof(*lines));
    struct progress progress = {0};
    if (lines == NULL) return 0;
    lines_init(lines);
    /* The first byte says how much comes at a time. */
    size_t step = size > 0 ? 1 + data[0] : 1;
    for (size_t at = 1; at < size; at += step)
        lines_feed(lines, (const char *)data + at, size - at < step ? size - at : step, read_line,
                   &progress);
    lines_end(lines, read_line, &progress);
    mem_free(lines);
    return 0;
}
