/* The rule: refused when the deepest classifier's top-1 is worse than the serving
 * one's by more than the margin. A person decides where the job says so, or where no comparison
 * means anything; a result that a person will decide on is never rejected here. */
#include "config.h"

#include "judge.h"

#include <math.h>
#include <stdio.h>

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
        bool worse = serving - result > v->margin + TIE;
        *ret_verdict = worse ? VERDICT_REJECT : VERDICT_PROMOTE;
        snprintf(ret_reason, size,
                 "%s: its deepest classifier is right on %.4f of the held-out images, that of the "
                 "serving "
                 "version %lld on %.4f (train.margin allows %.4f less)",
                 worse ? "rejected" : "promoted", result, (long long)v->serving_version, serving,
                 v->margin);
    }
    return 0;
}
