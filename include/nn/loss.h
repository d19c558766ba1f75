/* Losses of self distillation ("Be Your Own Teacher", ICCV 2019, equations 2 to 7; facts in the
 * authors' codes differ in scale, see ARCHITECTURE.md). Each function returns the term's value,
 * already multiplied by weight, and adds weight times its gradient to the given array. Sums run in
 * a fixed order, values are accumulated in double. Any thread. */
#ifndef NN_LOSS_H
#define NN_LOSS_H

#include <stdint.h>

/* weight * mean over n of -log softmax(logits)[label]. logits, dlogits [n][classes]. */
double loss_cross_entropy(int n, int classes, const float *logits, const int32_t *labels,
                          double weight, float *dlogits);

/* What the label cross entropy aims at: a label, mixed with another one (Zhang et al., ICLR 2018),
 * then with what was answered before (Kim et al., ICCV 2021), then with all classes alike (label
 * smoothing, Szegedy et al., CVPR 2016):
 * h = share onehot(labels) + (1 - share) onehot(others)
 * q = (1 - smoothing) ((1 - past_share) h + past_share past) + smoothing / classes. */
struct loss_targets {
    const int32_t *labels; /* [n] */
    const int32_t *others; /* [n]; NULL: none, and share is not read */
    double share, smoothing;
    const float *past; /* [n][classes], probabilities; NULL: none, and past_share is not read */
    double past_share;
    const float *weights; /* [classes]; NULL: all 1 */
};

/* q_k of image i. */
double loss_target(const struct loss_targets *targets, int classes, int i, int k);

/* weight * mean over n of -sum_k c_k q_k log softmax(logits)_k with the classes' weights c, as
 * PyTorch's CrossEntropyLoss(weight=c) has it for probabilities: what is divided by is n. Of labels
 * alone the bits of loss_cross_entropy(). */
double loss_soft_cross_entropy(int n, int classes, const float *logits,
                               const struct loss_targets *targets, double weight, float *dlogits);

/* weight * mean over n of KL(softmax(teacher/T) || softmax(student/T)); the teacher is a constant
 * (detached). Callers put T^2 into weight where the variant scales. */
double loss_distill(int n, int classes, const float *student, const float *teacher,
                    double temperature, double weight, float *dstudent);

/* weight * mean over n and d of (student - teacher)^2; the teacher is a constant. [n][d]. */
double loss_hint(int n, int d, const float *student, const float *teacher, double weight,
                 float *dstudent);

/* How the squares of a hint are put together. */
enum loss_hint_form {
    LOSS_HINT_MEAN, /* over n and d: loss_hint() */
    LOSS_HINT_SUM,  /* over n and d; SCAN */
    LOSS_HINT_NORM, /* the root of the sum, the journal version; its gradient is a unit vector, and
                       0 where student and teacher are equal */
};

double loss_hint_as(enum loss_hint_form form, int n, int d, const float *student,
                    const float *teacher, double weight, float *dstudent);

/* probabilities[classes] = softmax(logits / temperature); may be in place. */
void loss_softmax(int classes, const float *logits, double temperature, float *probabilities);

#endif
