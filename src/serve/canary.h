/* The canary: a few made images that a version must compute before it serves. */
#ifndef SERVE_CANARY_H
#define SERVE_CANARY_H

#include "base/err.h"
#include "model/model.h"
#include "nn/plan.h"

/* Computes made images with every classifier and the ensemble, on this thread: ERR_UNSUPPORTED
 * where a logit or a probability is not finite, or where a classifier computes the same for all of
 * them, which says nothing about any; the message names the classifier and what it computed. What
 * is wrong though it is finite takes images with labels to see. exec is of the model's net, for one
 * image or more. -ENOMEM. */
int canary_check(const struct model *model, struct exec *exec, struct err *e);

/* For tests: how many images there are, and one of them as the network gets it, [height][width][3],
 * with its name. */
int canary_images(void);
const char *canary_image(const struct preprocess *preprocess, int index, float *ret_input);

#endif
