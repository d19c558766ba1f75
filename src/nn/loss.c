/* Losses and their gradients. Softmax subtracts the largest logit first, so that no finite logit
 * overflows; probabilities are taken in double, a batch's logits are few. */
#include "config.h"

#include "nn/loss.h"

#include <math.h>
#include <stddef.h>

/* The largest logit / T and log(sum of exp(logit / T - largest)). */
struct log_sum {
    double largest, log;
};

static struct log_sum log_sum(int classes, const float *logits, double temperature)
{
    struct log_sum s = {logits[0] / temperature, 0.0};
    for (int k = 1; k < classes; k++) s.largest = fmax(s.largest, logits[k] / temperature);
    double sum = 0.0;
    for (int k = 0; k < classes; k++) sum += exp(logits[k] / temperature - s.largest);
    s.log = log(sum);
    return s;
}

static double log_softmax(struct log_sum s, float logit, double temperature)
{
    return logit / temperature - s.largest - s.log;
}

double loss_cross_entropy(int n, int classes, const float *logits, const int32_t *labels,
                          double weight, float *dlogits)
{
    double scale = weight / n, sum = 0.0;
    for (int i = 0; i < n; i++) {
        const float *z = logits + (ptrdiff_t)i * classes;
        float *dz = dlogits + (ptrdiff_t)i * classes;
        struct log_sum s = log_sum(classes, z, 1.0);
        sum -= log_softmax(s, z[labels[i]], 1.0);
        for (int k = 0; k < classes; k++)
            dz[k] += (float)(scale * (exp(log_softmax(s, z[k], 1.0)) - (k == labels[i])));
    }
    return scale * sum;
}

double loss_target(const struct loss_targets *targets, int classes, int i, int k)
{
    const struct loss_targets *t = targets;
    const double share = t->others != NULL ? t->share : 1.0;
    const double past = t->past != NULL ? t->past_share : 0.0;
    const double rest = (1.0 - t->smoothing) * (1.0 - past);
    double q = t->smoothing / classes;
    if (k == t->labels[i]) q += rest * share;
    if (t->others != NULL && k == t->others[i]) q += rest * (1.0 - share);
    if (t->past != NULL)
        q += (1.0 - t->smoothing) * past * (double)t->past[(ptrdiff_t)i * classes + k];
    return q;
}

/* Times its class' weight. */
static double target(const struct loss_targets *t, int classes, int i, int k)
{
    const double q = loss_target(t, classes, i, k);
    return t->weights != NULL ? q * (double)t->weights[k] : q;
}

/* With the sum of the targets s, which is 1 unless classes have weights, and probabilities p the
 * gradient is s p - q. */
double loss_soft_cross_entropy(int n, int classes, const float *logits,
                               const struct loss_targets *targets, double weight, float *dlogits)
{
    const struct loss_targets *t = targets;
    if (t->others == NULL && t->smoothing == 0.0 && t->past == NULL && t->weights == NULL)
        return loss_cross_entropy(n, classes, logits, t->labels, weight, dlogits);
    const double scale = weight / n;
    double sum = 0.0;
    for (int i = 0; i < n; i++) {
        const float *z = logits + (ptrdiff_t)i * classes;
        float *dz = dlogits + (ptrdiff_t)i * classes;
        struct log_sum s = log_sum(classes, z, 1.0);
        double all = t->weights != NULL ? 0.0 : 1.0;
        for (int k = 0; k < classes && t->weights != NULL; k++) all += target(t, classes, i, k);
        for (int k = 0; k < classes; k++) {
            const double log_p = log_softmax(s, z[k], 1.0), q = target(t, classes, i, k);
            if (q > 0.0) sum -= q * log_p;
            dz[k] += (float)(scale * (all * exp(log_p) - q));
        }
    }
    return scale * sum;
}

double loss_distill(int n, int classes, const float *student, const float *teacher,
                    double temperature, double weight, float *dstudent)
{
    double scale = weight / n, sum = 0.0;
    for (int i = 0; i < n; i++) {
        const float *z = student + (ptrdiff_t)i * classes, *t = teacher + (ptrdiff_t)i * classes;
        float *dz = dstudent + (ptrdiff_t)i * classes;
        struct log_sum of_student = log_sum(classes, z, temperature);
        struct log_sum of_teacher = log_sum(classes, t, temperature);
        for (int k = 0; k < classes; k++) {
            double log_q = log_softmax(of_student, z[k], temperature);
            double log_p = log_softmax(of_teacher, t[k], temperature);
            double p = exp(log_p);
            sum += p * (log_p - log_q); /* where p is 0, log_p is still finite */
            dz[k] += (float)(scale / temperature * (exp(log_q) - p));
        }
    }
    return scale * sum;
}

double loss_hint(int n, int d, const float *student, const float *teacher, double weight,
                 float *dstudent)
{
    ptrdiff_t count = (ptrdiff_t)n * d;
    double scale = weight / (double)count, sum = 0.0;
    for (ptrdiff_t i = 0; i < count; i++) {
        double difference = (double)student[i] - (double)teacher[i];
        sum += difference * difference;
        dstudent[i] += (float)(2.0 * scale * difference);
    }
    return scale * sum;
}

double loss_hint_as(enum loss_hint_form form, int n, int d, const float *student,
                    const float *teacher, double weight, float *dstudent)
{
    ptrdiff_t count = (ptrdiff_t)n * d;
    if (form == LOSS_HINT_MEAN) return loss_hint(n, d, student, teacher, weight, dstudent);
    if (form == LOSS_HINT_SUM)
        return loss_hint(n, d, student, teacher, weight * (double)count, dstudent);
    double sum = 0.0;
    for (ptrdiff_t i = 0; i < count; i++) {
        double difference = (double)student[i] - (double)teacher[i];
        sum += difference * difference;
    }
    const double norm = sqrt(sum);
    if (norm == 0.0) return 0.0;
    for (ptrdiff_t i = 0; i < count; i++)
        dstudent[i] += (float)(weight / norm * ((double)student[i] - (double)teacher[i]));
    return weight * norm;
}

void loss_softmax(int classes, const float *logits, double temperature, float *probabilities)
{
    struct log_sum s = log_sum(classes, logits, temperature);
    for (int k = 0; k < classes; k++)
        probabilities[k] = (float)exp(log_softmax(s, logits[k], temperature));
}
