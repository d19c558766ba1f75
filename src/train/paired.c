/* Paired comparison of two classifiers by the table of who is right where. */
#include "config.h"

#include "train/paired.h"

#include <math.h>

static const double quantile = 1.959963984540054; /* 0.975 of the normal distribution */

struct paired_counts paired_count(const struct logits *a, int classifier_a, const struct logits *b,
                                  int classifier_b)
{
    struct paired_counts c = {0};
    const float *za = logits_of(a, classifier_a), *zb = logits_of(b, classifier_b);
    for (size_t i = 0; i < a->n; i++, za += a->classes, zb += b->classes) {
        bool in_a = logits_best(za, a->classes, NULL) == a->labels[i];
        bool in_b = logits_best(zb, b->classes, NULL) == b->labels[i];
        if (in_a && in_b)
            c.both++;
        else if (in_a)
            c.only_a++;
        else if (in_b)
            c.only_b++;
        else
            c.neither++;
    }
    return c;
}

/* Wilson's interval of x in n (JASA 22, 1927, 209-212). */
static void wilson(double x, double n, double *ret_low, double *ret_high)
{
    double z2 = quantile * quantile, p = x / n;
    double middle = (2 * x + z2) / (2 * (n + z2));
    double half = quantile * sqrt(z2 + 4 * x * (1 - p)) / (2 * (n + z2));
    *ret_low = middle - half;
    *ret_high = middle + half;
}

/* The correlation of the two rows, with the correction that method 10 has where it is positive. */
static double correlation(double both, double only_a, double only_b, double neither)
{
    double margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither);
    double d = both * neither - only_a * only_b;
    if (margins <= 0) return 0;
    if (d > 0) d = fmax(d - (both + only_a + only_b + neither) / 2, 0);
    return d / sqrt(margins);
}

static double length(double x, double y, double phi)
{
    return sqrt(fmax(x * x - 2 * phi * x * y + y * y, 0));
}

static double mid_p(size_t a, size_t b)
{
    size_t n = a + b, least = a < b ? a : b;
    double none = lgamma((double)n + 1) - (double)n * log(2), tail = 0;
    for (size_t k = 0; k <= least; k++) {
        double one = exp(none - lgamma((double)k + 1) - lgamma((double)(n - k) + 1));
        tail += k < least ? one : one / 2;
    }
    return fmin(2 * tail, 1);
}

struct paired_result paired_judge(const struct paired_counts *counts)
{
    double both = (double)counts->both, only_a = (double)counts->only_a,
           only_b = (double)counts->only_b, neither = (double)counts->neither;
    double n = both + only_a + only_b + neither, low_a, high_a, low_b, high_b;
    if (n == 0) return (struct paired_result){.p = 1};
    double a = (both + only_a) / n, b = (both + only_b) / n, difference = (only_b - only_a) / n;
    wilson(both + only_a, n, &low_a, &high_a);
    wilson(both + only_b, n, &low_b, &high_b);
    double phi = correlation(both, only_a, only_b, neither);
    return (struct paired_result){.difference = difference,
                                  .low = difference - length(b - low_b, high_a - a, phi),
                                  .high = difference + length(high_b - b, a - low_a, phi),
                                  .p = mid_p(counts->only_a, counts->only_b)};
}
