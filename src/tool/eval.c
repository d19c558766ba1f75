/* `autodidact eval`: figures of every classifier of a model on a part of a data set.
 *
 * nll and ece are those of the calibrated answers, at the temperatures that the model carries (1
 * where it has none). Images and labels must be of the model's classes, in their order. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bar.h"
#include "eval_figures.h"
#include "eval_files.h"
#include "eval_policy.h"
#include "options.h"
#include "selection.h"
#include "tool.h"
#include "train/evaluate.h"

struct command {
    const char *model, *data, *predictions, *logits, *confusion, *confusion_of;
    int64_t threads;
    struct selection_wish wish;
    struct tool_plan plan;
    bool json, policy, per_class;
};

/* Everything that is open meanwhile. */
struct evaluation {
    struct command command;
    struct model *model;
    struct dataset *set;
    struct selection selection;
    struct pool *pool;
    struct plan *plan;
    struct logits logits;
    struct eval_figures figures;
    struct eval_policy policy;
    int confusion_of; /* the classifier */
};

static int parse(int argc, char **argv, struct command *c, struct err *e)
{
    *c = (struct command){.plan = TOOL_PLAN_DEFAULT, .confusion_of = "deepest"};
    const struct option_row rows[] = {
        {"data", OPTION_STRING, "KIND:DIR", &c->data, NULL,
         "the images: cifar100:DIR, cifar10:DIR or folder:DIR (required)"},
        selection_option(&c->wish, SELECTION_SPLIT, "train, holdout or test (required)"),
        selection_option(&c->wish, SELECTION_HOLDOUT_OF, NULL),
        {NULL, 0, NULL, NULL, NULL, "More figures:"},
        {"per-class", OPTION_FLAG, NULL, &c->per_class, NULL,
         "of each class, how many of its images each classifier gets right"},
        {"policy", OPTION_FLAG, NULL, &c->policy, NULL,
         "of answers by confidence: accuracy, mean cost in multiply-accumulates and in\n"
         "milliseconds (of one image alone, by one thread), and the share that each exit answers;\n"
         "by the model's thresholds, and for the whole range of SLA-Min-Confidence"},
        {NULL, 0, NULL, NULL, NULL, "Files:"},
        {"confusion", OPTION_STRING, "FILE.csv", &c->confusion, NULL,
         "how many images of each label (lines) a classifier puts into each class (columns)"},
        {"confusion-of", OPTION_STRING, "NAME", &c->confusion_of, NULL,
         "the classifier: 1, 2 .., deepest or ensemble (deepest)"},
        {"logits", OPTION_STRING, "FILE.npy", &c->logits, NULL,
         "all logits for NumPy, float32 [images][classifiers][classes], the ensemble last; and\n"
         "FILE.labels.npy, int32 [images]"},
        {"predictions", OPTION_STRING, "FILE.csv", &c->predictions, NULL,
         "index,label, and of each classifier its class and its margin (empty where it has "
         "not\nlearned)"},
        {NULL, 0, NULL, NULL, NULL, "How:"},
        {"threads", OPTION_INT, "N", &c->threads, NULL, "(0: all processors)"},
        {"precision", OPTION_STRING, "P", &c->plan.precision, NULL, TOOL_PRECISION_HELP},
        {"algorithm", OPTION_STRING, "A", &c->plan.algorithm, NULL, TOOL_ALGORITHM_HELP},
        {"json", OPTION_FLAG, NULL, &c->json, NULL, "figures as one JSON object"},
        {NULL, 0, NULL, NULL, NULL, NULL},
    };
    const struct command_line line = {
        "autodidact eval",
        "MODEL --data KIND:DIR --split train|holdout|test [OPTION]...",
        "Prints of every classifier (1 to the deepest, and the ensemble) the share of images\n"
        "that it classifies right (top1), with the class among the best five (top5), the mean\n"
        "negative log likelihood (nll) and the expected calibration error in 15 bins (ece), both\n"
        "after calibration, and how well confidence tells right from wrong (auroc: 0.5 not at "
        "all,\n"
        "1 always). holdout are the images that were held out when the model was\n"
        "trained, train the others. The margin in the predictions is the distance between the\n"
        "two best logits; index is the image's number in its file, from 0. The order of images\n"
        "is the same in all files.",
        rows,
        1,
        1};
    const char *positional[POSITIONAL_MAX];
    int rc = options_parse(&line, argc, argv, positional, e);
    if (rc != 0) return rc;
    c->model = positional[0];
    if (c->data == NULL) {
        return err_set(e, ERR_USAGE, "--data is missing: usage: %s %s", line.program, line.usage);
    }
    rc = selection_check(&c->wish, "autodidact eval MODEL --data KIND:DIR --split NAME", e);
    if (rc == 0 && c->logits != NULL) rc = eval_check_logits_name(c->logits, e);
    return rc == 0 ? tool_plan_parse(&c->plan, e) : rc;
}

/* The classifier of --confusion-of. */
static int find_classifier(struct evaluation *v, struct err *e)
{
    const char *name = v->command.confusion_of;
    const int exits = net_sections(v->model->net);
    for (int i = MODEL_ENSEMBLE; i < exits; i++) {
        bool deepest = i == exits - 1 && strcmp(name, "deepest") == 0;
        if (!deepest && strcmp(name, model_classifier_name(i)) != 0) continue;
        v->confusion_of = i;
        if (i < 0 || (v->model->training.untrained >> i & 1) == 0) return 0;
        return err_set(e, ERR_CONFLICT, "--confusion-of %s: it has not learned", name);
    }
    return err_set(e, ERR_USAGE, "--confusion-of %s: it takes 1 to %d, deepest or ensemble", name,
                   exits);
}

static int open_all(struct evaluation *v, struct err *e)
{
    struct command *c = &v->command;
    unsigned threads = 1;
    int rc = tool_threads(c->threads, &threads, e);
    if (rc == 0) rc = model_load(c->model, &v->model, e);
    if (rc == 0) rc = find_classifier(v, e);
    if (rc == 0) rc = selection_open(&c->wish, c->data, v->model, &v->set, e);
    if (rc == 0) rc = selection_check_classes(v->model, v->set, e);
    if (rc == 0) rc = selection_choose(&c->wish, v->model, v->set, &v->selection, e);
    if (rc < 0) return rc;
    v->pool = pool_new(threads);
    if (v->pool == NULL) return err_set(e, -EAGAIN, "cannot start %u threads", threads);
    v->plan = tool_plan_new(v->model->net, v->model->params, &c->plan, EVALUATE_BATCH, e);
    return v->plan != NULL ? 0 : e->code;
}

static int compute(struct evaluation *v, struct err *e)
{
    const struct command *c = &v->command;
    const struct selection *s = &v->selection;
    struct bar bar;
    const struct evaluate_watch *watch = bar_begin(&bar, c->model, true);
    int rc = evaluate_logits(v->plan, v->model->training.untrained, v->set, s->indices, s->n,
                             &v->model->preprocess, v->pool, watch, &v->logits, e);
    bar_end(&bar);
    if (rc == ERR_DIVERGED)
        err_prefix(e, "%s computes no figures: a training diverged, or its file is damaged",
                   c->model);
    if (rc == 0) rc = eval_figures_make(v->model, &v->logits, &v->figures, e);
    if (rc == 0 && c->policy) rc = eval_policy_make(v->model, v->plan, &v->logits, &v->policy, e);
    return rc;
}

static int write_files(struct evaluation *v, struct err *e)
{
    const struct command *c = &v->command;
    int rc = 0;
    if (c->predictions != NULL)
        rc = eval_write_predictions(c->predictions, &v->logits, v->selection.indices, e);
    if (rc == 0 && c->logits != NULL) rc = eval_write_logits(c->logits, &v->logits, e);
    if (rc == 0 && c->confusion != NULL)
        rc = eval_write_confusion(c->confusion, &v->logits, v->confusion_of, v->model->labels, e);
    return rc;
}

static int print(const struct evaluation *v, struct err *e)
{
    const struct command *c = &v->command;
    if (c->json) {
        struct tool_json json;
        struct json_writer *w = tool_json_begin(&json);
        json_write_int(w, "n", (int64_t)v->logits.n);
        eval_figures_write(w, &v->figures);
        if (c->per_class) eval_figures_write_classes(w, &v->figures);
        if (c->policy) eval_policy_write(w, &v->policy);
        return tool_json_print(&json, e);
    }
    printf("%s, %zu images of %s\n\n", v->model->name, v->logits.n, c->wish.split);
    eval_figures_print(&v->figures);
    if (c->per_class) eval_figures_print_classes(&v->figures);
    if (c->policy) eval_policy_print(&v->policy);
    return 0;
}

int tool_eval(int argc, char **argv, struct err *e)
{
    struct evaluation v = {.confusion_of = 0};
    int rc = parse(argc, argv, &v.command, e);
    if (rc != 0) return rc;
    rc = open_all(&v, e);
    if (rc == 0) rc = compute(&v, e);
    if (rc == 0) rc = write_files(&v, e);
    if (rc == 0) rc = print(&v, e);
    eval_figures_release(&v.figures);
    logits_release(&v.logits);
    plan_free(v.plan);
    pool_free(v.pool);
    selection_release(&v.selection);
    selection_close(&v.command.wish);
    dataset_free(v.set);
    model_free(v.model);
    return rc;
}
