/* Where the rows of a log go. Its files are journals (base/journal.h). */
#include "config.h"

#include "train_log.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/journal.h"
#include "base/mem.h"
#include "base/text.h"
#include "board/events.h"
#include "log_row.h"
#include "recipe/recipe.h"
#include "tool.h"
#include "train.h"

enum {
    STEPS_A_POINT = 50,   /* curves within an epoch */
    RUNS_MAX = 10000,     /* of one name */
    NAME_MAX_BYTES = 200, /* of a run, less what tells it from others of its name */
    SETTINGS_BEFORE = 6,  /* the recipe's options */
    PIECE_MAX = 1 << 20,  /* bytes of what is written at a time */
};

struct train_log {
    const struct progress *progress;
    struct checkpoint_log position;
    struct journal *table, *events;
    struct buf piece; /* what is made just now */
    struct log_row row;
    int64_t epoch_ns; /* when the present epoch began, by clock_now() */
    bool has_warned;
};

static void warn(struct train_log *log, const char *text)
{
    if (log->has_warned) return;
    log->has_warned = true;
    progress_clear(log->progress);
    fprintf(stderr, "autodidact train: warning: the log: %s; the training goes on\n", text);
}

static double now_s(void)
{
    return (double)clock_real() / (double)CLOCK_SECOND;
}

int train_log_check(const char *dir, struct err *e)
{
    struct stat st;
    if (dir == NULL) return 0;
    if (mkdir(dir, 0777) < 0 && errno != EEXIST)
        return err_set(e, -errno, "--log %s: %s", dir, err_text(-errno));
    if (stat(dir, &st) < 0) return err_set(e, -errno, "--log %s: %s", dir, err_text(-errno));
    if (!S_ISDIR(st.st_mode)) return err_set(e, -ENOTDIR, "--log %s: %s", dir, err_text(-ENOTDIR));
    if (access(dir, W_OK | X_OK) < 0)
        return err_set(e, -errno, "--log %s: cannot write there: %s", dir, err_text(-errno));
    return 0;
}

/* A new or, for a mark, an old journal. */
static int open_journal(const char *path, const struct journal_mark *mark,
                        struct journal **ret_journal, struct err *e)
{
    return mark != NULL ? journal_resume(path, mark, ret_journal, e)
                        : journal_create(path, ret_journal, e);
}

/* Both files of the run that log->position names. */
static int open_files(struct train_log *log, const char *dir, bool is_new, struct err *e)
{
    const struct checkpoint_log *p = &log->position;
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s/%s.csv", dir, p->run);
    if (n >= (int)sizeof(path) - 64) /* the other one's is longer */
        return err_set(e, -ENAMETOOLONG, "--log %.200s..: %s", dir, err_text(-ENAMETOOLONG));
    int rc = open_journal(path, is_new ? NULL : &p->table, &log->table, e);
    if (rc < 0) return rc;
    snprintf(path, sizeof(path), "%s/%s/events.out.tfevents.%010lld.autodidact", dir, p->run,
             (long long)p->started_s);
    rc = open_journal(path, is_new ? NULL : &p->events, &log->events, e);
    if (rc < 0) {
        journal_free(log->table);
        log->table = NULL;
    }
    return rc;
}

/* The model's name without directory and ending, fit for a file's. */
static void name_run(const char *out, char ret_name[NAME_MAX_BYTES])
{
    const char *slash = strrchr(out, '/'), *from = slash != NULL ? slash + 1 : out;
    while (*from == '.') from++;
    snprintf(ret_name, NAME_MAX_BYTES, "%s", *from != '\0' ? from : "training");
    char *end = strstr(ret_name, ".safetensors");
    if (end != NULL && end > ret_name) *end = '\0';
    for (char *c = ret_name; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && strchr("._-+=", *c) == NULL) *c = '_';
    }
}

/* Whether a run's directory or table would stand where the training writes a file. */
static bool is_in_the_way(const char *path, const char *const *outs, size_t n_outs)
{
    char table[PATH_MAX];
    snprintf(table, sizeof(table), "%.*s.csv", PATH_MAX - 5, path);
    for (size_t i = 0; i < n_outs; i++) {
        if (outs[i] == NULL) continue;
        if (train_out_is_same(path, outs[i]) || train_out_is_same(table, outs[i])) return true;
    }
    return false;
}

/* Whoever makes the directory has the name. */
static int claim_run(struct train_log *log, const char *dir, const char *const *outs, size_t n_outs,
                     struct err *e)
{
    char name[NAME_MAX_BYTES], path[PATH_MAX];
    name_run(outs[0], name);
    log->position = (struct checkpoint_log){.started_s = clock_real() / CLOCK_SECOND};
    for (int i = 1; i < RUNS_MAX; i++) {
        char *run = log->position.run;
        const size_t size = sizeof(log->position.run);
        if (i == 1)
            snprintf(run, size, "%s", name);
        else
            snprintf(run, size, "%s-%d", name, i);
        if (snprintf(path, sizeof(path), "%s/%s", dir, run) >= (int)sizeof(path))
            return err_set(e, -ENAMETOOLONG, "--log: %s", err_text(-ENAMETOOLONG));
        if (is_in_the_way(path, outs, n_outs)) continue;
        if (mkdir(path, 0777) < 0) {
            if (errno == EEXIST) continue;
            return err_set(e, -errno, "--log: %s: %s", path, err_text(-errno));
        }
        int rc = open_files(log, dir, true, e);
        if (rc == 0) return 0;
        rmdir(path);
        if (rc != -EEXIST) return err_prefix(e, "--log"), rc; /* a table without its directory */
        *e = (struct err){0};
    }
    return err_set(e, -EEXIST, "--log %s: there are %d runs of the name %s", dir, RUNS_MAX, name);
}

/* Cells with commas between them; what is not known is empty. */
static int put_line(struct train_log *log, bool is_head)
{
    char number[TEXT_NUMBER_MAX];
    int rc = 0;
    buf_clear(&log->piece);
    for (size_t i = 0; i < log->row.n && rc == 0; i++) {
        const struct log_cell *cell = &log->row.cells[i];
        const char *text = cell->name;
        if (!is_head)
            text = isfinite(cell->value) ? text_rounded(cell->value, TOOL_DIGITS, number) : "";
        rc = buf_printf(&log->piece, "%s%s", i > 0 ? "," : "", text);
    }
    if (rc == 0) rc = buf_puts(&log->piece, "\n");
    return rc == 0 ? journal_put(log->table, buf_text(&log->piece), log->piece.size) : rc;
}

static int put_events(struct train_log *log)
{
    return journal_put(log->events, log->piece.data, log->piece.size);
}

/* What the training is, as a table in Markdown and as settings. */
static int put_about(struct train_log *log)
{
    const struct progress_about *a = &log->progress->about;
    struct recipe_text texts[RECIPE_TEXTS_MAX];
    struct board_setting settings[RECIPE_TEXTS_MAX + SETTINGS_BEFORE] = {{"network", a->network},
                                                                         {"images", a->data}};
    char width[24], params[24], n_train[24], n_holdout[24];
    struct buf table;
    size_t n = 2;
    const struct {
        const char *name;
        char *text;
        long long value;
    } numbers[] = {{"width", width, a->width},
                   {"parameters", params, (long long)a->params},
                   {"training images", n_train, (long long)a->n_train},
                   {"held-out images", n_holdout, (long long)a->n_holdout}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        snprintf(numbers[i].text, sizeof(width), "%lld", numbers[i].value);
        settings[n++] = (struct board_setting){numbers[i].name, numbers[i].text};
    }
    const size_t n_texts = recipe_texts(&a->recipe, texts);
    for (size_t i = 0; i < n_texts; i++)
        settings[n++] = (struct board_setting){texts[i].name, texts[i].value};
    buf_init(&table, PIECE_MAX);
    int rc = buf_puts(&table, "| option | value |\n| --- | --- |\n");
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = buf_printf(&table, "| %s | %s |\n", settings[i].name, settings[i].value);
    const double time_s = now_s();
    if (rc == 0) rc = board_put_text(&log->piece, time_s, "configuration", buf_text(&table));
    if (rc == 0) rc = board_put_settings(&log->piece, time_s, settings, n);
    buf_release(&table);
    return rc;
}

static int begin_run(struct train_log *log, struct err *e)
{
    log_row_make(log->progress, NULL, NULL, NAN, &log->row);
    int rc = put_line(log, true);
    buf_clear(&log->piece);
    if (rc == 0) rc = board_put_version(&log->piece, now_s());
    if (rc == 0) rc = put_about(log);
    if (rc == 0) rc = put_events(log);
    if (rc < 0) return err_set(e, rc, "--log: %s", err_text(rc));
    rc = journal_flush(log->table, e);
    if (rc == 0) rc = journal_flush(log->events, e);
    return rc < 0 ? err_prefix(e, "--log"), rc : 0;
}

/* Whether the run of a checkpoint can be gone on with. */
static bool go_on(struct train_log *log, const char *dir, const struct checkpoint_log *position)
{
    struct err e = {0};
    if (position->run[0] == '\0') return false;
    log->position = *position;
    if (open_files(log, dir, false, &e) == 0) return true;
    fprintf(stderr, "autodidact train: warning: the log begins anew: %s\n", e.text);
    return false;
}

int train_log_open(const char *dir, const char *const *outs, size_t n_outs,
                   const struct progress *p, const struct checkpoint_log *position,
                   struct train_log **ret_log, struct err *e)
{
    struct train_log *log = mem_new(1, sizeof(*log));
    if (log == NULL) return err_set(e, -ENOMEM, "--log: out of memory");
    buf_init(&log->piece, PIECE_MAX);
    log->progress = p;
    log->epoch_ns = clock_now();
    int rc = 0;
    if (!go_on(log, dir, position)) {
        rc = claim_run(log, dir, outs, n_outs, e);
        if (rc == 0) rc = begin_run(log, e);
    }
    if (rc < 0) {
        train_log_close(log);
        return rc;
    }
    *ret_log = log;
    return 0;
}

void train_log_step(struct train_log *log, const struct train_report *report)
{
    if (log == NULL || report->step % STEPS_A_POINT != 0) return;
    const struct board_scalar points[] = {{"step/loss", report->loss}, {"step/lr", report->rate}};
    buf_clear(&log->piece);
    int rc = board_put_scalars(&log->piece, now_s(), report->step, points, 2);
    if (rc == 0) rc = put_events(log);
    if (rc < 0) warn(log, err_text(rc));
}

/* Of what is known; the step is the events' own. */
static int put_points(struct train_log *log, int64_t step)
{
    struct board_scalar points[LOG_CELLS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < log->row.n; i++) {
        const struct log_cell *cell = &log->row.cells[i];
        if (!isfinite(cell->value) || (cell->is_term && cell->value == 0)) continue;
        if (strcmp(cell->name, LOG_STEP) == 0) continue;
        points[n++] = (struct board_scalar){cell->name, cell->value};
    }
    buf_clear(&log->piece);
    int rc = board_put_scalars(&log->piece, now_s(), step, points, n);
    return rc == 0 ? put_events(log) : rc;
}

static void flush(struct train_log *log)
{
    struct err e = {0};
    if (journal_flush(log->table, &e) < 0) warn(log, e.text);
    e = (struct err){0};
    if (journal_flush(log->events, &e) < 0) warn(log, e.text);
}

void train_log_epoch(struct train_log *log, const struct train_report *report,
                     const struct heldout *h)
{
    if (log == NULL) return;
    const int64_t now = clock_now();
    log_row_make(log->progress, report, h, (double)(now - log->epoch_ns) / (double)CLOCK_SECOND,
                 &log->row);
    log->epoch_ns = now;
    int rc = put_line(log, false);
    if (rc == 0) rc = put_points(log, report->step);
    if (rc < 0) warn(log, err_text(rc));
    flush(log);
}

void train_log_keep(struct train_log *log, struct checkpoint_log *ret_position)
{
    if (log == NULL) return;
    flush(log);
    log->position.table = journal_mark(log->table);
    log->position.events = journal_mark(log->events);
    *ret_position = log->position;
}

void train_log_close(struct train_log *log)
{
    if (log == NULL) return;
    journal_free(log->table);
    journal_free(log->events);
    buf_release(&log->piece);
    mem_free(log);
}
