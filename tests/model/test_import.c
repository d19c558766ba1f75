/* Others' names and types: every rule of the names, every type of elements, memory that runs out.
 * Whole networks, and what is said of those that do not fit, are in tests/tool/test_import.py. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/model/import_names.h"
#include "base/mem.h"
#include "model/import.h"
#include "tiny_model.h"

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *theirs, *ours; /* NULL: no rule changes it */
    } table[] = {
        {"layer1.0.conv1.weight", NULL},
        {"linear.weight", "fc.weight"},
        {"classifier.bias", "fc.bias"},
        {"classifier.0.weight", NULL},
        {"the.linear.weight", NULL},
        {"layer2.0.shortcut.1.running_mean", "layer2.0.downsample.1.running_mean"},
        {"block2.layer.3.conv1.weight", "layer2.3.conv1.weight"},
        {"block3.layer.0.convShortcut.weight", "layer3.0.downsample.0.weight"},
        {"bn1.running_var", "bn_final.running_var"},
        {"layer1.0.bn1.bias", NULL},
        {"conv1.0.weight", "conv1.weight"},
        {"conv1.1.running_mean", "bn1.running_mean"},
        {"conv1.weight", NULL},
        {"conv2_x.0.residual_function.0.weight", "layer1.0.conv1.weight"},
        {"conv3_x.1.residual_function.1.bias", "layer2.1.bn1.bias"},
        {"conv4_x.0.residual_function.3.weight", "layer3.0.conv2.weight"},
        {"conv5_x.2.residual_function.4.weight", "layer4.2.bn2.weight"},
        {"conv5_x.2.residual_function.6.weight", "layer4.2.conv3.weight"},
        {"conv5_x.2.residual_function.7.weight", "layer4.2.bn3.weight"},
        {"conv3_x.0.shortcut.1.weight", "layer2.0.downsample.1.weight"},
        {"classifier.5.bias", "classifier.6.bias"},
        {"head.fc.weight", "fc.weight"},
        {"head.weight", "fc.weight"},
        {"", NULL},
    };
    char name[IMPORT_NAME_MAX], large[2 * IMPORT_NAME_MAX];
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        assert_int_equal(import_alias(table[i].theirs, name), table[i].ours != NULL);
        if (table[i].ours != NULL) assert_string_equal(name, table[i].ours);
    }
    /* Of all lengths, those included that grow past the end. */
    for (size_t n = 0; n < sizeof(large) - 20; n++) {
        memset(large, 'x', n);
        strcpy(large + n, ".shortcut.");
        if (import_alias(large, name))
            assert_int_equal(strlen(name), n + strlen(".downsample."));
        else
            assert_true(n + strlen(".downsample.") >= IMPORT_NAME_MAX);
    }
}

static void test_wrappers(void **state)
{
    (void)state;
    assert_string_equal(import_strip("module.fc.weight"), "fc.weight");
    assert_string_equal(import_strip("module._orig_mod.module.fc.weight"), "fc.weight");
    assert_string_equal(import_strip("fc.module.weight"), "fc.module.weight");
    assert_string_equal(import_strip("modules.weight"), "modules.weight");
    static const char *const wrappers[] = {"model.", "net.", "network.", "backbone.", "encoder."};
    for (size_t i = 0; i < sizeof(wrappers) / sizeof(wrappers[0]); i++) {
        char name[64];
        snprintf(name, sizeof(name), "%smodel.fc.weight", wrappers[i]);
        assert_string_equal(import_strip(name), "fc.weight");
    }
    assert_true(import_is_counter("n_averaged"));
    assert_string_equal(import_strip(""), "");
    assert_true(import_is_counter("bn1.num_batches_tracked"));
    assert_true(import_is_counter("num_batches_tracked"));
    assert_false(import_is_counter("bn1.xnum_batches_tracked"));
    assert_false(import_is_counter("bn1.num_batches_tracked.weight"));
}

/* --- types ------------------------------------------------------------------------------------ */

/* A file of one tensor; ret_bytes has room for 512. */
static size_t one_tensor(const char *type, int64_t count, const void *data, size_t size,
                         unsigned char *ret_bytes)
{
    int n = snprintf((char *)ret_bytes + 8, 256,
                     "{\"t\": {\"dtype\": \"%s\", \"shape\": [%lld], \"data_offsets\": [0, %zu]}}",
                     type, (long long)count, size);
    for (int i = 0; i < 8; i++) ret_bytes[i] = (unsigned char)((uint64_t)n >> 8 * i);
    memcpy(ret_bytes + 8 + n, data, size);
    return 8 + (size_t)n + size;
}

static void test_types(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        size_t bytes;
        bool model;
    } table[] = {{"F32", 4, true},  {"F16", 2, true},  {"BF16", 2, true}, {"F64", 8, false},
                 {"I64", 8, false}, {"I32", 4, false}, {"I16", 2, false}, {"I8", 1, true},
                 {"U8", 1, false},  {"BOOL", 1, false}};
    const unsigned char data[64] = {0};
    unsigned char bytes[512];
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct safetensors *file;
        struct err e = {0};
        size_t size = one_tensor(table[i].type, 3, data, 3 * table[i].bytes, bytes);
        assert_int_equal(safetensors_parse_checkpoint(bytes, size, &file, &e), 0);
        assert_int_equal(safetensors_at(file, 0)->count, 3);
        safetensors_free(file);
        /* A model has four types only. */
        int rc = safetensors_parse(bytes, size, &file, &e);
        assert_int_equal(rc, table[i].model ? 0 : ERR_UNSUPPORTED);
        if (rc == 0) safetensors_free(file);
        size = one_tensor(table[i].type, 3, data, 3 * table[i].bytes + 1, bytes);
        assert_int_equal(safetensors_parse_checkpoint(bytes, size, &file, &e), ERR_FORMAT);
    }
    struct safetensors *file;
    struct err e = {0};
    size_t size = one_tensor("C64", 1, data, 8, bytes);
    assert_int_equal(safetensors_parse_checkpoint(bytes, size, &file, &e), ERR_UNSUPPORTED);
}

static void test_doubles(void **state)
{
    (void)state;
    const double values[] = {0.1, -1e300, 1e-46, 16777217.0}; /* the last is between two floats */
    float floats[4];
    unsigned char bytes[512];
    struct safetensors *file;
    size_t size = one_tensor("F64", 4, values, sizeof(values), bytes);
    assert_int_equal(safetensors_parse_checkpoint(bytes, size, &file, NULL), 0);
    tensor_to_floats(safetensors_at(file, 0), floats);
    for (int i = 0; i < 4; i++) assert_true(floats[i] == (float)values[i]);
    safetensors_free(file);
}

/* --- parameters ------------------------------------------------------------------------------- */

static int read_tiny(struct tiny *t, char **ret_bytes, struct safetensors **ret_file)
{
    struct err e = {0};
    size_t size;
    tiny_make(t);
    if (file_read(tiny_path, 1 << 24, ret_bytes, &size, &e) < 0) fail_msg("%s", e.text);
    return safetensors_parse_checkpoint(*ret_bytes, size, ret_file, &e);
}

static void test_params(void **state)
{
    (void)state;
    struct tiny t;
    char *bytes, **labels;
    struct safetensors *file;
    struct import_report report;
    struct preprocess preprocess;
    struct err e = {0};
    assert_int_equal(read_tiny(&t, &bytes, &file), 0);
    size_t n = net_block_size(t.net), count;
    net_params(t.net, &count);
    float *params = mem_new(n, sizeof(*params));
    assert_int_equal(import_params(file, t.net, 99, params, &report, &e), 0);
    assert_memory_equal(params, t.params, n * sizeof(*params));
    assert_int_equal(report.taken, count);
    assert_int_equal(report.ignored, 0);
    assert_int_equal(report.fresh, 0);
    assert_int_equal(import_labels(file, 3, &labels, &e), 0);
    assert_string_equal(labels[1], tiny_dog);
    mem_free(labels);
    assert_true(import_labels(file, 4, &labels, &e) < 0);
    assert_int_equal(import_preprocess(file, &preprocess, &e), 1);
    assert_true(preprocess.mean[0] == t.preprocess.mean[0]);
    mem_free(params);
    safetensors_free(file);
    mem_free(bytes);
    tiny_release(&t);
}

static void test_memory(void **state)
{
    (void)state;
    struct tiny t;
    char *bytes;
    struct safetensors *file;
    struct import_report report;
    assert_int_equal(read_tiny(&t, &bytes, &file), 0);
    float *params = mem_new(net_block_size(t.net), sizeof(*params));
    for (unsigned n = 1;; n++) {
        struct err e = {0};
        mem_fail_at(n);
        int rc = import_params(file, t.net, 0, params, &report, &e);
        bool fired = mem_fail_left() == 0;
        mem_fail_at(0);
        assert_int_equal(rc, fired ? -ENOMEM : 0);
        if (!fired) break;
        assert_true(e.text[0] != '\0');
    }
    mem_free(params);
    safetensors_free(file);
    mem_free(bytes);
    tiny_release(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),  cmocka_unit_test(test_wrappers),
        cmocka_unit_test(test_types),  cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_params), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, tiny_begin, tiny_end);
}
