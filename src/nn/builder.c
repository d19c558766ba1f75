/* Appends values, operations and parameters to a net. Which operations there are is not known here
 * (ops.h). */
#include "config.h"

#include "builder.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "op.h"

void build_fail_memory(struct builder *b)
{
    if (b->rc == 0) b->rc = err_set(b->e, -ENOMEM, "net: out of memory");
}

/* Makes room for one more object in an array that grows by half. */
static void *reserve(struct builder *b, void *array, int count, int *room, size_t size)
{
    if (b->rc < 0 || count < *room) return array;
    int larger = *room + *room / 2 + 16;
    void *grown = mem_grow(array, (size_t)larger, size);
    if (grown == NULL) {
        build_fail_memory(b);
        return array;
    }
    *room = larger;
    return grown;
}

static int add_value(struct builder *b, struct shape shape)
{
    struct net *net = b->net;
    net->values = reserve(b, net->values, net->n_values, &net->values_room, sizeof(*net->values));
    if (b->rc < 0) return 0;
    net->values[net->n_values] = (struct value){.shape = shape, .producer = net->n_ops};
    return net->n_values++;
}

int build_input(struct builder *b, struct shape shape)
{
    int value = add_value(b, shape);
    if (b->rc == 0) b->net->values[value].producer = -1;
    return value;
}

struct op op_new(const struct op_kind *kind, int in)
{
    return (struct op){.kind = kind,
                       .in = in,
                       .residual = -1,
                       .weight = -1,
                       .bias = -1,
                       .mean = -1,
                       .variance = -1};
}

int build_op(struct builder *b, struct op op)
{
    struct net *net = b->net;
    if (b->rc < 0) return 0;
    op.out = add_value(b, op.kind->shape(&op, shape_of(b, op.in)));
    net->ops = reserve(b, net->ops, net->n_ops, &net->ops_room, sizeof(*net->ops));
    if (b->rc < 0) return 0;
    op.section = b->section;
    op.exit = b->exit;
    net->ops[net->n_ops++] = op;
    return op.out;
}

int build_param(struct builder *b, const char *name, const char *member, enum param_role role,
                enum param_init init, int n_dims, const int64_t *dims, size_t fan_in)
{
    struct net *net = b->net;
    net->params = reserve(b, net->params, net->n_params, &net->params_room, sizeof(*net->params));
    if (b->rc < 0) return 0;

    struct param *p = &net->params[net->n_params];
    *p = (struct param){.n_dims = n_dims,
                        .exit = b->exit,
                        .role = role,
                        .init = init,
                        .trained = role != PARAM_NORM_MEAN && role != PARAM_NORM_VARIANCE,
                        .fan_in = fan_in,
                        .size = 1};
    snprintf(p->name, sizeof(p->name), "%s.%s", name, member);
    for (int i = 0; i < n_dims; i++) {
        p->dims[i] = dims[i];
        if (mem_size(p->size, (size_t)dims[i], 0, &p->size) < 0) build_fail_memory(b);
    }
    return net->n_params++;
}

struct shape shape_of(const struct builder *b, int value)
{
    return b->rc < 0 ? (struct shape){1, 1, 1} : b->net->values[value].shape;
}

const char *join(char *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(text, NAME_MAX_LENGTH, format, args);
    va_end(args);
    return text;
}

void build_check_window(struct builder *b, struct shape x, int height, int width, int pad,
                        const char *name)
{
    if (b->rc < 0 || (x.height + 2 * pad >= height && x.width + 2 * pad >= width)) return;
    b->rc = err_set(b->e, ERR_RANGE,
                    "net: the %dx%d map is too small for the %dx%d kernel of %s: enlarge "
                    "input.height and input.width or lower the strides",
                    x.height, x.width, height, width, name);
}
