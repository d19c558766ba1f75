/* `autodidact report`: one page about models, for people. It fetches nothing and needs nothing: a
 * file to look at, to keep beside the model, to send. */
#include "config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "bar.h"
#include "options.h"
#include "report.h"
#include "tool.h"
#include "train/confusion.h"

struct command {
    const char *paths[REPORT_MODELS_MAX + 1];
    const char *out, *data, *logs;
    int64_t threads;
    struct selection_wish wish;
    struct tool_plan plan;
};

static int parse(int argc, char **argv, struct command *c, struct err *e)
{
    *c = (struct command){.plan = TOOL_PLAN_DEFAULT};
    const struct option_row rows[] = {
        {"out", OPTION_STRING, "FILE.html", &c->out, NULL, "the page (required)"},
        {"data", OPTION_STRING, "KIND:DIR", &c->data, NULL,
         "images to look at the models on: cifar100:DIR, cifar10:DIR or folder:DIR; without, the\n"
         "page has only what the files say of themselves"},
        selection_option(&c->wish, SELECTION_SPLIT, "train, holdout or test (test)"),
        selection_option(&c->wish, SELECTION_HOLDOUT_OF, NULL),
        {"log", OPTION_STRING, "FILE,FILE..", &c->logs, NULL,
         "for the curves: what `autodidact train --progress json` printed, the log of a job, or\n"
         "the table of `train --log`, one for each model in their order; an empty name for a "
         "model\n"
         "without one (the model's name with .jsonl or .csv, where there is such a file)"},
        {"threads", OPTION_INT, "N", &c->threads, NULL, "(0: all processors)"},
        {"precision", OPTION_STRING, "P", &c->plan.precision, NULL, TOOL_PRECISION_HELP},
        {"algorithm", OPTION_STRING, "A", &c->plan.algorithm, NULL, TOOL_ALGORITHM_HELP},
        {NULL, 0, NULL, NULL, NULL, NULL},
    };
    const struct command_line line = {
        "autodidact report",
        "MODEL... --out FILE.html [OPTION]...",
        "Writes one self-contained page about up to 8 models, side by side: figures at a glance,\n"
        "accuracy over work and over time, training curves, reliability diagrams, accuracy of\n"
        "each class, confusion, and how each was made. It needs no network and no other file.",
        rows,
        1,
        REPORT_MODELS_MAX};
    int rc = options_parse(&line, argc, argv, c->paths, e);
    if (rc != 0) return rc;
    if (c->out == NULL)
        return err_set(e, ERR_USAGE, "--out is missing: usage: %s %s", line.program, line.usage);
    if (c->data == NULL && c->wish.split != NULL)
        return err_set(e, ERR_USAGE, "--split goes with --data");
    if (c->wish.split == NULL) c->wish.split = "test";
    rc = selection_check(&c->wish, line.usage, e);
    for (int i = 0; rc == 0 && c->paths[i] != NULL; i++)
        rc = tool_check_output("out", c->out, c->paths[i], e);
    return rc == 0 ? tool_plan_parse(&c->plan, e) : rc;
}

/* Progress, on a terminal only. */
static void note(const char *what, const char *name)
{
    if (!isatty(STDERR_FILENO)) return;
    fprintf(stderr, "\r%s%s%.100s\033[K", what, name[0] != '\0' ? " " : "", name);
    fflush(stderr);
}

/* The file's name without directory and ending; the whole path where two are alike. */
static void name_models(struct report *r)
{
    for (int i = 0; i < r->n_models; i++) {
        struct report_model *m = &r->models[i];
        const char *slash = strrchr(m->path, '/'), *base = slash != NULL ? slash + 1 : m->path;
        const char *end = strstr(base, ".safetensors");
        int length = end != NULL && end > base ? (int)(end - base) : (int)strlen(base);
        snprintf(m->name, sizeof(m->name), "%.*s", length, base);
    }
    for (int i = 0; i < r->n_models; i++) {
        for (int k = 0; k < i; k++) {
            if (strcmp(r->models[i].name, r->models[k].name) != 0) continue;
            snprintf(r->models[i].name, REPORT_NAME_MAX, "%s", r->models[i].path);
            snprintf(r->models[k].name, REPORT_NAME_MAX, "%s", r->models[k].path);
        }
    }
}

/* Without --log: what stands beside the model under its name, as a study leaves it, or a training
 * that logs into the model's directory. */
static int find_logs(struct report *r, struct err *e)
{
    static const char *const endings[] = {".jsonl", ".csv"};
    int rc = 0;
    for (int i = 0; i < r->n_models && rc == 0; i++) {
        const char *path = r->models[i].path, *end = strrchr(path, '.');
        char log[PATH_MAX];
        if (end == NULL || strcmp(end, ".safetensors") != 0) continue;
        for (size_t k = 0; k < sizeof(endings) / sizeof(endings[0]); k++) {
            int n = snprintf(log, sizeof(log), "%.*s%s", (int)(end - path), path, endings[k]);
            if (n >= PATH_MAX || !file_exists(log)) continue;
            rc = report_log_read(log, &r->models[i].log, e);
            if (rc == ERR_FORMAT && k == 1) { /* a table of something else: predictions, say */
                *e = (struct err){0};
                rc = 0;
            }
            break;
        }
    }
    return rc;
}

static int read_logs(const struct command *c, struct report *r, struct err *e)
{
    const char *at = c->logs;
    int rc = 0;
    if (at == NULL) return find_logs(r, e);
    for (int i = 0; at != NULL && rc == 0; i++) {
        char path[PATH_MAX];
        size_t length = strcspn(at, ",");
        if (i == r->n_models)
            return err_set(e, ERR_USAGE, "--log: there are more files than models");
        if (length >= sizeof(path)) return err_set(e, ERR_USAGE, "--log: a name is too long");
        snprintf(path, sizeof(path), "%.*s", (int)length, at);
        if (length > 0) rc = report_log_read(path, &r->models[i].log, e);
        if (rc < 0) err_prefix(e, "--log");
        at = at[length] == ',' ? at + length + 1 : NULL;
    }
    return rc;
}

/* Looks at the images. */
static int look(const struct command *c, struct report_model *m, struct dataset *set,
                struct pool *pool, struct err *e)
{
    struct model *model = m->model;
    struct logits logits = {0};
    const size_t classes = (size_t)net_classes(model->net);
    int rc = selection_check_classes(model, set, e);
    if (rc == 0) rc = selection_choose(&c->wish, model, set, &m->selection, e);
    if (rc < 0) return rc;
    struct plan *plan = tool_plan_new(model->net, model->params, &c->plan, EVALUATE_BATCH, e);
    if (plan == NULL) return e->code;
    struct bar bar;
    const struct evaluate_watch *watch = bar_begin(&bar, model->name, true);
    rc = evaluate_logits(plan, model->training.untrained, set, m->selection.indices, m->selection.n,
                         &model->preprocess, pool, watch, &logits, e);
    bar_end(&bar);
    if (rc == 0) rc = eval_figures_make(model, &logits, &m->figures, e);
    if (rc == 0) rc = eval_policy_make(model, plan, &logits, &m->policy, e);
    if (rc == 0) {
        m->confusion = mem_new(classes * classes, sizeof(*m->confusion));
        if (m->confusion == NULL)
            rc = err_set(e, -ENOMEM, "out of memory for %zu classes", classes);
    }
    if (rc == 0) {
        m->n = logits.n;
        confusion_count(&logits, logits.n_exits - 1, m->confusion);
        for (int i = 0; i <= logits.n_exits; i++) {
            int classifier = i < logits.n_exits ? i : MODEL_ENSEMBLE;
            evaluate_bins(&logits, classifier, model_temperature(model, classifier), m->bins[i]);
        }
    }
    logits_release(&logits);
    plan_free(plan);
    return rc;
}

static int look_all(struct command *c, struct report *r, struct err *e)
{
    struct dataset *set = NULL;
    struct pool *pool = NULL;
    unsigned threads = 1;
    int rc = tool_threads(c->threads, &threads, e);
    note("reading the images", "");
    if (rc == 0) rc = selection_open(&c->wish, c->data, r->models[0].model, &set, e);
    if (rc == 0) {
        pool = pool_new(threads);
        if (pool == NULL) rc = err_set(e, -EAGAIN, "cannot start %u threads", threads);
    }
    for (int i = 0; i < r->n_models && rc == 0; i++) {
        note("looking at", r->models[i].name);
        rc = look(c, &r->models[i], set, pool, e);
        if (rc < 0) err_prefix(e, "%s", r->models[i].path);
    }
    if (rc == 0) r->kind = dataset_kind(set);
    pool_free(pool);
    dataset_free(set);
    selection_close(&c->wish);
    return rc;
}

static int write_page(const struct command *c, const struct report *r, struct err *e)
{
    struct html page;
    html_init(&page);
    report_write_page(&page, r);
    int rc = page.status;
    if (rc < 0) err_set(e, rc, "--out %s: %s", c->out, err_text(rc));
    const struct file_piece piece = {buf_text(&page.text), page.text.size};
    if (rc == 0) {
        rc = file_write_atomic(c->out, &piece, 1, e);
        if (rc < 0) err_prefix(e, "--out");
    }
    html_release(&page);
    return rc;
}

int tool_report(int argc, char **argv, struct err *e)
{
    struct command c;
    int rc = parse(argc, argv, &c, e);
    if (rc != 0) return rc;
    struct report *r = mem_new(1, sizeof(*r));
    if (r == NULL) return err_set(e, -ENOMEM, "out of memory");
    for (int i = 0; i < REPORT_MODELS_MAX && c.paths[i] != NULL; i++)
        r->models[r->n_models++].path = c.paths[i];
    name_models(r);
    for (int i = 0; i < r->n_models && rc == 0; i++)
        rc = model_load(r->models[i].path, &r->models[i].model, e);
    if (rc == 0) rc = read_logs(&c, r, e);
    if (rc == 0 && c.data != NULL) {
        r->split = c.wish.split;
        rc = look_all(&c, r, e);
    }
    if (rc == 0) rc = write_page(&c, r, e);
    if (isatty(STDERR_FILENO)) fprintf(stderr, "\r\033[K");
    if (rc == 0) printf("%s\n", c.out);
    for (int i = 0; i < r->n_models; i++) {
        struct report_model *m = &r->models[i];
        mem_free(m->confusion);
        eval_figures_release(&m->figures);
        selection_release(&m->selection);
        report_log_release(&m->log);
        model_free(m->model);
    }
    mem_free(r);
    return rc;
}
