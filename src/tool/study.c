/* `autodidact study`: many trainings that are compared, in one run that can be stopped at any time
 * and goes on where it was.
 *
 * The directory of a study holds all of its state: of each training the model, its log and its
 * figures. A file's name has a digest of everything that determines it, so that a study that was
 * changed trains what is new and finds what it had. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "bar.h"
#include "eval_figures.h"
#include "model/spec_file.h"
#include "options.h"
#include "selection.h"
#include "study_file.h"
#include "study_run.h"
#include "study_table.h"
#include "tool.h"

enum { ARGUMENTS_MAX = 2 * STUDY_OPTIONS_MAX + 24, NUMBER_MAX = 24, TABLE_MAX = 16 << 20 };

struct command {
    const char *file, *out;
    int64_t threads;
    bool json, dry;
};

/* One training. */
struct run {
    const char *network;
    int64_t width;
    uint64_t seed;
    const struct study_method *method;
    char name[160];
};

struct session {
    struct command command;
    struct study *study;
    size_t n_runs;
    struct study_figures *figures; /* [n_runs] */
    struct dataset *set;           /* of the split; NULL: not needed yet */
    struct pool *pool;
};

static int parse(int argc, char **argv, struct command *c, struct err *e)
{
    *c = (struct command){.file = NULL};
    const struct option_row rows[] = {
        {"out", OPTION_STRING, "DIR", &c->out, NULL,
         "directory of models, logs and tables (FILE without its ending)"},
        {"dry-run", OPTION_FLAG, NULL, &c->dry, NULL,
         "only list the trainings, and what is there already"},
        {"threads", OPTION_INT, "N", &c->threads, NULL,
         "of trainings and figures (0: all processors)"},
        {"json", OPTION_FLAG, NULL, &c->json, NULL, "the table as one JSON object"},
        {NULL, 0, NULL, NULL, NULL, NULL},
    };
    const struct command_line line = {
        "autodidact study",
        "FILE.json [OPTION]...",
        "Trains every method on every network at every width with every seed that FILE names,\n"
        "one after the other, and prints means and deviations over the seeds, beside the paper's\n"
        "row where it has one. Stopped (Ctrl-C) or killed, the same command goes on where it\n"
        "was. DIR then has of each training the model, its log (for `autodidact report --log`)\n"
        "and its figures, and the table as study.md, study.csv and study.json.\n"
        "\n"
        "  {\"data\": \"cifar100:DIR\", \"networks\": [\"models/resnet18.json\"], \"widths\": "
        "[16],\n"
        "   \"seeds\": [0, 1, 2], \"methods\": [\"baseline\", \"dsn\", \"byot\",\n"
        "     {\"name\": \"byot-t1\", \"method\": \"byot\", \"temperature\": 1}],\n"
        "   \"options\": {\"epochs\": 30, \"batch\": 128}, \"split\": \"test\"}\n"
        "\n"
        "Options are those of `autodidact train`, with _ for -. Paths start from FILE's directory.",
        rows,
        1,
        1};
    const char *positional[POSITIONAL_MAX];
    int rc = options_parse(&line, argc, argv, positional, e);
    if (rc == 0) c->file = positional[0];
    return rc;
}

/* --- names ------------------------------------------------------------------------------------ */

/* Words of a child's command line, with room for its numbers. */
struct arguments {
    const char *words[ARGUMENTS_MAX];
    size_t n;
    char width[NUMBER_MAX], seed[NUMBER_MAX], threads[NUMBER_MAX], options[STUDY_OPTIONS_MAX][48];
};

static void add(struct arguments *a, const char *option, const char *value)
{
    a->words[a->n++] = option;
    if (value != NULL) a->words[a->n++] = value;
}

/* What determines the result. */
static void make_arguments(const struct session *s, const struct run *r, struct arguments *a)
{
    a->n = 0;
    add(a, "autodidact", "train");
    add(a, r->network, NULL);
    add(a, "--data", s->study->data);
    add(a, "--method", r->method->method->name);
    if (r->width > 0) {
        snprintf(a->width, sizeof(a->width), "%lld", (long long)r->width);
        add(a, "--width", a->width);
    }
    snprintf(a->seed, sizeof(a->seed), "%llu", (unsigned long long)r->seed);
    add(a, "--seed", a->seed);
    for (size_t i = 0; i < r->method->n_options; i++) {
        const struct study_option *o = &r->method->options[i];
        snprintf(a->options[i], sizeof(a->options[i]), "--%s", o->option->name);
        add(a, a->options[i], o->value);
    }
}

/* NETWORK-wWIDTH-METHOD-sSEED-DIGEST. The digest is of the arguments and the network. */
static int name_run(const struct session *s, struct run *r, struct err *e)
{
    struct arguments a;
    struct spec spec;
    struct buf text;
    uint8_t digest[SHA256_SIZE];
    char hex[SHA256_HEX_SIZE], width[NUMBER_MAX];
    int rc = spec_read(r->network, &spec, e);
    if (rc < 0) return rc;
    char *network = spec_format(&spec);
    buf_init(&text, 1 << 20);
    make_arguments(s, r, &a);
    if (network == NULL) rc = -ENOMEM;
    for (size_t i = 3; i < a.n && rc == 0; i++)
        rc = buf_append(&text, a.words[i], strlen(a.words[i]) + 1);
    if (rc == 0) rc = buf_puts(&text, network);
    if (rc == 0) {
        sha256(buf_text(&text), text.size, digest);
        sha256_hex(digest, hex);
        if (r->width > 0)
            snprintf(width, sizeof(width), "w%lld-", (long long)r->width);
        else
            width[0] = '\0';
        snprintf(r->name, sizeof(r->name), "%.60s-%s%.60s-s%llu-%.8s", spec.name, width,
                 r->method->name, (unsigned long long)r->seed, hex);
    } else {
        err_set(e, rc, "%s: %s", r->network, err_text(rc));
    }
    mem_free(network);
    buf_release(&text);
    return rc;
}

static int find_run(const struct session *s, size_t i, struct run *ret_run, struct err *e)
{
    const struct study *t = s->study;
    const size_t row = i / t->n_seeds;
    *ret_run = (struct run){.seed = t->seeds[i % t->n_seeds],
                            .method = &t->methods[row % t->n_methods],
                            .width = t->widths[row / t->n_methods % t->n_widths],
                            .network = t->networks[row / t->n_methods / t->n_widths]};
    return name_run(s, ret_run, e);
}

static int path_of(const struct session *s, const struct run *r, const char *end,
                   char ret_path[PATH_MAX], struct err *e)
{
    int n = snprintf(ret_path, PATH_MAX, "%s/%s%s", s->command.out, r->name, end);
    return n < PATH_MAX ? 0 : err_set(e, ERR_LIMIT, "--out %.200s: it is too long", s->command.out);
}

/* --- figures ---------------------------------------------------------------------------------- */

static void take_figures(const struct json *document, struct study_figures *f)
{
    const struct json *exits = json_get(document, "exits");
    *f = (struct study_figures){.present = true, .n_exits = (int)json_count(exits)};
    if (f->n_exits > SPEC_SECTIONS_MAX) f->n_exits = SPEC_SECTIONS_MAX;
    int learned = 0;
    for (int i = 0; i < f->n_exits; i++) {
        f->top1[i] = json_number(json_get(json_item(exits, (size_t)i), "top1"), NAN);
        learned += !isnan(f->top1[i]);
    }
    /* Of one classifier alone there is no ensemble. */
    f->ensemble =
        learned > 1 ? json_number(json_get(json_get(document, "ensemble"), "top1"), NAN) : NAN;
}

/* The kept figures; false when there are none, or they cannot be read. */
static bool read_figures(const char *path, struct study_figures *f)
{
    char *text;
    size_t size;
    if (!file_exists(path) || file_read(path, 1 << 20, &text, &size, NULL) < 0) return false;
    struct json *document =
        json_parse(path, text, size, &tool_answer_limits, JSON_KIND_OBJECT, NULL);
    if (document != NULL) take_figures(document, f);
    json_free(document);
    mem_free(text);
    return document != NULL;
}

static int keep_figures(const char *path, const struct eval_figures *figures, size_t n,
                        struct err *e)
{
    struct buf text;
    struct json_writer w;
    buf_init(&text, 1 << 20);
    json_writer_init(&w, &text);
    w.spaced = true;
    json_write_open(&w, NULL, '{');
    json_write_int(&w, "n", (int64_t)n);
    eval_figures_write(&w, figures);
    json_write_close(&w, '}');
    int rc = w.status == 0 ? buf_puts(&text, "\n") : w.status;
    const struct file_piece piece = {buf_text(&text), text.size};
    if (rc == 0)
        rc = file_write_atomic(path, &piece, 1, e);
    else
        err_set(e, rc, "%s: %s", path, err_text(rc));
    buf_release(&text);
    return rc;
}

/* Evaluates a model as `autodidact eval --json` does, and keeps what it says. */
static int evaluate(struct session *s, const char *model_path, const char *figures_path,
                    struct err *e)
{
    struct selection_wish wish = {.split = s->study->split};
    struct model *model = NULL;
    struct selection selection = {.n = 0};
    struct plan *plan = NULL;
    struct logits logits = {0};
    struct eval_figures figures = {.n = 0};
    struct tool_plan how = TOOL_PLAN_DEFAULT;
    int rc = model_load(model_path, &model, e);
    if (rc == 0 && s->set == NULL) rc = selection_open(&wish, s->study->data, model, &s->set, e);
    if (rc == 0) rc = selection_check_classes(model, s->set, e);
    if (rc == 0) rc = selection_choose(&wish, model, s->set, &selection, e);
    if (rc == 0) {
        plan = tool_plan_new(model->net, model->params, &how, EVALUATE_BATCH, e);
        if (plan == NULL) rc = e->code;
    }
    if (rc == 0) {
        struct bar bar;
        const struct evaluate_watch *watch = bar_begin(&bar, model->name, true);
        rc = evaluate_logits(plan, model->training.untrained, s->set, selection.indices,
                             selection.n, &model->preprocess, s->pool, watch, &logits, e);
        bar_end(&bar);
    }
    if (rc == 0) rc = eval_figures_make(model, &logits, &figures, e);
    if (rc == 0) rc = keep_figures(figures_path, &figures, logits.n, e);
    eval_figures_release(&figures);
    logits_release(&logits);
    plan_free(plan);
    selection_release(&selection);
    model_free(model);
    return rc;
}

/* --- tables ----------------------------------------------------------------------------------- */

static int write_table(const struct session *s, const struct study_table *table, const char *name,
                       int (*format)(const struct study_table *table, struct buf *out),
                       struct err *e)
{
    char path[PATH_MAX];
    struct buf text;
    buf_init(&text, TABLE_MAX);
    int rc = format(table, &text);
    if (rc == 0) rc = file_join(path, sizeof(path), s->command.out, name);
    if (rc < 0) err_set(e, rc, "%s: %s", name, err_text(rc));
    const struct file_piece piece = {buf_text(&text), text.size};
    if (rc == 0) rc = file_write_atomic(path, &piece, 1, e);
    buf_release(&text);
    return rc;
}

/* Writes the files; prints, when all is over. */
static int make_tables(const struct session *s, bool print, struct err *e)
{
    struct study_table table;
    int rc = study_table_make(s->study, s->figures, &table, e);
    if (rc < 0) return rc;
    rc = write_table(s, &table, "study.md", study_table_markdown, e);
    if (rc == 0) rc = write_table(s, &table, "study.csv", study_table_csv, e);
    if (rc == 0) rc = write_table(s, &table, "study.json", study_table_json, e);
    if (rc == 0 && print) {
        struct buf text;
        buf_init(&text, TABLE_MAX);
        rc = s->command.json ? study_table_json(&table, &text) : study_table_text(&table, &text);
        if (rc == 0)
            printf("%s%s", buf_text(&text), s->command.json ? "\n" : "");
        else
            err_set(e, rc, "the table: %s", err_text(rc));
        buf_release(&text);
    }
    study_table_release(&table);
    return rc;
}

/* --- all of it -------------------------------------------------------------------------------- */

static int train(const struct session *s, const struct run *r, size_t i, struct err *e)
{
    struct arguments a;
    char out[PATH_MAX], log[PATH_MAX], label[256];
    int rc = path_of(s, r, ".safetensors", out, e);
    if (rc == 0) rc = path_of(s, r, ".jsonl", log, e);
    if (rc < 0) return rc;
    make_arguments(s, r, &a);
    if (s->command.threads > 0) {
        snprintf(a.threads, sizeof(a.threads), "%lld", (long long)s->command.threads);
        add(&a, "--threads", a.threads);
    }
    add(&a, "--out", out);
    add(&a, "--resume", NULL);
    add(&a, "--progress", "json");
    a.words[a.n] = NULL;
    snprintf(label, sizeof(label), "[%zu/%zu] %s", i + 1, s->n_runs, r->name);
    if (isatty(STDERR_FILENO) == 0) fprintf(stderr, "%s\n", label);
    return study_run((char *const *)(uintptr_t)a.words, log, label, e);
}

/* Trains and evaluates one, as far as it is not there. */
static int do_run(struct session *s, size_t i, struct err *e)
{
    struct run r;
    char model[PATH_MAX], figures[PATH_MAX], end[32];
    snprintf(end, sizeof(end), ".%s.json", s->study->split);
    int rc = find_run(s, i, &r, e);
    if (rc == 0) rc = path_of(s, &r, ".safetensors", model, e);
    if (rc == 0) rc = path_of(s, &r, end, figures, e);
    if (rc < 0) return rc;
    bool known = file_exists(model) && read_figures(figures, &s->figures[i]);
    if (s->command.dry) {
        printf("%-7s %s\n", known ? "done" : file_exists(model) ? "trained" : "to do", r.name);
        return 0;
    }
    if (known) return 0;
    if (!file_exists(model)) rc = train(s, &r, i, e);
    if (rc == 0) rc = evaluate(s, model, figures, e);
    if (rc == 0 && !read_figures(figures, &s->figures[i]))
        rc = err_set(e, ERR_FORMAT, "%s: cannot be read", figures);
    if (rc < 0 && rc != ERR_CANCELLED) err_prefix(e, "%s", r.name);
    return rc;
}

/* Goes through all, a failed one no reason to stop but at the end. */
static int do_runs(struct session *s, struct err *e)
{
    size_t failed = 0;
    struct err first = {0};
    for (size_t i = 0; i < s->n_runs; i++) {
        struct err why = {0};
        int rc = do_run(s, i, &why);
        if (rc == ERR_CANCELLED) return *e = why, rc;
        if (rc < 0) {
            if (failed++ == 0) first = why;
            fprintf(stderr, "autodidact study: %s\n", why.text);
        } else if (!s->command.dry) {
            rc = make_tables(s, false, e);
            if (rc < 0) return rc;
        }
    }
    if (s->command.dry) return 0;
    int rc = make_tables(s, true, e);
    if (rc < 0 || failed == 0) return rc;
    return err_set(e, first.code, "%zu of %zu trainings failed, the first: %.300s", failed,
                   s->n_runs, first.text);
}

static int open_session(struct session *s, char out[PATH_MAX], struct err *e)
{
    struct command *c = &s->command;
    unsigned threads = 1;
    int rc = tool_threads(c->threads, &threads, e);
    if (rc == 0) rc = study_read(c->file, &s->study, e);
    if (rc < 0) return rc;
    if (c->out == NULL) {
        const char *end = strrchr(c->file, '.'), *slash = strrchr(c->file, '/');
        bool ends = end != NULL && (slash == NULL || end > slash + 1) && end > c->file;
        int n =
            snprintf(out, PATH_MAX, "%.*s%s", ends ? (int)(end - c->file) : (int)strlen(c->file),
                     c->file, ends ? "" : ".study");
        if (n >= PATH_MAX) return err_set(e, ERR_LIMIT, "%.200s: it is too long", c->file);
        c->out = out;
    }
    const struct study *t = s->study;
    s->n_runs = t->n_networks * t->n_widths * t->n_methods * t->n_seeds;
    s->figures = mem_new(s->n_runs, sizeof(*s->figures));
    if (s->figures == NULL) return err_set(e, -ENOMEM, "out of memory");
    for (size_t i = 0; i < s->n_runs && rc == 0; i += t->n_seeds) {
        struct run r; /* every network is looked at before the first training */
        rc = find_run(s, i, &r, e);
    }
    if (rc < 0) return rc;
    if (!c->dry) rc = file_make_dirs(c->out, e);
    if (rc < 0) return rc;
    s->pool = pool_new(threads);
    return s->pool != NULL ? 0 : err_set(e, -EAGAIN, "cannot start %u threads", threads);
}

int tool_study(int argc, char **argv, struct err *e)
{
    struct session s = {.n_runs = 0};
    char out[PATH_MAX];
    int rc = parse(argc, argv, &s.command, e);
    if (rc != 0) return rc;
    rc = open_session(&s, out, e);
    if (rc == 0) {
        study_run_catch_signals();
        rc = do_runs(&s, e);
    }
    pool_free(s.pool);
    dataset_free(s.set);
    mem_free(s.figures);
    mem_free(s.study);
    return rc;
}
