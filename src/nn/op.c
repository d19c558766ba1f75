/* What rows of several operators share. */
#include "config.h"

#include "op.h"

#include "base/buf.h"
#include "plan_impl.h"

const char *op_kind_name(const struct op *op)
{
    return op->kind->name;
}

struct shape op_same_shape(const struct op *op, struct shape in)
{
    (void)op;
    return in;
}

int op_describe_in(const struct net *net, const struct plan_op *p, struct buf *out)
{
    struct shape x = net->values[p->in].shape;
    return buf_printf(out, "%s %dx%dx%d", p->op->kind->name, x.height, x.width, x.channels);
}

int op_describe_map(const struct net *net, const struct plan_op *p, struct buf *out)
{
    struct shape x = net->values[p->in].shape, y = net->values[p->out].shape;
    int rc = op_describe_in(net, p, out);
    if (rc >= 0 && shape_size(x) != shape_size(y))
        rc = buf_printf(out, " -> %dx%dx%d", y.height, y.width, y.channels);
    return rc < 0 ? rc : buf_printf(out, "%s", p->relu ? ", relu" : "");
}
