/* Least confidences that keep a promise: "with this confidence the answers are at most X less often
 * right than those of the best classifier", where held-out images are a sample of what will come.
 * Learn then Test (Angelopoulos et al., 2021, arXiv 2110.01052) for early exits, as in "Fast yet
 * Safe: Early-Exiting with Risk Control" (Jazbec et al., NeurIPS 2024). Pure; any thread. */
#ifndef TRAIN_RISK_H
#define TRAIN_RISK_H

#include <stddef.h>

#include "train/early.h"

/* A p-value of "in the mean over all images the loss is more than max_loss", of n images of which
 * `lost` have the loss 1 (only the other one is right), `won` -1 (only this one is), the others 0:
 * under it P(p <= u) <= u for every u from `spend` on. Two steps (Berger and Boos, JASA 89, 1994):
 * `spend` of the error pays for an upper bound of the share of images on which the two disagree
 * (Chernoff: n KL(share, bound) = -ln spend); at that share, where losses of a given mean vary
 * most, Chernoff's bound of the chance of a sum as small as this one is the rest, min over t of
 * exp(t (lost - won)) (E exp(-t L))^n. Holds for every n, without an approximation. */
double risk_p(size_t n, size_t lost, size_t won, double max_loss, double spend);

/* The least X whose p-value is at most 1 - sure, to 1e-6: with this confidence the mean loss is at
 * most that. `spend` is a tenth of 1 - sure, as below. At most 1. */
double risk_bound(size_t n, size_t lost, size_t won, double sure);

/* The rules that are looked at, in this order: confidences from past 1 (nobody stops) down to 0,
 * the same for all exits; 0.9999, 0.9998 .. 0.999, 0.998 .. 0. */
enum { RISK_POINTS = 1010 };
double risk_confidence_at(int i);

/* The first confidence of these behind which the promise is not proven: every one from the first on
 * to the one that is given has a p-value of at most 1 - sure, for the exits of the mask and for
 * those of them from any one on (SLA-Min-Accuracy begins with one). Tests go on until the first
 * fails, so each may use up all of 1 - sure (fixed sequence testing, ibid., 4.2). What answers the
 * rest in `early` is what the loss is against. EARLY_NEVER: nothing can be proven, nobody stops
 * early. */
double risk_confidence(const struct early *early, unsigned exits, double max_loss, double sure);

#endif
