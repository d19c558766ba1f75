/* Writes a small model with random weights for the tests of the daemon.
 *
 *   make_model SPEC.json OUT WIDTH CLASSES SEED
 * calibrated|flat|partly|plain|overflow|infinite|constant [NAME]
 *
 * "calibrated": exits of rising accuracy 0.40 0.50 0.60 0.70.., the ensemble 0.05 above the
 * deepest, and thresholds. Temperatures fall with depth, so that confidence rises with it: the
 * first exit is nearly sure of nothing, the deepest of everything. "flat": the same accuracies,
 * with the ensemble below the deepest, and no classifier is sure of anything. "partly": calibrated,
 * but the first has not learned, and "ensemble:4" has no part of the deepest. "plain": no
 * calibration at all. "overflow": what the second classifier computes is not finite for a picture
 * of more contrast than the canary's (a chessboard of single pixels), "infinite": for any;
 * "constant": it is the same for all. */
#include "config.h"

#include <float.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/model.h"
#include "model/spec_file.h"

static struct calibration calibrate(int exits, bool flat)
{
    struct calibration c = {.present = true, .n_images = 1000, .has_thresholds = true};
    for (int i = 0; i < exits; i++) {
        c.exits[i].top1 = 0.4 + 0.1 * i;
        c.exits[i].temperature = i == 0 ? 50 : i + 1 == exits ? 1e-3 : 1;
        c.thresholds[i] = i + 1 == exits ? 0 : 0.95;
    }
    c.ensemble.top1 = c.exits[exits - 1].top1 + (flat ? -0.05 : 0.05);
    c.ensemble.temperature = 1;
    c.levels = (struct calibration_levels){
        3, 0.95, 1000, {{0.01, 2, 0.75, 1e6}, {0.05, 0.9999, 0.7, 5e5}, {0.3, 0, 0.5, 1e5}}};
    for (int i = 0; flat && i < exits; i++) c.exits[i].temperature = 50;
    return c;
}

/* The last layer of the second classifier. */
static void set_second(const struct net *net, float *params, float weight)
{
    size_t n;
    const struct param *p = net_params(net, &n);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < p[i].size; k++)
            if (p[i].exit == 1 && p[i].role == PARAM_LINEAR_WEIGHT)
                params[p[i].offset + k] = weight;
}

/* A weight with which its sums are not finite for a chessboard, though they are for what gives at
 * most two thirds as much. */
static int overflow(const struct net *net, const struct preprocess *preprocess, float *params,
                    struct err *e)
{
    set_second(net, params, 1);
    struct plan *plan = plan_new(net, params, kernels_best(), e);
    struct exec *exec = plan != NULL ? exec_new(plan, 1, e) : NULL;
    if (exec == NULL) return -1;
    float *logits = mem_new((size_t)net_classes(net), sizeof(*logits));
    float *input = exec_input(exec, 0);
    for (int y = 0; y < preprocess->height; y++) {
        for (int x = 0; x < preprocess->width; x++, input += 3) {
            uint8_t value = (x + y) % 2 == 0 ? 255 : 0;
            const uint8_t pixel[3] = {value, value, value};
            preprocess_normalise(preprocess, pixel, 1, input);
        }
    }
    exec_section(exec, 0, 1, false);
    exec_section(exec, 1, 1, true);
    exec_head(exec, 1, 0, 1, logits);
    set_second(net, params, FLT_MAX / logits[0] * 1.5f);
    mem_free(logits);
    exec_free(exec);
    plan_free(plan);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 7) return 2;
    struct spec spec;
    struct err e = {0};
    struct net *net;
    int width = atoi(argv[3]), classes = atoi(argv[4]);
    if (spec_read(argv[1], &spec, &e) < 0 || spec_scale(&spec, width, classes, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    if (argc > 7) snprintf(spec.name, sizeof(spec.name), "%s", argv[7]);
    net = net_new(&spec, &e);
    if (net == NULL) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    float *params = mem_new(net_block_size(net), sizeof(float));
    net_init_params(net, (uint64_t)atoll(argv[5]), params);
    char **labels = mem_new((size_t)classes, sizeof(*labels));
    for (int i = 0; i < classes; i++) {
        char label[32];
        snprintf(label, sizeof(label), "label %d%s", i, i == 3 ? " \"3\" \xc3\xa9" : "");
        labels[i] = mem_strdup(label);
    }
    struct shape input = net_input(net);
    struct preprocess preprocess = {.width = input.width,
                                    .height = input.height,
                                    .resize = PREPROCESS_STRETCH,
                                    .filter = PREPROCESS_BILINEAR,
                                    .mean = {0.5f, 0.5f, 0.5f},
                                    .std = {0.25f, 0.25f, 0.25f}};
    struct calibration calibration = {0};
    int rc = 0;
    if (strcmp(argv[6], "overflow") == 0) rc = overflow(net, &preprocess, params, &e);
    if (strcmp(argv[6], "infinite") == 0) set_second(net, params, FLT_MAX);
    if (strcmp(argv[6], "constant") == 0) set_second(net, params, 0);
    bool flat = strcmp(argv[6], "flat") == 0;
    if (strcmp(argv[6], "plain") != 0) calibration = calibrate(net_sections(net), flat);
    struct training training = {.method = "none"};
    if (strcmp(argv[6], "partly") == 0) {
        training.untrained = 1;
        calibration.running[3] = (struct calibration_running){true, {0.8, 1}, {0, 0.25, 0.75, 0}};
    }
    if (rc == 0)
        rc = model_write(argv[2], TENSOR_F32, net, params, labels, &preprocess, &calibration,
                         &training, &e);
    if (rc < 0) fprintf(stderr, "%s\n", e.text);
    for (int i = 0; i < classes; i++) mem_free(labels[i]);
    mem_free(labels);
    mem_free(params);
    net_free(net);
    return rc < 0;
}
