/* Nodes, attributes and initializers of an ONNX graph as protobuf's structs, which want arrays of
 * pointers to each of their parts. Nothing here knows of networks. */
#include "config.h"

#include "graph.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* Initializers are the processor's own bytes. */
#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "ONNX files are little endian, and so must the processor be"
#endif

enum { TEXT_MAX = 127, ATTRIBUTES_MAX = 8 };
enum { ATTRIBUTE_FLOAT = 1, ATTRIBUTE_INT = 2, ATTRIBUTE_STRING = 3, ATTRIBUTE_INTS = 7 };

static char no_name[] = ""; /* stands for a name where memory ran out */

void onnx_graph_init(struct onnx_graph *g, struct arena *arena)
{
    *g = (struct onnx_graph){.arena = arena};
}

void onnx_graph_release(struct onnx_graph *g)
{
    mem_free(g->nodes);
    mem_free(g->tensors);
    *g = (struct onnx_graph){.rc = 0};
}

void *onnx_graph_alloc(struct onnx_graph *g, size_t count, size_t size)
{
    void *object = g->rc == 0 ? arena_alloc(g->arena, count, size) : NULL;
    if (object == NULL) {
        g->rc = -ENOMEM;
        return NULL;
    }
    return memset(object, 0, count * size);
}

char *onnx_graph_text(struct onnx_graph *g, const char *format, ...)
{
    char text[TEXT_MAX + 1];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    char *copy = onnx_graph_alloc(g, strlen(text) + 1, 1);
    return copy != NULL ? strcpy(copy, text) : no_name;
}

/* Room for one more pointer in an array that grows by half; NULL with the error set. */
static void *reserve(struct onnx_graph *g, void *array, size_t count, size_t *room)
{
    if (g->rc < 0 || count < *room) return array;
    size_t larger = *room + *room / 2 + 64;
    void *grown = mem_grow(array, larger, sizeof(void *));
    if (grown == NULL) {
        g->rc = -ENOMEM;
        return array;
    }
    *room = larger;
    return grown;
}

/* --- nodes ------------------------------------------------------------------------------------ */

const char *onnx_graph_node(struct onnx_graph *g, const char *type, const char *name,
                            const char *const *inputs, size_t n_inputs)
{
    assert(n_inputs <= ONNX_INPUTS_MAX);
    g->nodes = reserve(g, g->nodes, g->n_nodes, &g->nodes_room);
    Onnx__Node *node = onnx_graph_alloc(g, 1, sizeof(*node));
    char **names = onnx_graph_alloc(g, n_inputs + 1, sizeof(*names)); /* the output behind them */
    Onnx__Attribute **attributes = onnx_graph_alloc(g, ATTRIBUTES_MAX, sizeof(void *));
    char *own_type = onnx_graph_text(g, "%s", type), *own_name = onnx_graph_text(g, "%s", name);
    for (size_t i = 0; g->rc == 0 && i < n_inputs; i++)
        names[i] = onnx_graph_text(g, "%s", inputs[i]);
    if (g->rc < 0) return no_name;

    onnx__node__init(node);
    node->op_type = own_type;
    node->name = own_name;
    node->input = names;
    node->n_input = n_inputs;
    node->output = names + n_inputs;
    node->output[0] = own_name;
    node->n_output = 1;
    node->attribute = attributes;
    g->nodes[g->n_nodes++] = node;
    return own_name;
}

const char *onnx_node_rename_output(struct onnx_graph *g, const char *name)
{
    char *own_name = onnx_graph_text(g, "%s", name);
    if (g->rc == 0) g->nodes[g->n_nodes - 1]->output[0] = own_name;
    return own_name;
}

/* A new attribute of the last node, or NULL. */
static Onnx__Attribute *add_attribute(struct onnx_graph *g, const char *name, int type)
{
    Onnx__Attribute *a = onnx_graph_alloc(g, 1, sizeof(*a));
    char *own_name = onnx_graph_text(g, "%s", name);
    if (g->rc < 0) return NULL;
    onnx__attribute__init(a);
    a->name = own_name;
    a->has_type = 1;
    a->type = type;
    Onnx__Node *node = g->nodes[g->n_nodes - 1];
    assert(node->n_attribute < ATTRIBUTES_MAX);
    node->attribute[node->n_attribute++] = a;
    return a;
}

void onnx_node_int(struct onnx_graph *g, const char *name, int64_t value)
{
    Onnx__Attribute *a = add_attribute(g, name, ATTRIBUTE_INT);
    if (a == NULL) return;
    a->has_i = 1;
    a->i = value;
}

void onnx_node_float(struct onnx_graph *g, const char *name, float value)
{
    Onnx__Attribute *a = add_attribute(g, name, ATTRIBUTE_FLOAT);
    if (a == NULL) return;
    a->has_f = 1;
    a->f = value;
}

void onnx_node_ints(struct onnx_graph *g, const char *name, const int64_t *values, size_t n)
{
    int64_t *copy = onnx_graph_alloc(g, n, sizeof(*copy));
    Onnx__Attribute *a = add_attribute(g, name, ATTRIBUTE_INTS);
    if (a == NULL) return;
    memcpy(copy, values, n * sizeof(*copy));
    a->ints = copy;
    a->n_ints = n;
}

void onnx_node_string(struct onnx_graph *g, const char *name, const char *value)
{
    char *copy = onnx_graph_text(g, "%s", value);
    Onnx__Attribute *a = add_attribute(g, name, ATTRIBUTE_STRING);
    if (a == NULL) return;
    a->has_s = 1;
    a->s = (ProtobufCBinaryData){strlen(copy), (uint8_t *)copy};
}

/* --- tensors and values ----------------------------------------------------------------------- */

static const char *add_tensor(struct onnx_graph *g, const char *name, int type, const int64_t *dims,
                              int n_dims, const void *values, size_t element_bytes)
{
    g->tensors = reserve(g, g->tensors, g->n_tensors, &g->tensors_room);
    Onnx__Tensor *t = onnx_graph_alloc(g, 1, sizeof(*t));
    int64_t *own_dims = onnx_graph_alloc(g, (size_t)n_dims, sizeof(*own_dims));
    char *own_name = onnx_graph_text(g, "%s", name);
    if (g->rc < 0) return no_name;

    size_t bytes = element_bytes;
    for (int i = 0; i < n_dims; i++) {
        own_dims[i] = dims[i];
        bytes *= (size_t)dims[i]; /* a part of a block that was allocated: it fits */
    }
    onnx__tensor__init(t);
    t->dims = own_dims;
    t->n_dims = (size_t)n_dims;
    t->has_data_type = 1;
    t->data_type = type;
    t->name = own_name;
    t->has_raw_data = 1;
    /* protobuf-c has no const; packing only reads. */
    t->raw_data = (ProtobufCBinaryData){bytes, (uint8_t *)(uintptr_t)values};
    g->tensors[g->n_tensors++] = t;
    return own_name;
}

const char *onnx_graph_floats(struct onnx_graph *g, const char *name, const int64_t *dims,
                              int n_dims, const float *values)
{
    return add_tensor(g, name, ONNX_TYPE_FLOAT, dims, n_dims, values, sizeof(*values));
}

const char *onnx_graph_ints(struct onnx_graph *g, const char *name, const int64_t *values, size_t n)
{
    int64_t dims[1] = {(int64_t)n};
    return add_tensor(g, name, ONNX_TYPE_INT64, dims, 1, values, sizeof(*values));
}

Onnx__Value *onnx_graph_value(struct onnx_graph *g, const char *name, int batch,
                              const int64_t *dims, int n_dims)
{
    size_t n = (size_t)n_dims + 1;
    Onnx__Value *value = onnx_graph_alloc(g, 1, sizeof(*value));
    Onnx__Type *type = onnx_graph_alloc(g, 1, sizeof(*type));
    Onnx__TensorType *tensor = onnx_graph_alloc(g, 1, sizeof(*tensor));
    Onnx__Shape *shape = onnx_graph_alloc(g, 1, sizeof(*shape));
    Onnx__Dim **pointers = onnx_graph_alloc(g, n, sizeof(void *));
    Onnx__Dim *own_dims = onnx_graph_alloc(g, n, sizeof(*own_dims));
    char *own_name = onnx_graph_text(g, "%s", name), *any = onnx_graph_text(g, "batch");
    if (g->rc < 0) return NULL;

    for (size_t i = 0; i < n; i++) {
        onnx__dim__init(&own_dims[i]);
        pointers[i] = &own_dims[i];
        own_dims[i].has_dim_value = i > 0 || batch > 0;
        own_dims[i].dim_value = i > 0 ? dims[i - 1] : batch;
    }
    if (batch == 0) own_dims[0].dim_param = any;
    onnx__shape__init(shape);
    shape->dim = pointers;
    shape->n_dim = n;
    onnx__tensor_type__init(tensor);
    tensor->has_elem_type = 1;
    tensor->elem_type = ONNX_TYPE_FLOAT;
    tensor->shape = shape;
    onnx__type__init(type);
    type->tensor_type = tensor;
    onnx__value__init(value);
    value->name = own_name;
    value->type = type;
    return value;
}
