/* One function for each kind of operation of a net.
 *
 * Norms stay nodes of their own and parameters keep their names, so that the file can be read like
 * the model it was made from; runtimes fold them better than a file could. A node has the name of
 * its parameters up to the last dot, or its kind and number; a value that of its node. Maps are
 * [batch][channels][height][width]; what comes behind the mean over a map is [batch][channels]. */
#include "config.h"

#include "ops.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "nn/graph.h"

struct writer {
    struct onnx_graph *g;
    const struct net *net;
    const float *params;
    const char **names; /* of the net's values */
    bool *is_vector;    /* of them: [batch][channels] */
};

/* --- names and parameters --------------------------------------------------------------------- */

static const char *param_tensor(struct writer *w, int index)
{
    const struct param *p = &w->net->params[index];
    return onnx_graph_floats(w->g, p->name, p->dims, p->n_dims, w->params + p->offset);
}

/* The name of the operation's parameters, "layer1.0.conv2", or its kind and number. */
static const char *node_name(struct writer *w, const struct op *op, const char *kind)
{
    if (op->weight < 0) return onnx_graph_text(w->g, "%s_%d", kind, (int)(op - w->net->ops));
    const char *name = w->net->params[op->weight].name, *dot = strrchr(name, '.');
    return onnx_graph_text(w->g, "%.*s", (int)(dot - name), name);
}

/* Of one or two inputs. */
static const char *node(struct writer *w, const char *type, const char *name, const char *a,
                        const char *b)
{
    const char *inputs[2] = {a, b};
    return onnx_graph_node(w->g, type, name, inputs, b != NULL ? 2 : 1);
}

static const char *part(struct writer *w, const char *name, const char *suffix)
{
    return onnx_graph_text(w->g, "%s.%s", name, suffix);
}

static void put_window(struct writer *w, int height, int width, int stride, const int64_t pads[4])
{
    const int64_t kernel[2] = {height, width}, strides[2] = {stride, stride};
    onnx_node_ints(w->g, "kernel_shape", kernel, 2);
    onnx_node_ints(w->g, "strides", strides, 2);
    onnx_node_ints(w->g, "pads", pads, 4);
}

/* --- with weights ----------------------------------------------------------------------------- */

static const char *matrix_product(struct writer *w, const struct op *op, const char *name)
{
    const char *in = w->names[op->in];
    if (!w->is_vector[op->in]) {
        in = node(w, "Flatten", part(w, name, "flatten"), in, NULL);
        onnx_node_int(w->g, "axis", 1);
    }
    const char *inputs[3] = {in, param_tensor(w, op->weight), param_tensor(w, op->bias)};
    const char *y = onnx_graph_node(w->g, "Gemm", name, inputs, 3);
    onnx_node_int(w->g, "transB", 1);
    w->is_vector[op->out] = true;
    return y;
}

/* A convolution over the whole map has a matrix for its weights: the map's elements in the order
 * channel, row, column, which is how Flatten gives them. */
static const char *write_conv(struct writer *w, const struct op *op)
{
    const struct conv_geometry *c = &op->conv;
    const int64_t pads[4] = {c->pad, c->pad, c->pad, c->pad};
    const char *name = node_name(w, op, "conv");
    if (w->net->params[op->weight].n_dims == 2) return matrix_product(w, op, name);

    const char *inputs[3] = {w->names[op->in], param_tensor(w, op->weight)};
    if (op->bias >= 0) inputs[2] = param_tensor(w, op->bias);
    const char *y = onnx_graph_node(w->g, "Conv", name, inputs, op->bias >= 0 ? 3 : 2);
    put_window(w, c->kernel_height, c->kernel_width, c->stride, pads);
    onnx_node_int(w->g, "group", conv_groups(c));
    if (op->residual >= 0) y = node(w, "Add", part(w, name, "add"), y, w->names[op->residual]);
    return y;
}

static const char *write_conv_transposed(struct writer *w, const struct op *op)
{
    const struct conv_geometry *c = &op->conv;
    const int64_t pads[4] = {c->pad, c->pad, c->pad, c->pad};
    const char *inputs[3] = {w->names[op->in], param_tensor(w, op->weight)};
    if (op->bias >= 0) inputs[2] = param_tensor(w, op->bias);
    const char *y = onnx_graph_node(w->g, "ConvTranspose", node_name(w, op, "conv_transposed"),
                                    inputs, op->bias >= 0 ? 3 : 2);
    put_window(w, c->kernel_height, c->kernel_width, c->stride, pads);
    return y;
}

static const char *write_norm(struct writer *w, const struct op *op)
{
    const char *name = node_name(w, op, "norm");
    const char *inputs[5] = {w->names[op->in], param_tensor(w, op->weight),
                             param_tensor(w, op->bias), param_tensor(w, op->mean),
                             param_tensor(w, op->variance)};
    const char *y = onnx_graph_node(w->g, "BatchNormalization", name, inputs, 5);
    onnx_node_float(w->g, "epsilon", NET_NORM_EPSILON);
    if (op->residual >= 0) y = node(w, "Add", part(w, name, "add"), y, w->names[op->residual]);
    return op->relu ? node(w, "Relu", part(w, name, "relu"), y, NULL) : y;
}

/* --- without ---------------------------------------------------------------------------------- */

static const char *write_mean(struct writer *w, const struct op *op)
{
    const char *name = node_name(w, op, "mean");
    const char *y = node(w, "GlobalAveragePool", part(w, name, "pool"), w->names[op->in], NULL);
    y = node(w, "Flatten", name, y, NULL);
    onnx_node_int(w->g, "axis", 1);
    w->is_vector[op->out] = true;
    return y;
}

static const char *write_relu(struct writer *w, const struct op *op)
{
    w->is_vector[op->out] = w->is_vector[op->in];
    return node(w, "Relu", node_name(w, op, "relu"), w->names[op->in], NULL);
}

static const char *write_max_pool(struct writer *w, const struct op *op)
{
    const struct pool_geometry *p = &op->pool;
    const int64_t pads[4] = {p->pad, p->pad, p->pad, p->pad};
    const char *y = node(w, "MaxPool", node_name(w, op, "pool"), w->names[op->in], NULL);
    put_window(w, p->kernel, p->kernel, p->stride, pads);
    return y;
}

/* Cells at the lower and right border may be smaller, and their mean is over what there is: a pad
 * that does not count says so for every opset, which ceil_mode does not. */
static const char *write_shortcut(struct writer *w, const struct op *op)
{
    const struct cell_geometry *s = &op->cells;
    const char *name = node_name(w, op, "shortcut"), *y = w->names[op->in];
    if (s->side > 1) {
        const int64_t pads[4] = {0, 0, (s->side - s->height % s->side) % s->side,
                                 (s->side - s->width % s->side) % s->side};
        y = node(w, "AveragePool", part(w, name, "pool"), y, NULL);
        put_window(w, s->side, s->side, s->side, pads);
        onnx_node_int(w->g, "count_include_pad", 0);
    }
    if (s->out_channels > s->in_channels || s->side == 1) {
        int64_t *pads = onnx_graph_alloc(w->g, 8, sizeof(*pads)); /* begins of 4 dims, then ends */
        if (pads == NULL) return y;
        pads[5] = s->out_channels - s->in_channels;
        y = node(w, "Pad", name, y, onnx_graph_ints(w->g, part(w, name, "pads"), pads, 8));
        onnx_node_string(w->g, "mode", "constant"); /* of zeros */
    }
    return y;
}

static const char *write_upsample(struct writer *w, const struct op *op)
{
    static const int64_t four[1] = {4};
    const char *name = node_name(w, op, "upsample");
    float *scales = onnx_graph_alloc(w->g, 4, sizeof(*scales));
    if (scales == NULL) return name;
    scales[0] = scales[1] = 1.0f;
    scales[2] = scales[3] = 2.0f;
    const char *inputs[3] = {w->names[op->in], "",
                             onnx_graph_floats(w->g, part(w, name, "scales"), four, 1, scales)};
    const char *y = onnx_graph_node(w->g, "Resize", name, inputs, 3);
    onnx_node_string(w->g, "mode", "linear");
    onnx_node_string(w->g, "coordinate_transformation_mode", "half_pixel");
    return y;
}

static const char *write_gate(struct writer *w, const struct op *op)
{
    const char *name = node_name(w, op, "gate");
    const char *y = node(w, "Sigmoid", part(w, name, "sigmoid"), w->names[op->in], NULL);
    return node(w, "Mul", name, y, w->names[op->residual]);
}

/* --- all of them ------------------------------------------------------------------------------ */

static const char *write_linear(struct writer *w, const struct op *op)
{
    return matrix_product(w, op, node_name(w, op, "linear"));
}

/* By the operators' names. */
static const struct {
    const char *name;
    const char *(*write)(struct writer *w, const struct op *op);
} operators[] = {
    {"conv", write_conv},         {"conv transposed", write_conv_transposed},
    {"norm", write_norm},         {"linear", write_linear},
    {"mean", write_mean},         {"relu", write_relu},
    {"max pool", write_max_pool}, {"shortcut", write_shortcut},
    {"upsample", write_upsample}, {"sigmoid gate", write_gate},
};

static const char *write_op(struct writer *w, const struct op *op)
{
    for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++)
        if (strcmp(operators[i].name, op_kind_name(op)) == 0) return operators[i].write(w, op);
    if (w->g->rc == 0) w->g->rc = ERR_UNSUPPORTED;
    return "";
}

int onnx_ops_append(struct onnx_graph *g, const struct net *net, const float *params,
                    unsigned exits, const char **ret_logits)
{
    struct writer w = {.g = g, .net = net, .params = params};
    w.names = onnx_graph_alloc(g, (size_t)net->n_values, sizeof(*w.names));
    w.is_vector = onnx_graph_alloc(g, (size_t)net->n_values, sizeof(*w.is_vector));
    if (g->rc == 0) w.names[0] = "image";
    for (int i = 0; i < net->n_ops && g->rc == 0; i++) {
        const struct op *op = &net->ops[i];
        if (!op_is_needed(op, exits)) continue;
        w.names[op->out] = write_op(&w, op);
        for (int exit = 0; exit < net->spec.n_sections; exit++) {
            if (net->logits[exit] != op->out) continue;
            w.names[op->out] =
                onnx_node_rename_output(g, onnx_graph_text(g, "logits_%d", exit + 1));
            ret_logits[exit] = w.names[op->out];
        }
    }
    return g->rc;
}
