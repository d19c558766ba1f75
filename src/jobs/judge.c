/* The rule: refused when the deepest classifier's top-1 is worse than the serving
 * one's by more than the margin. A person decides where the job says so, or where no comparison
 * means anything; a result that a person will decide on is never rejected here. */
#include "config.h"

#include "judge.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define TIE 1e-9 /* fractions of at most some million images: closer than one image is equal */

int judge_top1(const struct json *evaluation, double *ret_top1)
{
    const struct json *exits = json_get(evaluation, "exits");
    size_t n = json_count(exits);
    double value = n > 0 ? json_number(json_get(json_item(exits, n - 1), "top1"), -1) : -1;
    if (!(value >= 0 && value <= 1)) return ERR_FORMAT;
    *ret_top1 = value;
    return 0;
}

/* Of a class in both evaluations: its images, and how many the deepest classifiers get right. */
struct class_result {
    double images, result, serving;
};

/* The deepest exit's place among the accuracies of a class; those of exits come first. */
static double right_of(const struct json *evaluation, size_t k, double images)
{
    size_t deepest = json_count(json_get(evaluation, "exits")) - 1;
    const struct json *class = json_item(json_get(evaluation, "classes"), k);
    double share = json_number(json_item(json_get(class, "top1"), deepest), -1);
    return share >= 0 && share <= 1 ? round(share * images) : -1;
}

/* false: nothing is to be said of it, because it has no images or the two cannot be compared. */
static bool read_class(const struct evidence *v, size_t k, struct class_result *ret)
{
    double images =
        json_number(json_get(json_item(json_get(v->result, "classes"), k), "images"), 0);
    double others =
        json_number(json_get(json_item(json_get(v->serving, "classes"), k), "images"), -1);
    if (!(images >= 1 && images <= 1e9) || images != others) return false;
    *ret = (struct class_result){images, right_of(v->result, k, images),
                                 right_of(v->serving, k, images)};
    return ret->result >= 0 && ret->serving >= 0;
}

static double log_choose(double n, double k)
{
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1);
}

/* Fisher's exact test: how likely at most so many of the right ones are the result's, of n images
 * each, if both are equally good. */
static double chance_of(const struct class_result *c)
{
    double all = c->result + c->serving, n = c->images, sum = 0;
    for (double k = all > n ? all - n : 0; k <= c->result; k++)
        sum += exp(log_choose(n, k) + log_choose(n, all - k) - log_choose(2 * n, all));
    return sum;
}

enum { NAMED_MAX = 3, LABEL_SHOWN = 40 };

/* How many bytes of a label are shown: whole characters. */
static int shown_of(const char *label)
{
    size_t n = 0, left = strlen(label), more;
    while (n < left && (more = text_utf8_length(label + n, left - n)) > 0 &&
           n + more <= LABEL_SHOWN)
        n += more;
    return (int)n;
}

/* One of the classes that have fallen. Returns the end of the text, which may be cut. */
static size_t name_class(const struct class_result *c, const char *label, char *text, size_t used,
                         size_t size)
{
    if (label == NULL) label = "?";
    int n = snprintf(text + used, size - used,
                     "; of class \"%.*s\" it gets %.0f of %.0f right, that one %.0f",
                     shown_of(label), label, c->result, c->images, c->serving);
    return used + (size_t)n < size ? used + (size_t)n : size - 1;
}

/* What the classes say against the result, "" when nothing does; returns whether that rejects it.
 */
static bool judge_classes(const struct evidence *v, char *ret_text, size_t size)
{
    const struct json *classes = json_get(v->result, "classes");
    size_t n = json_count(classes), compared = 0, fallen = 0, used = 0;
    double result = 0, serving = 0, variance = 0;
    struct class_result c;
    ret_text[0] = '\0';
    for (size_t k = 0; k < n; k++) {
        if (!read_class(v, k, &c)) continue;
        /* Agresti and Coull's shares, so that none right or all right is not taken for certain. */
        double p = (c.result + 1) / (c.images + 2), q = (c.serving + 1) / (c.images + 2);
        variance += (p * (1 - p) + q * (1 - q)) / c.images;
        result += c.result / c.images;
        serving += c.serving / c.images;
        compared++;
    }
    for (size_t k = 0; k < n; k++) {
        const bool known = read_class(v, k, &c);
        if (!known || c.serving - c.result <= (JUDGE_FALL + v->margin) * c.images + TIE) continue;
        if (chance_of(&c) * (double)compared >= 0.05 || ++fallen > NAMED_MAX) continue;
        const char *label = json_text(json_get(json_item(classes, k), "label"));
        used = name_class(&c, label, ret_text, used, size);
    }
    if (fallen > NAMED_MAX)
        snprintf(ret_text + used, size - used, "; and so with %zu more classes",
                 fallen - NAMED_MAX);
    if (compared == 0) return false;
    double doubt = 1.645 * sqrt(variance) / (double)compared, allowed = v->margin + doubt;
    result /= (double)compared;
    serving /= (double)compared;
    if (fallen > 0) return result - serving <= doubt;
    if (serving - result <= allowed + TIE) return false;
    snprintf(ret_text, size,
             "; its balanced accuracy is %.4f, that one's %.4f (%.4f less are allowed)", result,
             serving, allowed);
    return true;
}

int judge(const struct evidence *v, enum verdict *ret_verdict, char *ret_reason, size_t size,
          struct err *e)
{
    double result, serving;
    if (v->result != NULL && judge_top1(v->result, &result) < 0)
        return err_set(e, ERR_FORMAT,
                       "the evaluation of the result has no top1 of the deepest classifier");
    if (v->serving != NULL && judge_top1(v->serving, &serving) < 0) {
        return err_set(e, ERR_FORMAT,
                       "the evaluation of the serving version has no top1 of the deepest "
                       "classifier");
    }
    if (v->manual) {
        *ret_verdict = VERDICT_WAIT;
        snprintf(ret_reason, size,
                 "waits for a person to activate it: the job says \"promote\":\"manual\"");
    } else if (v->serving_version == 0) {
        *ret_verdict = VERDICT_PROMOTE;
        snprintf(ret_reason, size, "promoted: no version of this model served");
    } else if (v->hindrance != NULL || v->result == NULL || v->serving == NULL) {
        *ret_verdict = VERDICT_WAIT;
        snprintf(ret_reason, size, "waits for a person to activate it: %s",
                 v->hindrance != NULL ? v->hindrance
                                      : "it was not compared with the serving version");
    } else {
        char classes[320];
        bool worse = judge_classes(v, classes, sizeof(classes));
        worse |= serving - result > v->margin + TIE;
        *ret_verdict = worse ? VERDICT_REJECT : VERDICT_PROMOTE;
        snprintf(ret_reason, size,
                 "%s: its deepest classifier is right on %.4f of the held-out images, that of the "
                 "serving "
                 "version %lld on %.4f (train.margin allows %.4f less)%s",
                 worse ? "rejected" : "promoted", result, (long long)v->serving_version, serving,
                 v->margin, classes);
    }
    return 0;
}
