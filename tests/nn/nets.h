/* Specs by hand for the tests of this layer. */
#ifndef TESTS_NN_NETS_H
#define TESTS_NN_NETS_H

#include <stdio.h>

#include "nn/spec.h"

/* models/resnet18.json as a struct. */
static inline struct spec spec_resnet18(void)
{
    struct spec s = {.classes = 100,
                     .channels = 3,
                     .height = 32,
                     .width = 32,
                     .n_stages = 4,
                     .n_sections = 4,
                     .cuts = {2, 4, 6, 8}};
    snprintf(s.name, sizeof(s.name), "resnet18");
    s.stem.kernel = 3;
    s.stem.channels = 64;
    s.stem.stride = 1;
    s.stem.pad = 1;
    for (int i = 0; i < 4; i++)
        s.stages[i] = (struct spec_stage){
            .block = SPEC_BLOCK_BASIC, .blocks = 2, .channels = 64 << i, .stride = i == 0 ? 1 : 2};
    s.heads.kind = SPEC_HEAD_SCALA;
    s.heads.mid_channels = 128;
    return s;
}

/* Two sections of a kind of block, 6x6 pixels of 2 channels, 3 classes; the cut lies within the
 * first stage, so that the value there has several readers, a shortcut and a head among them. */
static inline struct spec spec_tiny(enum spec_block block, enum spec_head head)
{
    struct spec s = {.name = "tiny",
                     .classes = 3,
                     .channels = 2,
                     .height = 6,
                     .width = 6,
                     .n_stages = 2,
                     .n_sections = 2,
                     .cuts = {1, 3}};
    s.stages[0] = (struct spec_stage){.block = block, .blocks = 2, .channels = 4, .stride = 1};
    s.stages[1] = (struct spec_stage){.block = block, .blocks = 1, .channels = 6, .stride = 2};
    if (block != SPEC_BLOCK_VGG) {
        s.stem.kernel = 3;
        s.stem.channels = 4;
        s.stem.stride = 1;
        s.stem.pad = 1;
    }
    if (block == SPEC_BLOCK_PREACT) s.stem.after = SPEC_AFTER_NOTHING;
    if (block == SPEC_BLOCK_PYRAMID) s.stem.after = SPEC_AFTER_NORM;
    s.heads.kind = head;
    if (head != SPEC_HEAD_SEPCONV_ATTENTION) s.heads.mid_channels = 3;
    return s;
}

#endif
