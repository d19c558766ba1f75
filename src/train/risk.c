/* Risk control of early answers. The bound is one that needs no sum over tails and no
 * approximation: losses are -1, 0 or 1, so the moment generating function of a mean X and a share q
 * of losses that are not 0 is 1 - q + (q + X)/2 e^-t + (q - X)/2 e^t, which grows with q for every
 * t. That is why the largest q that is believed in decides. */
#include "config.h"

#include "train/risk.h"

#include <math.h>

enum { BISECTIONS = 60 };

/* The part of the error that pays for the bound of q: little, since that bound is wide already. */
static const double spent = 0.1;

static double kl(double a, double b)
{
    double sum = 0;
    if (a > 0) sum += a * log(a / b);
    if (a < 1) sum += (1 - a) * log((1 - a) / (1 - b));
    return sum;
}

/* The largest share at which m of n or fewer still have the chance `chance` by Chernoff's bound. */
static double share_bound(double n, double m, double chance)
{
    double low = m / n, high = 1;
    for (int i = 0; i < BISECTIONS; i++) {
        const double middle = (low + high) / 2;
        if (n * kl(m / n, middle) < -log(chance)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high;
}

/* ln of the bound of P(mean of n losses <= d), for each image, where their mean is x > d and the
 * share of those that are not 0 is q >= x. The best e^-t = w is the root of a square equation. */
static double exponent(double d, double x, double q)
{
    const double a = 1 - q, b = (q + x) / 2, c = (q - x) / 2;
    double w = d * a + sqrt(d * a * d * a + 4 * b * c * (1 - d * d));
    w = fmax(w / (2 * b * (1 - d)), 1e-300);
    return -log(w) * d + log(a + b * w + c / w);
}

double risk_p(size_t n, size_t lost, size_t won, double max_loss, double spend)
{
    const double count = (double)n, d = ((double)lost - (double)won) / count;
    if (n == 0 || d >= max_loss) return 1;
    const double q = share_bound(count, (double)lost + (double)won, spend);
    if (q < max_loss) return spend; /* so few disagree that the mean cannot be so large */
    return fmin(1, spend + exp(count * exponent(d, max_loss, q)));
}

double risk_bound(size_t n, size_t lost, size_t won, double sure)
{
    double low = 0, high = 1;
    for (int i = 0; i < 20; i++) {
        const double middle = (low + high) / 2;
        if (risk_p(n, lost, won, middle, spent * (1 - sure)) > 1 - sure) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high;
}

double risk_confidence_at(int i)
{
    if (i == 0) return EARLY_NEVER;
    return i <= 10 ? 1 - i * 1e-4 : (double)(RISK_POINTS - 1 - i) / 1000;
}

/* Of every rule that begins at one of the exits. */
static bool is_proven(const struct early *early, unsigned exits, double confidence, double max_loss,
                      double sure)
{
    for (unsigned rest = exits; rest != 0; rest &= rest - 1) {
        const struct early_rule rule = early_rule_confidence(rest, confidence);
        const struct early_outcome o = early_judge(early, &rule);
        const double p = risk_p(early_images(early), o.lost, o.won, max_loss, spent * (1 - sure));
        if (p > 1 - sure) return false;
    }
    return true;
}

double risk_confidence(const struct early *early, unsigned exits, double max_loss, double sure)
{
    double proven = EARLY_NEVER; /* the loss against itself is 0 */
    for (int i = 1; i < RISK_POINTS; i++) {
        const double confidence = risk_confidence_at(i);
        if (!is_proven(early, exits, confidence, max_loss, sure)) break;
        proven = confidence;
    }
    return proven;
}
