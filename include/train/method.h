/* Training methods: which heads learn, and from what. A method is a row of a table; its loss reads
 * the logits and features of a batch and writes their gradients. The losses themselves are
 * nn/loss.h. Immutable; any thread. */
#ifndef TRAIN_METHOD_H
#define TRAIN_METHOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "nn/spec.h"

struct method {
    const char *name;
    const char *summary;    /* one line for --help */
    bool shallow;           /* the shallow heads learn too; else only the deepest does */
    bool self_distillation; /* they learn from the deepest one beside the labels */
};

/* The row of that name, or NULL. */
const struct method *method_find(const char *name);
const struct method *method_at(size_t i); /* NULL past the last */

/* "baseline, dsn or byot", for messages. ret_text: at least 128 bytes. */
void method_names(char *ret_text, size_t size);

/* Bit i: exit i learns. */
unsigned method_exits(const struct method *method, int n_exits);

/* The constants of self distillation (Zhang et al., ICCV 2019; defaults: facts/method.md 1.5). */
struct distillation {
    double temperature, alpha, lambda;
    bool kd_scale; /* the KL term times T^2, as Hinton et al. 2015 have it */
};

/* One batch as the loss sees it. Arrays of exits that do not learn are neither read nor written. */
struct method_batch {
    int n, n_exits, classes, features;
    const int32_t *labels;                   /* [n] */
    const float *logits[SPEC_SECTIONS_MAX];  /* [n][classes] */
    const float *feature[SPEC_SECTIONS_MAX]; /* [n][features], what the linear layer saw */
    float *dlogits[SPEC_SECTIONS_MAX];       /* += the gradient */
    float *dfeature[SPEC_SECTIONS_MAX];
};

/* The loss of a batch, C the deepest exit:
 *   baseline  CE(z_C)
 *   dsn       sum_i CE(z_i)                                              (arXiv 1409.5185)
 *   byot      CE(z_C) + sum_{i<C} (1-alpha) CE(z_i) + alpha T^2 KL_T(z_C || z_i) + lambda H(F_i,
 * F_C) z_C and F_C are constants in the last two terms; T^2 only with kd_scale. Nothing is averaged
 * over exits. Adds the gradients to the batch's arrays. */
double method_loss(const struct method *method, const struct distillation *distillation,
                   const struct method_batch *batch);

#endif
