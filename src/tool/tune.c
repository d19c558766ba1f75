/* `autodidact tune`: when answers may stop early, decided on held-out images and written into a
 * copy of the model. The logits are computed once; rules are judged from them in a moment. Weights,
 * temperatures and everything else of the file stay as they are. */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "bar.h"
#include "base/file.h"
#include "cost.h"
#include "options.h"
#include "selection.h"
#include "tool.h"
#include "train/calibrate.h"
#include "train/risk.h"
#include "train/tune.h"
#include "tune_curve.h"

struct command {
    const char *model, *data, *out, *max_loss, *rule, *curve, *picture;
    double sure, target_cost;
    int64_t threads;
    struct selection_wish wish;
    struct tool_plan plan;
    bool json, force, cost_given, thresholds; /* --target-cost; they are to be sought */
    double losses[MODEL_LEVELS_MAX];
    int n_losses;
};

struct tuning {
    struct command command;
    struct model *model;
    struct dataset *set;
    struct selection selection;
    struct pool *pool;
    struct plan *plan;
    struct logits logits;
    struct early *early;
    struct tune_judge judge;
    struct tune_result thresholds; /* of exits, when they were sought */
    bool has_thresholds;
    double deepest_macs;
};

/* --- the command ------------------------------------------------------------------------------ */

static int parse_losses(struct command *c, struct err *e)
{
    const char *at = c->max_loss;
    for (;;) {
        char *end;
        const double value = strtod(at, &end);
        const bool is_one = end != at && value >= 0 && value <= 1;
        const bool rises = c->n_losses == 0 || value > c->losses[c->n_losses - 1];
        if (!is_one || !rises || c->n_losses == MODEL_LEVELS_MAX || (*end != ',' && *end != '\0'))
            return err_set(e, ERR_USAGE,
                           "--max-loss %s: it takes up to %d numbers from 0 to 1 that rise, like "
                           "0.005,0.01",
                           c->max_loss, MODEL_LEVELS_MAX);
        c->losses[c->n_losses++] = value;
        if (*end == '\0') return 0;
        at = end + 1;
    }
}

static int check_out(struct command *c, struct err *e)
{
    const char *const files[] = {c->curve, c->picture}, *const options[] = {"curve", "picture"};
    int rc = 0;
    for (int i = 0; i < 2 && rc == 0; i++) {
        if (files[i] != NULL) rc = tool_check_output(options[i], files[i], c->model, e);
    }
    if (rc < 0) return rc;
    if (c->out == NULL && !c->force)
        return err_set(e, ERR_USAGE,
                       "--out is missing; --force without it changes the model itself");
    if (c->out == NULL) c->out = c->model;
    if (!c->force && file_exists(c->out))
        return err_set(e, ERR_CONFLICT,
                       "--out %s: the file is there: --force overwrites it, or name another one",
                       c->out);
    return 0;
}

static int check(struct command *c, struct err *e)
{
    const bool both = c->max_loss == NULL && !c->cost_given;
    if (c->data == NULL) return err_set(e, ERR_USAGE, "--data is missing");
    if (!(c->sure >= 0.5 && c->sure < 1))
        return err_set(e, ERR_USAGE, "--sure %g: it takes a number from 0.5 to below 1", c->sure);
    if (c->cost_given && !(c->target_cost > 0))
        return err_set(e, ERR_USAGE, "--target-cost %g: it takes a share above 0", c->target_cost);
    if (strcmp(c->rule, "search") != 0 && strcmp(c->rule, "budget") != 0)
        return err_set(e, ERR_USAGE, "--rule %s: it takes search or budget", c->rule);
    if (strcmp(c->rule, "budget") == 0 && !c->cost_given)
        return err_set(e, ERR_USAGE, "--rule budget goes with --target-cost");
    c->thresholds = both || c->cost_given;
    if (both) c->max_loss = "0,0.005,0.01,0.02,0.05";
    int rc = c->max_loss != NULL ? parse_losses(c, e) : 0;
    if (rc == 0) rc = check_out(c, e);
    return rc == 0 ? tool_plan_parse(&c->plan, e) : rc;
}

static int parse(int argc, char **argv, struct command *c, struct err *e)
{
    *c = (struct command){
        .plan = TOOL_PLAN_DEFAULT, .sure = 0.95, .rule = "search", .wish = {.split = "holdout"}};
    const struct option_row rows[] = {
        {"data", OPTION_STRING, "KIND:DIR", &c->data, NULL,
         "the images it was trained on, of which those that were held out count: cifar100:DIR,\n"
         "cifar10:DIR or folder:DIR (required)"},
        {"out", OPTION_STRING, "FILE", &c->out, NULL, "the model with its new thresholds"},
        {"force", OPTION_FLAG, NULL, &c->force, NULL,
         "overwrite what is there; without --out the model itself"},
        {NULL, 0, NULL, NULL, NULL, "Promises (SLA-Max-Loss):"},
        {"max-loss", OPTION_STRING, "X,X..", &c->max_loss, NULL,
         "levels: least confidences by which answers are at most X less often right than the best\n"
         "classifier (0,0.005,0.01,0.02,0.05)"},
        {"sure", OPTION_REAL, "P", &c->sure, NULL, "..with this confidence (0.95)"},
        {NULL, 0, NULL, NULL, NULL, "Thresholds (SLA-Classifier: auto):"},
        {"target-cost", OPTION_REAL, "Y", &c->target_cost, &c->cost_given,
         "the best for a mean cost of at most Y of what the deepest classifier takes, counted in\n"
         "multiply-accumulates (without: the cheapest that lose at most 0.01 on these images)"},
        {"rule", OPTION_STRING, "R", &c->rule, NULL,
         "search: all combinations of quantiles; budget: shares in a fixed ratio, without a look\n"
         "at the labels (search)"},
        {NULL, 0, NULL, NULL, NULL, "Files:"},
        {"curve", OPTION_STRING, "FILE.csv", &c->curve, NULL,
         "accuracy, cost and loss of every least confidence"},
        {"picture", OPTION_STRING, "FILE.svg", &c->picture, NULL, "the same as a picture"},
        {NULL, 0, NULL, NULL, NULL, "How:"},
        {"threads", OPTION_INT, "N", &c->threads, NULL, "(0: all processors)"},
        {"precision", OPTION_STRING, "P", &c->plan.precision, NULL, TOOL_PRECISION_HELP},
        {"algorithm", OPTION_STRING, "A", &c->plan.algorithm, NULL, TOOL_ALGORITHM_HELP},
        {"json", OPTION_FLAG, NULL, &c->json, NULL, "figures as one JSON object"},
        {NULL, 0, NULL, NULL, NULL, NULL},
    };
    const struct command_line line = {
        "autodidact tune",
        "MODEL --data KIND:DIR --out FILE [OPTION]...",
        "Decides on the held-out images when answers may stop early, and writes it into a copy of\n"
        "the model: levels for SLA-Max-Loss, thresholds for SLA-Classifier: auto; of the two what\n"
        "is asked for by an option, or both. Weights stay as they are. doc/tuning.md has the\n"
        "methods and what they promise.",
        rows,
        1,
        1};
    const char *positional[POSITIONAL_MAX];
    int rc = options_parse(&line, argc, argv, positional, e);
    if (rc != 0) return rc;
    c->model = positional[0];
    return check(c, e);
}

/* --- tuning ----------------------------------------------------------------------------------- */

static int open_all(struct tuning *t, struct err *e)
{
    struct command *c = &t->command;
    unsigned threads = 1;
    int rc = tool_threads(c->threads, &threads, e);
    if (rc == 0) rc = model_load(c->model, &t->model, e);
    if (rc == 0) rc = selection_open(&c->wish, c->data, t->model, &t->set, e);
    if (rc == 0) rc = selection_check_classes(t->model, t->set, e);
    if (rc == 0) rc = selection_choose(&c->wish, t->model, t->set, &t->selection, e);
    if (rc < 0) return rc;
    t->pool = pool_new(threads);
    if (t->pool == NULL) return err_set(e, -EAGAIN, "cannot start %u threads", threads);
    t->plan = tool_plan_new(t->model->net, t->model->params, &c->plan, EVALUATE_BATCH, e);
    return t->plan != NULL ? 0 : e->code;
}

/* A model that has no calibration yet gets one: a confidence means nothing without. */
static int compute(struct tuning *t, struct err *e)
{
    const struct selection *s = &t->selection;
    struct bar bar;
    const struct evaluate_watch *watch = bar_begin(&bar, t->command.model, true);
    int rc = evaluate_logits(t->plan, t->model->training.untrained, t->set, s->indices, s->n,
                             &t->model->preprocess, t->pool, watch, &t->logits, e);
    bar_end(&bar);
    if (rc == 0 && !t->model->calibration.present)
        rc = calibrate(&t->logits, &t->model->calibration, e);
    if (rc < 0) return rc;
    t->early = answers_early(t->model, &t->logits, e);
    return t->early != NULL ? 0 : -ENOMEM;
}

static void tune_levels(struct tuning *t)
{
    const struct command *c = &t->command;
    const struct tune_judge *j = &t->judge;
    struct calibration_levels levels = {.sure = c->sure, .n_images = (int64_t)t->logits.n};
    for (; levels.n < c->n_losses; levels.n++) {
        struct calibration_level *level = &levels.at[levels.n];
        level->max_loss = c->losses[levels.n];
        level->confidence = risk_confidence(j->early, j->exits, level->max_loss, c->sure);
        level->top1 = tune_judge_confidence(j, level->confidence, &level->macs).top1;
    }
    t->model->calibration.levels = levels;
}

static int tune_thresholds(struct tuning *t, struct err *e)
{
    const struct command *c = &t->command;
    struct calibration *calibration = &t->model->calibration;
    const int deepest = t->judge.macs.n_exits - 1;
    const struct early_heads heads =
        answers_all_heads(t->model, model_answerer(calibration, deepest));
    struct tune_wish wish = {.early = t->early,
                             .exits = answers_learned(t->model),
                             .costs = &t->judge.macs,
                             .heads = &heads,
                             .cost_max = INFINITY};
    const struct early_rule all = early_rule_confidence(1u << deepest, 0);
    if (c->cost_given)
        wish.cost_max = c->target_cost * t->deepest_macs;
    else
        wish.right_min =
            (early_judge(t->early, &all).top1 - CALIBRATE_TOLERANCE) * (double)t->logits.n;
    int rc = strcmp(c->rule, "budget") == 0 ? tune_budget_rule(&wish, &t->thresholds, e)
                                            : tune_search(&wish, &t->thresholds, e);
    if (rc == ERR_RANGE)
        return err_set(e, ERR_RANGE, "--target-cost %g: the cheapest thresholds cost %.4g",
                       c->target_cost, t->thresholds.cost / t->deepest_macs);
    if (rc < 0) return rc;
    for (int i = 0; i <= deepest; i++)
        calibration->thresholds[i] = t->thresholds.rule.thresholds[i];
    calibration->has_thresholds = t->has_thresholds = true;
    return 0;
}

static int tune(struct tuning *t, struct err *e)
{
    const struct command *c = &t->command;
    const struct model *m = t->model;
    const int best = answers_best(m), deepest = net_sections(m->net) - 1;
    t->judge = (struct tune_judge){.model = m,
                                   .early = t->early,
                                   .macs = cost_macs(m->net),
                                   .heads = answers_all_heads(m, best),
                                   .exits = answers_before(m, best),
                                   .best = best,
                                   .sure = c->sure};
    t->deepest_macs = early_cost(&t->judge.macs, 1u << deepest, deepest);
    if (c->n_losses > 0) tune_levels(t);
    int rc = c->thresholds ? tune_thresholds(t, e) : 0;
    if (rc == 0)
        rc = model_write(c->out, m->stored, m->net, m->params, m->labels, &m->preprocess,
                         &m->calibration, &m->training, e);
    if (rc == 0 && c->curve != NULL) rc = tune_write_curve(c->curve, &t->judge, e);
    if (rc == 0 && c->picture != NULL) rc = tune_write_picture(c->picture, &t->judge, e);
    return rc;
}

/* --- what came of it -------------------------------------------------------------------------- */

static void write_levels(struct json_writer *w, const struct tuning *t)
{
    const struct calibration_levels *levels = &t->model->calibration.levels;
    json_write_open(w, "levels", '[');
    for (int i = 0; i < t->command.n_losses; i++) {
        const struct calibration_level *level = &levels->at[i];
        json_write_open(w, NULL, '{');
        json_write_rounded(w, "max_loss", level->max_loss, TOOL_DIGITS);
        json_write_rounded(w, "confidence", level->confidence, TOOL_DIGITS);
        json_write_rounded(w, "top1", level->top1, TOOL_DIGITS);
        json_write_rounded(w, "macs", level->macs, TOOL_DIGITS);
        json_write_close(w, '}');
    }
    json_write_close(w, ']');
}

static int print_json(const struct tuning *t, struct err *e)
{
    struct tool_json json;
    struct json_writer *w = tool_json_begin(&json);
    const int exits = t->judge.macs.n_exits;
    json_write_int(w, "images", (int64_t)t->logits.n);
    json_write_string(w, "best", model_classifier_name(t->judge.best));
    json_write_rounded(w, "sure", t->command.sure, TOOL_DIGITS);
    write_levels(w, t);
    if (t->has_thresholds) {
        json_write_open(w, "thresholds", '[');
        for (int i = 0; i < exits; i++)
            json_write_rounded(w, NULL, t->thresholds.rule.thresholds[i], TOOL_DIGITS);
        json_write_close(w, ']');
        json_write_rounded(w, "top1", t->thresholds.outcome.top1, TOOL_DIGITS);
        json_write_rounded(w, "macs", t->thresholds.cost, TOOL_DIGITS);
    }
    return tool_json_print(&json, e);
}

static void print_row(const struct tuning *t, const char *name, double confidence, double top1,
                      double macs)
{
    printf("%-12s ", name);
    if (confidence > 1)
        printf("%11s", "-");
    else
        printf("%11.4f", confidence);
    printf(" %8.4f %12.2f %9.1f%%\n", top1, 1e-6 * macs, 100 * macs / t->deepest_macs);
}

static void print(const struct tuning *t)
{
    const struct calibration_levels *levels = &t->model->calibration.levels;
    char name[32];
    printf("%s, %zu held-out images; best: %s\n\n", t->model->name, t->logits.n,
           model_classifier_name(t->judge.best));
    printf("%-12s %11s %8s %12s %10s\n", "max-loss", "confidence", "top-1", "MACs/10^6",
           "of deepest");
    for (int i = 0; i < t->command.n_losses; i++) {
        const struct calibration_level *level = &levels->at[i];
        snprintf(name, sizeof(name), "%g", level->max_loss);
        print_row(t, name, level->confidence, level->top1, level->macs);
    }
    if (!t->has_thresholds) return;
    print_row(t, "thresholds", EARLY_NEVER, t->thresholds.outcome.top1, t->thresholds.cost);
    for (int i = 0; i < t->judge.macs.n_exits; i++) {
        const double threshold = t->thresholds.rule.thresholds[i];
        snprintf(name, sizeof(name), "  exit %s", model_classifier_name(i));
        if (threshold > 1)
            printf("%-12s %11s\n", name, "never");
        else
            printf("%-12s %11.4f\n", name, threshold);
    }
}

int tool_tune(int argc, char **argv, struct err *e)
{
    struct tuning t = {.early = NULL};
    int rc = parse(argc, argv, &t.command, e);
    if (rc != 0) return rc;
    rc = open_all(&t, e);
    if (rc == 0) rc = compute(&t, e);
    if (rc == 0) rc = tune(&t, e);
    if (rc == 0 && t.command.json) rc = print_json(&t, e);
    if (rc == 0 && !t.command.json) print(&t);
    early_free(t.early);
    logits_release(&t.logits);
    plan_free(t.plan);
    pool_free(t.pool);
    selection_release(&t.selection);
    dataset_free(t.set);
    model_free(t.model);
    return rc;
}
