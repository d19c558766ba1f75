/* Temperatures, running ensembles and first thresholds from held-out logits.
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
#include "weights.h"

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
    int right, last_right;
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

/* Whether the classifier is right, image by image. */
static void note_right(const struct logits *l, int classifier, bool *ret_right)
{
    for (size_t i = 0; i < l->n; i++) {
        const float *z = logits_of(l, classifier) + i * (size_t)l->classes;
        ret_right[i] = logits_best(z, l->classes, NULL) == l->labels[i];
    }
}

/* What a calibration is made with; all of [n]. */
struct scratch {
    struct candidate *list;
    bool *taken, *right, *last_right; /* of the classifier, of the one that answers last */
};

/* The threshold of what answers at an exit, over the images not taken yet; marks those that it
 * takes. */
static double threshold(const struct logits *l, int answerer, double temperature, struct scratch *m)
{
    size_t n = 0, cut = 0;
    struct candidate *list = m->list;
    note_right(l, answerer, m->right);
    for (size_t i = 0; i < l->n; i++) {
        if (m->taken[i]) continue;
        const float *z = logits_of(l, answerer) + i * (size_t)l->classes;
        list[n++] = (struct candidate){confidence_of(z, l->classes, temperature), i, m->right[i],
                                       m->last_right[i]};
    }
    qsort(list, n, sizeof(*list), compare);
    double lost = 0;
    for (size_t i = 0; i < n; i++) {
        lost += list[i].last_right - list[i].right;
        bool border = i + 1 == n || list[i + 1].confidence < list[i].confidence;
        if (border && lost <= CALIBRATE_TOLERANCE * (double)(i + 1)) cut = i + 1;
    }
    for (size_t i = 0; i < cut; i++) m->taken[list[i].image] = true;
    return cut > 0 ? list[cut - 1].confidence : CALIBRATE_NEVER;
}

static struct calibration_entry entry(const struct logits *l, int classifier)
{
    double temperature = calibrate_temperature(l, classifier);
    return (struct calibration_entry){evaluate_figures(l, classifier, temperature).top1,
                                      temperature};
}

static bool has_learned(const struct logits *l, int exit)
{
    return (l->untrained >> exit & 1) == 0;
}

/* The running ensembles that are one: of at least two, the exit among them. */
static int fit_running(struct logits *l, struct calibration *c, struct err *e)
{
    int members = 0, rc = 0;
    for (int i = 0; i < l->n_exits && rc == 0; i++) {
        struct calibration_running *r = &c->running[i];
        if (!has_learned(l, i) || ++members < 2) continue;
        weights_fit(l, i, r->weights);
        rc = logits_blend(l, r->weights, i, e);
        if (rc < 0) break;
        r->figures = entry(l, MODEL_RUNNING(i));
        r->present = true;
    }
    return rc;
}

/* Makes what answers at the exit readable by logits_of(). */
static int blend_answerer(struct logits *l, const struct calibration *c, int exit,
                          int *ret_answerer, struct err *e)
{
    *ret_answerer = model_answerer(c, exit);
    return *ret_answerer == exit ? 0 : logits_blend(l, c->running[exit].weights, exit, e);
}

static int fit_thresholds(struct logits *l, struct calibration *c, struct scratch *m, struct err *e)
{
    int answerer, deepest = l->n_exits - 1;
    int rc = blend_answerer(l, c, deepest, &answerer, e);
    if (rc == 0) note_right(l, answerer, m->last_right);
    for (int i = 0; i < deepest && rc == 0; i++) {
        c->thresholds[i] = CALIBRATE_NEVER;
        if (!has_learned(l, i)) continue;
        rc = blend_answerer(l, c, i, &answerer, e);
        double temperature =
            answerer == i ? c->exits[i].temperature : c->running[i].figures.temperature;
        if (rc == 0) c->thresholds[i] = threshold(l, answerer, temperature, m);
    }
    return rc; /* the deepest's threshold is 0: it always answers */
}

int calibrate(struct logits *logits, struct calibration *ret_calibration, struct err *e)
{
    struct calibration c = {
        .present = true, .n_images = (int64_t)logits->n, .has_thresholds = true};
    struct scratch m = {.list = mem_new(logits->n, sizeof(*m.list)),
                        .taken = mem_new(logits->n, sizeof(bool)),
                        .right = mem_new(logits->n, sizeof(bool)),
                        .last_right = mem_new(logits->n, sizeof(bool))};
    int rc = 0;
    if (m.list == NULL || m.taken == NULL || m.right == NULL || m.last_right == NULL) {
        rc = err_set(e, -ENOMEM, "out of memory for calibration");
        goto out;
    }
    for (int i = 0; i < logits->n_exits; i++) {
        if (has_learned(logits, i)) c.exits[i] = entry(logits, i);
    }
    c.ensemble = entry(logits, MODEL_ENSEMBLE);
    rc = fit_running(logits, &c, e);
    if (rc == 0) rc = fit_thresholds(logits, &c, &m, e);
    if (rc == 0) *ret_calibration = c;
out:
    mem_free(m.list);
    mem_free(m.taken);
    mem_free(m.right);
    mem_free(m.last_right);
    return rc;
}
