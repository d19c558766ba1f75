/* An ONNX graph that is being written: nodes and initializers in the order of their creation.
 * Everything it points to lives in the arena, but the elements of tensors, which stay the caller's.
 * The first error sticks, and later calls do nothing, so that operators read like their definition.
 * Names that functions return are never NULL. */
#ifndef SRC_ONNX_GRAPH_H
#define SRC_ONNX_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "onnx.pb-c.h"

enum { ONNX_TYPE_FLOAT = 1, ONNX_TYPE_INT64 = 7, ONNX_INPUTS_MAX = 8 };

struct onnx_graph {
    struct arena *arena;
    int rc; /* 0 or -ENOMEM */
    Onnx__Node **nodes;
    size_t n_nodes, nodes_room;
    Onnx__Tensor **tensors;
    size_t n_tensors, tensors_room;
};

void onnx_graph_init(struct onnx_graph *g, struct arena *arena);
void onnx_graph_release(struct onnx_graph *g); /* not the arena */

/* Zeroed memory from the arena, or NULL with the error set. */
void *onnx_graph_alloc(struct onnx_graph *g, size_t count, size_t size);

/* Text in the arena, at most 127 bytes of it. */
char *onnx_graph_text(struct onnx_graph *g, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Appends a node with one output, which has the node's name. inputs: names, at most
 * ONNX_INPUTS_MAX. */
const char *onnx_graph_node(struct onnx_graph *g, const char *type, const char *name,
                            const char *const *inputs, size_t n_inputs);

/* Of the last node: attributes, and another name for its output. */
void onnx_node_int(struct onnx_graph *g, const char *name, int64_t value);
void onnx_node_ints(struct onnx_graph *g, const char *name, const int64_t *values, size_t n);
void onnx_node_float(struct onnx_graph *g, const char *name, float value);
void onnx_node_string(struct onnx_graph *g, const char *name, const char *value);
const char *onnx_node_rename_output(struct onnx_graph *g, const char *name);

/* Initializers; values are not copied. Each returns its name. */
const char *onnx_graph_floats(struct onnx_graph *g, const char *name, const int64_t *dims,
                              int n_dims, const float *values);
const char *onnx_graph_ints(struct onnx_graph *g, const char *name, const int64_t *values,
                            size_t n);

/* A value's description, float [batch or any][dims[0]].. */
Onnx__Value *onnx_graph_value(struct onnx_graph *g, const char *name, int batch,
                              const int64_t *dims, int n_dims);

#endif
