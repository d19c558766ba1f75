/* Reading a training's log: a table where its first line begins as one, else JSON Lines. Lines that
 * are no epoch are of no interest, broken ones (the last of a training that was killed) neither. */
#include "config.h"

#include "report_log.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "json/value.h"
#include "log_row.h"

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

/* The columns of a table: where the number of each goes. */
struct columns {
    size_t n;
    double *to[LOG_CELLS_MAX]; /* NULL: nobody asks */
};

/* Takes the text up to the next comma or the end; false when there is none left. */
static bool take_cell(const char **at, const char *end, char ret_cell[LOG_NAME_MAX])
{
    const char *from = *at;
    if (from == NULL) return false;
    const char *comma = memchr(from, ',', (size_t)(end - from)), *to = comma != NULL ? comma : end;
    const size_t n = (size_t)(to - from);
    *at = comma != NULL ? comma + 1 : NULL;
    snprintf(ret_cell, LOG_NAME_MAX, "%.*s", n < LOG_NAME_MAX ? (int)n : 0, from);
    return true;
}

static double *column(struct report_epoch *p, const char *name)
{
    int exit;
    char rest;
    if (strcmp(name, LOG_EPOCH) == 0) return &p->epoch;
    if (strcmp(name, "lr") == 0) return &p->rate;
    if (strcmp(name, "loss/total") == 0) return &p->loss;
    if (strcmp(name, "accuracy/ensemble") == 0) return &p->ensemble;
    if (sscanf(name, "accuracy/exit_%d%c", &exit, &rest) != 1) return NULL;
    return exit >= 1 && exit <= SPEC_SECTIONS_MAX ? &p->top1[exit - 1] : NULL;
}

/* Whether a line is the first of a table: it begins with the epoch, as other programs' may, too,
 * and something of an epoch is in it that is asked for. */
static bool read_head(const char *text, size_t size, struct report_epoch *row,
                      struct columns *ret_columns)
{
    const char *at = text, *end = text + size;
    char cell[LOG_NAME_MAX];
    size_t figures = 0;
    ret_columns->n = 0;
    while (ret_columns->n < LOG_CELLS_MAX && take_cell(&at, end, cell)) {
        double *to = column(row, cell);
        figures += to != NULL && to != &row->epoch;
        ret_columns->to[ret_columns->n++] = to;
    }
    return at == NULL && figures > 0 && ret_columns->to[0] == &row->epoch;
}

/* Fills in the row that the columns are of; false when the line is none. */
static bool read_cells(const char *text, size_t size, const struct columns *columns,
                       struct report_epoch *row)
{
    const char *at = text, *end = text + size;
    char cell[LOG_NAME_MAX];
    size_t n = 0;
    row->epoch = row->loss = row->rate = row->ensemble = NAN;
    for (size_t i = 0; i < SPEC_SECTIONS_MAX; i++) row->top1[i] = NAN;
    for (; n < columns->n && take_cell(&at, end, cell); n++) {
        double value;
        if (columns->to[n] != NULL && text_to_real(cell, &value)) *columns->to[n] = value;
    }
    return at == NULL && n == columns->n && row->epoch >= 1 && row->epoch <= REPORT_EPOCHS_MAX;
}

/* What no training has and no curve can be drawn of is not known. */
static void bound(double *figure)
{
    static const double most = 1e30; /* so that differences are finite */
    if (!(fabs(*figure) <= most)) *figure = NAN;
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
    struct report_epoch *last = &log->epochs[log->n++];
    *last = *epoch;
    bound(&last->loss);
    bound(&last->rate);
    bound(&last->ensemble);
    for (size_t i = 0; i < SPEC_SECTIONS_MAX; i++) bound(&last->top1[i]);
    return 0;
}

int report_log_parse(const char *what, const char *text, size_t size, struct report_log *ret_log,
                     struct err *e)
{
    struct report_log log = {.n = 0};
    struct report_epoch epoch;
    struct columns columns = {.n = 0};
    size_t capacity = 0;
    bool is_table = false;
    int rc = 0;
    for (size_t at = 0; at < size && rc == 0;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end != NULL ? (size_t)(end - (text + at)) : size - at;
        if (at == 0) is_table = read_head(text, length, &epoch, &columns);
        if (is_table ? read_cells(text + at, length, &columns, &epoch)
                     : read_line(text + at, length, &epoch))
            rc = put(&log, &capacity, &epoch, e);
        at += length + 1;
    }
    if (rc == 0 && log.n == 0)
        rc =
            err_set(e, ERR_FORMAT,
                    "%s: there is no epoch in it: it takes what `autodidact train --progress json` "
                    "prints, or the table of `train --log`",
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
