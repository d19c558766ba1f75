/* A plan: a net made ready for inference. Batch norms are folded into the convolutions, ReLU and
 * residual additions fused into them, weights packed for the processor, activations placed in one
 * block. Immutable and shared by all threads; each thread computes with an `exec` of its own. */
#ifndef NN_PLAN_H
#define NN_PLAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "nn/choice.h"
#include "nn/net.h"

struct plan;
struct exec;

struct choices;

/* How a plan computes; zeroed: fp32, by rule. */
struct plan_options {
    const struct choices *choices; /* measured ones, nn/choices.h; read while the plan is made */
    enum precision precision;
    bool forced; /* `algorithm` wherever it takes the convolution: for tests and measurements */
    enum conv_algorithm algorithm;
};

/* params: the net's whole block; not needed afterwards; NULL makes an outline, a plan without
 * weights, to look at and to measure for, which no exec is made of. The net must outlive the plan.
 */
struct plan *plan_new(const struct net *net, const float *params, const struct kernels *kernels,
                      struct err *e);
struct plan *plan_new_with(const struct net *net, const float *params,
                           const struct kernels *kernels, const struct plan_options *options,
                           struct err *e);
void plan_free(struct plan *plan);
const struct net *plan_net(const struct plan *plan);
size_t plan_weight_bytes(const struct plan *plan);
size_t plan_activation_bytes(const struct plan *plan, int batch); /* of one exec */

/* One line per fused operation: what, sizes, algorithm. */
int plan_describe(const struct plan *plan, struct buf *out);

/* The activations and scratch of one thread, for up to batch_max images; sized once, nothing is
 * allocated afterwards. The plan must outlive it. */
struct exec *exec_new(const struct plan *plan, int batch_max, struct err *e);
void exec_free(struct exec *exec);

/* Other threads may help an exec: between exec_invite() and exec_dismiss(), both called by its own
 * thread, those that join compute parts of what it runs, in the memory of an exec of their own of
 * the same plan and batch_max. Outputs are the same bits, but where a large batch is cut into
 * blocks of fewer images, for which a plan may have chosen another algorithm. exec_dismiss()
 * returns when all have left. */
void exec_invite(struct exec *exec);
void exec_dismiss(struct exec *exec);

/* A helper: whether it may help; then it must. The caller sees to it that the exec exists. Helps
 * until it is dismissed or *calls is no longer `seen`. */
bool exec_join(struct exec *exec);
void exec_help(struct exec *exec, struct exec *own, const atomic_uint *calls, unsigned seen);

/* Where the caller gathers the input of a section, [batch][h][w][c]. Valid until the next
 * exec_section(). */
float *exec_input(struct exec *exec, int section);

/* Runs a section on what stands in exec_input(), or, with from_previous = the output that the
 * section before it left (so whole networks run without copies). Returns the output
 * [batch][h][w][c], valid until the next exec_section(). */
const float *exec_section(struct exec *exec, int section, int batch, bool from_previous);

/* Runs the head of `exit` on what exec_section(exit) has just left, for the images [first,
 * first + batch); writes logits [batch][classes]. */
void exec_head(struct exec *exec, int exit, int first, int batch, float *ret_logits);

#endif
