/* Reading a training's log. Lines that are no epoch are of no interest, broken ones (the last of a
 * training that was killed) neither. */
#include "config.h"

#include "report_log.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "json/value.h"

static const struct json_limits line_limits = {1 << 16, 1 << 10};

/* Fills in an epoch; false when the line is none. */
static bool read_line(const char *text, size_t size, struct report_epoch *ret_epoch)
{
    struct json *line = json_parse("line", text, size, &line_limits, JSON_KIND_OBJECT, NULL);
    const char *event = json_text(json_get(line, "event"));
    struct report_epoch *p = ret_epoch;
    bool is_epoch = event != NULL && strcmp(event, "epoch") == 0;
    int64_t epoch = json_int(json_get(line, "epoch"), 0);
    if (is_epoch && epoch >= 1 && epoch <= REPORT_EPOCHS_MAX) {
        const struct json *exits = json_get(line, "exits");
        p->epoch = (double)epoch;
        p->loss = json_number(json_get(line, "loss"), NAN);
        p->rate = json_number(json_get(line, "lr"), NAN);
        p->ensemble = json_number(json_get(json_get(line, "ensemble"), "top1"), NAN);
        for (size_t i = 0; i < SPEC_SECTIONS_MAX; i++)
            p->top1[i] = json_number(json_get(json_item(exits, i), "top1"), NAN);
    } else {
        is_epoch = false;
    }
    json_free(line);
    return is_epoch;
}

/* In the place of the same epoch, which can only be one of the last, or behind them. */
static int put(struct report_log *log, size_t *capacity, const struct report_epoch *epoch,
               struct err *e)
{
    while (log->n > 0 && log->epochs[log->n - 1].epoch >= epoch->epoch) log->n--;
    if (log->n == *capacity) {
        size_t more = *capacity > 0 ? 2 * *capacity : 64;
        struct report_epoch *grown = mem_grow(log->epochs, more, sizeof(*grown));
        if (grown == NULL) return err_set(e, -ENOMEM, "out of memory for %zu epochs", more);
        log->epochs = grown;
        *capacity = more;
    }
    log->epochs[log->n++] = *epoch;
    return 0;
}

int report_log_parse(const char *what, const char *text, size_t size, struct report_log *ret_log,
                     struct err *e)
{
    struct report_log log = {.n = 0};
    size_t capacity = 0;
    int rc = 0;
    for (size_t at = 0; at < size && rc == 0;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end != NULL ? (size_t)(end - (text + at)) : size - at;
        struct report_epoch epoch;
        if (read_line(text + at, length, &epoch)) rc = put(&log, &capacity, &epoch, e);
        at += length + 1;
    }
    if (rc == 0 && log.n == 0)
        rc =
            err_set(e, ERR_FORMAT,
                    "%s: there is no epoch in it: it takes what `autodidact train --progress json` "
                    "prints",
                    what);
    if (rc == 0)
        *ret_log = log;
    else
        report_log_release(&log);
    return rc;
}

int report_log_read(const char *path, struct report_log *ret_log, struct err *e)
{
    char *text;
    size_t size;
    int rc = file_read(path, REPORT_LOG_BYTES_MAX, &text, &size, e);
    if (rc < 0) return rc;
    rc = report_log_parse(path, text, size, ret_log, e);
    mem_free(text);
    return rc;
}

void report_log_release(struct report_log *log)
{
    mem_free(log->epochs);
    *log = (struct report_log){.n = 0};
}
