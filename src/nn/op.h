/* An operator: the row of everything that a net does with one kind of operation, so that whoever
 * walks a graph need not know which kinds there are. Each stands in a file of its own, op_NAME.c,
 * beside how a block appends it; ops.h lists them. Rows are constant. What may be NULL says so;
 * tests/nn/test_op.c holds every row to it. */
#ifndef NN_OP_H
#define NN_OP_H

#include "nn/graph.h"

struct buf;
struct grad;
struct op_args;
struct plan;
struct plan_op;
struct plan_work;
struct state_size;
struct task;
struct task_args;

/* When an operation works in training, two phases forward, four backward. Its statistics and its
 * sums are of the whole batch: what reads them waits for the next round (grad_schedule.c). */
enum op_phase {
    PHASE_STATISTICS, /* sums over its input, before it can compute */
    PHASE_FORWARD,
    PHASE_REMAKE,    /* the output once more, for the way back, so that it need not be kept */
    PHASE_BACK_SUMS, /* sums over the gradient of its output, before it can go on backward */
    PHASE_BACKWARD,
    PHASE_WEIGHTS, /* the gradient of its weights, behind PHASE_BACKWARD, which does the rest */
    OP_PHASES
};

/* What a phase backward reads beside the gradient of the output. NEEDS_SUM: the output, where
 * something was added to it before a relu. */
enum { NEEDS_IN = 1, NEEDS_OUT = 2, NEEDS_RESIDUAL = 4, NEEDS_SUM = 8 };

struct op_kind {
    const char *name; /* as plans describe it */

    /* The result's shape for an input's, once the operation's geometry is set. */
    struct shape (*shape)(const struct op *op, struct shape in);

    /* Multiply-accumulates of one image; NULL: none that count. */
    int64_t (*macs)(const struct net *net, const struct op *op);

    struct {
        /* In inference y = act(x * scale[c] + shift[c] + residual), so that what stands before it
         * may take it in. factors() gives scale and shift of each channel; NULL: 1 and 0. */
        bool is_elementwise;
        void (*factors)(const struct net *net, const struct op *op, const float *params,
                        double *scale, double *shift);

        /* Whether it takes in an element-wise operation that alone reads its result; one that
         * has factors, no relu and no residual and that it alone reads. NULL: never. */
        bool (*takes_behind)(const struct op *op, const struct op *next);
        bool (*takes_before)(const struct op *op);
    } fuse;

    struct {
        /* Whether there are several algorithms, among which choose() takes by images. */
        bool chooses;

        /* Takes its place in the plan's weights and scratch, for so many images at a time; fills
         * that place (-ENOMEM). NULL: it has no weights. */
        void (*choose)(struct plan *plan, struct plan_op *p, int images);
        int (*pack)(const struct plan *plan, const struct plan_op *p, const float *params,
                    struct plan_work *work);

        void (*run)(const struct op_args *a);

        /* Whether it is worth to run in parts, by several threads; NULL: it cannot be cut. */
        bool (*may_cut)(const struct plan_op *p, int images);

        /* Its line without indentation and end. */
        int (*describe)(const struct net *net, const struct plan_op *p, struct buf *out);
    } infer;

    struct {
        unsigned needs[OP_PHASES]; /* NEEDS_IN and so on, of those backward */
        bool in_place;             /* the gradient of its input may overwrite that of its output */

        /* Whether its convolution has an algorithm for each direction (grad_choose.c), and in which
         * phase it computes each. */
        bool chooses;
        enum op_phase phase_of[CONV_DIRECTIONS];

        /* What it keeps beside its values; NULL: nothing. */
        void (*size)(const struct grad *grad, const struct op *op, struct state_size *size);

        /* Packs what its passes forward and backward multiply with, once before each; NULL:
         * nothing. `op` is its number in the net. */
        void (*pack_forward)(struct grad *grad, int op);
        void (*pack_backward)(struct grad *grad, int op);

        /* Its work on some images, and what is done once all lanes have done theirs, for which an
         * operation with a bias has sums [2][channels] a lane. Forward and backward are there;
         * the others where it needs them. */
        struct {
            void (*run)(const struct task_args *a);
            void (*finish)(struct grad *grad, const struct task *task);
        } phases[OP_PHASES];
    } train;
};

static inline unsigned op_needs(const struct op *op, enum op_phase phase)
{
    unsigned needs = op->kind->train.needs[phase];
    return (needs & NEEDS_SUM) != 0 && op->relu && op->residual >= 0 ? needs | NEEDS_OUT : needs;
}

static inline bool op_has_phase(const struct op *op, enum op_phase phase)
{
    return op->kind->train.phases[phase].run != NULL;
}

/* For rows of operators: the input's shape is the output's; "mean 4x4x512", and the same with
 * "-> 2x2x512" where the sizes differ and ", relu". */
struct shape op_same_shape(const struct op *op, struct shape in);
int op_describe_in(const struct net *net, const struct plan_op *p, struct buf *out);
int op_describe_map(const struct net *net, const struct plan_op *p, struct buf *out);

#endif
