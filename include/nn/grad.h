/* Training passes of a net: forward with batch statistics, backward to all parameters. The object
 * owns every activation for a batch of fixed size; parameters and gradients are the caller's, in
 * the net's block layout. Work is cut over the pool's threads by image in a fixed way, sums over
 * lanes (threads) are made in their order: equal threads, equal bits. One caller at a time. */
#ifndef NN_GRAD_H
#define NN_GRAD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/pool.h"
#include "nn/choices.h"
#include "nn/net.h"

struct grad;

struct grad_options {
    /* Bit i set when exit i is trained; heads that are not set are neither run nor changed (the
     * baseline trains only the deepest). */
    unsigned exits;

    /* Bit i: the end of section i is shown to the caller. What is compared with another network
     * there keeps room for a batch of its gradient. */
    unsigned borders;

    /* The trunk is not computed: the caller puts the ends of the sections into grad_end(), and no
     * gradient goes further. The deepest head, whose gradient is nobody's then, uses running
     * statistics and leaves them alone. */
    bool frozen;

    enum precision precision;

    /* Known algorithms of convolutions, not needed any more when the grad is made; NULL: none. The
     * others go by rule or, for at most about so many seconds, are measured and added. */
    struct choices *choices;
    double measure_s;
};

/* ERR_RANGE for no exit, one that the net does not have, or a border that no exit needs. Net and
 * pool must outlive it. */
struct grad *grad_new(const struct net *net, int batch, const struct grad_options *options,
                      struct pool *pool, const struct kernels *kernels, struct err *e);
void grad_free(struct grad *grad);
size_t grad_bytes(const struct grad *grad);

/* Adds the algorithms that it computes with, so that another grad of the same net, batch and
 * threads gives the same bits on the same processor. -ENOMEM. */
int grad_choices(const struct grad *grad, struct choices *choices);

/* Forward in training mode on the first `batch` images of grad_input() (at most the batch of
 * grad_new()): norms use the batch's statistics and move the running ones in params. */
float *grad_input(struct grad *grad); /* [batch][h][w][c] */
void grad_forward(struct grad *grad, float *params, int batch);

/* The same with running statistics that move by the share `momentum` of the way: by 1/i with batch
 * i, from 1, they become the mean of the batches'. grad_forward()'s is NET_NORM_MOMENTUM. */
void grad_forward_moving(struct grad *grad, float *params, int batch, double momentum);

/* After grad_forward(): logits [batch][classes] and the D-vectors [batch][D] before the linear
 * layer (the hint's features) of an exit; and where the caller puts the loss's gradients.
 * grad_forward() clears both gradients. */
const float *grad_logits(const struct grad *grad, int exit);
const float *grad_features(const struct grad *grad, int exit);
float *grad_dlogits(struct grad *grad, int exit);
float *grad_dfeatures(struct grad *grad, int exit);

/* The end of a section that was asked for, [batch][h][w][c], and where the caller adds the gradient
 * of what it makes of it (the net's own part comes on top); NULL for the others. Valid from
 * grad_forward(), which clears the gradient, to grad_backward(). */
const float *grad_border(const struct grad *grad, int section);
float *grad_dborder(struct grad *grad, int section);

/* With a frozen trunk, where the end of a section goes before grad_forward(), [batch][h][w][c], of
 * sections whose exit is trained. */
float *grad_end(struct grad *grad, int section);

/* Backward: dparams[0, net_trained_size) = the gradient of the loss; entries of heads that are not
 * trained are 0. */
void grad_backward(struct grad *grad, const float *params, float *dparams);

/* For whoever sends gradients away while the pass goes on: after each of its loops (some dozens to
 * hundreds a pass) grad_backward() calls fn on its own thread with those entries of dparams that
 * have become final since, often none. What is trained comes once in each pass, in the same order,
 * what is not never does. The other threads wait meanwhile. fn NULL: nobody asks. */
struct grad_range {
    size_t first, end;
};

typedef void grad_ready_fn(void *arg, const struct grad_range *ranges, size_t n);

void grad_on_ready(struct grad *grad, grad_ready_fn *fn, void *arg);

/* One of `grads` grads, each with as many images of one batch, whose norms use the statistics of
 * all of them ("synchronized batch norm"). add() makes sums [n] those of all; it is called by the
 * thread of a pass, for the same norms in the same order by each of them. The gradients remain
 * those of the own images: added up, those of the batch when the loss is a sum over images. Not
 * during a pass; with grads 1 nobody is asked. */
typedef void grad_add_fn(void *arg, double *sums, size_t n);

void grad_share_norms(struct grad *grad, int grads, grad_add_fn *add, void *arg);

#endif
