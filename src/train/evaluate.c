/* Evaluation of a plan on a list of images.
 *
 * Batches of 64 are cut from the start of the list and dealt to the lanes in contiguous ranges, so
 * the composition of a batch, and with it every bit of the logits, does not depend on the number of
 * threads. All logits are kept (80 MB for 50,000 images of 100 classes and 5 classifiers), because
 * calibration and thresholds read them many times. */
#include "config.h"

#include "train/evaluate.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "nn/loss.h"

struct evaluation {
    const struct plan *plan;
    const struct dataset *set;
    const uint32_t *indices;
    const struct preprocess *preprocess;
    struct logits *logits;
    struct exec **execs; /* one a lane */
    struct err *errors;  /* one a lane: its first */
    const struct evaluate_watch *watch;
    atomic_size_t done; /* images */
};

static float *row(const struct logits *l, int classifier, size_t i)
{
    if (classifier >= MODEL_RUNNING(0)) return l->blend + i * (size_t)l->classes;
    size_t which = (size_t)(classifier == MODEL_ENSEMBLE ? l->n_exits : classifier);
    return l->values + (which * l->n + i) * (size_t)l->classes;
}

const float *logits_of(const struct logits *logits, int classifier)
{
    return row(logits, classifier, 0);
}

int logits_blend(struct logits *l, const double *weights, int last, struct err *e)
{
    size_t count = l->n * (size_t)l->classes;
    if (l->blend == NULL) l->blend = mem_new(count, sizeof(*l->blend));
    if (l->blend == NULL)
        return err_set(e, -ENOMEM, "out of memory for the mean of %zu images' logits", l->n);
    for (size_t j = 0; j < count; j++) {
        double sum = 0;
        for (int s = 0; s <= last; s++) sum += weights[s] * (double)row(l, s, 0)[j];
        l->blend[j] = (float)sum;
    }
    return 0;
}

static bool is_untrained(const struct logits *l, int exit)
{
    return (l->untrained >> exit & 1) != 0;
}

/* Numbers that are not finite would become figures that mean nothing. */
static int check_finite(const struct logits *l, int exit, size_t at, size_t index, struct err *e)
{
    const float *z = row(l, exit, at);
    for (int j = 0; j < l->classes; j++) {
        if (isfinite(z[j])) continue;
        return err_set(e, ERR_DIVERGED,
                       "classifier %s computes %g for image %zu, which is not finite",
                       model_classifier_name(exit), (double)z[j], index);
    }
    return 0;
}

/* Of the exits that have learned. */
static void fill_ensemble(const struct logits *l, size_t first, int n)
{
    size_t count = (size_t)n * (size_t)l->classes;
    float *mean = row(l, MODEL_ENSEMBLE, first);
    for (size_t j = 0; j < count; j++) {
        double sum = 0, members = 0;
        for (int s = 0; s < l->n_exits; s++) {
            if (is_untrained(l, s)) continue;
            sum += (double)row(l, s, first)[j];
            members++;
        }
        mean[j] = (float)(sum / members);
    }
}

static int evaluate_batch(const struct evaluation *v, struct exec *exec, size_t first, int n,
                          struct err *e)
{
    struct logits *l = v->logits;
    const struct net *net = plan_net(v->plan);
    size_t size = shape_size(net_input(net));
    float *input = exec_input(exec, 0);
    for (int i = 0; i < n; i++) {
        size_t at = first + (size_t)i, index = v->indices != NULL ? v->indices[at] : at;
        int rc =
            batch_sample(v->set, index, v->preprocess, NULL, 0, 0, input + (size_t)i * size, e);
        if (rc < 0) return rc;
        l->labels[at] = dataset_class(v->set, index);
    }
    for (int s = 0; s < l->n_exits; s++) {
        exec_section(exec, s, n, s > 0);
        if (is_untrained(l, s)) continue;
        exec_head(exec, s, 0, n, row(l, s, first));
        for (int i = 0; i < n; i++) {
            size_t at = first + (size_t)i;
            int rc = check_finite(l, s, at, v->indices != NULL ? v->indices[at] : at, e);
            if (rc < 0) return rc;
        }
    }
    fill_ensemble(l, first, n);
    return 0;
}

/* By every lane; the caller's tells of all. */
static void count(struct evaluation *v, unsigned lane, size_t n)
{
    const size_t done = atomic_fetch_add_explicit(&v->done, n, memory_order_relaxed) + n;
    if (lane == 0 && v->watch != NULL) v->watch->told(v->watch->arg, done, v->logits->n);
}

static void evaluate_lane(void *arg, unsigned lane, unsigned n_lanes)
{
    struct evaluation *v = arg;
    size_t n = v->logits->n, n_batches = (n + EVALUATE_BATCH - 1) / EVALUATE_BATCH, first, end;
    pool_range(n_batches, lane, n_lanes, &first, &end);
    int rc = 0;
    for (size_t b = first; rc == 0 && b < end; b++) {
        size_t start = b * EVALUATE_BATCH, left = n - start;
        const size_t size = left < EVALUATE_BATCH ? left : EVALUATE_BATCH;
        rc = evaluate_batch(v, v->execs[lane], start, (int)size, &v->errors[lane]);
        count(v, lane, size);
    }
}

int evaluate_logits(const struct plan *plan, unsigned untrained, const struct dataset *set,
                    const uint32_t *indices, size_t n, const struct preprocess *preprocess,
                    struct pool *pool, const struct evaluate_watch *watch,
                    struct logits *ret_logits, struct err *e)
{
    const struct net *net = plan_net(plan);
    unsigned n_threads = pool_threads(pool);
    struct logits l = {
        .n = n, .n_exits = net_sections(net), .classes = net_classes(net), .untrained = untrained};
    size_t size;
    struct exec **execs = mem_new(n_threads, sizeof(*execs));
    struct err *errors = mem_new(n_threads, sizeof(*errors));
    int rc = mem_size((size_t)l.n_exits + 1, n, 0, &size);
    if (rc == 0) rc = mem_size(size, (size_t)l.classes, 0, &size);
    if (rc == 0) {
        l.values = mem_new(size, sizeof(*l.values));
        l.labels = mem_new(n, sizeof(*l.labels));
    }
    if (execs == NULL || errors == NULL || l.values == NULL || l.labels == NULL) {
        rc = err_set(e, -ENOMEM, "out of memory for the logits of %zu images", n);
        goto out;
    }
    for (unsigned i = 0; i < n_threads; i++) {
        execs[i] = exec_new(plan, EVALUATE_BATCH, e);
        if (execs[i] == NULL) {
            rc = -ENOMEM;
            goto out;
        }
    }
    struct evaluation v = {plan, set, indices, preprocess, &l, execs, errors, watch, 0};
    pool_run(pool, evaluate_lane, &v);
    for (unsigned i = 0; rc == 0 && i < n_threads; i++) {
        rc = errors[i].code;
        if (rc < 0 && e != NULL) *e = errors[i];
    }
    if (rc == 0) *ret_logits = l;
out:
    for (unsigned i = 0; execs != NULL && i < n_threads; i++) exec_free(execs[i]);
    mem_free(execs);
    mem_free(errors);
    if (rc < 0) logits_release(&l);
    return rc;
}

void logits_release(struct logits *logits)
{
    mem_free(logits->values);
    mem_free(logits->blend);
    mem_free(logits->labels);
    *logits = (struct logits){0};
}

int logits_best(const float *logits, int classes, float *ret_margin)
{
    int best = 0;
    float second = -INFINITY;
    for (int k = 1; k < classes; k++) {
        if (logits[k] > logits[best]) {
            second = logits[best];
            best = k;
        } else if (logits[k] > second) {
            second = logits[k];
        }
    }
    /* Finite, whatever these are: of one class there is no second, and a difference overflows. */
    if (ret_margin != NULL) *ret_margin = classes > 1 ? fminf(logits[best] - second, FLT_MAX) : 0;
    return best;
}

/* How many classes stand before the label when they are sorted by logit, equal ones by number. What
 * is not a number stands last when it is the label's and first otherwise: it is never right. */
static int place_of(const float *z, int classes, int32_t label)
{
    int before = 0;
    if (isnan(z[label])) return classes;
    for (int k = 0; k < classes; k++) {
        before += !(z[k] <= z[label]) || (z[k] == z[label] && k < label);
    }
    return before;
}

/* Softmax at temperature: the probability of the best class, and -log of the label's. */
static void likelihood(const float *z, int classes, int best, int32_t label, double temperature,
                       double *ret_confidence, double *ret_nll)
{
    double sum = 0;
    for (int k = 0; k < classes; k++) sum += exp(((double)z[k] - (double)z[best]) / temperature);
    *ret_confidence = 1.0 / sum;
    *ret_nll = log(sum) - ((double)z[label] - (double)z[best]) / temperature;
}

struct training_figures evaluate_figures(const struct logits *logits, int classifier,
                                         double temperature)
{
    struct evaluate_bin bins[EVALUATE_ECE_BINS];
    return evaluate_bins(logits, classifier, temperature, bins);
}

struct training_figures evaluate_bins(const struct logits *logits, int classifier,
                                      double temperature,
                                      struct evaluate_bin ret_bins[EVALUATE_ECE_BINS])
{
    struct evaluate_bin *bins = ret_bins;
    memset(bins, 0, EVALUATE_ECE_BINS * sizeof(*bins));
    size_t n = logits->n, top1 = 0, top5 = 0;
    double nll = 0, ece = 0;
    const float *z = logits_of(logits, classifier);
    if (n == 0) return (struct training_figures){0, 0, 0, 0};
    for (size_t i = 0; i < n; i++, z += logits->classes) {
        int32_t label = logits->labels[i];
        int best = logits_best(z, logits->classes, NULL),
            place = place_of(z, logits->classes, label);
        double confidence, loss;
        likelihood(z, logits->classes, best, label, temperature, &confidence, &loss);
        nll += loss;
        top1 += place == 0;
        top5 += place < 5;
        int bin = confidence > 0 ? (int)ceil(confidence * EVALUATE_ECE_BINS) - 1 : 0; /* NaN: 0 */
        bin = bin >= EVALUATE_ECE_BINS ? EVALUATE_ECE_BINS - 1 : bin;
        bins[bin].confidence += confidence;
        bins[bin].n++;
        bins[bin].right += place == 0;
    }
    for (int b = 0; b < EVALUATE_ECE_BINS; b++)
        ece += fabs((double)bins[b].right - bins[b].confidence);
    double count = (double)n;
    return (struct training_figures){(double)top1 / count, (double)top5 / count, nll / count,
                                     ece / count};
}

struct sure {
    double confidence;
    bool right;
};

static int compare_sure(const void *a, const void *b)
{
    const double x = ((const struct sure *)a)->confidence, y = ((const struct sure *)b)->confidence;
    return (x > y) - (x < y);
}

int evaluate_auroc(const struct logits *logits, int classifier, double temperature,
                   double *ret_auroc, struct err *e)
{
    const size_t n = logits->n;
    const float *z = logits_of(logits, classifier);
    struct sure *images = mem_new(n, sizeof(*images));
    double above = 0, right = 0, nll;
    if (images == NULL) return err_set(e, -ENOMEM, "out of memory for %zu confidences", n);
    for (size_t i = 0; i < n; i++, z += logits->classes) {
        const int32_t label = logits->labels[i];
        const int best = logits_best(z, logits->classes, NULL);
        likelihood(z, logits->classes, best, label, temperature, &images[i].confidence, &nll);
        images[i].right = place_of(z, logits->classes, label) == 0;
        right += images[i].right;
    }
    qsort(images, n, sizeof(*images), compare_sure);
    double wrong = 0; /* less sure than those of the run of equal ones */
    for (size_t i = 0, end; i < n; i = end) {
        double here[2] = {0, 0};
        for (end = i; end < n && !(images[end].confidence > images[i].confidence); end++)
            here[images[end].right]++;
        above += here[1] * (wrong + here[0] / 2);
        wrong += here[0];
    }
    *ret_auroc = right > 0 && wrong > 0 ? above / (right * wrong) : 0.5;
    mem_free(images);
    return 0;
}

void evaluate_classes(const struct logits *logits, int classifier, struct class_count *ret_counts)
{
    const float *z = logits_of(logits, classifier);
    for (int c = 0; c < logits->classes; c++) ret_counts[c] = (struct class_count){0, 0};
    for (size_t i = 0; i < logits->n; i++, z += logits->classes) {
        struct class_count *count = &ret_counts[logits->labels[i]];
        count->images++;
        count->right += place_of(z, logits->classes, logits->labels[i]) == 0;
    }
}

double evaluate_balanced(const struct class_count *counts, int classes)
{
    double sum = 0;
    int n = 0;
    for (int c = 0; c < classes; c++) {
        if (counts[c].images == 0) continue;
        sum += (double)counts[c].right / (double)counts[c].images;
        n++;
    }
    return n > 0 ? sum / n : 0;
}
