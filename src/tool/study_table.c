/* The table of a study.
 *
 * The paper's rows are those of Zhang et al., "Be Your Own Teacher", ICCV 2019, table 2: accuracies
 * on CIFAR-100 in per cent at full width, of one training each. They stand beside ours wherever a
 * row is of one of its networks, whatever our width and epochs: what was trained says the row. */
#include "config.h"

#include "study_table.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "json/write.h"

enum { PAPER_EXITS = 4, DIGITS = 10 };

struct paper_row {
    const char *network;
    double baseline, exits[PAPER_EXITS], ensemble;
};

static const struct paper_row paper[] = {
    {"vgg19", 64.47, {63.59, 67.04, 68.03, 67.73}, 68.54},
    {"resnet18", 77.09, {67.85, 74.57, 78.23, 78.64}, 79.67},
    {"resnet50", 77.68, {68.23, 74.21, 75.23, 80.56}, 81.04},
    {"resnet101", 77.98, {69.45, 77.29, 81.17, 81.23}, 82.03},
    {"resnet152", 79.21, {68.84, 78.72, 81.43, 81.61}, 82.29},
    {"resnext29-8", 81.29, {71.15, 79.00, 81.48, 81.51}, 81.90},
    {"wrn20-8", 79.76, {68.85, 78.15, 80.98, 80.92}, 81.38},
    {"wrn44-8", 79.93, {72.54, 81.15, 81.96, 82.09}, 82.61},
    {"wrn28-12", 80.07, {71.21, 80.86, 81.58, 81.59}, 82.09},
    {"pyramidnet101-240", 81.12, {69.23, 78.15, 80.98, 82.30}, 83.51},
};

/* --- making ----------------------------------------------------------------------------------- */

static void name_network(struct study_row *row, const char *path)
{
    const char *slash = strrchr(path, '/'), *end;
    row->network = slash != NULL ? slash + 1 : path;
    end = strstr(row->network, ".json");
    row->network_length =
        (int)(end != NULL && end > row->network ? end - row->network : (long)strlen(row->network));
}

/* Of the n numbers that are known. */
static struct study_value summarise(const double *values, size_t n)
{
    struct study_value v = {.mean = NAN, .deviation = NAN};
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(values[i])) continue;
        sum += values[i];
        v.n++;
    }
    if (v.n == 0) return v;
    v.mean = sum / (double)v.n;
    for (size_t i = 0; i < n; i++) {
        if (!isnan(values[i])) squares += (values[i] - v.mean) * (values[i] - v.mean);
    }
    if (v.n > 1) v.deviation = sqrt(squares / (double)(v.n - 1));
    return v;
}

static void fill_row(struct study_row *row, const struct study_figures *figures, size_t n_seeds)
{
    double values[STUDY_SEEDS_MAX];
    for (size_t s = 0; s < n_seeds; s++) {
        if (!figures[s].present) continue;
        row->n_seeds++;
        row->n_exits = figures[s].n_exits;
    }
    for (int x = 0; x < row->n_exits; x++) {
        for (size_t s = 0; s < n_seeds; s++)
            values[s] = figures[s].present ? figures[s].top1[x] : NAN;
        row->exits[x] = summarise(values, n_seeds);
    }
    for (size_t s = 0; s < n_seeds; s++) values[s] = figures[s].present ? figures[s].ensemble : NAN;
    row->ensemble = summarise(values, n_seeds);
    row->gain_deepest = row->gain_ensemble = NAN;
}

static struct study_value deepest_of(const struct study_row *row)
{
    return row->n_exits > 0 ? row->exits[row->n_exits - 1] : (struct study_value){.mean = NAN};
}

/* The rows of one network and width: what they gain over the baseline among them. */
static void fill_gains(struct study_row *rows, size_t n)
{
    const struct study_row *baseline = NULL;
    for (size_t i = 0; i < n && baseline == NULL; i++) {
        if (strcmp(rows[i].method->method->name, "baseline") == 0) baseline = &rows[i];
    }
    if (baseline == NULL) return;
    const double least = deepest_of(baseline).mean;
    for (size_t i = 0; i < n; i++) {
        if (&rows[i] == baseline) continue;
        rows[i].gain_deepest = deepest_of(&rows[i]).mean - least;
        rows[i].gain_ensemble = rows[i].ensemble.mean - least;
    }
}

int study_table_make(const struct study *study, const struct study_figures *figures,
                     struct study_table *ret_table, struct err *e)
{
    struct study_table t = {.n = study->n_networks * study->n_widths * study->n_methods,
                            .cifar100 = strncmp(study->data, "cifar100:", 9) == 0};
    t.rows = mem_new(t.n, sizeof(*t.rows));
    if (t.rows == NULL) return err_set(e, -ENOMEM, "out of memory for %zu rows", t.n);
    for (size_t i = 0; i < t.n; i++) {
        struct study_row *row = &t.rows[i];
        name_network(row, study->networks[i / study->n_methods / study->n_widths]);
        row->width = study->widths[i / study->n_methods % study->n_widths];
        row->method = &study->methods[i % study->n_methods];
        fill_row(row, figures + i * study->n_seeds, study->n_seeds);
        if (row->n_exits - 1 > t.shallow) t.shallow = row->n_exits - 1;
        if ((i + 1) % study->n_methods == 0)
            fill_gains(row + 1 - study->n_methods, study->n_methods);
    }
    *ret_table = t;
    return 0;
}

void study_table_release(struct study_table *table)
{
    mem_free(table->rows);
    *table = (struct study_table){.n = 0};
}

/* --- cells ------------------------------------------------------------------------------------ */

/* The paper's row beside ours, for the methods that it has there; NULL: none. */
static const struct paper_row *paper_of(const struct study_table *t, const struct study_row *row)
{
    const char *method = row->method->method->name;
    if (!t->cifar100 || (strcmp(method, "baseline") != 0 && strcmp(method, "byot") != 0))
        return NULL;
    for (size_t i = 0; i < sizeof(paper) / sizeof(paper[0]); i++) {
        if (strlen(paper[i].network) == (size_t)row->network_length &&
            strncmp(paper[i].network, row->network, (size_t)row->network_length) == 0)
            return &paper[i];
    }
    return NULL;
}

/* Column c: the shallow exits, the deepest, the ensemble. */
static struct study_value value_of(const struct study_table *t, const struct study_row *row, int c)
{
    const struct study_value none = {.mean = NAN, .deviation = NAN};
    if (c < t->shallow) return c + 1 < row->n_exits ? row->exits[c] : none;
    if (c == t->shallow) return deepest_of(row);
    return row->ensemble;
}

/* NaN where the paper has nothing. */
static double paper_value(const struct study_table *t, const struct study_row *row,
                          const struct paper_row *p, int c)
{
    if (strcmp(row->method->method->name, "baseline") == 0)
        return c == t->shallow ? p->baseline : NAN;
    if (c < t->shallow) return c < PAPER_EXITS - 1 ? p->exits[c] : NAN;
    return c == t->shallow ? p->exits[PAPER_EXITS - 1] : p->ensemble;
}

static const char *column_name(const struct study_table *t, int c, char text[16])
{
    if (c < t->shallow)
        snprintf(text, 16, "%d", c + 1);
    else
        snprintf(text, 16, c == t->shallow ? "deepest" : "ensemble");
    return text;
}

static const char *cell(struct study_value v, char text[32])
{
    if (v.n == 0)
        snprintf(text, 32, "-");
    else if (v.n == 1)
        snprintf(text, 32, "%.2f", 100 * v.mean);
    else
        snprintf(text, 32, "%.2f ± %.2f", 100 * v.mean, 100 * v.deviation);
    return text;
}

static const char *gain_text(double gain, char text[32])
{
    if (isnan(gain))
        snprintf(text, 32, "-");
    else
        snprintf(text, 32, "%+.2f", 100 * gain);
    return text;
}

static const char *paper_text(double percent, char text[32])
{
    if (isnan(percent))
        snprintf(text, 32, "-");
    else
        snprintf(text, 32, "%.2f", percent);
    return text;
}

static const char *width_text(int64_t width, char text[32])
{
    if (width == 0)
        snprintf(text, 32, "own");
    else
        snprintf(text, 32, "%lld", (long long)width);
    return text;
}

/* --- for people ------------------------------------------------------------------------------- */

/* Right-aligned in so many columns; "±" is two bytes and one column. */
static int put_right(struct buf *out, const char *text, int columns)
{
    int more = strstr(text, "±") != NULL ? 1 : 0;
    return buf_printf(out, " %*s", columns + more, text);
}

int study_table_text(const struct study_table *t, struct buf *out)
{
    char text[32], name[16];
    int rc = buf_printf(out, "%-18s %5s  %-14s %5s", "network", "width", "method", "seeds");
    for (int c = 0; c < t->shallow + 2 && rc == 0; c++)
        rc = put_right(out, column_name(t, c, name), 13);
    if (rc == 0) rc = buf_puts(out, "   over the baseline\n");
    for (size_t i = 0; i < t->n && rc == 0; i++) {
        const struct study_row *row = &t->rows[i];
        const struct paper_row *p = paper_of(t, row);
        rc = buf_printf(out, "%-18.*s %5s  %-14s %5zu", row->network_length, row->network,
                        width_text(row->width, text), row->method->name, row->n_seeds);
        for (int c = 0; c < t->shallow + 2 && rc == 0; c++)
            rc = put_right(out, cell(value_of(t, row, c), text), 13);
        if (rc == 0 && !isnan(row->gain_deepest))
            rc = buf_printf(out, "   %+.2f, ensemble %+.2f", 100 * row->gain_deepest,
                            100 * row->gain_ensemble);
        if (rc == 0) rc = buf_puts(out, "\n");
        if (rc < 0 || p == NULL) continue;
        rc = buf_printf(out, "%-18s %5s  %-14s %5s", "", "full", "  the paper", "1");
        for (int c = 0; c < t->shallow + 2 && rc == 0; c++)
            rc = put_right(out, paper_text(paper_value(t, row, p, c), text), 13);
        if (rc == 0) rc = buf_puts(out, "\n");
    }
    return rc;
}

int study_table_markdown(const struct study_table *t, struct buf *out)
{
    char text[32], name[16];
    int rc = buf_puts(out, "| network | width | method | seeds |");
    for (int c = 0; c < t->shallow + 2 && rc == 0; c++)
        rc = buf_printf(out, " %s |", column_name(t, c, name));
    if (rc == 0)
        rc = buf_puts(out, " deepest over baseline | ensemble over baseline |\n| --- | --: | --- | "
                           "--: |");
    for (int c = 0; c < t->shallow + 4 && rc == 0; c++) rc = buf_puts(out, " --: |");
    if (rc == 0) rc = buf_puts(out, "\n");
    for (size_t i = 0; i < t->n && rc == 0; i++) {
        const struct study_row *row = &t->rows[i];
        const struct paper_row *p = paper_of(t, row);
        rc = buf_printf(out, "| %.*s | %s | %s | %zu |", row->network_length, row->network,
                        width_text(row->width, text), row->method->name, row->n_seeds);
        for (int c = 0; c < t->shallow + 2 && rc == 0; c++)
            rc = buf_printf(out, " %s |", cell(value_of(t, row, c), text));
        if (rc == 0) rc = buf_printf(out, " %s |", gain_text(row->gain_deepest, text));
        if (rc == 0) rc = buf_printf(out, " %s |\n", gain_text(row->gain_ensemble, text));
        if (rc < 0 || p == NULL) continue;
        rc = buf_puts(out, "| | full | *the paper* | 1 |");
        for (int c = 0; c < t->shallow + 2 && rc == 0; c++)
            rc = buf_printf(out, " %s |", paper_text(paper_value(t, row, p, c), text));
        if (rc == 0) rc = buf_puts(out, " | |\n");
    }
    return rc;
}

/* --- for programs ----------------------------------------------------------------------------- */

static int csv_number(struct buf *out, double value)
{
    return isnan(value) ? buf_puts(out, ",") : buf_printf(out, ",%.8g", value);
}

int study_table_csv(const struct study_table *t, struct buf *out)
{
    char name[16];
    int rc = buf_puts(out, "network,width,method,classifier,seeds,mean,deviation,paper\n");
    for (size_t i = 0; i < t->n && rc == 0; i++) {
        const struct study_row *row = &t->rows[i];
        const struct paper_row *p = paper_of(t, row);
        for (int c = 0; c < t->shallow + 2 && rc == 0; c++) {
            struct study_value v = value_of(t, row, c);
            double paper_top1 = p != NULL ? paper_value(t, row, p, c) / 100 : NAN;
            if (v.n == 0 && isnan(paper_top1)) continue;
            rc = buf_printf(out, "\"%.*s\",%lld,%s,%s,%zu", row->network_length, row->network,
                            (long long)row->width, row->method->name, column_name(t, c, name), v.n);
            if (rc == 0) rc = csv_number(out, v.mean);
            if (rc == 0) rc = csv_number(out, v.deviation);
            if (rc == 0) rc = csv_number(out, paper_top1);
            if (rc == 0) rc = buf_puts(out, "\n");
        }
    }
    return rc;
}

static void write_value(struct json_writer *w, const char *name, struct study_value v, double given)
{
    json_write_open(w, NULL, '{');
    json_write_string(w, "name", name);
    json_write_int(w, "seeds", (int64_t)v.n);
    json_write_rounded(w, "mean", v.mean, DIGITS);
    json_write_rounded(w, "deviation", v.deviation, DIGITS);
    json_write_rounded(w, "paper", given, DIGITS);
    json_write_close(w, '}');
}

int study_table_json(const struct study_table *t, struct buf *out)
{
    struct json_writer w;
    char name[16], network[STUDY_TEXT_MAX];
    json_writer_init(&w, out);
    w.spaced = true;
    json_write_open(&w, NULL, '{');
    json_write_open(&w, "rows", '[');
    for (size_t i = 0; i < t->n; i++) {
        const struct study_row *row = &t->rows[i];
        const struct paper_row *p = paper_of(t, row);
        snprintf(network, sizeof(network), "%.*s", row->network_length, row->network);
        json_write_open(&w, NULL, '{');
        json_write_string(&w, "network", network);
        json_write_int(&w, "width", row->width);
        json_write_string(&w, "method", row->method->name);
        json_write_int(&w, "seeds", (int64_t)row->n_seeds);
        json_write_open(&w, "classifiers", '[');
        for (int c = 0; c < t->shallow + 2; c++) {
            write_value(&w, column_name(t, c, name), value_of(t, row, c),
                        p != NULL ? paper_value(t, row, p, c) / 100 : NAN);
        }
        json_write_close(&w, ']');
        json_write_rounded(&w, "deepest_over_baseline", row->gain_deepest, DIGITS);
        json_write_rounded(&w, "ensemble_over_baseline", row->gain_ensemble, DIGITS);
        json_write_close(&w, '}');
    }
    json_write_close(&w, ']');
    json_write_close(&w, '}');
    return w.status;
}
