/* `autodidact eval`: figures of every classifier of a model on a part of a data set.
 *
 * nll and ece are those of the calibrated answers, at the temperatures that the model carries (1
 * where it has none). Images and labels must be of the model's classes, in their order. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "data/dataset.h"
#include "data/split.h"
#include "options.h"
#include "tool.h"
#include "train/evaluate.h"

struct command {
    const char *model, *data, *split, *predictions;
    int64_t threads;
    struct holdout holdout;
    struct tool_plan plan;
    bool json, holdout_given, seed_given;
};

static int parse(int argc, char **argv, struct command *c, struct err *e)
{
    *c = (struct command){.plan = TOOL_PLAN_DEFAULT};
    const struct option_row rows[] = {
        {"data", OPTION_STRING, "KIND:DIR", &c->data, NULL,
         "the images: cifar100:DIR, cifar10:DIR or folder:DIR (required)"},
        {"split", OPTION_STRING, "NAME", &c->split, NULL, "train, holdout or test (required)"},
        {"holdout", OPTION_INT, "N", &c->holdout.images, &c->holdout_given,
         "so many held-out images instead of the model's own choice, to judge two models alike"},
        {"holdout-seed", OPTION_SEED, "N", &c->holdout.seed, &c->seed_given,
         "of that choice; goes with --holdout (0)"},
        {"predictions", OPTION_STRING, "FILE", &c->predictions, NULL,
         "also write CSV: index,label, and of each classifier its class and its margin"},
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
        "after calibration. holdout are the images that were held out when the model was\n"
        "trained, train the others. The margin in the predictions is the distance between the\n"
        "two best logits; index is the image's number in its file, from 0.",
        rows,
        1,
        1};
    const char *positional[POSITIONAL_MAX];
    int rc = options_parse(&line, argc, argv, positional, e);
    if (rc != 0) return rc;
    c->model = positional[0];
    if (c->data == NULL || c->split == NULL) {
        return err_set(e, ERR_USAGE, "--%s is missing: usage: %s %s",
                       c->data == NULL ? "data" : "split", line.program, line.usage);
    }
    if (strcmp(c->split, "train") != 0 && strcmp(c->split, "holdout") != 0 &&
        strcmp(c->split, "test") != 0) {
        return err_set(e, ERR_USAGE, "--split %s: it takes train, holdout or test", c->split);
    }
    if (c->seed_given && !c->holdout_given) {
        return err_set(e, ERR_USAGE, "--holdout-seed goes with --holdout");
    }
    if (c->holdout_given && (c->holdout.images < 1 || strcmp(c->split, "test") == 0)) {
        return err_set(
            e, ERR_USAGE,
            "--holdout %lld: it takes a whole number from 1, with --split holdout or train",
            (long long)c->holdout.images);
    }
    return tool_plan_parse(&c->plan, e);
}

/* The classes must mean the same, or the figures mean nothing. */
static int check_classes(const struct model *model, const struct dataset *set, struct err *e)
{
    int classes = net_classes(model->net);
    if (dataset_classes(set) != classes) {
        return err_set(e, ERR_CONFLICT, "the model has %d classes, the data set %d", classes,
                       dataset_classes(set));
    }
    for (int i = 0; i < classes; i++) {
        if (strcmp(model->labels[i], dataset_label(set, i)) == 0) continue;
        return err_set(e, ERR_CONFLICT,
                       "class %d is \"%.80s\" in the model and \"%.80s\" in the data set", i,
                       model->labels[i], dataset_label(set, i));
    }
    return 0;
}

/* The images of --split: indices into the set, or NULL for all. ret_split: to release. */
static int choose(const struct command *c, const struct model *model, const struct dataset *set,
                  struct split *ret_split, const uint32_t **ret_indices, size_t *ret_n,
                  struct err *e)
{
    const struct training *t = &model->training;
    bool same_data = c->holdout_given || tool_same_data(model, set);
    const struct holdout h = c->holdout_given ? c->holdout : t->recipe.holdout;
    *ret_indices = NULL;
    *ret_n = dataset_count(set);
    if (strcmp(c->split, "test") == 0) return 0;
    bool holdout = strcmp(c->split, "holdout") == 0;
    if (holdout && (!same_data || h.images == 0)) {
        return err_set(e, ERR_NOT_FOUND, "--split holdout: %s",
                       same_data ? "nothing was held out when the model was trained"
                                 : "the model was trained on other data");
    }
    if (!same_data || h.images == 0) return 0;
    int rc = split_make(set, (size_t)h.images, h.seed, ret_split, e);
    if (rc < 0) return rc;
    *ret_indices = holdout ? ret_split->holdout : ret_split->train;
    *ret_n = holdout ? ret_split->n_holdout : ret_split->n_train;
    return 0;
}

static int write_predictions(const char *path, const struct logits *l, const uint32_t *indices,
                             struct err *e)
{
    FILE *f = fopen(path, "we");
    if (f == NULL) return err_set(e, -errno, "--predictions %s: %s", path, err_text(-errno));
    fprintf(f, "index,label");
    for (int c = 0; c <= l->n_exits; c++) {
        if ((l->untrained >> c & 1) != 0) continue;
        const char *name = model_classifier_name(c < l->n_exits ? c : MODEL_ENSEMBLE);
        fprintf(f, ",%s,%s_margin", name, name);
    }
    fprintf(f, "\n");
    for (size_t i = 0; i < l->n; i++) {
        fprintf(f, "%zu,%d", indices != NULL ? indices[i] : i, (int)l->labels[i]);
        for (int c = 0; c <= l->n_exits; c++) {
            if ((l->untrained >> c & 1) != 0) continue;
            const float *z =
                logits_of(l, c < l->n_exits ? c : MODEL_ENSEMBLE) + i * (size_t)l->classes;
            float margin;
            int best = logits_best(z, l->classes, &margin);
            fprintf(f, ",%d,%.9g", best, (double)margin);
        }
        fprintf(f, "\n");
    }
    bool failed = ferror(f) != 0;
    if (fclose(f) != 0 || failed) {
        return err_set(e, errno != 0 ? -errno : -EIO, "--predictions %s: cannot write all of it",
                       path);
    }
    return 0;
}

/* A classifier's figures on the images. */
struct row {
    int classifier;
    bool learned;          /* else there are none */
    const double *weights; /* of a running ensemble */
    struct training_figures figures;
    double balanced;
};

/* All classifiers: the exits, the ensemble, the running ensembles. */
struct table {
    struct row rows[2 * SPEC_SECTIONS_MAX + 1];
    int n;
    struct class_count *counts; /* [classes], of the deepest */
};

static int add_row(struct table *t, const struct model *model, struct logits *l, int classifier,
                   struct err *e)
{
    const struct calibration *k = &model->calibration;
    struct row *row = &t->rows[t->n++];
    *row = (struct row){.classifier = classifier, .learned = true};
    if (classifier >= 0 && classifier < l->n_exits && (l->untrained >> classifier & 1) != 0) {
        row->learned = false;
        return 0;
    }
    if (classifier >= MODEL_RUNNING(0)) {
        int last = classifier - MODEL_RUNNING(0);
        row->weights = k->running[last].weights;
        int rc = logits_blend(l, row->weights, last, e);
        if (rc < 0) return rc;
    }
    row->figures = evaluate_figures(l, classifier, model_temperature(model, classifier));
    evaluate_classes(l, classifier, t->counts);
    row->balanced = evaluate_balanced(t->counts, l->classes);
    return 0;
}

static int fill_table(struct table *t, const struct model *model, struct logits *l, struct err *e)
{
    int rc = 0;
    *t = (struct table){.counts = mem_new((size_t)l->classes, sizeof(*t->counts))};
    if (t->counts == NULL) return err_set(e, -ENOMEM, "out of memory for %d classes", l->classes);
    for (int i = 0; i < l->n_exits && rc == 0; i++) rc = add_row(t, model, l, i, e);
    if (rc == 0) rc = add_row(t, model, l, MODEL_ENSEMBLE, e);
    for (int i = 0; i < l->n_exits && rc == 0; i++) {
        if (model->calibration.running[i].present) rc = add_row(t, model, l, MODEL_RUNNING(i), e);
    }
    if (rc == 0) evaluate_classes(l, l->n_exits - 1, t->counts);
    return rc;
}

static void write_row(struct json_writer *w, const char *key, const struct row *row)
{
    const struct training_figures *f = &row->figures;
    json_write_open(w, key, '{');
    if (key == NULL) json_write_string(w, "name", model_classifier_name(row->classifier));
    if (row->classifier >= 0 && row->classifier < SPEC_SECTIONS_MAX)
        json_write_bool(w, "learned", row->learned);
    if (row->learned) {
        json_write_rounded(w, "top1", f->top1, TOOL_DIGITS);
        json_write_rounded(w, "balanced", row->balanced, TOOL_DIGITS);
        json_write_rounded(w, "top5", f->top5, TOOL_DIGITS);
        json_write_rounded(w, "nll", f->nll, TOOL_DIGITS);
        json_write_rounded(w, "ece", f->ece, TOOL_DIGITS);
    }
    if (row->weights != NULL) {
        json_write_open(w, "weights", '[');
        for (int i = 0; i <= row->classifier - MODEL_RUNNING(0); i++)
            json_write_rounded(w, NULL, row->weights[i], TOOL_DIGITS);
        json_write_close(w, ']');
    }
    json_write_close(w, '}');
}

static int print_json(const struct table *t, const struct logits *l, struct err *e)
{
    struct tool_json json;
    struct json_writer *w = tool_json_begin(&json);
    json_write_int(w, "n", (int64_t)l->n);
    json_write_open(w, "exits", '[');
    for (int i = 0; i < l->n_exits; i++) write_row(w, NULL, &t->rows[i]);
    json_write_close(w, ']');
    write_row(w, "ensemble", &t->rows[l->n_exits]);
    json_write_open(w, "running", '[');
    for (int i = l->n_exits + 1; i < t->n; i++) write_row(w, NULL, &t->rows[i]);
    json_write_close(w, ']');
    return tool_json_print(&json, e);
}

static void print_table(const struct table *t)
{
    printf("%-12s %8s %8s %8s %8s %8s\n", "classifier", "top-1", "balanced", "top-5", "nll", "ece");
    for (int i = 0; i < t->n; i++) {
        const struct row *row = &t->rows[i];
        const struct training_figures *f = &row->figures;
        printf("%-12s", model_classifier_name(row->classifier));
        if (row->learned)
            printf(" %8.4f %8.4f %8.4f %8.4f %8.4f\n", f->top1, row->balanced, f->top5, f->nll,
                   f->ece);
        else
            printf(" has not learned\n");
    }
}

static int print_figures(const struct command *c, const struct model *model, struct logits *l,
                         struct err *e)
{
    struct table t;
    int rc = fill_table(&t, model, l, e);
    if (rc == 0 && c->json) rc = print_json(&t, l, e);
    if (rc == 0 && !c->json) {
        printf("%s, %zu images of %s\n\n", model->name, l->n, c->split);
        print_table(&t);
    }
    mem_free(t.counts);
    return rc;
}

int tool_eval(int argc, char **argv, struct err *e)
{
    struct command c;
    struct model *model = NULL;
    struct dataset *set = NULL;
    struct split split = {0};
    struct pool *pool = NULL;
    struct plan *plan = NULL;
    struct logits logits = {0};
    const uint32_t *indices;
    size_t n;
    unsigned threads = 1;
    int rc = parse(argc, argv, &c, e);
    if (rc != 0) return rc;
    rc = tool_threads(c.threads, &threads, e);
    if (rc == 0) rc = model_load(c.model, &model, e);
    if (rc == 0)
        rc = dataset_open(c.data, strcmp(c.split, "test") == 0 ? DATA_TEST : DATA_TRAIN, &set, e);
    if (rc == 0) rc = check_classes(model, set, e);
    if (rc == 0) rc = choose(&c, model, set, &split, &indices, &n, e);
    if (rc == 0) {
        pool = pool_new(threads);
        if (pool == NULL) rc = err_set(e, -EAGAIN, "cannot start %u threads", threads);
    }
    if (rc == 0) plan = tool_plan_new(model->net, model->params, &c.plan, EVALUATE_BATCH, e);
    if (rc == 0 && plan == NULL) rc = e->code;
    if (rc == 0)
        rc = evaluate_logits(plan, model->training.untrained, set, indices, n, &model->preprocess,
                             pool, &logits, e);
    if (rc == ERR_DIVERGED)
        err_prefix(e, "%s computes no figures: a training diverged, or its file is damaged",
                   c.model);
    if (rc == 0 && c.predictions != NULL)
        rc = write_predictions(c.predictions, &logits, indices, e);
    if (rc == 0) rc = print_figures(&c, model, &logits, e);
    logits_release(&logits);
    plan_free(plan);
    pool_free(pool);
    split_release(&split);
    dataset_free(set);
    model_free(model);
    return rc;
}
