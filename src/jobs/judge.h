/* Judging: is the result good enough to serve? Pure. */
#ifndef JOBS_JUDGE_H
#define JOBS_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "json/value.h"

enum verdict {
    VERDICT_PROMOTE, /* becomes the next version and serves */
    VERDICT_WAIT,    /* becomes the next version; a person activates it, or not */
    VERDICT_REJECT,  /* worse than what serves */
};

struct evidence {
    const struct json *result,
        *serving;            /* what `autodidact eval --json` printed, or NULL: not evaluated */
    int64_t serving_version; /* 0: nothing serves under this name */
    bool manual;             /* "promote":"manual" */
    const char *hindrance;   /* why the two cannot be compared, one clause; or NULL */
    double margin;
};

/* The rule, where both were evaluated on the same held-out images. Rejected is what is worse
 *   by more than the margin in top-1;
 *   by more than the margin and 1.645 standard errors in balanced accuracy, the mean over classes
 * of their share of right answers, which no frequent class can make up for;
 *   in a class by more than the margin and JUDGE_FALL of its images, when Fisher's exact test,
 * one-sided, gives chance less than 0.05 over the number of classes (Bonferroni), unless balanced
 * accuracy is better by more than 1.645 standard errors. Such a class is named in any case. The
 * images are the same on both sides, so that the test, which takes them for others, rejects less
 * than it might.
 * The last two where the evaluations have "classes" (eval --per-class). */
#define JUDGE_FALL 0.2

/* The deepest classifier's top-1 of an evaluation; ERR_FORMAT when it is none. */
int judge_top1(const struct json *evaluation, double *ret_top1);

/* The verdict, and the sentence that says why. ERR_FORMAT when an evaluation cannot be read. */
int judge(const struct evidence *evidence, enum verdict *ret_verdict, char *ret_reason, size_t size,
          struct err *e);

#endif
