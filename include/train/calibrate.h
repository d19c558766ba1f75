/* Calibration on held-out images: temperatures, accuracies and first thresholds. Pure; any thread.
 */
#ifndef TRAIN_CALIBRATE_H
#define TRAIN_CALIBRATE_H

#include "model/model.h"
#include "train/evaluate.h"

#define CALIBRATE_TEMPERATURE_MIN 0.05
#define CALIBRATE_TEMPERATURE_MAX 20.0

/* What the first thresholds may cost in all: accuracy of the images that an exit takes, against
 * what answers at the deepest on the same images. */
#define CALIBRATE_TOLERANCE 0.01

/* The threshold of an exit that never answers by itself: past every confidence, of which 1 is one.
 */
#define CALIBRATE_NEVER 2.0

/* The temperature that minimises the mean negative log likelihood (Guo et al., ICML 2017,
 * section 4.2). In b = 1/T it is convex, so its derivative, mean(E_softmax(bz)[z] - z_label), is
 * bisected; kept between the two limits above (a classifier that knows nothing goes to the upper
 * one). */
double calibrate_temperature(const struct logits *logits, int classifier);

/* Temperatures, top-1 and thresholds of all classifiers that have learned, and the weights of the
 * running ensembles (src/train/weights.h). What answers at an exit by itself is the exit or its
 * running ensemble, model_answerer() says which. Exit by exit, among the images that no exit before
 * has taken, the threshold is the smallest calibrated confidence such that of the
 * images at or above it this exit gets right at most CALIBRATE_TOLERANCE (of their number) fewer
 * than what answers at the deepest does on the same images; CALIBRATE_NEVER when there is none. So
 * on these images answers by thresholds are at most that much worse than that one. -ENOMEM. */
int calibrate(struct logits *logits, struct calibration *ret_calibration, struct err *e);

#endif
