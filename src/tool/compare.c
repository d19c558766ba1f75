/* `autodidact compare`: two models on the same images, classifier by classifier. */
#include "config.h"

#include <errno.h>
#include <stdio.h>

#include "bar.h"
#include "options.h"
#include "selection.h"
#include "tool.h"
#include "train/evaluate.h"
#include "train/paired.h"

struct command {
    const char *paths[2], *data;
    int64_t threads;
    struct selection_wish wish;
    struct tool_plan plan;
    bool json;
};

/* A model with what it says of the images. */
struct side {
    struct model *model;
    struct selection selection;
    struct logits logits;
};

/* Two classifiers that are compared: exits of the same number, the deepest ones, the ensembles. */
struct pair {
    int classifiers[2];
    double top1[2];
    struct paired_counts counts;
    struct paired_result result;
};

struct comparison {
    struct command command;
    struct side sides[2];
    struct dataset *set;
    struct pool *pool;
    struct pair pairs[SPEC_SECTIONS_MAX + 1];
    int n_pairs;
};

static int parse(int argc, char **argv, struct command *c, struct err *e)
{
    *c = (struct command){.plan = TOOL_PLAN_DEFAULT};
    const struct option_row rows[] = {
        {"data", OPTION_STRING, "KIND:DIR", &c->data, NULL,
         "the images: cifar100:DIR, cifar10:DIR or folder:DIR (required)"},
        selection_option(
            &c->wish, SELECTION_SPLIT,
            "test, holdout (those that both have held out) or train (that both were trained on) "
            "(test)"),
        selection_option(&c->wish, SELECTION_HOLDOUT_OF, NULL),
        {"threads", OPTION_INT, "N", &c->threads, NULL, "(0: all processors)"},
        {"precision", OPTION_STRING, "P", &c->plan.precision, NULL, TOOL_PRECISION_HELP},
        {"algorithm", OPTION_STRING, "A", &c->plan.algorithm, NULL, TOOL_ALGORITHM_HELP},
        {"json", OPTION_FLAG, NULL, &c->json, NULL, "as one JSON object"},
        {NULL, 0, NULL, NULL, NULL, NULL},
    };
    const struct command_line line = {
        "autodidact compare",
        "A B --data KIND:DIR [OPTION]...",
        "Compares two models on the same images, classifier by classifier: the accuracies, how\n"
        "much better B is (in points of a hundred) with the 95 % interval of the difference, how\n"
        "many images only one of them gets right, and p, the chance of a difference so large\n"
        "between models that are equally good. Pairing sees what two accuracies do not: most\n"
        "images are right or wrong for both. Interval: Newcombe's method 10 for paired\n"
        "proportions (1998); p: McNemar's mid-p (Fagerland et al. 2013). Both speak of these\n"
        "images, not of another training by another seed: for that see `autodidact study`.",
        rows,
        2,
        2};
    const char *positional[POSITIONAL_MAX];
    c->wish.split = "test";
    int rc = options_parse(&line, argc, argv, positional, e);
    if (rc != 0) return rc;
    c->paths[0] = positional[0];
    c->paths[1] = positional[1];
    if (c->data == NULL) {
        return err_set(e, ERR_USAGE, "--data is missing: usage: %s %s", line.program, line.usage);
    }
    rc = selection_check(&c->wish, line.usage, e);
    return rc == 0 ? tool_plan_parse(&c->plan, e) : rc;
}

static int open_side(struct comparison *c, int which, struct err *e)
{
    struct side *s = &c->sides[which];
    int rc = model_load(c->command.paths[which], &s->model, e);
    if (rc < 0) return rc;
    if (c->set == NULL)
        rc = selection_open(&c->command.wish, c->command.data, s->model, &c->set, e);
    if (rc < 0) return rc;
    rc = selection_check_classes(s->model, c->set, e);
    if (rc == 0) rc = selection_choose(&c->command.wish, s->model, c->set, &s->selection, e);
    if (rc < 0) err_prefix(e, "%s", c->command.paths[which]);
    return rc;
}

static int compute_side(struct comparison *c, int which, struct err *e)
{
    struct side *s = &c->sides[which];
    const struct selection *images = &c->sides[0].selection;
    struct plan *plan =
        tool_plan_new(s->model->net, s->model->params, &c->command.plan, EVALUATE_BATCH, e);
    if (plan == NULL) return e->code;
    struct bar bar;
    const struct evaluate_watch *watch = bar_begin(&bar, c->command.paths[which], true);
    int rc = evaluate_logits(plan, s->model->training.untrained, c->set, images->indices, images->n,
                             &s->model->preprocess, c->pool, watch, &s->logits, e);
    bar_end(&bar);
    if (rc < 0) err_prefix(e, "%s", c->command.paths[which]);
    plan_free(plan);
    return rc;
}

static bool has_learned(const struct side *s, int exit)
{
    return (s->model->training.untrained >> exit & 1) == 0;
}

static void judge(struct comparison *c, int a, int b)
{
    const struct logits *la = &c->sides[0].logits, *lb = &c->sides[1].logits;
    struct pair *p = &c->pairs[c->n_pairs++];
    *p = (struct pair){.classifiers = {a, b}, .counts = paired_count(la, a, lb, b)};
    const double n = (double)la->n;
    p->top1[0] = (double)(p->counts.both + p->counts.only_a) / n;
    p->top1[1] = (double)(p->counts.both + p->counts.only_b) / n;
    p->result = paired_judge(&p->counts);
}

static void judge_all(struct comparison *c)
{
    const int exits_a = c->sides[0].logits.n_exits, exits_b = c->sides[1].logits.n_exits;
    if (exits_a == exits_b) {
        for (int i = 0; i + 1 < exits_a; i++) {
            if (has_learned(&c->sides[0], i) && has_learned(&c->sides[1], i)) judge(c, i, i);
        }
    }
    judge(c, exits_a - 1, exits_b - 1);
    judge(c, MODEL_ENSEMBLE, MODEL_ENSEMBLE);
}

/* "3", or "4|3" where the numbers differ. */
static const char *name_pair(const struct pair *p, char text[24])
{
    const char *a = model_classifier_name(p->classifiers[0]),
               *b = model_classifier_name(p->classifiers[1]);
    snprintf(text, 24, p->classifiers[0] == p->classifiers[1] ? "%s" : "%s|%s", a, b);
    return text;
}

static int print_json(const struct comparison *c, struct err *e)
{
    struct tool_json json;
    struct json_writer *w = tool_json_begin(&json);
    json_write_int(w, "n", (int64_t)c->sides[0].logits.n);
    json_write_open(w, "models", '[');
    for (int i = 0; i < 2; i++) {
        json_write_open(w, NULL, '{');
        json_write_string(w, "file", c->command.paths[i]);
        json_write_string(w, "name", c->sides[i].model->name);
        json_write_string(w, "sha256", c->sides[i].model->sha256);
        json_write_close(w, '}');
    }
    json_write_close(w, ']');
    json_write_open(w, "classifiers", '[');
    for (int i = 0; i < c->n_pairs; i++) {
        const struct pair *p = &c->pairs[i];
        char name[24];
        json_write_open(w, NULL, '{');
        json_write_string(w, "name", name_pair(p, name));
        json_write_open(w, "top1", '[');
        json_write_rounded(w, NULL, p->top1[0], TOOL_DIGITS);
        json_write_rounded(w, NULL, p->top1[1], TOOL_DIGITS);
        json_write_close(w, ']');
        json_write_rounded(w, "difference", p->result.difference, TOOL_DIGITS);
        json_write_rounded(w, "low", p->result.low, TOOL_DIGITS);
        json_write_rounded(w, "high", p->result.high, TOOL_DIGITS);
        json_write_rounded(w, "p", p->result.p, TOOL_DIGITS);
        json_write_int(w, "both", (int64_t)p->counts.both);
        json_write_int(w, "only_a", (int64_t)p->counts.only_a);
        json_write_int(w, "only_b", (int64_t)p->counts.only_b);
        json_write_int(w, "neither", (int64_t)p->counts.neither);
        json_write_close(w, '}');
    }
    json_write_close(w, ']');
    return tool_json_print(&json, e);
}

static void print_table(const struct comparison *c)
{
    printf("A: %s\nB: %s\n%zu images of %s\n\n", c->command.paths[0], c->command.paths[1],
           c->sides[0].logits.n, c->command.wish.split);
    printf("%-12s %8s %8s %7s %17s %8s %8s %9s\n", "classifier", "A top-1", "B top-1", "B - A",
           "95 % interval", "only A", "only B", "p");
    for (int i = 0; i < c->n_pairs; i++) {
        const struct pair *p = &c->pairs[i];
        const struct paired_result *r = &p->result;
        char name[24], p_text[16];
        snprintf(p_text, sizeof(p_text), r->p < 0.0001 ? "< 0.0001" : "%.4f", r->p);
        printf("%-12s %8.4f %8.4f %+7.2f %8.2f..%+7.2f %8zu %8zu %9s%s\n", name_pair(p, name),
               p->top1[0], p->top1[1], 100 * r->difference, 100 * r->low, 100 * r->high,
               p->counts.only_a, p->counts.only_b, p_text,
               r->low > 0    ? "  B is better"
               : r->high < 0 ? "  A is better"
                             : "");
    }
}

int tool_compare(int argc, char **argv, struct err *e)
{
    struct comparison c = {.n_pairs = 0};
    unsigned threads = 1;
    int rc = parse(argc, argv, &c.command, e);
    if (rc != 0) return rc;
    rc = tool_threads(c.command.threads, &threads, e);
    if (rc == 0) rc = open_side(&c, 0, e);
    if (rc == 0) rc = open_side(&c, 1, e);
    if (rc == 0) rc = selection_meet(&c.sides[0].selection, &c.sides[1].selection, e);
    if (rc == 0) {
        c.pool = pool_new(threads);
        if (c.pool == NULL) rc = err_set(e, -EAGAIN, "cannot start %u threads", threads);
    }
    for (int i = 0; i < 2 && rc == 0; i++) rc = compute_side(&c, i, e);
    if (rc == 0) {
        judge_all(&c);
        if (c.command.json)
            rc = print_json(&c, e);
        else
            print_table(&c);
    }
    pool_free(c.pool);
    dataset_free(c.set);
    selection_close(&c.command.wish);
    for (int i = 0; i < 2; i++) {
        logits_release(&c.sides[i].logits);
        selection_release(&c.sides[i].selection);
        model_free(c.sides[i].model);
    }
    return rc;
}
