/* Answers by confidence, for people and for programs. */
#include "config.h"

#include "eval_policy.h"

#include <errno.h>
#include <stdio.h>

#include "answers.h"
#include "cost.h"
#include "tool.h"

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
    const struct early_heads all = answers_all_heads(j->model, otherwise);
    const unsigned heads = early_rule_heads(&all, rule);
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
    const unsigned learned = answers_learned(j->model);
    for (int i = 0; i < EVAL_POLICY_POINTS; i++) {
        const struct early_rule rule = early_rule_confidence(learned, confidence_at(i));
        p->curve[i] = judge_rule(j, &rule, confidence_at(i), p->best);
    }
}

static void judge_thresholds(const struct judge *j, struct eval_policy *p)
{
    const struct calibration *c = &j->model->calibration;
    struct early_rule rule = early_rule_confidence(0, EARLY_NEVER);
    p->has_thresholds = c->present && c->has_thresholds;
    if (!p->has_thresholds) return;
    for (int i = 0; i < j->macs.n_exits; i++) {
        if ((answers_learned(j->model) >> i & 1) != 0) rule.thresholds[i] = c->thresholds[i];
    }
    p->thresholds = judge_rule(j, &rule, 0, j->macs.n_exits - 1);
}

/* Rule 12 of doc/sla.md. */
static void judge_levels(const struct judge *j, struct eval_policy *p)
{
    const struct calibration_levels *levels = &j->model->calibration.levels;
    p->n_levels = levels->n;
    for (int i = 0; i < levels->n; i++) {
        const double confidence = levels->at[i].confidence;
        const struct early_rule rule =
            early_rule_confidence(answers_before(j->model, p->best), confidence);
        p->max_loss[i] = levels->at[i].max_loss;
        p->levels[i] = judge_rule(j, &rule, confidence, p->best);
    }
}

static void add_fixed(const struct judge *j, const struct logits *logits, int classifier,
                      struct eval_policy *p)
{
    const unsigned heads = answers_heads(j->model, classifier);
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
    *p = (struct eval_policy){.n_exits = exits, .best = answers_best(model)};
    int rc = cost_ms(plan, &j.ms, e);
    if (rc < 0) return rc;
    struct early *early = answers_early(model, logits, e);
    if (early == NULL) return -ENOMEM;
    j.early = early;
    judge_thresholds(&j, p);
    judge_levels(&j, p);
    judge_curve(&j, p);
    for (int i = 0; i < exits; i++) {
        if ((answers_learned(model) >> i & 1) != 0) add_fixed(&j, logits, i, p);
    }
    add_fixed(&j, logits, MODEL_ENSEMBLE, p);
    early_free(early);
    return 0;
}

/* --- for programs ----------------------------------------------------------------------------- */

static void write_point(struct json_writer *w, const char *key, const struct eval_policy *p,
                        const struct eval_policy_point *point, const double *max_loss)
{
    json_write_open(w, key, '{');
    if (max_loss != NULL) json_write_rounded(w, "max_loss", *max_loss, TOOL_DIGITS);
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
    if (p->has_thresholds) write_point(w, "thresholds", p, &p->thresholds, NULL);
    json_write_open(w, "levels", '[');
    for (int i = 0; i < p->n_levels; i++) write_point(w, NULL, p, &p->levels[i], &p->max_loss[i]);
    json_write_close(w, ']');
    json_write_open(w, "curve", '[');
    for (int i = 0; i < EVAL_POLICY_POINTS; i++) write_point(w, NULL, p, &p->curve[i], NULL);
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
    for (int i = 0; i < p->n_levels; i++) {
        char name[24];
        snprintf(name, sizeof(name), "loss %g", p->max_loss[i]);
        print_point(name, p, &p->levels[i]);
    }
    for (int i = 0; i < EVAL_POLICY_POINTS; i++) {
        const double confidence = p->curve[i].confidence;
        char name[16];
        bool shown = i % 10 == 0 || confidence == 0.95 || i >= 99;
        if (!shown) continue;
        snprintf(name, sizeof(name), "%g", confidence);
        print_point(name, p, &p->curve[i]);
    }
}
