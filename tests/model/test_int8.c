/* Weights as whole numbers: near what they were made of, exact from then on; a file whose scales do
 * not fit is refused by name. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <cmocka.h>

#include "../../src/model/int8.h"
#include "../seeded.h"
#include "model/import.h"
#include "tiny_model.h"

enum { OUTER = 3, CHANNELS = 5, INNER = 7, SIZE = OUTER * CHANNELS * INNER };

static const struct int8_shape shape = {OUTER, CHANNELS, INNER};

static size_t channel_of(size_t i)
{
    return i / INNER % CHANNELS;
}

/* Each value is half a scale from its number, or it was cut off; the largest one of a channel has
 * the largest number; and what numbers and scales mean becomes the same ones again. */
static void check_values(const float *values)
{
    int8_t numbers[SIZE], again[SIZE], largest[CHANNELS] = {0};
    float scales[CHANNELS], scales_again[CHANNELS], read[SIZE];
    int8_from_floats(&shape, values, numbers, scales);
    int8_to_floats(&shape, numbers, scales, read);
    for (size_t i = 0; i < SIZE; i++) {
        const float scale = scales[channel_of(i)];
        assert_true(scale > 0 && isfinite(scale) && isfinite(read[i]) && numbers[i] != -128);
        assert_true((double)read[i] == (double)scale * numbers[i]);
        const double error = fabs((double)read[i] - (double)values[i]);
        if (fabsf(values[i]) < 127 * scale)
            assert_true(error <= 0.5 * (double)scale * (1 + 1e-6));
        else
            assert_int_equal(numbers[i], values[i] > 0 ? 127 : -127);
        const int8_t size = (int8_t)abs(numbers[i]);
        if (size > largest[channel_of(i)]) largest[channel_of(i)] = size;
    }
    for (size_t c = 0; c < CHANNELS; c++) assert_true(largest[c] == 127 || scales[c] == 0x1p-100f);
    int8_from_floats(&shape, read, again, scales_again);
    assert_memory_equal(again, numbers, sizeof(numbers));
    assert_memory_equal(scales_again, scales, sizeof(scales));
}

static void test_values(void **state)
{
    (void)state;
    enum { ROUNDS = 2000 };
    struct rng rng = seeded(61);
    float values[SIZE];
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < SIZE; i++) {
            const float x = (float)(2 * rng_uniform(&rng) - 1);
            values[i] = scalbnf(round % 2 == 0 ? x : x * x * x, round % 60 - 30);
        }
        check_values(values);
    }
    static const float odd[] = {
        0, -0.0f, 3.4028235e38f, -3.4028235e38f, 1e-45f, -1.2e-38f, 1e-30f, 1, -127, 127};
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < SIZE; i++) values[i] = odd[rng_below(&rng, 10)];
        check_values(values);
    }
    memset(values, 0, sizeof(values));
    check_values(values);
}

/* Halfway between two numbers the even one is taken; 127 is the largest value of all. */
static void test_ties(void **state)
{
    (void)state;
    static const struct int8_shape one = {1, 1, 7};
    static const float values[] = {127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f};
    static const int8_t wanted[] = {127, 0, 2, 2, 0, -2, -2};
    int8_t numbers[7];
    float scale;
    int8_from_floats(&one, values, numbers, &scale);
    assert_true(scale == 1);
    assert_memory_equal(numbers, wanted, sizeof(wanted));
}

/* The scale of least error: that of the largest value where the numbers are even; less where one
 * value lies far outside of all others. */
static void test_scale(void **state)
{
    (void)state;
    enum { N = 40001 };
    static float values[N], read[N];
    static int8_t numbers[N];
    const struct int8_shape one = {1, 1, N};
    struct rng rng = seeded(62);
    float scale;
    for (int i = 0; i < N; i++) values[i] = (float)(i % 255 - 127) / 127;
    int8_from_floats(&one, values, numbers, &scale);
    assert_true(fabs((double)scale * 127 - 1) < 1e-4);
    for (int i = 0; i < N; i++) values[i] = (float)(2 * rng_uniform(&rng) - 1);
    values[N / 2] = 1.2f;
    int8_from_floats(&one, values, numbers, &scale);
    assert_true(scale * 127 < 1.1f && numbers[N / 2] == 127);
    double cut = 0, whole = 0;
    int8_to_floats(&one, numbers, &scale, read);
    for (int i = 0; i < N; i++) {
        const double by_largest = 1.2 / 127, v = (double)values[i];
        cut += (v - (double)read[i]) * (v - (double)read[i]);
        whole += pow(v - by_largest * rint(v / by_largest), 2);
    }
    assert_true(cut < 0.9 * whole);
}

/* --- files ------------------------------------------------------------------------------------ */

static char *read_file(size_t *ret_size)
{
    char *bytes;
    struct err e = {0};
    if (file_read(tiny_path, 1 << 24, &bytes, ret_size, &e) < 0) fail_msg("%s", e.text);
    return bytes;
}

/* Weights are a fourth, what is no weight is exact, and what was loaded is stored in the same
 * bytes.
 */
static void test_round_trip(void **state)
{
    (void)state;
    struct tiny t;
    struct err e = {0};
    struct safetensors *file;
    size_t size, again_size, n;
    tiny_make(&t);
    assert_int_equal(tiny_write(&t, TENSOR_I8, &e), 0);
    char *bytes = read_file(&size);
    struct model *m = tiny_load();
    assert_int_equal(m->stored, TENSOR_I8);
    assert_int_equal(m->file_bytes, size);
    assert_int_equal(safetensors_parse(bytes, size, &file, &e), 0);
    const struct param *params = net_params(t.net, &n);
    size_t weights = 0;
    for (size_t i = 0; i < n; i++) {
        const struct param *p = &params[i];
        const struct tensor *tensor = safetensors_find(file, p->name);
        const float *was = t.params + p->offset, *is = m->params + p->offset;
        if (p->role != PARAM_CONV_WEIGHT && p->role != PARAM_LINEAR_WEIGHT) {
            assert_int_equal(tensor->type, TENSOR_F32);
            assert_memory_equal(was, is, p->size * sizeof(*is));
            continue;
        }
        char name[128];
        weights++;
        snprintf(name, sizeof(name), "%s_scale", p->name);
        const struct tensor *scale = safetensors_find(file, name);
        assert_int_equal(tensor->type, TENSOR_I8);
        assert_int_equal(scale->type, TENSOR_F32);
        assert_int_equal(scale->count, p->dims[0]);
        float scales[64];
        tensor_to_floats(scale, scales);
        for (size_t k = 0; k < p->size; k++) {
            const float s = scales[k / (p->size / (size_t)p->dims[0])];
            assert_true(fabsf(is[k] - was[k]) <= 0.5f * s * 1.0001f || fabsf(was[k]) > 127 * s);
            assert_true(is[k] == s * (float)(int8_t)tensor->data[k]);
        }
    }
    assert_true(weights > 5);
    assert_int_equal(safetensors_count(file), n + weights);
    safetensors_free(file);

    memcpy(t.params, m->params, net_block_size(t.net) * sizeof(*t.params));
    assert_int_equal(tiny_write(&t, TENSOR_I8, &e), 0);
    char *again = read_file(&again_size);
    assert_int_equal(size, again_size);
    assert_memory_equal(bytes, again, size);
    mem_free(again);
    mem_free(bytes);
    model_free(m);
    tiny_release(&t);
}

/* A transposed convolution has its output channels second. */
static void test_transposed(void **state)
{
    (void)state;
    struct spec spec;
    struct err e = {0};
    size_t n, found = 0;
    assert_int_equal(spec_parse(tiny_json, strlen(tiny_json), &spec, &e), 0);
    spec_set_heads(&spec, SPEC_HEAD_SCALA_ATTENTION);
    struct net *net = net_new(&spec, &e);
    if (net == NULL) fail_msg("%s", e.text);
    const struct param *params = net_params(net, &n);
    for (size_t i = 0; i < n; i++) {
        if (params[i].out_dim != 1) continue;
        found++;
        assert_int_equal(params[i].role, PARAM_CONV_WEIGHT);
        assert_true(params[i].n_dims == 4 && i + 1 < n);
        if (params[i + 1].role == PARAM_CONV_BIAS)
            assert_int_equal(params[i].dims[1], params[i + 1].dims[0]);
    }
    assert_true(found > 0);
    net_free(net);
}

/* A file of the tiny model whose fc.weight is of whole numbers, and its scale as a test wants it.
 */
struct parts {
    struct tensor_out tensors[128];
    size_t n, weight, scale;
    int64_t three;
    int8_t numbers[64];
    float scales[3];
};

static void take_parts(const struct tiny *t, struct parts *p)
{
    const struct param *params = net_params(t->net, &p->n);
    for (size_t i = 0; i < p->n; i++) {
        p->tensors[i] = (struct tensor_out){params[i].name, params[i].n_dims, params[i].dims,
                                            t->params + params[i].offset, TENSOR_F32};
        if (strcmp(params[i].name, "fc.weight") == 0) p->weight = i;
    }
    p->three = 3;
    for (int i = 0; i < 3; i++) p->scales[i] = 0.5f;
    memset(p->numbers, 3, sizeof(p->numbers));
    p->tensors[p->weight].values = p->numbers;
    p->tensors[p->weight].type = TENSOR_I8;
    p->scale = p->n;
    p->tensors[p->n++] =
        (struct tensor_out){"fc.weight_scale", 1, &p->three, p->scales, TENSOR_F32};
}

/* Written, then loaded and imported: both say the same. */
static void expect(const struct parts *p, int code, const char *words)
{
    struct safetensors *good, *file;
    struct import_report report;
    struct meta_out meta[3];
    static const char *const keys[] = {"autodidact.spec", "autodidact.labels",
                                       "autodidact.preprocess"};
    struct err e = {0};
    struct tiny t;
    size_t size;
    tiny_make(&t);
    if (tiny_write(&t, TENSOR_F32, &e) < 0) fail_msg("%s", e.text);
    char *bytes = read_file(&size);
    assert_int_equal(safetensors_parse(bytes, size, &good, &e), 0);
    for (int i = 0; i < 3; i++)
        meta[i] = (struct meta_out){keys[i], safetensors_meta(good, keys[i])};
    if (safetensors_write(tiny_path, p->tensors, p->n, meta, 3, &e) < 0) fail_msg("%s", e.text);
    safetensors_free(good);
    mem_free(bytes);

    struct model *m = NULL;
    int rc = model_load(tiny_path, &m, &e);
    if (rc != code || (code < 0 && strstr(e.text, words) == NULL))
        fail_msg("wanted %d with '%s', got %d: %s", code, words, rc, e.text);
    model_free(m);
    bytes = read_file(&size);
    assert_int_equal(safetensors_parse_checkpoint(bytes, size, &file, &e), 0);
    rc = import_params(file, t.net, 0, t.params, &report, &e);
    if ((rc < 0) != (code < 0)) fail_msg("import: %d: %s", rc, e.text);
    safetensors_free(file);
    mem_free(bytes);
    tiny_release(&t);
}

static void test_malformed(void **state)
{
    (void)state;
    struct tiny t;
    struct parts good, p;
    tiny_make(&t);
    take_parts(&t, &good);
    expect(&good, 0, "");

    p = good;
    p.n--;
    expect(&p, ERR_NOT_FOUND,
           "tensor fc.weight_scale [3] is missing: fc.weight is of whole numbers");
    static const float bad[] = {NAN, INFINITY, -0.5f, 0, -0.0f};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        p = good;
        p.tensors[p.scale].values = p.scales;
        p.scales[1] = bad[i];
        expect(&p, ERR_RANGE, "tensor fc.weight_scale: element 1 is ");
    }
    p = good;
    p.tensors[p.scale].type = TENSOR_F16;
    expect(&p, ERR_CONFLICT, "tensor fc.weight_scale is F16, but scales are F32");
    static const int64_t two[] = {2}, column[] = {3, 1};
    p = good;
    p.tensors[p.scale].dims = two;
    expect(&p, ERR_CONFLICT, "fc.weight_scale has the shape [2], but fc.weight has 3 output");
    p.tensors[p.scale].n_dims = 2;
    p.tensors[p.scale].dims = column;
    expect(&p, ERR_CONFLICT, "fc.weight_scale has the shape [3,1]");
    p = good; /* a scale of what needs none */
    p.tensors[p.weight].values = t.params;
    p.tensors[p.weight].type = TENSOR_F32;
    expect(&p, ERR_CONFLICT, "tensor fc.weight_scale is unknown");
    p = good; /* the largest numbers times the largest scale */
    p.tensors[p.scale].values = p.scales;
    p.scales[2] = 3e38f;
    expect(&p, ERR_RANGE, "tensor fc.weight: element");
    p = good; /* whole numbers where they cannot be */
    for (size_t i = 0; i < p.n; i++) {
        if (strcmp(p.tensors[i].name, "bn1.running_var") != 0) continue;
        p.tensors[i].type = TENSOR_I8;
        p.tensors[i].values = p.numbers;
    }
    expect(&p, ERR_CONFLICT,
           "tensor bn1.running_var is of whole numbers (I8), which only weights of convolutions");
    tiny_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),     cmocka_unit_test(test_scale),
        cmocka_unit_test(test_ties),       cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_transposed), cmocka_unit_test(test_malformed),
    };
    return cmocka_run_group_tests(tests, tiny_begin, tiny_end);
}
