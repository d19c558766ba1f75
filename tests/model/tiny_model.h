/* A model small enough for loops: two sections, one head, 8x8 pixels, three classes. */
#ifndef TESTS_MODEL_TINY_MODEL_H
#define TESTS_MODEL_TINY_MODEL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/model.h"
#include "recipe/augment.h"
#include "model/spec_file.h"

static const char tiny_json[] =
    "{\"name\": \"tiny\", \"classes\": 3, \"input\": {\"channels\": 3, \"height\": 8, \"width\": "
    "8},"
    " \"stem\": {\"kernel\": 3, \"channels\": 4, \"stride\": 1, \"pad\": 1},"
    " \"stages\": [{\"block\": \"basic\", \"blocks\": 1, \"channels\": 4, \"stride\": 1},"
    "              {\"block\": \"basic\", \"blocks\": 1, \"channels\": 6, \"stride\": 2}],"
    " \"cuts\": [1, 2], \"heads\": {\"kind\": \"scala\", \"mid_channels\": 4}}";

static char tiny_cat[] = "cat", tiny_dog[] = "d\"o\\g",
            tiny_gnat[] = "m\xc3\xbc"
                          "cke";
static char *tiny_labels[] = {tiny_cat, tiny_dog, tiny_gnat};

static char tiny_directory[64];
static char tiny_path[96]; /* where tiny_write() writes */

/* Everything that goes into a file. */
struct tiny {
    struct net *net;
    float *params;
    struct preprocess preprocess;
    struct calibration calibration;
    struct training training;
};

static inline void tiny_make(struct tiny *t)
{
    struct spec spec;
    struct err e = {0};
    memset(t, 0, sizeof(*t));
    if (spec_parse(tiny_json, strlen(tiny_json), &spec, &e) < 0 ||
        (t->net = net_new(&spec, &e)) == NULL ||
        (t->params = mem_new_aligned(net_block_size(t->net), sizeof(*t->params))) == NULL) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    net_init_params(t->net, 7, t->params);
    t->preprocess = (struct preprocess){8,
                                        8,
                                        PREPROCESS_COVER,
                                        PREPROCESS_BILINEAR,
                                        {0.5071f, 0.4865f, 0.4409f},
                                        {0.2673f, 0.2564f, 0.2762f}};
    t->calibration = (struct calibration){.present = true,
                                          .n_images = 5000,
                                          .exits = {{0.1 + 0.2, 1.5}, {0.7, 0.93}},
                                          .ensemble = {0.75, 1.1},
                                          .has_thresholds = true,
                                          .thresholds = {0.8, 0}};
    t->training = (struct training){.method = "byot",
                                    .data = "cifar100:/data",
                                    .program = "0.1.0",
                                    .recipe = {.method = method_find("byot"),
                                               .schedule = {.kind = SCHEDULE_COSINE},
                                               .augment = {.words = AUGMENT_CROP | AUGMENT_FLIP},
                                               .epochs = 15,
                                               .batch = 128,
                                               .warmup = 2,
                                               .threads = 2,
                                               .seed = UINT64_MAX,
                                               .rate = 0.1,
                                               .momentum = 0.9,
                                               .weight_decay = 5e-4,
                                               .label_smoothing = 0.1,
                                               .temperature = 3,
                                               .alpha = 0.3,
                                               .lambda = 1.0 / 3,
                                               .hint = HINT_NORM,
                                               .hint_exits = 1,
                                               .kd_scale = true,
                                               .holdout = {.images = 5000, .seed = 3}},
                                    .command = "autodidact train",
                                    .has_figures = true,
                                    .exits = {{0.5, 0.8, 1.25, 0.01}, {0.6, 0.9, 1.1, 0.02}},
                                    .ensemble = {0.61, 0.91, 1.0, 0.03}};
}

static inline void tiny_release(struct tiny *t)
{
    net_free(t->net);
    mem_free(t->params);
}

static inline int tiny_write(const struct tiny *t, enum tensor_type type, struct err *e)
{
    return model_write(tiny_path, type, t->net, t->params, tiny_labels, &t->preprocess,
                       &t->calibration, &t->training, e);
}

/* Group setup: a directory with the model file in it. */
static inline int tiny_begin(void **state)
{
    (void)state;
    struct tiny t;
    struct err e = {0};
    strcpy(tiny_directory, "/tmp/ad-model-XXXXXX");
    if (mkdtemp(tiny_directory) == NULL) return -1;
    snprintf(tiny_path, sizeof(tiny_path), "%s/m.safetensors", tiny_directory);
    tiny_make(&t);
    int rc = tiny_write(&t, TENSOR_F32, &e);
    tiny_release(&t);
    return rc;
}

static inline int tiny_end(void **state)
{
    (void)state;
    return file_remove_tree(tiny_directory, NULL);
}

static inline struct model *tiny_load(void)
{
    struct model *m = NULL;
    struct err e = {0};
    if (model_load(tiny_path, &m, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        abort();
    }
    return m;
}

#endif
