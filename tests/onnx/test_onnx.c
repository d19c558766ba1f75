/* The file that is written: what is in it, the same bytes each time, a batch that is fixed or not,
 * options out of range, memory that runs out, a path that cannot be written. Whether it computes
 * the same is asked in test_runtime.py. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/model.h"
#include "model/spec_file.h"
#include "onnx.pb-c.h"
#include "onnx/onnx.h"

/* Two sections of all that a net of images has: grouped convolutions, shortcuts, an attention. */
static const char json[] =
    "{\"name\": \"small\", \"classes\": 3, \"input\": {\"channels\": 3, \"height\": 8, \"width\": "
    "10}, \"stem\": {\"kernel\": 3, \"channels\": 4, \"stride\": 1, \"pad\": 1},"
    " \"stages\": [{\"block\": \"bottleneck\", \"blocks\": 1, \"channels\": 4, \"groups\": 2},"
    " {\"block\": \"pyramid\", \"blocks\": 1, \"channels\": 6, \"stride\": 2}],"
    " \"cuts\": [1, 2], \"heads\": {\"kind\": \"scala+attention\", \"mid_channels\": 4}}";

static char directory[] = "/tmp/autodidact-onnx.XXXXXX";
static char path[64], model_path[64];
static struct model *model;

static int setup(void **state)
{
    (void)state;
    struct spec spec;
    struct err e = {0};
    static char one[] = "one", two[] = "two \"2\"",
                three[] = "m\xc3\xbc"
                          "cke";
    static char *labels[] = {one, two, three};
    const struct preprocess preprocess = {
        .width = 10, .height = 8, .mean = {0.1f, 0.2f, 0.3f}, .std = {1, 2, 3}};
    if (mkdtemp(directory) == NULL) return -1;
    snprintf(path, sizeof(path), "%s/out.onnx", directory);
    snprintf(model_path, sizeof(model_path), "%s/model", directory);
    if (spec_parse(json, strlen(json), &spec, &e) < 0) fail_msg("%s", e.text);
    struct net *net = net_new(&spec, &e);
    if (net == NULL) fail_msg("%s", e.text);
    float *params = mem_new(net_block_size(net), sizeof(*params));
    net_init_params(net, 5, params);
    if (model_write(model_path, TENSOR_F32, net, params, labels, &preprocess, NULL, NULL, &e) < 0 ||
        model_load(model_path, &model, &e) < 0)
        fail_msg("%s", e.text);
    mem_free(params);
    net_free(net);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    model_free(model);
    return file_remove_tree(directory, NULL);
}

static Onnx__Model *written(const struct onnx_options *options)
{
    struct err e = {0};
    char *bytes;
    size_t size;
    if (onnx_write(path, model, options, &e) < 0) fail_msg("%s", e.text);
    assert_int_equal(file_read(path, 64 << 20, &bytes, &size, &e), 0);
    Onnx__Model *m = onnx__model__unpack(NULL, size, (uint8_t *)bytes);
    assert_non_null(m);
    mem_free(bytes);
    return m;
}

static const Onnx__Tensor *find_tensor(const Onnx__Graph *g, const char *name)
{
    for (size_t i = 0; i < g->n_initializer; i++)
        if (strcmp(g->initializer[i]->name, name) == 0) return g->initializer[i];
    return NULL;
}

/* --- what is in it ---------------------------------------------------------------------------- */

static void test_parameters(void **state)
{
    (void)state;
    Onnx__Model *m = written(&(struct onnx_options){0});
    size_t n;
    const struct param *params = net_params(model->net, &n);
    for (size_t i = 0; i < n; i++) {
        const struct param *p = &params[i];
        const Onnx__Tensor *t = find_tensor(m->graph, p->name);
        if (t == NULL) fail_msg("%s is missing", p->name);
        assert_int_equal(t->data_type, 1);
        assert_int_equal(t->n_dims, p->n_dims);
        for (int d = 0; d < p->n_dims; d++) assert_int_equal(t->dims[d], p->dims[d]);
        assert_int_equal(t->raw_data.len, p->size * sizeof(float));
        assert_memory_equal(t->raw_data.data, model->params + p->offset, t->raw_data.len);
    }
    onnx__model__free_unpacked(m, NULL);
}

/* Whether one of the first n names is `name`. */
static bool is_among(char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

/* Names are made once, and before they are used: the order is one in which nodes can run. */
static void test_order(void **state)
{
    (void)state;
    Onnx__Model *m = written(&(struct onnx_options){0});
    const Onnx__Graph *g = m->graph;
    char **known = mem_new(g->n_node + g->n_initializer + 1, sizeof(*known));
    size_t n = 0;
    known[n++] = g->input[0]->name;
    for (size_t i = 0; i < g->n_initializer; i++) {
        assert_false(is_among(known, n, g->initializer[i]->name));
        known[n++] = g->initializer[i]->name;
    }
    for (size_t i = 0; i < g->n_node; i++) {
        const Onnx__Node *node = g->node[i];
        for (size_t k = 0; k < node->n_input; k++)
            if (node->input[k][0] != '\0' && !is_among(known, n, node->input[k]))
                fail_msg("%s reads %s", node->name, node->input[k]);
        assert_int_equal(node->n_output, 1);
        if (is_among(known, n, node->output[0])) fail_msg("%s is there twice", node->output[0]);
        known[n++] = node->output[0];
    }
    assert_int_equal(g->n_output, 3);
    for (size_t i = 0; i < 3; i++) assert_true(is_among(known, n, g->output[i]->name));
    assert_string_equal(g->output[0]->name, "logits_1");
    assert_string_equal(g->output[1]->name, "logits_2");
    assert_string_equal(g->output[2]->name, "ensemble");
    mem_free(known);
    onnx__model__free_unpacked(m, NULL);
}

/* One exit: its logits alone, and nothing that only others need: every value is read or given out.
 */
static void test_one_exit(void **state)
{
    (void)state;
    size_t before = 0;
    for (int exit = 1; exit <= 2; exit++) {
        Onnx__Model *m = written(&(struct onnx_options){.exit = exit});
        const Onnx__Graph *g = m->graph;
        assert_int_equal(g->n_output, 1);
        assert_string_equal(g->output[0]->name, exit == 1 ? "logits_1" : "logits_2");
        assert_true(g->n_node > 5);
        for (size_t i = 0; i < g->n_node; i++) {
            const char *name = g->node[i]->output[0];
            bool is_used = strcmp(name, g->output[0]->name) == 0;
            for (size_t k = i + 1; k < g->n_node; k++)
                is_used |= is_among(g->node[k]->input, g->node[k]->n_input, name);
            if (!is_used) fail_msg("nobody reads %s", name);
        }
        for (size_t i = 0; i < g->n_initializer; i++) {
            bool is_used = false;
            for (size_t k = 0; k < g->n_node; k++)
                is_used |=
                    is_among(g->node[k]->input, g->node[k]->n_input, g->initializer[i]->name);
            if (!is_used) fail_msg("nobody reads %s", g->initializer[i]->name);
        }
        assert_int_not_equal(g->n_node, before);
        before = g->n_node;
        onnx__model__free_unpacked(m, NULL);
    }
}

static void check_dims(const Onnx__Value *value, int batch, const int *dims, size_t n)
{
    const Onnx__Shape *shape = value->type->tensor_type->shape;
    assert_int_equal(value->type->tensor_type->elem_type, 1);
    assert_int_equal(shape->n_dim, n + 1);
    assert_int_equal(shape->dim[0]->has_dim_value, batch > 0);
    if (batch > 0)
        assert_int_equal(shape->dim[0]->dim_value, batch);
    else
        assert_string_equal(shape->dim[0]->dim_param, "batch");
    for (size_t i = 0; i < n; i++) assert_int_equal(shape->dim[i + 1]->dim_value, dims[i]);
}

static void test_options(void **state)
{
    (void)state;
    static const struct {
        int batch, opset, want_opset, want_ir;
    } table[] = {{0, 0, 17, 8}, {1, 13, 13, 7}, {7, 19, 19, 9}, {65536, 21, 21, 10}};
    const int image[3] = {3, 8, 10}, logits[1] = {3};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct onnx_options o = {.batch = table[i].batch, .opset = table[i].opset};
        Onnx__Model *m = written(&o);
        assert_int_equal(m->n_opset_import, 1);
        assert_int_equal(m->opset_import[0]->version, table[i].want_opset);
        assert_int_equal(m->ir_version, table[i].want_ir);
        check_dims(m->graph->input[0], o.batch, image, 3);
        for (size_t k = 0; k < 3; k++) check_dims(m->graph->output[k], o.batch, logits, 1);
        onnx__model__free_unpacked(m, NULL);
    }
}

static void test_metadata(void **state)
{
    (void)state;
    Onnx__Model *m = written(&(struct onnx_options){0});
    const char *labels = NULL, *hash = NULL;
    for (size_t i = 0; i < m->n_metadata_props; i++) {
        const Onnx__Entry *entry = m->metadata_props[i];
        if (strcmp(entry->key, "autodidact.labels") == 0) labels = entry->value;
        if (strcmp(entry->key, "autodidact.sha256") == 0) hash = entry->value;
        assert_string_not_equal(entry->key, "autodidact.calibration"); /* it has none */
    }
    assert_non_null(labels);
    assert_string_equal(labels, "[\"one\", \"two \\\"2\\\"\", \"m\xc3\xbc"
                                "cke\"]");
    assert_string_equal(hash, model->sha256);
    assert_string_equal(m->graph->name, "small");
    onnx__model__free_unpacked(m, NULL);
}

static void test_same_bytes(void **state)
{
    (void)state;
    char *a, *b;
    size_t n, k;
    onnx__model__free_unpacked(written(&(struct onnx_options){0}), NULL);
    assert_int_equal(file_read(path, 64 << 20, &a, &n, NULL), 0);
    onnx__model__free_unpacked(written(&(struct onnx_options){0}), NULL);
    assert_int_equal(file_read(path, 64 << 20, &b, &k, NULL), 0);
    assert_int_equal(n, k);
    assert_memory_equal(a, b, n);
    mem_free(a);
    mem_free(b);
}

/* --- what goes wrong -------------------------------------------------------------------------- */

static void test_bad_options(void **state)
{
    (void)state;
    static const struct onnx_options bad[] = {{-1, 0, 0}, {65537, 0, 0}, {0, 12, 0}, {0, 22, 0},
                                              {0, -1, 0}, {0, 0, -1},    {0, 0, 3}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {0};
        unlink(path);
        assert_int_equal(onnx_write(path, model, &bad[i], &e), ERR_RANGE);
        assert_non_null(strstr(e.text, "it takes"));
        assert_false(file_exists(path));
    }
}

static void test_no_such_directory(void **state)
{
    (void)state;
    struct err e = {0};
    char nowhere[128];
    snprintf(nowhere, sizeof(nowhere), "%s/no/such.onnx", directory);
    assert_int_equal(onnx_write(nowhere, model, &(struct onnx_options){0}, &e), -ENOENT);
    assert_non_null(strstr(e.text, "no/such.onnx"));
}

/* The n-th allocation fails, for all n: an error, nothing leaks, the old file stays. */
static void test_memory(void **state)
{
    (void)state;
    char before[] = "before", *bytes;
    const struct file_piece piece = {before, sizeof(before)};
    size_t size;
    assert_int_equal(file_write_atomic(path, &piece, 1, NULL), 0);
    unsigned n = 1;
    for (;; n++) {
        struct err e = {0};
        mem_fail_at(n);
        int rc = onnx_write(path, model, &(struct onnx_options){0}, &e);
        unsigned left = mem_fail_left();
        mem_fail_at(0);
        if (left > 0) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, -ENOMEM);
        assert_true(e.text[0] != '\0');
        assert_int_equal(file_read(path, 1 << 20, &bytes, &size, NULL), 0);
        assert_string_equal(bytes, "before");
        mem_free(bytes);
    }
    assert_true(n > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parameters),        cmocka_unit_test(test_order),
        cmocka_unit_test(test_options),           cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_same_bytes),        cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_no_such_directory), cmocka_unit_test(test_memory),
        cmocka_unit_test(test_one_exit),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
