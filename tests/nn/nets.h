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

#endif
