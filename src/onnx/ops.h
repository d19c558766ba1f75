/* A net's operations as ONNX nodes. */
#ifndef SRC_ONNX_OPS_H
#define SRC_ONNX_OPS_H

#include "graph.h"
#include "nn/net.h"

/* Appends all operations of a net with their parameters (the block stays the caller's and must live
 * until the graph is packed). The image is the value `image`; ret_logits[i] becomes the name of
 * exit i's logits, "logits_1" and so on, for the exits of a mask (bit i: exit i); operations that
 * only others need are left out. ERR_UNSUPPORTED for an operation that is not known here. */
int onnx_ops_append(struct onnx_graph *g, const struct net *net, const float *params,
                    unsigned exits, const char **ret_logits);

#endif
