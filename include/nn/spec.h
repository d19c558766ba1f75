/* A spec: a network's architecture as data. Filled from JSON by the model layer (spec_file.h);
 * plain values, no ownership. From a spec `net_new()` derives the graph. */
#ifndef NN_SPEC_H
#define NN_SPEC_H

#include <stdbool.h>

#include "base/err.h"

enum {
    SPEC_NAME_MAX = 64,
    SPEC_STAGES_MAX = 8,
    SPEC_SECTIONS_MAX = 8,
    SPEC_BLOCKS_MAX = 512,
    SPEC_CLASSES_MAX = 65536,
    SPEC_CHANNELS_MAX = 16384,
    SPEC_SIDE_MAX = 1024
};

enum spec_block {
    SPEC_BLOCK_BASIC, /* 3x3(s)-BN-ReLU-3x3-BN + shortcut, ReLU (He et al. 2016, figure 5 left) */
};

enum spec_head {
    SPEC_HEAD_SCALA, /* 1x1 - BN - ReLU - kxk/k - BN - ReLU - 1x1 - BN - ReLU - mean - FC */
};

struct spec_stage {
    enum spec_block block;
    int blocks, channels, stride; /* the stride is the first block's */
};

struct spec {
    char name[SPEC_NAME_MAX + 1];
    int classes;
    int channels, height, width; /* of the input */
    struct {
        int kernel, channels, stride, pad;
    } stem; /* conv - BN - ReLU */
    int n_stages;
    struct spec_stage stages[SPEC_STAGES_MAX];
    int n_sections;              /* = classifiers */
    int cuts[SPEC_SECTIONS_MAX]; /* section i ends after this many blocks of the whole network;
                                    the last is the number of all blocks */
    struct {
        enum spec_head kind;
        int mid_channels; /* of the shallow heads' bottleneck */
    } heads;
};

/* Checks every value and how they fit together; the message names the member ("stages[2].stride").
 */
int spec_check(const struct spec *spec, struct err *e);

/* Scales all channel counts, the heads' included, so that the first stage has `width` channels
 * (rounded, at least 1) and sets the classes. 0 leaves as is. Checks the result. */
int spec_scale(struct spec *spec, int width, int classes, struct err *e);

#endif
