/* Model files: what is written is what is loaded; what is broken is refused by name. */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <jansson.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/model.h"
#include "model/spec_file.h"

/* A net small enough for loops: two sections, one head. */
static const char tiny_json[] =
    "{\"name\": \"tiny\", \"classes\": 3, \"input\": {\"channels\": 3, \"height\": 8, \"width\": 8},"
    " \"stem\": {\"kernel\": 3, \"channels\": 4, \"stride\": 1, \"pad\": 1},"
    " \"stages\": [{\"block\": \"basic\", \"blocks\": 1, \"channels\": 4, \"stride\": 1},"
    "              {\"block\": \"basic\", \"blocks\": 1, \"channels\": 6, \"stride\": 2}],"
    " \"cuts\": [1, 2], \"heads\": {\"kind\": \"scala\", \"mid_channels\": 4}}";

static char *tiny_labels[] = {(char *)(uintptr_t) "cat", (char *)(uintptr_t) "d\"o\\g",
                              (char *)(uintptr_t) "m\xc3\xbc" "cke"};

static char directory[] = "/tmp/ad-model-XXXXXX";
static char path[64];

/* Everything that goes into a file. */
struct content {
    struct net *net;
    float *params;
    struct preprocess preprocess;
    struct calibration calibration;
    struct training training;
};

static int make_content(void **state)
{
    struct content *c = calloc(1, sizeof *c);
    struct spec spec;
    struct err e = {0};
    assert_int_equal(spec_parse(tiny_json, strlen(tiny_json), &spec, &e), 0);
    c->net = net_new(&spec, &e);
    assert_non_null(c->net);
    c->params = mem_new_aligned(net_block_size(c->net), sizeof *c->params);
    net_init_params(c->net, 7, c->params);
    c->preprocess = (struct preprocess){8, 8, PREPROCESS_COVER, PREPROCESS_BILINEAR,
                                        {0.5071f, 0.4865f, 0.4409f}, {0.2673f, 0.2564f, 0.2762f}};
    c->calibration = (struct calibration){.present = true, .n_images = 5000,
                                          .exits = {{0.1 + 0.2, 1.5}, {0.7, 0.93}},
                                          .ensemble = {0.75, 1.1},
                                          .has_thresholds = true, .thresholds = {0.8, 0}};
    c->training = (struct training){.method = "byot", .data = "cifar100:/data", .program = "0.1.0",
                                    .schedule = "cosine", .augment = "crop,flip", .epochs = 15,
                                    .batch = 128, .warmup = 2, .threads = 2, .seed = UINT64_MAX,
                                    .lr = 0.1, .momentum = 0.9, .weight_decay = 5e-4,
                                    .temperature = 3, .alpha = 0.3, .lambda = 1.0 / 3, .kd_scale = true,
                                    .holdout = 5000, .holdout_seed = 3, .command = "autodidact train",
                                    .has_figures = true,
                                    .exits = {{0.5, 0.8, 1.25, 0.01}, {0.6, 0.9, 1.1, 0.02}},
                                    .ensemble = {0.61, 0.91, 1.0, 0.03}};
    *state = c;
    return 0;
}

static int free_content(void **state)
{
    struct content *c = *state;
    net_free(c->net);
    mem_free(c->params);
    free(c);
    return 0;
}

static int write_content(const struct content *c, enum tensor_type type, struct err *e)
{
    return model_write(path, type, c->net, c->params, tiny_labels, &c->preprocess, &c->calibration,
                       &c->training, e);
}

static void assert_entry(struct calibration_entry a, struct calibration_entry b)
{
    assert_true(a.top1 == b.top1 && a.temperature == b.temperature);
}

static void test_round_trip(void **state)
{
    const struct content *c = *state;
    struct err e = {0};
    struct model *m;
    assert_int_equal(write_content(c, TENSOR_F32, &e), 0);
    assert_int_equal(model_load(path, &m, &e), 0);
    assert_string_equal(m->name, "tiny");
    assert_memory_equal(m->params, c->params, net_block_size(c->net) * sizeof *m->params);
    assert_memory_equal(net_spec(m->net), net_spec(c->net), sizeof(struct spec));
    for (int i = 0; i < 3; i++) assert_string_equal(m->labels[i], tiny_labels[i]);
    assert_int_equal(m->preprocess.resize, PREPROCESS_COVER);
    assert_memory_equal(m->preprocess.mean, c->preprocess.mean, sizeof m->preprocess.mean);
    assert_memory_equal(m->preprocess.std, c->preprocess.std, sizeof m->preprocess.std);
    assert_true(m->calibration.present && m->calibration.has_thresholds);
    assert_int_equal(m->calibration.n_images, 5000);
    for (int i = 0; i < 2; i++) {
        assert_entry(m->calibration.exits[i], c->calibration.exits[i]);
        assert_true(m->calibration.thresholds[i] == c->calibration.thresholds[i]);
    }
    assert_entry(m->calibration.ensemble, c->calibration.ensemble);
    /* The struct has padding, which both zeroed: */
    assert_string_equal(m->training.command, c->training.command);
    assert_string_equal(m->training.method, c->training.method);
    assert_string_equal(m->training.augment, c->training.augment);
    assert_true(m->training.seed == UINT64_MAX && m->training.holdout_seed == 3);
    assert_true(m->training.lambda == 1.0 / 3 && m->training.weight_decay == 5e-4);
    assert_true(m->training.kd_scale && m->training.has_figures);
    assert_true(m->training.exits[1].nll == 1.1 && m->training.ensemble.ece == 0.03);

    char digest[SHA256_HEX_SIZE];
    assert_int_equal(sha256_file(path, digest, &e), 0);
    assert_string_equal(m->sha256, digest);

    struct model *same = model_acquire(m);
    model_unref(m);
    assert_string_equal(same->name, "tiny"); /* still there */
    model_unref(same);
    model_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, make_content, free_content),
    };
    if (mkdtemp(directory) == NULL) return 1;
    snprintf(path, sizeof path, "%s/m.safetensors", directory);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    struct err e;
    file_remove_tree(directory, &e);
    return failed;
}
