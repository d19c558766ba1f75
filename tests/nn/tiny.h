/* A net that is small enough for unit tests: two sections, 8x8 images. */
#ifndef TESTS_NN_TINY_H
#define TESTS_NN_TINY_H

#include <stdio.h>

#include "nn/net.h"

static inline struct net *tiny_net(int side, int classes)
{
    struct spec s = {.classes = classes,
                     .channels = 3,
                     .height = side,
                     .width = side,
                     .n_stages = 2,
                     .n_sections = 2,
                     .cuts = {1, 2}};
    struct err e = {0};
    snprintf(s.name, sizeof(s.name), "tiny");
    s.stem.kernel = 3;
    s.stem.channels = 4;
    s.stem.stride = 1;
    s.stem.pad = 1;
    s.stages[0] =
        (struct spec_stage){.block = SPEC_BLOCK_BASIC, .blocks = 1, .channels = 4, .stride = 1};
    s.stages[1] =
        (struct spec_stage){.block = SPEC_BLOCK_BASIC, .blocks = 1, .channels = 8, .stride = 2};
    s.heads.kind = SPEC_HEAD_SCALA;
    s.heads.mid_channels = 4;
    struct net *net = net_new(&s, &e);
    if (net == NULL) fprintf(stderr, "# tiny net: %s\n", e.text);
    return net;
}

#endif
