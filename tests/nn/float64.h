/* The training passes of a net in double, written from the definition of each operator: one image,
 * one pixel, one product after the other, and nothing of src/nn or src/kernel but the list of
 * operations. What computes in bfloat16 is followed by rounding the factors of its products, and
 * only these. */
#ifndef TESTS_NN_FLOAT64_H
#define TESTS_NN_FLOAT64_H

#include "nn/graph.h"

/* Whether the products of a convolution in one direction are of rounded factors; NULL: never. */
typedef bool float64_rounds(const void *arg, const struct op *op, enum conv_direction d);

struct float64 {
    const struct net *net;
    int batch;
    unsigned exits;
    float64_rounds *rounds;
    const void *arg;

    double *params, *dparams; /* as in the net's block; forward moves the running statistics */
    double **values, **grads; /* [n_values]; who calls adds his gradients before backward */
    double *sizes;            /* like dparams: the sum of what was added, each without its sign */
    double **added;           /* like grads, of what norms add */

    double kink;     /* how near the input of a ReLU or the second of a maximum comes to one */
    double variance; /* the smallest of a norm's that is not 0 */
    int64_t rows;    /* the fewest of a norm */
    double *work[3]; /* rounded factors; the largest value or weight each */
};

/* All gradients are 0. Ends the program when out of memory. */
struct float64 *float64_new(const struct net *net, int batch, unsigned exits, const float *params);
void float64_free(struct float64 *f);

void float64_forward(struct float64 *f, const float *images);
void float64_backward(struct float64 *f);

/* To bfloat16, to nearest, ties to even. */
float float64_bf16(float x);

#endif
