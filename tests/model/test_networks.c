/* The networks of the paper from their files in models/, narrow, and small nets of every kind of
 * block and head: inference and a whole training pass against PyTorch in float64, for every
 * instruction set; the same bits in every batch; costs to the digit. make_vectors.py has the other
 * half of the table, and says how tensors are compared that are too many to store. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/model.h"
#include "model/spec_file.h"
#include "nn/grad.h"
#include "nn/loss.h"
#include "nn/plan.h"
#include "numbers.h"

/* As in make_vectors.py. */
static const double TEMPERATURE = 3.0, ALPHA = 0.3, LAMBDA = 0.5;
static const double TOLERANCE = 1e-4;

#define STAGES(block, more)                                                                        \
    "\"stages\": [{\"block\": \"" block "\", \"blocks\": 2, \"channels\": 3" more                  \
    "}, {\"block\": \"" block "\", \"blocks\": 1, \"channels\": 5, \"stride\": 2" more             \
    "}], \"cuts\": [1, 3],"
#define STEM(more) "\"stem\": {\"kernel\": 3, \"channels\": 3, \"stride\": 1, \"pad\": 1" more "},"
#define SCALA(mid) "\"heads\": {\"kind\": \"scala\", \"mid_channels\": " #mid "}"
#define BASIC                                                                                      \
    "\"stem\": {\"kernel\": 7, \"channels\": 3, \"stride\": 2, \"pad\": 3, \"pool\": "             \
    "{\"kernel\": 3, \"stride\": 2, \"pad\": 1}}," STAGES("basic", "")
#define PREACT STEM(", \"after\": \"nothing\"") STAGES("preact", "")
#define BOTTLENECK STEM("") STAGES("bottleneck", "")
#define VGG_STAGE(blocks, channels)                                                                \
    "{\"block\": \"vgg\", \"blocks\": " #blocks ", \"channels\": " #channels ", \"pool\": 2}"

/* A network: a file in models/ scaled to a width, or the middle of a spec; then what is changed. */
struct net_case {
    const char *name, *model, *spec;
    int width, mid; /* 0: as it is */
    int height, columns, batch, classes;
    const char *head; /* NULL: as it is */
};

static const struct net_case cases[] = {
    {"basic", NULL, BASIC SCALA(3), 0, 0, 21, 30, 5, 4, NULL},
    {"bottleneck", NULL, BOTTLENECK SCALA(4), 0, 0, 7, 9, 4, 3, NULL},
    {"grouped", NULL, STEM("") STAGES("bottleneck", ", \"groups\": 3, \"group_width\": 2") SCALA(3),
     0, 0, 6, 7, 5, 4, NULL},
    {"preact", NULL, PREACT SCALA(3), 0, 0, 7, 6, 5, 4, NULL},
    {"pyramid", NULL,
     "\"stem\": {\"kernel\": 3, \"channels\": 2, \"stride\": 1, \"pad\": 1, \"after\": \"bn\"},"
     "\"stages\": [{\"block\": \"pyramid\", \"blocks\": 2, \"channels\": 4}, {\"block\": "
     "\"pyramid\", \"blocks\": 1, \"channels\": 7, \"stride\": 2}], \"cuts\": [1, 3]," SCALA(3),
     0, 0, 7, 5, 5, 4, NULL},
    {"vgg", NULL,
     "\"stages\": [" VGG_STAGE(1, 3) "," VGG_STAGE(2, 4) "," VGG_STAGE(
         1, 6) "],"
               "\"cuts\": [3, 4]," SCALA(3),
     0, 0, 11, 18, 6, 4, NULL},
    {"hidden", NULL,
     "\"stages\": [" VGG_STAGE(1, 3) "," VGG_STAGE(1, 4) "," VGG_STAGE(
         1, 6) "],"
               "\"cuts\": [2, 3], \"classifier\": {\"hidden\": [7, 5], \"pooled\": 2}," SCALA(3),
     0, 0, 16, 16, 5, 4, NULL},
    {"scala_attention", NULL,
     BASIC "\"heads\": {\"kind\": \"scala+attention\", \"mid_channels\": 3}", 0, 0, 16, 24, 5, 4,
     NULL},
    {"scala_attention_preact", NULL,
     PREACT "\"heads\": {\"kind\": \"scala+attention\", \"mid_channels\": 3}", 0, 0, 6, 8, 5, 4,
     NULL},
    {"sepconv_attention", NULL, BOTTLENECK "\"heads\": {\"kind\": \"sepconv+attention\"}", 0, 0, 8,
     6, 5, 4, NULL},
    {"sepconv_attention_wide_end", NULL,
     STEM("") "\"stages\": [{\"block\": \"basic\", \"blocks\": 2, \"channels\": 3}, {\"block\": "
              "\"basic\", \"blocks\": 1, \"channels\": 10, \"stride\": 2}], \"cuts\": [1, 3],"
              "\"heads\": {\"kind\": \"sepconv+attention\"}",
     0, 0, 8, 8, 4, 3, NULL},
    {"sepconv_attention_preact", NULL, PREACT "\"heads\": {\"kind\": \"sepconv+attention\"}", 0, 0,
     6, 8, 5, 4, NULL},
    {"resnet18_scala_attention", "resnet18", NULL, 4, 0, 16, 16, 4, 5, "scala+attention"},
    {"resnet18_sepconv_attention", "resnet18", NULL, 4, 0, 16, 16, 4, 5, "sepconv+attention"},
    {"resnet18", "resnet18", NULL, 4, 0, 16, 16, 4, 5, NULL},
    {"resnet50", "resnet50", NULL, 4, 0, 16, 16, 8, 5, NULL},
    {"resnet101", "resnet101", NULL, 3, 0, 16, 16, 8, 5, NULL},
    {"resnet152", "resnet152", NULL, 3, 0, 16, 16, 8, 5, NULL},
    {"vgg19", "vgg19", NULL, 4, 0, 32, 32, 8, 5, NULL},
    {"resnext29-8", "resnext29-8", NULL, 2, 0, 12, 12, 4, 5, NULL},
    {"wrn20-8", "wrn20-8", NULL, 6, 0, 12, 12, 4, 5, NULL},
    {"wrn44-8", "wrn44-8", NULL, 4, 0, 12, 12, 4, 5, NULL},
    {"wrn28-12", "wrn28-12", NULL, 6, 0, 12, 12, 4, 5, NULL},
    {"pyramidnet101-240", "pyramidnet101-240", NULL, 12, 0, 8, 8, 4, 5, NULL},
};

enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static const char *top_directory(void)
{
    const char *top = getenv("top_srcdir");
    return top != NULL ? top : ".";
}

static struct spec model_spec(const char *model)
{
    char path[4096];
    struct spec spec;
    struct err e = {0};
    snprintf(path, sizeof(path), "%s/models/%s.json", top_directory(), model);
    if (spec_read(path, &spec, &e) < 0) fail_msg("%s", e.text);
    return spec;
}

static struct spec parse(const char *json)
{
    struct spec spec;
    struct err e = {0};
    if (spec_parse(json, strlen(json), &spec, &e) < 0) fail_msg("%s", e.text);
    return spec;
}

static struct net *case_net(const struct net_case *c)
{
    struct spec spec;
    struct err e = {0};
    if (c->model != NULL) {
        spec = model_spec(c->model);
    } else {
        char json[2048];
        snprintf(json, sizeof(json),
                 "{\"name\": \"%s\", \"classes\": 2, \"input\": {\"channels\": 3, \"height\": 8, "
                 "\"width\": 8}, %s}",
                 c->name, c->spec);
        spec = parse(json);
    }
    if (c->head != NULL)
        spec.heads.kind = strstr(c->head, "sep") != NULL ? SPEC_HEAD_SEPCONV_ATTENTION
                                                         : SPEC_HEAD_SCALA_ATTENTION;
    if (spec.heads.kind == SPEC_HEAD_SEPCONV_ATTENTION) spec.heads.mid_channels = 0;
    spec.height = c->height;
    spec.width = c->columns;
    if (spec_scale(&spec, c->width, c->classes, &e) < 0) fail_msg("%s: %s", c->name, e.text);
    struct net *net = net_new(&spec, &e);
    if (net == NULL) fail_msg("%s: %s", c->name, e.text);
    return net;
}

/* --- the vectors ------------------------------------------------------------------------------ */

/* A case with its net, its numbers and what PyTorch makes of them. */
struct vectors {
    const struct net_case *c;
    struct net *net;
    float *params, *images; /* NHWC */
    int32_t *labels;
    struct record *records;
    size_t n;
};

static void read_records(struct vectors *v)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/tests/model/vectors/%s.bin", top_directory(), v->c->name);
    v->records = records_read(path, &v->n);
}

static const struct record *find(const struct vectors *v, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static const struct record *find(const struct vectors *v, const char *format, ...)
{
    char name[160];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof(name), format, args);
    va_end(args);
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->records[i].name, name) == 0) return &v->records[i];
    fail_msg("%s: %s is not in the vectors", v->c->name, name);
    return NULL;
}

static struct vectors vectors_load(const struct net_case *c)
{
    struct vectors v = {.c = c, .net = case_net(c)};
    read_records(&v);
    int seed = (int)find(&v, "seed")->values[0];
    size_t n, size = (size_t)c->batch * shape_size(net_input(v.net));
    const struct param *params = net_params(v.net, &n);
    v.params = mem_new(net_block_size(v.net), sizeof(float));
    for (size_t i = 0; i < n; i++) fill_param(&params[i], seed, v.params + params[i].offset);

    char text[32];
    size_t pixels = (size_t)(c->height * c->columns);
    v.images = mem_new(size, sizeof(float));
    snprintf(text, sizeof(text), "%d.images", seed);
    for (size_t i = 0; i < size; i++) { /* PyTorch's order is NCHW */
        size_t image = i / pixels / 3, channel = i / pixels % 3, pixel = i % pixels;
        v.images[(image * pixels + pixel) * 3 + channel] = number(fnv(text), i, 0.0, 2.0);
    }
    v.labels = mem_new((size_t)c->batch, sizeof(*v.labels));
    snprintf(text, sizeof(text), "%d.labels", seed);
    for (size_t i = 0; i < (size_t)c->batch; i++)
        v.labels[i] = (int32_t)(hash_at(fnv(text), i) % (uint64_t)c->classes);
    return v;
}

static void vectors_free(struct vectors *v)
{
    records_free(v->records, v->n);
    mem_free(v->params);
    mem_free(v->images);
    mem_free(v->labels);
    net_free(v->net);
}

static double worst; /* relative, of the case that runs; printed, so that the margin is seen */

static void compare(const struct vectors *v, const struct kernels *kernels,
                    const struct record *wanted, bool whole, const float *values, size_t count)
{
    double difference, norm;
    assert_int_equal(wanted->count, whole || count <= WHOLE ? count : SIGNS + 1);
    distance(wanted, whole, values, count, &difference, &norm);
    /* A bias before a norm has no gradient but what rounding leaves. */
    if (norm < 1e-7 && difference < 1e-5) return;
    if (norm > 0 && difference / norm > worst) worst = difference / norm;
    if (!(difference <= TOLERANCE * norm))
        fail_msg("%s, %s: %s is off by %.3g in L2, of a norm of %.3g", v->c->name,
                 cpu_isa_name(kernels->isa), wanted->name, difference, norm);
}

/* --- training --------------------------------------------------------------------------------- */

static double byot(struct grad *grad, const struct vectors *v)
{
    int n = v->c->batch, classes = v->c->classes, last = net_sections(v->net) - 1;
    int d = net_feature_size(v->net);
    double sum = loss_cross_entropy(n, classes, grad_logits(grad, last), v->labels, 1.0,
                                    grad_dlogits(grad, last));
    for (int i = 0; i < last; i++) {
        sum += loss_cross_entropy(n, classes, grad_logits(grad, i), v->labels, 1 - ALPHA,
                                  grad_dlogits(grad, i));
        sum += loss_distill(n, classes, grad_logits(grad, i), grad_logits(grad, last), TEMPERATURE,
                            ALPHA * TEMPERATURE * TEMPERATURE, grad_dlogits(grad, i));
        sum += loss_hint(n, d, grad_features(grad, i), grad_features(grad, last), LAMBDA,
                         grad_dfeatures(grad, i));
    }
    return sum;
}

static void check_training(const struct vectors *v, const struct kernels *kernels, unsigned threads)
{
    struct err e = {0};
    size_t n, trained = net_trained_size(v->net), batch = (size_t)v->c->batch;
    const struct param *params = net_params(v->net, &n);
    struct pool *pool = threads > 1 ? pool_new(threads) : NULL;
    const struct grad_options options = {.exits = (1u << net_sections(v->net)) - 1};
    struct grad *grad = grad_new(v->net, v->c->batch, &options, pool, kernels, &e);
    if (grad == NULL) fail_msg("%s", e.text);
    float *block = mem_new(net_block_size(v->net), sizeof(float));
    float *dparams = mem_new(trained, sizeof(float));
    memcpy(block, v->params, net_block_size(v->net) * sizeof(float));
    memcpy(grad_input(grad), v->images, batch * shape_size(net_input(v->net)) * sizeof(float));

    assert_int_equal((size_t)find(v, "trained")->values[0], trained);
    grad_forward(grad, block, v->c->batch);
    double loss = byot(grad, v);
    for (int i = 0; i < net_sections(v->net); i++) {
        compare(v, kernels, find(v, "train.logits.%d", i + 1), true, grad_logits(grad, i),
                batch * (size_t)v->c->classes);
        compare(v, kernels, find(v, "train.features.%d", i + 1), false, grad_features(grad, i),
                batch * (size_t)net_feature_size(v->net));
    }
    double wanted = (double)find(v, "total")->values[0];
    assert_true(fabs(loss - wanted) <= 1e-5 * wanted);
    grad_backward(grad, block, dparams);
    for (size_t i = 0; i < n; i++) {
        const struct param *p = &params[i];
        compare(v, kernels, find(v, p->trained ? "grad.%s" : "after.%s", p->name), false,
                (p->trained ? dparams : block) + p->offset, p->size);
    }
    mem_free(block);
    mem_free(dparams);
    grad_free(grad);
    pool_free(pool);
}

/* --- inference -------------------------------------------------------------------------------- */

/* Logits of all exits for some images of the vectors, [exit][image][class]. */
static void run(struct exec *exec, const struct vectors *v, int first, int n, float *logits)
{
    size_t image = shape_size(net_input(v->net)), size = (size_t)(n * v->c->classes);
    memcpy(exec_input(exec, 0), v->images + (size_t)first * image,
           (size_t)n * image * sizeof(float));
    for (int s = 0; s < net_sections(v->net); s++) {
        exec_section(exec, s, n, s > 0);
        exec_head(exec, s, 0, n, logits + (size_t)s * size);
    }
}

static struct exec *new_exec(const struct plan *plan, int batch)
{
    struct err e = {0};
    struct exec *exec = exec_new(plan, batch, &e);
    if (exec == NULL) fail_msg("%s", e.text);
    return exec;
}

/* Against PyTorch, and image by image the same bits as in the batch. */
static void check_inference(const struct vectors *v, const struct kernels *kernels)
{
    struct err e = {0};
    int batch = v->c->batch, exits = net_sections(v->net);
    size_t classes = (size_t)v->c->classes, size = (size_t)batch * classes;
    struct plan *plan = plan_new(v->net, v->params, kernels, &e);
    if (plan == NULL) fail_msg("%s", e.text);
    float *logits = mem_new((size_t)exits * size, sizeof(float));
    float *one = mem_new((size_t)exits * classes, sizeof(float));
    struct exec *exec = new_exec(plan, batch), *single = new_exec(plan, 1);
    run(exec, v, 0, batch, logits);
    for (int i = 0; i < exits; i++)
        compare(v, kernels, find(v, "eval.logits.%d", i + 1), true, logits + (size_t)i * size,
                size);
    for (int b = 0; b < batch; b++) {
        run(b % 2 == 0 ? single : exec, v, b, 1, one);
        for (int i = 0; i < exits; i++)
            assert_memory_equal(one + (size_t)i * classes,
                                logits + (size_t)i * size + (size_t)b * classes,
                                classes * sizeof(float));
    }
    mem_free(logits);
    mem_free(one);
    exec_free(exec);
    exec_free(single);
    plan_free(plan);
}

/* --- model files ------------------------------------------------------------------------------ */

static char directory[] = "/tmp/ad-networks-XXXXXX";

/* What is written is what is loaded: the spec, every tensor, and so every answer. */
static void check_file(const struct vectors *v)
{
    static char zero[] = "0", one[] = "1", two[] = "2", three[] = "3", four[] = "4";
    static char *const labels[] = {zero, one, two, three, four};
    struct err e = {0};
    char path[64];
    struct model *model = NULL;
    struct preprocess preprocess = {.width = v->c->columns,
                                    .height = v->c->height,
                                    .resize = PREPROCESS_STRETCH,
                                    .filter = PREPROCESS_BILINEAR,
                                    .mean = {0.5f, 0.5f, 0.5f},
                                    .std = {0.25f, 0.25f, 0.25f}};
    struct calibration calibration = {.present = false};
    struct training training = {.method = "byot"};
    snprintf(path, sizeof(path), "%s/m.safetensors", directory);
    if (model_write(path, TENSOR_F32, v->net, v->params, labels, &preprocess, &calibration,
                    &training, &e) < 0 ||
        model_load(path, &model, &e) < 0)
        fail_msg("%s: %s", v->c->name, e.text);
    assert_memory_equal(net_spec(model->net), net_spec(v->net), sizeof(struct spec));
    assert_memory_equal(model->params, v->params, net_block_size(v->net) * sizeof(float));
    model_free(model);
}

static void test_case(void **state)
{
    struct vectors v = vectors_load(*state);
    worst = 0;
    check_file(&v);
    for (int isa = 0; isa < CPU_ISA_COUNT; isa++) {
        const struct kernels *kernels = kernels_of((enum cpu_isa)isa);
        if (kernels == NULL || (int)kernels->isa != isa) continue;
        check_inference(&v, kernels);
        for (unsigned threads = 1; threads <= 3; threads += 2) check_training(&v, kernels, threads);
    }
    print_message("# %s: largest relative L2 %.2g\n", v.c->name, worst);
    vectors_free(&v);
}

/* --- costs ------------------------------------------------------------------------------------ */

/* Parameters and multiply-accumulates of the network, and the share of the trunk's
 * multiply-accumulates up to each cut in thousandths, from the literature (method.md, section 3).
 */
static const struct {
    const char *model;
    int64_t params, macs;
    int shares[3];
} costs[] = {
    {"vgg19", 20086692, 398182400, {241, 573, 905}},
    {"resnet18", 11220132, 555468800, {275, 516, 758}},
    {"resnet50", 23705252, 1298014208, {169, 427, 796}},
    {"resnet101", 42697380, 2510168064, {87, 221, 894}},
    {"resnet152", 58341028, 3722321920, {59, 225, 929}},
    {"resnext29-8", 34518948, 5387358208, {302, 545, 788}},
    {"wrn20-8", 17204276, 2454161408, {316, 535, 753}},
    {"wrn44-8", 41991220, 6078040064, {276, 514, 751}},
    {"wrn28-12", 52587060, 7543974912, {229, 479, 729}},
    {"pyramidnet101-240", 13688174, 2343451008, {200, 501, 803}},
    {"resnet18-224", 11689512, 1814073344, {320, 546, 773}},
    {"resnet50-224", 25557032, 4089184256, {192, 443, 802}},
    {"vgg19-224", 143678248, 19632062464, {241, 573, 905}},
};

static struct net *new_net(const struct spec *spec)
{
    struct err e = {0};
    struct net *net = net_new(spec, &e);
    if (net == NULL) fail_msg("%s: %s", spec->name, e.text);
    return net;
}

static void test_costs(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++) {
        struct spec spec = model_spec(costs[i].model);
        assert_string_equal(spec.name, costs[i].model);
        struct net *net = new_net(&spec);
        struct net_cost cost = net_deepest_cost(net);
        int64_t trunk = cost.macs - net_exit_cost(net, 3).macs, done = 0;
        assert_int_equal(net_sections(net), 4);
        assert_int_equal(cost.params, costs[i].params);
        assert_int_equal(cost.macs, costs[i].macs);
        for (int s = 0; s < 3; s++) {
            done += net_section_cost(net, s).macs;
            assert_int_equal(done * 1000 / trunk, costs[i].shares[s]);
        }
        assert_int_equal(net_ensemble_cost(net).params, net_trained_size(net));
        net_free(net);
    }
}

/* Heads, from method.md 2.1, 2.3 and 3.3, in thousandths of millions: parameters, then
 * multiply-accumulates in hundredths of millions. */
static void test_head_costs(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        enum spec_head kind;
        int params[3], macs[3];
    } heads[] = {
        {"resnet18", SPEC_HEAD_SCALA, {1176, 398, 217}, {2627, 949, 425}},
        {"resnet18", SPEC_HEAD_SCALA_ATTENTION, {1279, 808, 1857}, {5248, 3570, 3046}},
        {"resnet18", SPEC_HEAD_SEPCONV_ATTENTION, {330, 342, 391}, {1240, 881, 544}},
        {"vgg19", SPEC_HEAD_SCALA, {1184, 414, 250}, {221, 90, 44}},
    };
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct spec spec = model_spec(heads[i].model);
        spec.heads.kind = heads[i].kind;
        if (spec.heads.kind == SPEC_HEAD_SEPCONV_ATTENTION) spec.heads.mid_channels = 0;
        struct net *net = new_net(&spec);
        for (int s = 0; s < 3; s++) {
            struct net_cost cost = net_exit_cost(net, s);
            assert_int_equal((cost.params + 500) / 1000, heads[i].params[s]);
            assert_int_equal((cost.macs + 5000) / 10000, heads[i].macs[s]);
        }
        net_free(net);
    }
}

/* Every model at several widths, also odd ones, and at its own. */
static void test_widths(void **state)
{
    (void)state;
    struct err e = {0};
    for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++) {
        struct spec own = model_spec(costs[i].model);
        static const int widths[] = {1, 2, 5, 8, 13, 31};
        for (size_t w = 0; w < sizeof(widths) / sizeof(widths[0]); w++) {
            struct spec spec = own;
            if (spec_scale(&spec, widths[w], 7, &e) < 0) fail_msg("%s: %s", own.name, e.text);
            assert_int_equal(spec.stages[0].channels, widths[w]);
            struct net *net = new_net(&spec);
            assert_true(net_deepest_cost(net).params < costs[i].params);
            net_free(net);
        }
        struct spec spec = own;
        assert_int_equal(spec_scale(&spec, own.stages[0].channels, 0, &e), 0);
        assert_memory_equal(&spec, &own, sizeof(own));
    }
}

/* What is read, written and read again is the same. */
static void test_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++) {
        struct spec spec = model_spec(costs[i].model);
        char *text = spec_format(&spec);
        assert_non_null(text);
        struct spec again = parse(text);
        assert_memory_equal(&again, &spec, sizeof(spec));
        mem_free(text);
    }
}

/* An eleventh network is one file and no C. */
static void test_resnet34(void **state)
{
    (void)state;
    struct spec spec =
        parse("{\"name\": \"resnet34\", \"classes\": 100,"
              " \"input\": {\"channels\": 3, \"height\": 32, \"width\": 32},"
              " \"stem\": {\"kernel\": 3, \"channels\": 64, \"stride\": 1, \"pad\": 1},"
              " \"stages\": [{\"block\": \"basic\", \"blocks\": 3, \"channels\": 64},"
              "  {\"block\": \"basic\", \"blocks\": 4, \"channels\": 128, \"stride\": 2},"
              "  {\"block\": \"basic\", \"blocks\": 6, \"channels\": 256, \"stride\": 2},"
              "  {\"block\": \"basic\", \"blocks\": 3, \"channels\": 512, \"stride\": 2}],"
              " \"cuts\": \"stages\", \"heads\": {\"kind\": \"scala\", \"mid_channels\": 128}}");
    static const int ends[] = {3, 7, 13, 16};
    assert_int_equal(spec.n_sections, 4);
    assert_memory_equal(spec.cuts, ends, sizeof(ends));
    struct net *net = new_net(&spec);
    assert_int_equal(net_deepest_cost(net).params, 21328292);
    assert_int_equal(net_deepest_cost(net).macs, 1159448576);
    net_free(net);
}

/* Two more bottlenecks of torchvision's, with its totals of parameters. */
static void test_torchvision(void **state)
{
    (void)state;
    struct err e = {0};
    static const struct {
        int groups, group_width;
        int64_t params;
    } nets[] = {{32, 4, 25028904}, {0, 128, 68883240}};
    for (int i = 0; i < 2; i++) {
        struct spec spec = model_spec("resnet50-224");
        for (int s = 0; s < 4; s++) {
            spec.stages[s].groups = nets[i].groups;
            spec.stages[s].group_width = nets[i].group_width << s;
        }
        assert_int_equal(spec_check(&spec, &e), 0);
        struct net *net = new_net(&spec);
        assert_int_equal(net_deepest_cost(net).params, nets[i].params);
        net_free(net);
    }
}

int main(void)
{
    struct CMUnitTest tests[CASES + 8] = {
        cmocka_unit_test(test_costs),    cmocka_unit_test(test_head_costs),
        cmocka_unit_test(test_widths),   cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_resnet34), cmocka_unit_test(test_torchvision),
    };
    size_t n = 6;
    for (size_t i = 0; i < CASES; i++, n++)
        tests[n] = (struct CMUnitTest){.name = cases[i].name,
                                       .test_func = test_case,
                                       .initial_state = (void *)(uintptr_t)&cases[i]};
    if (mkdtemp(directory) == NULL) return 1;
    int failed = _cmocka_run_group_tests("networks", tests, n, NULL, NULL);
    file_remove_tree(directory, NULL);
    return failed;
}
