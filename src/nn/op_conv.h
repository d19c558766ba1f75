/* A convolution in inference, for the operators that are one there: convolutions and linear layers;
 * and what a transposed one has in common with them. op_conv.c. */
#ifndef NN_OP_CONV_H
#define NN_OP_CONV_H

#include "op.h"
#include "plan_impl.h"

int64_t op_conv_macs(const struct net *net, const struct op *op);

bool op_conv_takes_behind(const struct op *op, const struct op *next);
void op_conv_choose(struct plan *plan, struct plan_op *p, int images);
int op_conv_pack(const struct plan *plan, const struct plan_op *p, const float *params,
                 struct plan_work *work);
void op_conv_run(const struct op_args *a);
bool op_conv_may_cut(const struct plan_op *p, int images);

/* The end of a description: what was folded and which algorithms were chosen. */
int op_conv_describe_folding(const struct plan_op *p, struct buf *out);
int op_conv_describe_choice(const struct plan_op *p, struct buf *out);

/* Folds what stands behind into work->factor, by which each output's weights are multiplied, and
 * work->shift, to which what else is added before op_conv_pack_bias() makes it the bias. */
void op_conv_fold_behind(const struct plan *plan, const struct plan_op *p, const float *params,
                         struct plan_work *work);
void op_conv_pack_bias(const struct plan *plan, const struct plan_op *p,
                       const struct plan_work *work);

#endif
