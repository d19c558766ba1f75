/* Not a test but what tests/onnx, tests/tool and bench/peers ask for logits: models of random
 * numbers, inputs and what our engine makes of them.
 *
 *   own_logits make SPEC.json WIDTH CLASSES OUT.safetensors    norms and statistics are not trivial
 *   own_logits noise MODEL N OUT.inputs                        N random images
 *   own_logits cifar MODEL test.bin N OUT.inputs               the first N images of CIFAR-100
 *   own_logits run MODEL IN.inputs OUT.logits [fp32|bf16 BATCH]   in batches of so many (fp32, 8)
 *
 * Inputs are float [n][channels][height][width], logits float [exits + 1][n][classes], the ensemble
 * behind the exits; both little endian without a header. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "model/model.h"
#include "model/spec_file.h"
#include "nn/plan.h"

enum { BATCH = 8, BATCH_MAX = 65536, CIFAR_RECORD = 3074, PIXELS = 1024, FILE_MAX_BYTES = 1 << 30 };

static _Noreturn void fail(const struct err *e, const char *what)
{
    fprintf(stderr, "own_logits: %s: %s\n", what, e->text);
    exit(1);
}

static void *checked(void *memory)
{
    const struct err e = {0, "out of memory"};
    if (memory == NULL) fail(&e, "memory");
    return memory;
}

static void write_floats(const char *path, const float *values, size_t n)
{
    struct err e = {0};
    const struct file_piece piece = {values, n * sizeof(*values)};
    if (file_write_atomic(path, &piece, 1, &e) < 0) fail(&e, path);
}

static struct model *load(const char *path)
{
    struct model *model;
    struct err e = {0};
    if (model_load(path, &model, &e) < 0) fail(&e, path);
    return model;
}

/* --- models ----------------------------------------------------------------------------------- */

static float uniform(struct rng *rng, double low, double high)
{
    return (float)(low + (high - low) * rng_uniform(rng));
}

/* Weights as for a training's first step; norms as after one: of all different sizes, and smaller
 * in the last norm of a deep block, without which 50 blocks would grow out of float's digits. */
static void fill(const struct param *p, struct rng *rng, float *values)
{
    bool last = strstr(p->name, ".bn3.") != NULL || strstr(p->name, ".bn4.") != NULL;
    for (size_t i = 0; i < p->size; i++) {
        if (p->role == PARAM_NORM_SCALE)
            values[i] = last ? uniform(rng, 0.05, 0.25) : uniform(rng, 0.5, 1.2);
        if (p->role == PARAM_NORM_SHIFT || p->role == PARAM_NORM_MEAN)
            values[i] = uniform(rng, -0.5, 0.5);
        if (p->role == PARAM_NORM_VARIANCE) values[i] = uniform(rng, 0.3, 2.0);
    }
}

static void make(const char *spec_path, int width, int classes, const char *out)
{
    struct spec spec;
    struct err e = {0};
    if (spec_read(spec_path, &spec, &e) < 0 || spec_scale(&spec, width, classes, &e) < 0)
        fail(&e, spec_path);
    struct net *net = net_new(&spec, &e);
    if (net == NULL) fail(&e, spec_path);
    float *params = checked(mem_new_aligned(net_block_size(net), sizeof(*params)));
    net_init_params(net, 1, params);
    size_t n;
    const struct param *list = net_params(net, &n);
    for (size_t i = 0; i < n; i++) {
        struct rng rng;
        rng_init(&rng, 7, RNG_TEST, (uint32_t)i, 0);
        fill(&list[i], &rng, params + list[i].offset);
    }

    char **labels = checked(mem_new((size_t)spec.classes, sizeof(*labels)));
    for (int i = 0; i < spec.classes; i++) {
        labels[i] = checked(mem_new(16, 1));
        snprintf(labels[i], 16, "%d", i);
    }
    const struct preprocess preprocess = {.width = spec.width,
                                          .height = spec.height,
                                          .resize = PREPROCESS_COVER,
                                          .mean = {0.5f, 0.5f, 0.5f},
                                          .std = {0.25f, 0.25f, 0.25f}};
    if (model_write(out, TENSOR_F32, net, params, labels, &preprocess, NULL, NULL, &e) < 0)
        fail(&e, out);
    for (int i = 0; i < spec.classes; i++) mem_free(labels[i]);
    mem_free(labels);
    mem_free(params);
    net_free(net);
}

/* --- inputs ----------------------------------------------------------------------------------- */

static void noise(const char *path, size_t n, const char *out)
{
    struct model *model = load(path);
    struct rng rng;
    rng_init(&rng, 3, RNG_TEST, 0, 0);
    size_t count = n * shape_size(net_input(model->net));
    float *inputs = checked(mem_new(count, sizeof(*inputs)));
    for (size_t i = 0; i < count; i++) inputs[i] = uniform(&rng, -2, 2);
    write_floats(out, inputs, count);
    mem_free(inputs);
    model_free(model);
}

static void cifar(const char *path, const char *bin, size_t n, const char *out)
{
    struct model *model = load(path);
    struct err e = {0};
    char *bytes;
    size_t size;
    if (file_read(bin, FILE_MAX_BYTES, &bytes, &size, &e) < 0) fail(&e, bin);
    if (size / CIFAR_RECORD < n) n = size / CIFAR_RECORD;
    float *inputs = checked(mem_new(n * 3 * PIXELS, sizeof(*inputs)));
    for (size_t i = 0; i < n; i++) {
        const unsigned char *planes = (const unsigned char *)bytes + i * CIFAR_RECORD + 2;
        uint8_t pixels[PIXELS * 3];
        float values[PIXELS * 3];
        for (size_t k = 0; k < PIXELS * 3; k++) pixels[k] = planes[k % 3 * PIXELS + k / 3];
        preprocess_normalise(&model->preprocess, pixels, PIXELS, values);
        for (size_t k = 0; k < PIXELS * 3; k++)
            inputs[i * 3 * PIXELS + k % 3 * PIXELS + k / 3] = values[k];
    }
    write_floats(out, inputs, n * 3 * PIXELS);
    mem_free(inputs);
    mem_free(bytes);
    model_free(model);
}

/* --- logits ----------------------------------------------------------------------------------- */

/* NCHW in, into the executor's NHWC. */
static void gather(struct shape in, const float *from, int batch, float *to)
{
    size_t channels = (size_t)in.channels, pixels = (size_t)in.height * (size_t)in.width;
    for (size_t i = 0; i < (size_t)batch; i++) {
        for (size_t p = 0; p < pixels; p++) {
            for (size_t c = 0; c < channels; c++)
                to[(i * pixels + p) * channels + c] = from[(i * channels + c) * pixels + p];
        }
    }
}

static void run(const char *path, const char *inputs_path, const char *out, bool bf16,
                int batch_max)
{
    struct model *model = load(path);
    struct err e = {0};
    char *bytes;
    size_t size;
    if (file_read(inputs_path, FILE_MAX_BYTES, &bytes, &size, &e) < 0) fail(&e, inputs_path);
    const struct plan_options options = {.precision = bf16 ? PRECISION_BF16 : PRECISION_FP32};
    if (model_plan(model, &options, &e) < 0) fail(&e, path);
    const struct shape in = net_input(model->net);
    const size_t image = shape_size(in), n = size / sizeof(float) / image;
    const size_t classes = (size_t)net_classes(model->net), stride = n * classes;
    const int exits = net_sections(model->net);
    float *inputs = checked(mem_new(n * image, sizeof(*inputs)));
    memcpy(inputs, bytes, n * image * sizeof(*inputs));
    float *logits = checked(mem_new((size_t)(exits + 1) * stride, sizeof(*logits)));
    struct exec *exec = exec_new(model->plan, batch_max, &e);
    if (exec == NULL) fail(&e, path);

    for (size_t first = 0; first < n; first += (size_t)batch_max) {
        int batch = n - first < (size_t)batch_max ? (int)(n - first) : batch_max;
        gather(in, inputs + first * image, batch, exec_input(exec, 0));
        for (int s = 0; s < exits; s++) {
            exec_section(exec, s, batch, s > 0);
            exec_head(exec, s, 0, batch, logits + (size_t)s * stride + first * classes);
        }
    }
    for (size_t i = 0; i < stride; i++) {
        float sum = 0;
        for (int s = 0; s < exits; s++) sum += logits[(size_t)s * stride + i];
        logits[(size_t)exits * stride + i] = sum / (float)exits;
    }
    write_floats(out, logits, (size_t)(exits + 1) * stride);
    exec_free(exec);
    mem_free(logits);
    mem_free(inputs);
    mem_free(bytes);
    model_free(model);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "make") == 0 && argc == 6)
        make(argv[2], atoi(argv[3]), atoi(argv[4]), argv[5]);
    else if (strcmp(verb, "noise") == 0 && argc == 5)
        noise(argv[2], (size_t)atoi(argv[3]), argv[4]);
    else if (strcmp(verb, "cifar") == 0 && argc == 6)
        cifar(argv[2], argv[3], (size_t)atoi(argv[4]), argv[5]);
    else if (strcmp(verb, "run") == 0 && argc == 5)
        run(argv[2], argv[3], argv[4], false, BATCH);
    else if (strcmp(verb, "run") == 0 && argc == 7) {
        int batch = atoi(argv[6]);
        if (batch < 1 || batch > BATCH_MAX) return 2;
        run(argv[2], argv[3], argv[4], strcmp(argv[5], "bf16") == 0, batch);
    } else
        return 2;
    return 0;
}
