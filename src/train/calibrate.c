/* Temperatures and first thresholds from held-out logits.
 *
 * The negative log likelihood is convex in the inverse temperature, so bisecting its derivative
 * finds the minimum without a starting point, a rate or a failure. Thresholds are chosen
 * greedily from the first exit on; the search over all of them together is the subcommand `tune`.
 */
#include "config.h"

#include "train/calibrate.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

enum { BISECTIONS = 48 };

/* The derivative of the mean negative log likelihood by b = 1/T: mean(E_softmax(bz)[z] - z_label).
 * Logits are taken relative to the greatest, which changes neither term's difference. */
static double slope(const struct logits *l, const float *z, double b)
{
    double sum = 0;
    for (size_t i = 0; i < l->n; i++, z += l->classes) {
        double top = z[logits_best(z, l->classes, NULL)], weights = 0, mean = 0;
        for (int k = 0; k < l->classes; k++) {
            double d = (double)z[k] - top, w = exp(b * d);
            weights += w;
            mean += w * d;
        }
        sum += mean / weights - ((double)z[l->labels[i]] - top);
    }
    return sum;
}

double calibrate_temperature(const struct logits *logits, int classifier)
{
    const float *z = logits_of(logits, classifier);
    double low = 1.0 / CALIBRATE_TEMPERATURE_MAX, high = 1.0 / CALIBRATE_TEMPERATURE_MIN;
    if (logits->n == 0) return 1.0;
    if (slope(logits, z, low) >= 0) return CALIBRATE_TEMPERATURE_MAX;
    if (slope(logits, z, high) <= 0) return CALIBRATE_TEMPERATURE_MIN;
    for (int i = 0; i < BISECTIONS; i++) {
        double middle = sqrt(low * high); /* the scale is logarithmic */
        if (slope(logits, z, middle) < 0) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return 1.0 / sqrt(low * high);
}

struct candidate {
    double confidence;
    size_t image;
    int right, deepest_right;
};

/* Most confident first; equal ones by number, so that the order is fixed. */
static int compare(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->confidence != y->confidence) return x->confidence > y->confidence ? -1 : 1;
    return x->image < y->image ? -1 : x->image > y->image;
}

static double confidence_of(const float *z, int classes, double temperature)
{
    double top = z[logits_best(z, classes, NULL)], sum = 0;
    for (int k = 0; k < classes; k++) sum += exp(((double)z[k] - top) / temperature);
    return 1.0 / sum;
}

static bool is_right(const struct logits *l, int exit, size_t i)
{
    return logits_best(logits_of(l, exit) + i * (size_t)l->classes, l->classes, NULL) ==
           l->labels[i];
}

/* The threshold of one exit over the images not taken yet; marks those that it takes. */
static double threshold(const struct logits *l, int exit, double temperature, bool *taken,
                        struct candidate *list)
{
    size_t n = 0, cut = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (taken[i]) continue;
        const float *z = logits_of(l, exit) + i * (size_t)l->classes;
        list[n++] = (struct candidate){confidence_of(z, l->classes, temperature), i,
                                       is_right(l, exit, i), is_right(l, l->n_exits - 1, i)};
    }
    qsort(list, n, sizeof(*list), compare);
    double lost = 0;
    for (size_t i = 0; i < n; i++) {
        lost += list[i].deepest_right - list[i].right;
        bool border = i + 1 == n || list[i + 1].confidence < list[i].confidence;
        if (border && lost <= CALIBRATE_TOLERANCE * (double)(i + 1)) cut = i + 1;
    }
    for (size_t i = 0; i < cut; i++) taken[list[i].image] = true;
    return cut > 0 ? list[cut - 1].confidence : CALIBRATE_NEVER;
}

static struct calibration_entry entry(const struct logits *l, int classifier)
{
    double temperature = calibrate_temperature(l, classifier);
    return (struct calibration_entry){evaluate_figures(l, classifier, temperature).top1,
                                      temperature};
}

int calibrate(const struct logits *logits, struct calibration *ret_calibration, struct err *e)
{
    struct calibration c = {
        .present = true, .n_images = (int64_t)logits->n, .has_thresholds = true};
    struct candidate *list = mem_new(logits->n, sizeof(*list));
    bool *taken = mem_new(logits->n, sizeof(*taken));
    int rc = 0;
    if (list == NULL || taken == NULL) {
        rc = err_set(e, -ENOMEM, "out of memory for calibration");
        goto out;
    }
    for (int i = 0; i < logits->n_exits; i++) c.exits[i] = entry(logits, i);
    c.ensemble = entry(logits, MODEL_ENSEMBLE);
    for (int i = 0; i + 1 < logits->n_exits; i++) {
        c.thresholds[i] = threshold(logits, i, c.exits[i].temperature, taken, list);
    }
    *ret_calibration = c; /* the deepest's threshold is 0: it always answers */
out:
    mem_free(list);
    mem_free(taken);
    return rc;
}
