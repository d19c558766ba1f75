/* Nets: costs to the digit, names and layout of the parameters, shapes, first values. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "nets.h"
#include "nn/net.h"

static struct net *new_net(const struct spec *spec)
{
    struct err e;
    struct net *net = net_new(spec, &e);
    if (net == NULL) fail_msg("%s", e.text);
    return net;
}

static void check_cost(struct net_cost cost, int64_t params, int64_t macs)
{
    assert_int_equal(cost.params, params);
    assert_int_equal(cost.macs, macs);
}

static void test_costs(void **state)
{
    (void)state;
    struct spec spec = spec_resnet18();
    struct net *net = new_net(&spec);
    check_cost(net_deepest_cost(net), 11220132, 555468800);
    /* The heads by hand: c*128 + 128 + 256, 128*128*k*k + 384, 128*512 + 512 + 1024, 512*100 + 100.
     */
    check_cost(net_exit_cost(net, 0), 1175908, 26265600);
    check_cost(net_exit_cost(net, 1), 397668, 9488384);
    check_cost(net_exit_cost(net, 2), 217444, 4245504);
    check_cost(net_exit_cost(net, 3), 51300, 51200);
    /* The trunk: 0.150, 0.525, 2.100, 8.394 M parameters. */
    check_cost(net_section_cost(net, 0), 149824, 152764416);
    check_cost(net_section_cost(net, 1), 525568, 134217728);
    check_cost(net_section_cost(net, 2), 2099712, 134217728);
    check_cost(net_section_cost(net, 3), 8393728, 134217728);
    check_cost(net_ensemble_cost(net), 13011152, 595468288);
    assert_int_equal(net_trained_size(net), 13011152);
    net_free(net);

    /* Three classes and a fourth of the width, from the same formulas. */
    struct err e;
    assert_int_equal(spec_scale(&spec, 16, 3, &e), 0);
    net = new_net(&spec);
    check_cost(net_exit_cost(net, 3), 3 * 128 + 3, 3 * 128);
    check_cost(net_exit_cost(net, 2),
               (64 * 32 + 32 + 64) + (32 * 32 * 4 + 96) + (32 * 128 + 384) + 387,
               64 * 64 * 32 + 16 * (32 * 32 * 4 + 32 * 128) + 384);
    net_free(net);
}

static void test_shapes(void **state)
{
    (void)state;
    struct spec spec = spec_resnet18();
    struct net *net = new_net(&spec);
    assert_int_equal(net_sections(net), 4);
    assert_int_equal(net_classes(net), 100);
    assert_int_equal(net_feature_size(net), 512);
    assert_memory_equal(net_spec(net), &spec, sizeof(spec));
    struct shape in = {32, 32, 3};
    struct shape whole = net_input(net);
    assert_memory_equal(&whole, &in, sizeof(in));
    for (int s = 0; s < 4; s++) {
        struct shape got = net_section_input(net, s), out = net_section_output(net, s);
        assert_memory_equal(&got, &in, sizeof(in));
        in = (struct shape){32 >> s, 32 >> s, 64 << s};
        assert_memory_equal(&out, &in, sizeof(in));
    }
    net_free(net);

    spec.height = 33; /* odd sides round up: 33, 17, 9, 5 */
    spec.width = 31;
    net = new_net(&spec);
    struct shape last = net_section_output(net, 3);
    assert_int_equal(last.height, 5);
    assert_int_equal(last.width, 4);
    net_free(net);

    spec = spec_resnet18(); /* cut elsewhere: two sections, the first within stage 2 */
    spec.n_sections = 2;
    spec.cuts[0] = 3;
    spec.cuts[1] = 8;
    net = new_net(&spec);
    struct shape cut = net_section_output(net, 0);
    assert_int_equal(cut.height, 16);
    assert_int_equal(cut.channels, 128);
    check_cost(net_deepest_cost(net), 11220132, 555468800);
    net_free(net);
}

static const struct param *find(const struct net *net, const char *name)
{
    size_t n;
    const struct param *params = net_params(net, &n);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(params[i].name, name) == 0) return &params[i];
    }
    fail_msg("%s is not there", name);
    return NULL;
}

static void check_param(const struct net *net, const char *name, int role, int exit, int n_dims,
                        int64_t first, int64_t second, int64_t side, size_t fan_in)
{
    const struct param *p = find(net, name);
    assert_int_equal(p->role, role);
    assert_int_equal(p->exit, exit);
    assert_int_equal(p->n_dims, n_dims);
    assert_int_equal(p->dims[0], first);
    if (n_dims > 1) assert_int_equal(p->dims[1], second);
    if (n_dims == 4) {
        assert_int_equal(p->dims[2], side);
        assert_int_equal(p->dims[3], side);
    }
    assert_int_equal(p->fan_in, fan_in);
}

static void test_params(void **state)
{
    (void)state;
    struct spec spec = spec_resnet18();
    struct net *net = new_net(&spec);
    check_param(net, "conv1.weight", PARAM_CONV_WEIGHT, -1, 4, 64, 3, 3, 27);
    check_param(net, "bn1.running_var", PARAM_NORM_VARIANCE, -1, 1, 64, 0, 0, 0);
    check_param(net, "layer1.1.bn2.bias", PARAM_NORM_SHIFT, -1, 1, 64, 0, 0, 0);
    check_param(net, "layer2.0.downsample.0.weight", PARAM_CONV_WEIGHT, -1, 4, 128, 64, 1, 64);
    check_param(net, "layer2.0.downsample.1.weight", PARAM_NORM_SCALE, -1, 1, 128, 0, 0, 0);
    check_param(net, "layer4.1.conv2.weight", PARAM_CONV_WEIGHT, -1, 4, 512, 512, 3, 4608);
    check_param(net, "exits.1.conv2.weight", PARAM_CONV_WEIGHT, 0, 4, 128, 128, 8, 8192);
    check_param(net, "exits.2.conv2.bias", PARAM_CONV_BIAS, 1, 1, 128, 0, 0, 2048);
    check_param(net, "exits.3.bn3.running_mean", PARAM_NORM_MEAN, 2, 1, 512, 0, 0, 0);
    check_param(net, "exits.3.fc.weight", PARAM_LINEAR_WEIGHT, 2, 2, 100, 512, 0, 512);
    check_param(net, "fc.weight", PARAM_LINEAR_WEIGHT, 3, 2, 100, 512, 0, 512);
    check_param(net, "fc.bias", PARAM_LINEAR_BIAS, 3, 1, 100, 0, 0, 512);

    /* One block without gaps, the trained ones first, every name once. */
    size_t n, offset = 0;
    const struct param *params = net_params(net, &n);
    assert_int_equal(n, 20 * 5 + 3 * (3 * 6 + 2) + 2);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(params[i].offset, offset);
        assert_true(i == 0 || params[i - 1].trained || !params[i].trained);
        bool running = params[i].role == PARAM_NORM_MEAN || params[i].role == PARAM_NORM_VARIANCE;
        assert_int_equal(params[i].trained, !running);
        offset += params[i].size;
        if (params[i].trained) assert_true(offset <= net_trained_size(net));
        for (size_t j = 0; j < i; j++) assert_string_not_equal(params[i].name, params[j].name);
    }
    assert_int_equal(offset, net_block_size(net));
    net_free(net);
}

/* What is named otherwise than ResNet's: a group's inputs, heads with attention, VGG's layers. */
static void test_params_of_others(void **state)
{
    (void)state;
    struct spec spec = spec_tiny(SPEC_BLOCK_BOTTLENECK, SPEC_HEAD_SCALA_ATTENTION);
    spec.stages[0].groups = 2;
    spec.stages[0].group_width = 5;
    struct net *net = new_net(&spec);
    check_param(net, "layer1.0.conv1.weight", PARAM_CONV_WEIGHT, -1, 4, 10, 4, 1, 4);
    check_param(net, "layer1.0.conv2.weight", PARAM_CONV_WEIGHT, -1, 4, 10, 5, 3, 45);
    check_param(net, "layer1.0.conv3.weight", PARAM_CONV_WEIGHT, -1, 4, 16, 10, 1, 10);
    check_param(net, "layer2.0.downsample.1.bias", PARAM_NORM_SHIFT, -1, 1, 24, 0, 0, 0);
    check_param(net, "exits.1.attention.conv1.bias", PARAM_CONV_BIAS, 0, 1, 16, 0, 0, 144);
    check_param(net, "exits.1.attention.conv2.weight", PARAM_CONV_WEIGHT, 0, 4, 16, 16, 4, 256);
    check_param(net, "exits.1.attention.bn2.weight", PARAM_NORM_SCALE, 0, 1, 16, 0, 0, 0);
    net_free(net);

    spec = spec_tiny(SPEC_BLOCK_PREACT, SPEC_HEAD_SEPCONV_ATTENTION);
    net = new_net(&spec);
    check_param(net, "layer2.0.downsample.0.weight", PARAM_CONV_WEIGHT, -1, 4, 6, 4, 1, 4);
    check_param(net, "bn_final.weight", PARAM_NORM_SCALE, -1, 1, 6, 0, 0, 0);
    check_param(net, "exits.1.bn0.bias", PARAM_NORM_SHIFT, 0, 1, 4, 0, 0, 0);
    check_param(net, "exits.1.attention.sepconv.depth1.weight", PARAM_CONV_WEIGHT, 0, 4, 4, 1, 3,
                9);
    check_param(net, "exits.1.attention.bn.weight", PARAM_NORM_SCALE, 0, 1, 4, 0, 0, 0);
    check_param(net, "exits.1.sepconv1.point1.weight", PARAM_CONV_WEIGHT, 0, 4, 4, 4, 1, 4);
    check_param(net, "exits.1.sepconv1.point2.weight", PARAM_CONV_WEIGHT, 0, 4, 6, 4, 1, 4);
    net_free(net);

    spec = spec_tiny(SPEC_BLOCK_VGG, SPEC_HEAD_SCALA);
    spec.classifier.n_hidden = 2;
    spec.classifier.hidden[0] = 9;
    spec.classifier.hidden[1] = 7;
    spec.classifier.pooled = 2;
    spec.stages[0].pool = 2;
    net = new_net(&spec);
    check_param(net, "features.0.weight", PARAM_CONV_WEIGHT, -1, 4, 4, 2, 3, 18);
    check_param(net, "features.3.bias", PARAM_CONV_BIAS, -1, 1, 4, 0, 0, 36);
    check_param(net, "features.7.weight", PARAM_CONV_WEIGHT, -1, 4, 6, 4, 3, 36); /* a pool is 6 */
    check_param(net, "features.8.running_var", PARAM_NORM_VARIANCE, -1, 1, 6, 0, 0, 0);
    check_param(net, "classifier.0.weight", PARAM_LINEAR_WEIGHT, 1, 2, 9, 24, 0, 24);
    check_param(net, "classifier.3.weight", PARAM_LINEAR_WEIGHT, 1, 2, 7, 9, 0, 9);
    check_param(net, "classifier.6.bias", PARAM_LINEAR_BIAS, 1, 1, 3, 0, 0, 7);
    assert_int_equal(net_feature_size(net), 6); /* the hint's, not the hidden layers' */
    net_free(net);
}

static void moments(const float *values, size_t n, double *mean, double *deviation, double *largest)
{
    double sum = 0, square = 0;
    *largest = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)values[i];
        square += (double)values[i] * (double)values[i];
        *largest = fmax(*largest, fabs((double)values[i]));
    }
    *mean = sum / (double)n;
    *deviation = sqrt(square / (double)n - *mean * *mean);
}

static void test_first_values(void **state)
{
    (void)state;
    struct err e;
    struct spec spec = spec_resnet18();
    spec.heads.kind = SPEC_HEAD_SCALA_ATTENTION; /* which has everything */
    assert_int_equal(spec_scale(&spec, 32, 100, &e), 0);
    struct net *net = new_net(&spec);
    size_t n, bytes = net_block_size(net) * sizeof(float);
    const struct param *params = net_params(net, &n);
    float *block = mem_new(bytes, 1), *again = mem_new(bytes, 1);
    assert_true(block != NULL && again != NULL);
    net_init_params(net, 5, block);
    net_init_params(net, 5, again);
    assert_memory_equal(block, again, bytes);
    net_init_params(net, 6, again);
    assert_memory_not_equal(block, again, bytes);

    for (size_t i = 0; i < n; i++) {
        const struct param *p = &params[i];
        const float *values = block + p->offset;
        double mean, deviation, largest, bound;
        moments(values, p->size, &mean, &deviation, &largest);
        double slack = 5 / sqrt((double)p->size); /* five standard errors */
        switch (p->init) {
        case PARAM_INIT_NORMAL:
            assert_int_equal(p->role, PARAM_CONV_WEIGHT);
            bound = sqrt(2.0 / (double)(p->dims[0] * p->dims[2] * p->dims[3]));
            assert_true(fabs(mean) < slack * bound);
            assert_true(fabs(deviation / bound - 1) < slack);
            assert_true(largest > 2 * bound); /* a normal distribution has tails */
            break;
        case PARAM_INIT_UNIFORM:
            bound = 1 / sqrt((double)p->fan_in);
            assert_true(largest <= bound * 1.000001 && largest > 0.8 * bound);
            assert_true(fabs(mean) < slack * bound);
            break;
        case PARAM_INIT_ONE:
            assert_true(p->role == PARAM_NORM_SCALE || p->role == PARAM_NORM_VARIANCE);
            assert_true(mean == 1 && deviation == 0);
            break;
        case PARAM_INIT_ZERO:
            assert_true(p->role == PARAM_NORM_SHIFT || p->role == PARAM_NORM_MEAN);
            assert_true(mean == 0 && deviation == 0);
            break;
        }
    }
    mem_free(block);
    mem_free(again);
    net_free(net);
}

static void test_maps_too_small(void **state)
{
    (void)state;
    struct err e = {0};
    struct spec spec = spec_resnet18();
    spec.stem.kernel = 15;
    spec.stem.pad = 0;
    spec.height = spec.width = 14;
    assert_null(net_new(&spec, &e));
    assert_int_equal(e.code, ERR_RANGE);
    assert_non_null(strstr(e.text, "conv1"));

    spec = spec_resnet18(); /* a head's patch is as high as the map, but the map is narrow */
    spec.height = 64;
    spec.width = 1;
    assert_null(net_new(&spec, &e));
    assert_int_equal(e.code, ERR_RANGE);
    assert_non_null(strstr(e.text, "exits.1.conv2"));

    spec = spec_tiny(SPEC_BLOCK_BASIC, SPEC_HEAD_SCALA_ATTENTION);
    spec.height = 7;
    assert_null(net_new(&spec, &e));
    assert_int_equal(e.code, ERR_RANGE);
    assert_non_null(strstr(e.text, "exits.1.attention needs a map with even sides"));

    spec = spec_tiny(SPEC_BLOCK_VGG, SPEC_HEAD_SCALA);
    spec.stages[1].pool = 8;
    assert_null(net_new(&spec, &e));
    assert_int_equal(e.code, ERR_RANGE);
    assert_non_null(strstr(e.text, "stages[1].pool"));

    spec = spec_tiny(SPEC_BLOCK_VGG, SPEC_HEAD_SCALA);
    spec.classifier.n_hidden = spec.classifier.hidden[0] = 1;
    spec.classifier.pooled = 2;
    assert_null(net_new(&spec, &e));
    assert_int_equal(e.code, ERR_RANGE);
    assert_non_null(strstr(e.text, "classifier.pooled is 2, but the trunk ends with 3x3"));

    spec = spec_resnet18(); /* a single pixel is a net, too */
    spec.height = spec.width = 1;
    net_free(new_net(&spec));
}

/* The largest numbers that a spec may hold do not overflow. */
static void test_largest(void **state)
{
    (void)state;
    struct spec spec = spec_resnet18();
    spec.height = spec.width = SPEC_SIDE_MAX;
    spec.channels = spec.stem.channels = spec.heads.mid_channels = SPEC_CHANNELS_MAX;
    spec.classes = SPEC_CLASSES_MAX;
    for (int i = 0; i < 4; i++)
        spec.stages[i] = (struct spec_stage){.block = SPEC_BLOCK_BASIC,
                                             .blocks = SPEC_BLOCKS_MAX / 4,
                                             .channels = SPEC_CHANNELS_MAX,
                                             .stride = 1};
    for (int i = 0; i < 4; i++) spec.cuts[i] = SPEC_BLOCKS_MAX / 4 * (i + 1);
    struct net *net = new_net(&spec);
    struct net_cost cost = net_ensemble_cost(net);
    assert_true(cost.params > 0 && cost.macs > 0);
    assert_true(cost.macs / cost.params <= (int64_t)SPEC_SIDE_MAX * SPEC_SIDE_MAX);
    assert_int_equal(cost.params, net_trained_size(net));
    net_free(net);
}

static void check_out_of_memory(const struct spec *spec)
{
    struct err e;
    struct net *net = NULL;
    unsigned n = 0;
    while (net == NULL) {
        assert_true(n < 100);
        mem_fail_at(++n);
        e.code = 0;
        net = net_new(spec, &e);
        assert_true(net != NULL || e.code == -12);
    }
    mem_fail_at(0);
    assert_true(n > 8);
    net_free(net);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    struct spec spec = spec_resnet18();
    check_out_of_memory(&spec);
    for (int block = 0; block <= SPEC_BLOCK_VGG; block++) {
        for (int head = 0; head <= SPEC_HEAD_SEPCONV_ATTENTION; head++) {
            spec = spec_tiny((enum spec_block)block, (enum spec_head)head);
            check_out_of_memory(&spec);
        }
    }
    net_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_costs),        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_params),       cmocka_unit_test(test_params_of_others),
        cmocka_unit_test(test_first_values), cmocka_unit_test(test_maps_too_small),
        cmocka_unit_test(test_largest),      cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
