/* Training methods: which heads learn, and from what. A method is a row of a table; its loss reads
 * the logits and features of a batch and writes their gradients. The losses themselves are
 * nn/loss.h; what a teacher's maps add is nn/loss_map.h's. Immutable; any thread. */
#ifndef TRAIN_METHOD_H
#define TRAIN_METHOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/loss.h"
#include "nn/spec.h"

/* The constants of distillation. A method has defaults of its own and reads some of them. */
struct distillation {
    double temperature, alpha; /* of the softmax; share of the answers that are learnt from */
    double lambda;             /* weight of the hint */
    bool kd_scale;             /* the KL term times T^2, as Hinton et al. 2015 have it */
    double beta;               /* twice the weight of attention transfer */
    enum loss_hint_form hint;  /* of self distillation */
    unsigned hint_exits;       /* bit i: exit i has it; 0: every shallow one */
};

/* Whom the deepest exit learns from, beside the labels. */
enum method_source {
    METHOD_LABELS,  /* nobody */
    METHOD_TEACHER, /* a model that is frozen */
    METHOD_PEER,    /* a second network, which learns from it in turn */
};

/* What is compared with the teacher at the ends of sections. */
enum method_guide {
    METHOD_NO_MAPS,
    METHOD_HINT,      /* the map in the middle, through a regressor that is trained along */
    METHOD_ATTENTION, /* where each section looks */
};

struct method {
    const char *name;
    const char *summary;    /* one line for --help */
    bool shallow;           /* the shallow heads learn too; else only the deepest does */
    bool self_distillation; /* they learn from the deepest one beside the labels */
    struct distillation defaults;
    enum method_source source;
    enum method_guide guide;
};

/* The row of that name, or NULL. */
const struct method *method_find(const char *name);
const struct method *method_at(size_t i); /* NULL past the last */

/* "baseline, dsn or byot", for messages. ret_text: at least 128 bytes. */
void method_names(char *ret_text, size_t size);

/* Whether a method reads an option of distillation ("temperature", "teacher"); every method reads
 * those that are none. */
bool method_reads(const struct method *method, const char *option);

/* "kd, fitnet and at": the methods that read it. ret_text: at least 128 bytes. */
void method_readers(const char *option, char *ret_text, size_t size);

/* Bit i: exit i learns. */
unsigned method_exits(const struct method *method, int n_exits);

/* Which constants it reads: temperature, alpha and kd_scale; lambda; beta. */
bool method_distils(const struct method *method);
bool method_hints(const struct method *method);
bool method_attends(const struct method *method);

/* One batch as the loss sees it. Arrays of exits that do not learn are neither read nor written. */
struct method_batch {
    int n, n_exits, classes, features;
    const int32_t *labels;                   /* [n] */
    const int32_t *others;                   /* [n], mixed in by mixup; NULL: none */
    double share, smoothing;                 /* of the labels, as struct loss_targets has it */
    const float *logits[SPEC_SECTIONS_MAX];  /* [n][classes] */
    const float *feature[SPEC_SECTIONS_MAX]; /* [n][features], what the linear layer saw */
    float *dlogits[SPEC_SECTIONS_MAX];       /* += the gradient */
    float *dfeature[SPEC_SECTIONS_MAX];
    const float *source; /* [n][classes], the logits of teacher or peer; NULL when there is none */
};

/* The loss of a batch, C the deepest exit, t the source:
 *   baseline  CE(z_C)
 *   dsn       sum_i CE(z_i)                                              (arXiv 1409.5185)
 *   byot      CE(z_C) + sum_{i<C} (1-alpha) CE(z_i) + alpha T^2 KL_T(z_C || z_i) + lambda H(F_i,
 *             F_C)
 *   kd        (1-alpha) CE(z_C) + alpha T^2 KL_T(z_t || z_C)             (arXiv 1503.02531)
 *   fitnet    the same + lambda * mean of (r(M_C) - M_t)^2               (arXiv 1412.6550)
 *   at        the same + beta/2 * sum over sections of attention's       (arXiv 1612.03928)
 *   dml       CE(z_C) + alpha T^2 KL_T(z_t || z_C)                       (arXiv 1706.00384)
 * z_C and F_C in byot's last two terms, and everything of the source, are constants; T^2 only with
 * kd_scale. Nothing is averaged over exits. The terms of maps M are not added here (guide.h). Adds
 * the gradients to the batch's arrays. */
double method_loss(const struct method *method, const struct distillation *distillation,
                   const struct method_batch *batch);

#endif
