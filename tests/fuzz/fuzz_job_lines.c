/* Any bytes as what a training prints, in pieces of any size: lines within their bound, the same
 * ones whatever the pieces, and progress that can be said as JSON. */
#include "config.h"

#include <math.h>
#include <string.h>

#include "../../src/jobs/progress.h"
#include "../../src/loop/lines.h"
#include "fuzz.h"

struct reader {
    struct progress progress;
    size_t lines, bytes;
    uint64_t sum; /* of all that the lines are */
};

static void read_line(void *arg, const char *text, size_t size)
{
    struct reader *r = arg;
    struct buf document;
    struct json_writer w;
    FUZZ_CHECK(size <= LINES_MAX && text[size] == '\0' && memchr(text, '\n', size) == NULL);
    for (size_t i = 0; i < size; i++) r->sum = r->sum * 31 + (uint8_t)text[i];
    r->lines++;
    r->bytes += size;
    if (progress_read(&r->progress, text, size) == PROGRESS_NOTHING) return;
    const struct progress *p = &r->progress;
    FUZZ_CHECK(p->epoch >= 0 && p->epochs >= 0 && p->step >= 0 && p->steps >= 0);
    FUZZ_CHECK(isfinite(p->loss) && isfinite(p->rate) && isfinite(p->img_per_s) &&
               isfinite(p->eta_s));
    FUZZ_CHECK(p->n_exits >= 0 && p->n_exits <= SPEC_SECTIONS_MAX);
    for (int i = 0; i < p->n_exits; i++) FUZZ_CHECK(p->top1[i] >= 0 && p->top1[i] <= 1);
    buf_init(&document, 64 << 10);
    json_writer_init(&w, &document);
    progress_write_epoch(p, &w);
    FUZZ_CHECK(w.status == 0 && !w.replaced && document.size > 0);
    buf_release(&document);
}

static struct reader read_all(const uint8_t *data, size_t size, size_t piece)
{
    static struct lines lines; /* large */
    struct reader r = {.lines = 0};
    lines_init(&lines);
    for (size_t at = 0; at < size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        lines_feed(&lines, (const char *)data + at, n, read_line, &r);
    }
    lines_end(&lines, read_line, &r);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    const struct reader whole = read_all(data, size, size),
                        pieces = read_all(data, size, 1 + size % 7);
    FUZZ_CHECK(whole.lines == pieces.lines && whole.bytes == pieces.bytes);
    FUZZ_CHECK(whole.sum == pieces.sum && whole.bytes <= size);
    return 0;
}
