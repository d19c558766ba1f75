/* Newton's method with projection (Bertsekas 1982, "Projected Newton methods for optimization
 * problems with simple constraints", SIAM J. Control Optim. 20): weights that stand at a bound and
 * would leave it are held, the others go a Newton step and are put back into their range. There are
 * at most eight, so an iteration is one pass over the logits; some ten of them suffice. */
#include "config.h"

#include "weights.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "train/calibrate.h"

enum { ITERATIONS = 60, HALVINGS = 40, EXITS = SPEC_SECTIONS_MAX };

/* No weight over its temperature is larger: images that are all classified right would ask for
 * infinity. */
static const double b_max = 1 / CALIBRATE_TEMPERATURE_MIN;
static const double enough = 1e-10, descent = 1e-4;

struct fit {
    const struct logits *logits;
    int n, exits[EXITS]; /* those that have learned */
};

/* The mean negative log likelihood at b, its gradient and Hessian. */
struct point {
    double b[EXITS], value, gradient[EXITS], hessian[EXITS][EXITS];
};

/* Adds one image. Logits are taken relative to the label's, which changes no probability. */
static void add_image(const struct fit *f, size_t i, struct point *p)
{
    const struct logits *l = f->logits;
    const float *z[EXITS];
    double own[EXITS], top = 0, sum = 0, first[EXITS] = {0}, second[EXITS][EXITS] = {{0}};
    for (int s = 0; s < f->n; s++) {
        z[s] = logits_of(l, f->exits[s]) + i * (size_t)l->classes;
        own[s] = (double)z[s][l->labels[i]];
    }
    for (int c = 0; c < l->classes; c++) {
        double u = 0;
        for (int s = 0; s < f->n; s++) u += p->b[s] * ((double)z[s][c] - own[s]);
        if (u > top) top = u;
    }
    for (int c = 0; c < l->classes; c++) {
        double u = 0, d[EXITS];
        for (int s = 0; s < f->n; s++) {
            d[s] = (double)z[s][c] - own[s];
            u += p->b[s] * d[s];
        }
        double weight = exp(u - top);
        sum += weight;
        for (int s = 0; s < f->n; s++) {
            first[s] += weight * d[s];
            for (int t = 0; t <= s; t++) second[s][t] += weight * d[s] * d[t];
        }
    }
    p->value += top + log(sum);
    for (int s = 0; s < f->n; s++) {
        p->gradient[s] += first[s] / sum;
        for (int t = 0; t <= s; t++)
            p->hessian[s][t] += second[s][t] / sum - first[s] / sum * (first[t] / sum);
    }
}

static void look(const struct fit *f, struct point *p)
{
    double n = (double)f->logits->n;
    p->value = 0;
    memset(p->gradient, 0, sizeof(p->gradient));
    memset(p->hessian, 0, sizeof(p->hessian));
    for (size_t i = 0; i < f->logits->n; i++) add_image(f, i, p);
    p->value /= n;
    for (int s = 0; s < f->n; s++) {
        p->gradient[s] /= n;
        for (int t = 0; t <= s; t++) p->hessian[t][s] = p->hessian[s][t] /= n;
    }
}

static double into_range(double b)
{
    return b < 0 ? 0 : b > b_max ? b_max : b;
}

static bool is_held(const struct point *p, int s)
{
    return (p->b[s] <= 0 && p->gradient[s] > 0) || (p->b[s] >= b_max && p->gradient[s] < 0);
}

/* Solves H d = -g of those that are not held, by elimination; exits that say the same leave H
 * singular, so that its diagonal gets a little more. */
static void newton(const struct fit *f, const struct point *p, double ret_step[EXITS])
{
    double a[EXITS][EXITS + 1], trace = 0;
    int n = 0, at[EXITS];
    for (int s = 0; s < f->n; s++) {
        ret_step[s] = 0;
        if (!is_held(p, s)) at[n++] = s;
    }
    for (int r = 0; r < n; r++) trace += p->hessian[at[r]][at[r]];
    for (int r = 0; r < n; r++) {
        for (int c = 0; c < n; c++) a[r][c] = p->hessian[at[r]][at[c]];
        a[r][r] += 1e-9 * trace + 1e-12;
        a[r][n] = -p->gradient[at[r]];
    }
    for (int k = 0; k < n; k++) { /* positive definite: no pivot is needed */
        for (int r = k + 1; r < n; r++) {
            double factor = a[r][k] / a[k][k];
            for (int c = k; c <= n; c++) a[r][c] -= factor * a[k][c];
        }
    }
    for (int k = n - 1; k >= 0; k--) {
        double sum = a[k][n];
        for (int c = k + 1; c < n; c++) sum -= a[k][c] * ret_step[at[c]];
        ret_step[at[k]] = sum / a[k][k];
    }
}

/* Goes along the step, halved until the value falls. false: it does not. */
static bool descend(const struct fit *f, struct point *p, const double step[EXITS])
{
    struct point next;
    double share = 1;
    for (int k = 0; k < HALVINGS; k++, share /= 2) {
        double slope = 0;
        for (int s = 0; s < f->n; s++) {
            next.b[s] = into_range(p->b[s] + share * step[s]);
            slope += p->gradient[s] * (next.b[s] - p->b[s]);
        }
        look(f, &next);
        if (slope < 0 && next.value <= p->value + descent * slope) {
            *p = next;
            return true;
        }
    }
    return false;
}

static bool is_minimum(const struct fit *f, const struct point *p)
{
    for (int s = 0; s < f->n; s++) {
        if (fabs(into_range(p->b[s] - p->gradient[s]) - p->b[s]) > enough) return false;
    }
    return true;
}

void weights_fit(const struct logits *logits, int last, double *ret_weights)
{
    struct fit f = {.logits = logits};
    struct point p;
    double step[EXITS], sum = 0;
    for (int i = 0; i <= last; i++) {
        ret_weights[i] = 0;
        if ((logits->untrained >> i & 1) == 0) f.exits[f.n++] = i;
    }
    for (int s = 0; s < f.n; s++) p.b[s] = 1.0 / f.n;
    look(&f, &p);
    for (int k = 0; k < ITERATIONS && !is_minimum(&f, &p); k++) {
        newton(&f, &p, step);
        if (descend(&f, &p, step)) continue;
        for (int s = 0; s < f.n; s++) step[s] = -p.gradient[s]; /* a step cut by a bound may rise */
        if (!descend(&f, &p, step)) break;
    }
    for (int s = 0; s < f.n; s++) sum += p.b[s];
    for (int s = 0; s < f.n; s++) ret_weights[f.exits[s]] = sum > 0 ? p.b[s] / sum : 1.0 / f.n;
}
