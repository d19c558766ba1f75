/* A spec: a network's architecture as data. Filled from JSON by the model layer (spec_file.h, the
 * language is described in doc/spec.md); plain values, no ownership. A member that is 0 has its
 * default. From a spec `net_new()` derives the graph. */
#ifndef NN_SPEC_H
#define NN_SPEC_H

#include <stdbool.h>

#include "base/err.h"
#include "base/name.h"

enum {
    SPEC_NAME_MAX = NAME_BYTES_MAX,
    SPEC_STAGES_MAX = 8,
    SPEC_SECTIONS_MAX = 8,
    SPEC_BLOCKS_MAX = 512,
    SPEC_CLASSES_MAX = 65536,
    SPEC_CHANNELS_MAX = 16384,
    SPEC_SIDE_MAX = 1024,
    SPEC_HIDDEN_MAX = 4
};

/* (s): the stride of a stage's first block. Shortcuts are projections (1x1(s)-BN) where the shape
 * changes, unless stated. */
enum spec_block {
    SPEC_BLOCK_BASIC, /* 3x3(s)-BN-ReLU-3x3-BN + shortcut, ReLU (He et al. 2016, figure 5 left) */
    /* 1x1-BN-ReLU-3x3(s)-BN-ReLU-1x1-BN + shortcut, ReLU (the same, right); the 3x3 may have groups
     * (Xie et al. 2017) */
    SPEC_BLOCK_BOTTLENECK,
    /* BN-ReLU-3x3(s)-BN-ReLU-3x3 + shortcut, a 1x1(s) without BN that sees what the first ReLU
     * gives (Zagoruyko and Komodakis 2016) */
    SPEC_BLOCK_PREACT,
    /* BN-1x1-BN-ReLU-3x3(s)-BN-ReLU-1x1-BN + shortcut, the mean over s x s pixels and then channels
     * of zeros; the channels grow by block (Han et al. 2017) */
    SPEC_BLOCK_PYRAMID,
    SPEC_BLOCK_VGG, /* 3x3(s) with bias-BN-ReLU, no shortcut (Simonyan and Zisserman 2015) */
};

enum { SPEC_EXPANSION = 4 }; /* a bottleneck's and a pyramid block's output over its channels */

enum spec_after { SPEC_AFTER_NORM_RELU, SPEC_AFTER_NORM, SPEC_AFTER_NOTHING };

/* The shallow classifiers; each ends with the mean over the map and a linear layer. */
enum spec_head {
    SPEC_HEAD_SCALA,             /* 1x1-BN-ReLU-kxk/k-BN-ReLU-1x1-BN-ReLU */
    SPEC_HEAD_SCALA_ATTENTION,   /* the same behind SCAN's attention */
    SPEC_HEAD_SEPCONV_ATTENTION, /* separable convolutions behind the journal version's attention */
};

struct spec_stage {
    enum spec_block block;
    int blocks;
    int channels;            /* of the 3x3; SPEC_BLOCK_PYRAMID: of the last block's */
    int stride;              /* of the first block */
    int groups, group_width; /* SPEC_BLOCK_BOTTLENECK: the 3x3 has groups * group_width channels;
                                0: 1, and channels / groups */
    int pool;                /* behind the last block: the largest of pool x pool pixels; 0: none */
};

struct spec {
    char name[SPEC_NAME_MAX + 1];
    int classes;
    int channels, height, width; /* of the input */
    struct {
        int kernel, channels, stride, pad;
        enum spec_after after; /* the convolution */
        struct {
            int kernel, stride, pad;
        } pool; /* the largest of a window; kernel 0: none */
    } stem;     /* all 0: none, the first block sees the image */
    int n_stages;
    struct spec_stage stages[SPEC_STAGES_MAX];
    struct {
        int n_hidden, hidden[SPEC_HIDDEN_MAX]; /* linear layers with ReLU before the last one */
        int pooled; /* side of the map that the first hidden one reads; 0: 1, the mean */
    } classifier;   /* the deepest one */
    int n_sections; /* = classifiers */
    int cuts[SPEC_SECTIONS_MAX]; /* section i ends after this many blocks of the whole network;
                                    the last is the number of all blocks */
    struct {
        enum spec_head kind;
        int mid_channels; /* of scala heads' bottleneck; 0 with others */
    } heads;
};

/* Checks every value and how they fit together; the message names the member ("stages[2].stride").
 */
int spec_check(const struct spec *spec, struct err *e);

/* Scales all channel counts, the heads' included, so that the first stage has `width` channels
 * (rounded, at least 1) and sets the classes. 0 leaves as is. Checks the result. */
int spec_scale(struct spec *spec, int width, int classes, struct err *e);

/* Gives the shallow classifiers another kind of head. mid_channels goes with separable heads, and
 * is SCAN's 128 where they had none. For a spec of full size, before spec_scale(). */
void spec_set_heads(struct spec *spec, enum spec_head kind);

/* Two ways to choose n_sections and cuts from the stages (facts in doc/spec.md): four sections with
 * a fourth of the blocks each, ceil(blocks * i / 4), fewer when there are fewer blocks; or a
 * section a stage, of which a third and last one is halved so that there are four. The stages'
 * numbers of blocks are not checked, the result is by spec_check(). */
void spec_cut_quarters(struct spec *spec);
void spec_cut_stages(struct spec *spec);

/* The channels of a stage's 3x3 convolutions, all groups together. */
static inline int spec_inner_channels(const struct spec_stage *s)
{
    return s->group_width > 0 ? (s->groups > 1 ? s->groups : 1) * s->group_width : s->channels;
}

/* Whether a block's result still waits for a BN-ReLU, as pre-activation blocks' do. */
static inline bool spec_is_preactivated(enum spec_block block)
{
    return block == SPEC_BLOCK_PREACT || block == SPEC_BLOCK_PYRAMID;
}

#endif
