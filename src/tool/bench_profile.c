/* Operations of one kind in one phase are one row, those of heads apart from the trunk's. A row's
 * time is that of all threads divided by their number, so that all rows are a step. */
#include "config.h"

#include "bench_profile.h"

#include <stdio.h>
#include <string.h>

#include "tool.h"

enum { ROWS_MAX = 512, NAME_SIZE = 96 };

struct row {
    char name[NAME_SIZE];
    double seconds, flop; /* of a step */
};

struct rows {
    struct row row[ROWS_MAX];
    int n;
};

/* What has no room is added to the last one. */
static struct row *row_of(struct rows *rows, const char *name)
{
    for (int i = 0; i < rows->n; i++)
        if (strcmp(rows->row[i].name, name) == 0) return &rows->row[i];
    if (rows->n == ROWS_MAX) return &rows->row[ROWS_MAX - 1];
    struct row *row = &rows->row[rows->n++];
    *row = (struct row){0};
    snprintf(row->name, sizeof(row->name), "%s", name);
    return row;
}

static void name_part(const struct grad_part *part, bool by_shape, char *name)
{
    struct shape x = part->in, y = part->out;
    if (part->operator_name == NULL)
        snprintf(name, NAME_SIZE, "%s", part->phase);
    else if (by_shape)
        snprintf(name, NAME_SIZE, "%s %dx%dx%d to %dx%dx%d %s", part->operator_name, x.height,
                 x.width, x.channels, y.height, y.width, y.channels, part->phase);
    else
        snprintf(name, NAME_SIZE, "%s %s%s", part->operator_name, part->phase,
                 part->exit >= 0 ? ", heads" : "");
}

static void collect(const struct bench_profile *p, struct rows *rows)
{
    struct grad_part part;
    char name[NAME_SIZE];
    for (size_t i = 0; grad_profile_part(p->grad, i, &part); i++) {
        name_part(&part, p->by_shape, name);
        struct row *row = row_of(rows, name);
        row->seconds += 1e-9 * (double)part.ns / p->threads / p->steps;
        row->flop += 2.0 * (double)part.macs;
    }
    row_of(rows, "losses")->seconds = 1e-9 * (double)p->loss_ns / p->steps;
    row_of(rows, "update")->seconds = 1e-9 * (double)p->update_ns / p->steps;
}

static int print_row(const struct row *row, double whole, bool json, struct err *e)
{
    double gflops = row->seconds > 0 ? 1e-9 * row->flop / row->seconds : 0;
    if (!json) {
        printf("%-48s %10.3f %8.1f %%", row->name, 1e3 * row->seconds, 100 * row->seconds / whole);
        printf(row->flop > 0 ? " %10.1f\n" : "\n", gflops);
        return 0;
    }
    struct tool_json line;
    struct json_writer *w = tool_json_begin(&line);
    json_write_string(w, "part", row->name);
    json_write_rounded(w, "ms", 1e3 * row->seconds, TOOL_DIGITS);
    json_write_rounded(w, "share", row->seconds / whole, TOOL_DIGITS);
    json_write_rounded(w, "gflops", gflops, TOOL_DIGITS);
    return tool_json_print(&line, e);
}

int bench_profile_print(const struct bench_profile *p, bool json, struct err *e)
{
    static struct rows rows; /* large; one caller */
    rows.n = 0;
    collect(p, &rows);
    double whole = 0;
    for (int i = 0; i < rows.n; i++) whole += rows.row[i].seconds;
    if (!json) printf("%-48s %10s %10s %10s\n", "part of a step", "ms", "share", "GFLOP/s");
    int rc = 0;
    for (int i = 0; i < rows.n && rc == 0; i++) rc = print_row(&rows.row[i], whole, json, e);
    return rc;
}
