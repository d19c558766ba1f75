/* Answers by confidence, for people and for programs. */
#include "config.h"

#include "eval_policy.h"

#include <errno.h>
#include <stdio.h>

#include "cost.h"
#include "tool.h"

static const double never = 2; /* a confidence that no softmax reaches */

/* The heads that a classifier is made of. */
static unsigned heads_of(const struct model *model, int classifier)
{
    const int exits = net_sections(model->net);
    const unsigned learned = ((1u << exits) - 1) & ~model->training.untrained;
    unsigned heads = 0;
    if (classifier == MODEL_ENSEMBLE) return learned;
    if (classifier < exits) return 1u << classifier;
    const int last = classifier - MODEL_RUNNING(0);
    for (int i = 0; i <= last; i++) {
        if (model->calibration.running[last].weights[i] > 0) heads |= 1u << i;
    }
    return heads;
}

static bool has_learned(const struct model *model, int exit)
{
    return (model->training.untrained >> exit & 1) == 0;
}

/* The best by held-out accuracy, of equals the cheaper one; not calibrated: the deepest. */
static int best_classifier(const struct model *model)
{
    const struct calibration *c = &model->calibration;
    const int exits = net_sections(model->net);
    int best = exits - 1;
    double accuracy = -1;
    if (!c->present) return best;
    for (int i = 0; i < exits; i++) {
        if (has_learned(model, i) && c->exits[i].top1 > accuracy) {
            best = i;
            accuracy = c->exits[i].top1;
        }
        if (c->running[i].present && c->running[i].figures.top1 > accuracy) {
            best = MODEL_RUNNING(i);
            accuracy = c->running[i].figures.top1;
        }
    }
    return c->ensemble.top1 > accuracy ? MODEL_ENSEMBLE : best;
}

/* Puts a classifier into a place, blended first when it is a running ensemble. */
static int put(struct early *early, int place, const struct model *model, struct logits *logits,
               int classifier, struct err *e)
{
    int rc = 0;
    if (classifier >= MODEL_RUNNING(0)) {
        const int last = classifier - MODEL_RUNNING(0);
        rc = logits_blend(logits, model->calibration.running[last].weights, last, e);
    }
    if (rc == 0) early_put(early, place, logits, classifier, model_temperature(model, classifier));
    return rc;
}

/* Everything that a rule is judged with. */
struct judge {
    const struct model *model;
    const struct early *early;
    struct early_costs macs, ms;
};

static struct eval_policy_point judge_rule(const struct judge *j, const struct early_rule *rule,
                                           double confidence, int otherwise)
{
    struct eval_policy_point p = {.confidence = confidence};
    unsigned heads = heads_of(j->model, otherwise);
    for (int i = 0; i < j->macs.n_exits; i++) {
        if (rule->thresholds[i] <= 1)
            heads |= 1u << i | heads_of(j->model, model_answerer(&j->model->calibration, i));
    }
    p.outcome = early_judge(j->early, rule);
    p.macs = early_mean_cost(&j->macs, heads, &p.outcome);
    p.ms = early_mean_cost(&j->ms, heads, &p.outcome);
    return p;
}

/* In steps of 0.01, finer where most networks are. */
static double confidence_at(int i)
{
    static const double last[] = {0.995, 0.999, 0.9999, 1};
    return i < 100 ? i / 100.0 : last[i - 100];
}

static void judge_curve(const struct judge *j, struct eval_policy *p)
{
    const int exits = j->macs.n_exits;
    const unsigned learned = ((1u << exits) - 1) & ~j->model->training.untrained;
    for (int i = 0; i < EVAL_POLICY_POINTS; i++) {
        const struct early_rule rule = early_rule_confidence(learned, confidence_at(i));
        p->curve[i] = judge_rule(j, &rule, confidence_at(i), p->best);
    }
}

static void judge_thresholds(const struct judge *j, struct eval_policy *p)
{
    const struct calibration *c = &j->model->calibration;
    struct early_rule rule = early_rule_confidence(0, never);
    p->has_thresholds = c->present && c->has_thresholds;
    if (!p->has_thresholds) return;
    for (int i = 0; i < j->macs.n_exits; i++) {
        if (has_learned(j->model, i)) rule.thresholds[i] = c->thresholds[i];
    }
    p->thresholds = judge_rule(j, &rule, 0, j->macs.n_exits - 1);
}

static void add_fixed(const struct judge *j, const struct logits *logits, int classifier,
                      struct eval_policy *p)
{
    const unsigned heads = heads_of(j->model, classifier);
    const int last = classifier == MODEL_ENSEMBLE ? j->macs.n_exits - 1 : classifier;
    p->fixed[p->n_fixed++] =
        (struct eval_policy_fixed){.classifier = classifier,
                                   .top1 = evaluate_figures(logits, classifier, 1).top1,
                                   .macs = early_cost(&j->macs, heads, last),
                                   .ms = early_cost(&j->ms, heads, last)};
}

int eval_policy_make(const struct model *model, const struct plan *plan, struct logits *logits,
                     struct eval_policy *ret_policy, struct err *e)
{
    const int exits = net_sections(model->net);
    struct eval_policy *p = ret_policy;
    struct judge j = {.model = model, .macs = cost_macs(model->net)};
    *p = (struct eval_policy){.n_exits = exits, .best = best_classifier(model)};
    int rc = cost_ms(plan, &j.ms, e);
    if (rc < 0) return rc;
    struct early *early = early_new(logits->n, exits, e);
    if (early == NULL) return -ENOMEM;
    for (int i = 0; i < exits && rc == 0; i++) {
        if (has_learned(model, i))
            rc = put(early, i, model, logits, model_answerer(&model->calibration, i), e);
    }
    if (rc == 0) rc = put(early, exits, model, logits, p->best, e);
    if (rc == 0) {
        j.early = early;
        judge_thresholds(&j, p);
        judge_curve(&j, p);
        for (int i = 0; i < exits; i++) {
            if (has_learned(model, i)) add_fixed(&j, logits, i, p);
        }
        add_fixed(&j, logits, MODEL_ENSEMBLE, p);
    }
    early_free(early);
    return rc;
}

/* --- for programs ----------------------------------------------------------------------------- */

static void write_point(struct json_writer *w, const char *key, const struct eval_policy *p,
                        const struct eval_policy_point *point)
{
    json_write_open(w, key, '{');
    if (key == NULL) json_write_rounded(w, "confidence", point->confidence, TOOL_DIGITS);
    json_write_rounded(w, "top1", point->outcome.top1, TOOL_DIGITS);
    json_write_rounded(w, "macs", point->macs, TOOL_DIGITS);
    json_write_rounded(w, "ms", point->ms, TOOL_DIGITS);
    json_write_open(w, "share", '[');
    for (int i = 0; i < p->n_exits; i++)
        json_write_rounded(w, NULL, point->outcome.share[i], TOOL_DIGITS);
    json_write_close(w, ']');
    json_write_rounded(w, "exhausted", point->outcome.rest, TOOL_DIGITS);
    json_write_close(w, '}');
}

void eval_policy_write(struct json_writer *w, const struct eval_policy *p)
{
    json_write_open(w, "policy", '{');
    json_write_string(w, "best", model_classifier_name(p->best));
    json_write_open(w, "classifiers", '[');
    for (int i = 0; i < p->n_fixed; i++) {
        const struct eval_policy_fixed *f = &p->fixed[i];
        json_write_open(w, NULL, '{');
        json_write_string(w, "name", model_classifier_name(f->classifier));
        json_write_rounded(w, "top1", f->top1, TOOL_DIGITS);
        json_write_rounded(w, "macs", f->macs, TOOL_DIGITS);
        json_write_rounded(w, "ms", f->ms, TOOL_DIGITS);
        json_write_close(w, '}');
    }
    json_write_close(w, ']');
    if (p->has_thresholds) write_point(w, "thresholds", p, &p->thresholds);
    json_write_open(w, "curve", '[');
    for (int i = 0; i < EVAL_POLICY_POINTS; i++) write_point(w, NULL, p, &p->curve[i]);
    json_write_close(w, ']');
    json_write_close(w, '}');
}

/* --- for people ------------------------------------------------------------------------------- */

static void print_point(const char *name, const struct eval_policy *p,
                        const struct eval_policy_point *point)
{
    printf("%-12s %8.4f %12.2f %9.3f ", name, point->outcome.top1, 1e-6 * point->macs, point->ms);
    for (int i = 0; i < p->n_exits; i++) printf(" %6.1f%%", 100 * point->outcome.share[i]);
    printf(" %6.1f%%\n", 100 * point->outcome.rest);
}

void eval_policy_print(const struct eval_policy *p)
{
    printf("\n%-12s %8s %12s %9s\n", "always", "top-1", "MACs/10^6", "ms");
    for (int i = 0; i < p->n_fixed; i++) {
        const struct eval_policy_fixed *f = &p->fixed[i];
        printf("%-12s %8.4f %12.2f %9.3f\n", model_classifier_name(f->classifier), f->top1,
               1e-6 * f->macs, f->ms);
    }
    printf("\n%-12s %8s %12s %9s ", "confidence", "top-1", "MACs/10^6", "ms");
    for (int i = 0; i < p->n_exits; i++) printf(" %7s", model_classifier_name(i));
    printf("  else %s\n", model_classifier_name(p->best));
    if (p->has_thresholds) print_point("thresholds", p, &p->thresholds);
    for (int i = 0; i < EVAL_POLICY_POINTS; i++) {
        const double confidence = p->curve[i].confidence;
        char name[16];
        bool shown = i % 10 == 0 || confidence == 0.95 || i >= 99;
        if (!shown) continue;
        snprintf(name, sizeof(name), "%g", confidence);
        print_point(name, p, &p->curve[i]);
    }
}
