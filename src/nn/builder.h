/* A net that is being built. What the files that build share: net_build.c (the whole),
 * net_blocks.c, net_heads.c and the operators (ops.h). Errors stick in the builder, so that blocks
 * and heads read like the figures of the papers; every function does nothing after the first error,
 * and what it returns then is some value that exists. */
#ifndef NN_BUILDER_H
#define NN_BUILDER_H

#include "nn/graph.h"

struct builder {
    struct net *net;
    struct err *e;
    int rc;
    int section, exit; /* where new operations belong */
    int features;      /* torchvision's number of the next layer of a VGG trunk */
    struct shape
        last; /* of the trunk's end, which the shallow heads must know before it is built */
};

enum { NAME_MAX_LENGTH = sizeof(((struct param *)NULL)->name) };

struct shape shape_of(const struct builder *b, int value);
const char *join(char *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void build_fail_memory(struct builder *b);
int build_input(struct builder *b, struct shape shape);

/* An operation that reads `in` and has nothing else yet; appends it with its value. */
struct op op_new(const struct op_kind *kind, int in);
int build_op(struct builder *b, struct op op);

/* Appends the parameter name.member; returns its number. */
int build_param(struct builder *b, const char *name, const char *member, enum param_role role,
                enum param_init init, int n_dims, const int64_t *dims, size_t fan_in);

/* Fails when a window finds no room in the map and its pad. */
void build_check_window(struct builder *b, struct shape x, int height, int width, int pad,
                        const char *name);

/* net_blocks.c: block i of a stage; `before`: the channels of the stage or stem before it. */
int build_block(struct builder *b, int in, const struct spec_stage *stage, int i, int before,
                const char *name);

/* net_heads.c: the head of exit b->exit on its section's output, which a BN-ReLU must precede where
 * preactivated. Sets the exit's features and logits. */
void build_head(struct builder *b, int in, bool preactivated);
void build_deepest(struct builder *b, int in);

#endif
