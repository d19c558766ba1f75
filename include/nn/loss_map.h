/* Losses between the maps of two networks, student and teacher, for one image at a time, so that
 * callers can spread a batch over threads. Each returns the term's value, already multiplied by
 * weight, and adds weight times its gradient to the given array; the teacher is a constant. Values
 * are accumulated in double, in a fixed order. Any thread. */
#ifndef NN_LOSS_MAP_H
#define NN_LOSS_MAP_H

#include "nn/net.h"

/* Where two maps of different size meet: the smaller height and the smaller width. */
struct shape map_meeting(struct shape a, struct shape b);

/* y [oh][ow][c] = means over cells of x [h][w][c]; cell i of n covers the rows (columns) from
 * floor(i h / n) to ceil((i + 1) h / n), so that neighbours may share one (PyTorch's
 * adaptive_avg_pool2d). in.channels counts; oh, ow from `to`, at most those of in. */
void map_mean(struct shape in, const float *x, struct shape to, float *y);

/* dx += its gradient. */
void map_mean_backward(struct shape in, const float *dy, struct shape to, float *dx);

/* Attention transfer (Zagoruyko and Komodakis, ICLR 2017, arXiv 1612.03928, equation 2, with the
 * mean of squared differences of the authors' code): weight * mean over the pixels of
 * (Q_s / |Q_s| - Q_t / |Q_t|)^2 with Q = sum over channels of A^2. The maps have equal pixels, not
 * channels: student [pixels][cs], teacher [pixels][ct]. scratch: 2 * pixels. A map of zeros stays
 * zeros. */
double loss_attention(int pixels, int cs, const float *student, int ct, const float *teacher,
                      double weight, float *dstudent, double *scratch);

#endif
