/* Model files: what is written is what is loaded; what is broken is refused by name. */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../src/model/metadata.h"
#include "../seeded.h"
#include "recipe/option.h"
#include "tiny_model.h"

static int setup(void **state)
{
    struct tiny *t = mem_new(1, sizeof(*t));
    if (t == NULL) return -1;
    tiny_make(t);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    tiny_release(*state);
    mem_free(*state);
    return 0;
}

static void write_tiny(const struct tiny *t, enum tensor_type type)
{
    struct err e = {0};
    if (tiny_write(t, type, &e) < 0) fail_msg("%s", e.text);
}

static void assert_entry(struct calibration_entry a, struct calibration_entry b)
{
    assert_true(a.top1 == b.top1 && a.temperature == b.temperature);
}

static void test_round_trip(void **state)
{
    const struct tiny *t = *state;
    struct err e = {0};
    write_tiny(t, TENSOR_F32);
    struct model *m = tiny_load();
    assert_string_equal(m->name, "tiny");
    assert_memory_equal(m->params, t->params, net_block_size(t->net) * sizeof(*m->params));
    assert_memory_equal(net_spec(m->net), net_spec(t->net), sizeof(struct spec));
    for (int i = 0; i < 3; i++) assert_string_equal(m->labels[i], tiny_labels[i]);
    assert_int_equal(m->preprocess.width, 8);
    assert_int_equal(m->preprocess.height, 8);
    assert_int_equal(m->preprocess.resize, PREPROCESS_COVER);
    assert_memory_equal(m->preprocess.mean, t->preprocess.mean, sizeof(m->preprocess.mean));
    assert_memory_equal(m->preprocess.std, t->preprocess.std, sizeof(m->preprocess.std));
    assert_true(m->calibration.present && m->calibration.has_thresholds);
    assert_int_equal(m->calibration.n_images, 5000);
    for (int i = 0; i < 2; i++) {
        assert_entry(m->calibration.exits[i], t->calibration.exits[i]);
        assert_true(m->calibration.thresholds[i] == t->calibration.thresholds[i]);
    }
    assert_entry(m->calibration.ensemble, t->calibration.ensemble);
    const struct training *a = &m->training, *b = &t->training;
    assert_string_equal(a->method, b->method);
    assert_string_equal(a->data, b->data);
    assert_string_equal(a->program, b->program);
    assert_string_equal(a->parent, "");
    assert_string_equal(a->command, b->command);
    for (size_t i = 0; recipe_option_at(i) != NULL; i++) {
        char texts[2][RECIPE_TEXT_MAX];
        const struct recipe_option *o = recipe_option_at(i);
        if (!o->result) continue;
        assert_string_equal(recipe_option_format(o, &a->recipe, texts[0]),
                            recipe_option_format(o, &b->recipe, texts[1]));
    }
    assert_true(a->recipe.lambda == b->recipe.lambda && a->has_figures);
    for (int i = 0; i < 2; i++) {
        assert_true(a->exits[i].top1 == b->exits[i].top1 && a->exits[i].top5 == b->exits[i].top5);
        assert_true(a->exits[i].nll == b->exits[i].nll && a->exits[i].ece == b->exits[i].ece);
    }
    assert_true(a->ensemble.top1 == b->ensemble.top1 && a->ensemble.ece == b->ensemble.ece);

    char digest[SHA256_HEX_SIZE];
    assert_int_equal(sha256_file(tiny_path, 1 << 24, digest, &e), 0);
    assert_string_equal(m->sha256, digest);
    model_free(m);
    model_free(NULL);
}

/* An exit that has not learned is named, and its figures are not kept, whatever they are. */
static void test_learned(void **state)
{
    struct tiny *t = *state;
    t->training.untrained = 1;
    t->calibration.exits[0].temperature = NAN;
    t->training.exits[0].nll = NAN;
    write_tiny(t, TENSOR_F32);
    struct model *m = tiny_load();
    char *text;
    assert_int_equal(m->training.untrained, 1);
    assert_true(m->calibration.exits[0].top1 == 0 && m->training.exits[0].top1 == 0);
    assert_true(m->calibration.exits[1].top1 == t->calibration.exits[1].top1);
    assert_true(m->training.exits[1].nll == t->training.exits[1].nll);
    /* The mean of one is that one. */
    assert_entry(m->calibration.ensemble, t->calibration.exits[1]);
    assert_int_equal(model_text(m, MODEL_TEXT_TRAINING, &text, NULL), 0);
    assert_non_null(strstr(text, "\"learned\": [2]"));
    mem_free(text);
    model_free(m);
}

static int parse_training(const char *method, const char *command, const char *learned,
                          struct training *ret, struct err *e)
{
    static const char format[] =
        "{\"method\": \"%s\", \"data\": \"\", \"program\": \"\", \"schedule\": \"cosine\", "
        "\"augment\": \"\", \"parent\": \"\", \"epochs\": 1, \"batch\": 2, \"warmup\": 0, "
        "\"threads\": 1, \"seed\": 0, \"lr\": 1, \"momentum\": 0, \"weight_decay\": 0, "
        "\"temperature\": 1, \"alpha\": 0, \"lambda\": 0, \"kd_scale\": true, \"holdout\": 0, "
        "\"holdout_seed\": 0, \"command\": \"%s\"%s}";
    char text[1024];
    snprintf(text, sizeof(text), format, method, command, learned);
    return metadata_parse_training(text, 4, ret, e);
}

static unsigned parse_untrained(const char *method, const char *command, const char *learned)
{
    struct training training;
    struct err e = {0};
    if (parse_training(method, command, learned, &training, &e) < 0) fail_msg("%s", e.text);
    return training.untrained;
}

static void refuse_learned(const char *list, const char *words)
{
    char learned[64];
    struct training training;
    struct err e = {0};
    snprintf(learned, sizeof(learned), ", \"learned\": %s", list);
    assert_true(parse_training("byot", "", learned, &training, &e) < 0);
    if (strstr(e.text, words) == NULL) fail_msg("wanted '%s', got: %s", words, e.text);
}

/* Files that do not say who has learned: their method does, and an import's command. */
static void test_learned_derived(void **state)
{
    (void)state;
    assert_int_equal(parse_untrained("byot", "", ""), 0);
    assert_int_equal(parse_untrained("dsn", "", ""), 0);
    assert_int_equal(parse_untrained("of a later program", "", ""), 0);
    static const char *const deepest[] = {"baseline", "kd", "fitnet", "at", "dml"};
    for (size_t i = 0; i < sizeof(deepest) / sizeof(deepest[0]); i++)
        assert_int_equal(parse_untrained(deepest[i], "", ""), 7);
    assert_int_equal(parse_untrained("import", "autodidact import CHECKPOINT --seed 123", ""), 0);
    assert_int_equal(
        parse_untrained("import",
                        "autodidact import CHECKPOINT --seed 4; not trained, of random "
                        "values: classifiers 1, 3",
                        ""),
        5);
    assert_int_equal(parse_untrained("baseline", "", ", \"learned\": [1, 2, 3, 4]"), 0);
    assert_int_equal(parse_untrained("byot", "", ", \"learned\": [2, 4]"), 5);
    refuse_learned("[4, 4]", "learned[1]: exit 4 comes behind exit 4; they must rise");
    refuse_learned("[3, 2, 4]", "learned[1]: exit 2 comes behind exit 3; they must rise");
    refuse_learned("[0, 4]", "learned[0]: must be an integer in 1..4, not 0");
    refuse_learned("[4, 5]", "learned[1]: must be an integer in 1..4, not 5");
    refuse_learned("[1, 2]", "learned: must end with the deepest exit, 4");
}

static void test_running(void **state)
{
    struct tiny *t = *state;
    struct err e = {0};
    t->calibration.running[1] =
        (struct calibration_running){true, {0.76, 1.25}, {1.0 / 3, 1 - 1.0 / 3}};
    write_tiny(t, TENSOR_F32);
    struct model *m = tiny_load();
    const struct calibration_running *r = &m->calibration.running[1];
    assert_true(r->present && !m->calibration.running[0].present);
    assert_true(r->figures.top1 == 0.76 && r->figures.temperature == 1.25);
    assert_true(r->weights[0] == 1.0 / 3 && r->weights[1] == 1 - 1.0 / 3);
    assert_true(model_temperature(m, MODEL_RUNNING(1)) == 1.25);
    assert_string_equal(model_classifier_name(MODEL_RUNNING(1)), "ensemble:2");
    assert_int_equal(model_answerer(&m->calibration, 1), MODEL_RUNNING(1));
    assert_int_equal(model_answerer(&m->calibration, 0), 0);
    m->calibration.running[1].figures.top1 = 0.7;
    assert_int_equal(model_answerer(&m->calibration, 1), 1); /* of equals the cheaper one */
    model_free(m);
    t->calibration.running[1].weights[1] = 0.5;
    assert_int_equal(tiny_write(t, TENSOR_F32, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "running[0].weights: must have the sum 1"));
}

static void test_levels(void **state)
{
    struct tiny *t = *state;
    struct err e = {0};
    struct calibration_levels *levels = &t->calibration.levels;
    *levels = (struct calibration_levels){
        3, 0.95, 5000, {{0, 2, 0.8, 3e6}, {0.01, 0.75, 0.79, 2e6}, {0.02, 0.75, 0.78, 1.5e6}}};
    write_tiny(t, TENSOR_F32);
    struct model *m = tiny_load();
    const struct calibration_levels *got = &m->calibration.levels;
    assert_true(got->n == 3 && got->sure == 0.95 && got->n_images == 5000);
    for (int i = 0; i < 3; i++) {
        const struct calibration_level *a = &got->at[i], *b = &levels->at[i];
        assert_true(a->max_loss == b->max_loss && a->confidence == b->confidence);
        assert_true(a->top1 == b->top1 && a->macs == b->macs);
    }
    model_free(m);
    levels->at[2].max_loss = 0.01;
    assert_int_equal(tiny_write(t, TENSOR_F32, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "risk.levels[2].max_loss: must rise"));
    levels->at[2].max_loss = 0.02;
    levels->at[2].confidence = 0.76; /* who allows more would get a dearer answer */
    assert_int_equal(tiny_write(t, TENSOR_F32, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "risk.levels[2].confidence: must not rise"));
    levels->at[2].confidence = 0.5;
    levels->sure = 0.2;
    assert_true(tiny_write(t, TENSOR_F32, &e) < 0);
    assert_non_null(strstr(e.text, "risk.sure"));
}

/* Without calibration, thresholds, figures or training the rest is there; bytes do not depend on
 * when. */
static void test_optional(void **state)
{
    struct tiny *t = *state;
    struct err e = {0};
    char *first, *second;
    size_t first_size, second_size;
    t->calibration.present = false;
    t->training.has_figures = false;
    t->training.recipe.kd_scale = false;
    write_tiny(t, TENSOR_F32);
    struct model *m = tiny_load();
    assert_false(m->calibration.present);
    assert_false(m->training.has_figures);
    assert_false(m->training.recipe.kd_scale);
    model_free(m);
    t->calibration.present = true;
    t->calibration.has_thresholds = false;
    write_tiny(t, TENSOR_F32);
    m = tiny_load();
    assert_true(m->calibration.present);
    assert_false(m->calibration.has_thresholds);
    model_free(m);
    assert_int_equal(model_write(tiny_path, TENSOR_F32, t->net, t->params, tiny_labels,
                                 &t->preprocess, NULL, NULL, &e),
                     0);
    m = tiny_load();
    assert_false(m->calibration.present);
    assert_string_equal(m->training.method, "");
    model_free(m);

    write_tiny(t, TENSOR_BF16);
    assert_int_equal(file_read(tiny_path, 1 << 24, &first, &first_size, &e), 0);
    write_tiny(t, TENSOR_BF16);
    assert_int_equal(file_read(tiny_path, 1 << 24, &second, &second_size, &e), 0);
    assert_int_equal(first_size, second_size);
    assert_memory_equal(first, second, first_size);
    mem_free(first);
    mem_free(second);
}

static void test_half_types(void **state)
{
    const struct tiny *t = *state;
    for (int type = TENSOR_F16; type <= TENSOR_BF16; type++) {
        const float relative = type == TENSOR_F16 ? 0x1p-11f : 0x1p-8f;
        write_tiny(t, (enum tensor_type)type);
        struct model *m = tiny_load();
        for (size_t i = 0; i < net_block_size(t->net); i++) {
            assert_true(fabsf(m->params[i] - t->params[i]) <=
                        relative * fabsf(t->params[i]) + 0x1p-25f);
        }
        model_free(m);
    }
}

/* The plan of a loaded model computes what one made from the parameters does. */
static void test_plan(void **state)
{
    const struct tiny *t = *state;
    struct err e = {0};
    float logits[2][3];
    write_tiny(t, TENSOR_F32);
    struct model *m = tiny_load();
    const struct plan_options by_rule = {0};
    assert_int_equal(model_plan(m, &by_rule, &e), 0);
    struct plan *plan = plan_new(t->net, t->params, kernels_best(), &e);
    assert_non_null(plan);
    const struct plan *plans[] = {m->plan, plan};
    for (int k = 0; k < 2; k++) {
        struct exec *exec = exec_new(plans[k], 1, &e);
        assert_non_null(exec);
        float *input = exec_input(exec, 0);
        for (int i = 0; i < 8 * 8 * 3; i++) input[i] = (float)(i % 17) / 8 - 1;
        exec_section(exec, 0, 1, false);
        exec_section(exec, 1, 1, true);
        exec_head(exec, 1, 0, 1, logits[k]);
        exec_free(exec);
    }
    assert_memory_equal(logits[0], logits[1], sizeof(logits[0]));
    assert_true(logits[0][0] != logits[0][1]);
    plan_free(plan);
    model_free(m);
}

/* What the reader would refuse is not written, and what was there stays. */
static void test_bad_values(void **state)
{
    struct tiny *t = *state;
    struct err e = {0};
    char before[SHA256_HEX_SIZE], after[SHA256_HEX_SIZE];
    write_tiny(t, TENSOR_F32);
    assert_int_equal(sha256_file(tiny_path, 1 << 24, before, &e), 0);
    size_t n;
    const struct param *params = net_params(t->net, &n);
    for (size_t i = 0; i < n; i++) {
        static const float bad[] = {NAN, INFINITY, -INFINITY, -1e-9f};
        float *value = &t->params[params[i].offset + params[i].size - 1], kept = *value;
        for (int k = 0; k < (params[i].role == PARAM_NORM_VARIANCE ? 4 : 3); k++) {
            *value = bad[k];
            assert_int_equal(tiny_write(t, TENSOR_F32, &e), ERR_RANGE);
            assert_non_null(strstr(e.text, params[i].name));
            assert_non_null(strstr(e.text, tiny_path));
        }
        *value = kept;
    }
    t->training.recipe.rate = NAN;
    assert_int_equal(tiny_write(t, TENSOR_F32, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "autodidact.training"));
    t->training.recipe.rate = 0.1;
    strcpy(t->training.command, "caf\xe9");
    assert_int_equal(tiny_write(t, TENSOR_F32, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "UTF-8"));
    strcpy(t->training.command, "one\ttwo");
    assert_int_equal(tiny_write(t, TENSOR_F32, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "command: control characters"));
    strcpy(t->training.command, "");
    t->calibration.exits[1].temperature = 1e6;
    assert_int_equal(tiny_write(t, TENSOR_F32, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "exits[1].temperature"));
    t->calibration.exits[1].temperature = 1;
    t->preprocess.std[2] = 0;
    assert_int_equal(tiny_write(t, TENSOR_F32, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "std[2]"));
    assert_int_equal(sha256_file(tiny_path, 1 << 24, after, &e), 0);
    assert_string_equal(before, after);
}

/* ------------------------------------------------------------------ files that are wrong */

/* A file put together by hand from tensors and metadata, one of which a test has changed. */
struct parts {
    struct tensor_out tensors[128];
    size_t n_tensors;
    struct meta_out meta[8];
    size_t n_meta;
};

/* The parts of the tiny model's own file; strings of `file`, which must outlive them. */
static void take_parts(const struct tiny *t, const struct safetensors *file, struct parts *p)
{
    static const char *const keys[] = {"autodidact.spec", "autodidact.labels",
                                       "autodidact.preprocess", "autodidact.calibration",
                                       "autodidact.training"};
    size_t n;
    const struct param *params = net_params(t->net, &n);
    p->n_tensors = n;
    for (size_t i = 0; i < n; i++) {
        p->tensors[i] = (struct tensor_out){params[i].name, params[i].n_dims, params[i].dims,
                                            t->params + params[i].offset, TENSOR_F32};
    }
    p->n_meta = 5;
    for (size_t i = 0; i < 5; i++) {
        p->meta[i] = (struct meta_out){keys[i], safetensors_meta(file, keys[i])};
        assert_non_null(p->meta[i].value);
    }
}

static void assert_load_refused(const struct parts *p, int code, const char *words)
{
    struct model *m = NULL;
    struct err e = {0};
    if (safetensors_write(tiny_path, p->tensors, p->n_tensors, p->meta, p->n_meta, &e) < 0) {
        fail_msg("%s", e.text);
    }
    int rc = model_load(tiny_path, &m, &e);
    if (rc != code || e.code != code || strstr(e.text, words) == NULL ||
        strstr(e.text, tiny_path) != e.text) {
        fail_msg("wanted %d with '%s', got %d: %s", code, words, rc, e.text);
    }
    assert_null(m);
}

static void test_bad_tensors(void **state)
{
    const struct tiny *t = *state;
    struct err e = {0};
    struct safetensors *file;
    struct parts p, good;
    char *bytes;
    size_t size;
    write_tiny(t, TENSOR_F32);
    assert_int_equal(file_read(tiny_path, 1 << 24, &bytes, &size, &e), 0);
    assert_int_equal(safetensors_parse(bytes, size, &file, &e), 0);
    take_parts(t, file, &good);

    for (size_t i = 0; i < good.n_tensors; i++) { /* each one missing, each one of another shape */
        p = good;
        p.tensors[i] = p.tensors[--p.n_tensors];
        assert_load_refused(&p, ERR_NOT_FOUND, good.tensors[i].name);
        p = good;
        int64_t dims[5] = {1};
        memcpy(dims + 1, good.tensors[i].dims, (size_t)good.tensors[i].n_dims * sizeof(*dims));
        p.tensors[i].dims = dims; /* as many elements, but one dimension more */
        p.tensors[i].n_dims++;
        assert_load_refused(&p, ERR_CONFLICT, good.tensors[i].name);
        assert_load_refused(&p, ERR_CONFLICT, "has the shape [1,");
    }
    p = good;
    p.tensors[p.n_tensors++] = (struct tensor_out){"fc.extra", 0, NULL, t->params, TENSOR_F32};
    assert_load_refused(&p, ERR_CONFLICT, "tensor fc.extra is unknown");

    size_t n;
    const struct param *params = net_params(t->net, &n);
    for (size_t i = 0; i < n; i++) {
        float *value = &t->params[params[i].offset], kept = *value;
        p = good;
        *value = NAN;
        assert_load_refused(&p, ERR_RANGE, params[i].name);
        *value = -1;
        if (params[i].role == PARAM_NORM_VARIANCE)
            assert_load_refused(&p, ERR_RANGE, "no variance");
        *value = kept;
    }
    safetensors_free(file);
    mem_free(bytes);
}

/* What the reader refuses is not written: nobody trains for hours to get a file that cannot be
 * read. */
static void test_bad_labels(void **state)
{
    const struct tiny *t = *state;
    static char too_long[MODEL_LABEL_MAX + 2], longest[MODEL_LABEL_MAX + 1];
    memset(too_long, 'x', sizeof(too_long) - 1);
    memset(longest, 'x', sizeof(longest) - 1);
    static char bad_texts[][8] = {"", "a\tb", "a\x7f", "caf\xe9", "a\xc2\x9b"};
    char *const bad[] = {bad_texts[0], bad_texts[1], bad_texts[2],
                         bad_texts[3], bad_texts[4], too_long};
    struct err e = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *labels[] = {tiny_cat, bad[i], tiny_gnat};
        assert_int_equal(model_check_label(bad[i], &e), ERR_FORMAT);
        unlink(tiny_path);
        assert_int_equal(model_write(tiny_path, TENSOR_F32, t->net, t->params, labels,
                                     &t->preprocess, NULL, NULL, &e),
                         ERR_FORMAT);
        assert_non_null(strstr(e.text, "label"));
        assert_false(file_exists(tiny_path));
    }
    char *labels[] = {longest, tiny_dog, tiny_gnat};
    assert_int_equal(model_check_label(longest, &e), 0);
    assert_int_equal(model_write(tiny_path, TENSOR_F32, t->net, t->params, labels, &t->preprocess,
                                 NULL, NULL, &e),
                     0);
    model_free(tiny_load());
}

/* A file of 60 KB whose net would take 4 GB for one image. */
static void test_large_activations(void **state)
{
    static const char json[] =
        "{\"name\": \"wide\", \"classes\": 3,"
        " \"input\": {\"channels\": 3, \"height\": 1024, \"width\": 1024},"
        " \"stem\": {\"kernel\": 1, \"channels\": 1024, \"stride\": 1, \"pad\": 0},"
        " \"stages\": [{\"block\": \"basic\", \"blocks\": 1, \"channels\": 1, \"stride\": 1}],"
        " \"cuts\": [1]}";
    const struct tiny *t = *state;
    struct spec spec;
    struct err e = {0};
    struct model *m = NULL;
    struct preprocess preprocess = t->preprocess;
    preprocess.width = preprocess.height = 1024;
    assert_int_equal(spec_parse(json, strlen(json), &spec, &e), 0);
    struct net *net = net_new(&spec, &e);
    assert_non_null(net);
    float *params = mem_new_aligned(net_block_size(net), sizeof(*params));
    assert_non_null(params);
    net_init_params(net, 1, params);
    assert_int_equal(
        model_write(tiny_path, TENSOR_F32, net, params, tiny_labels, &preprocess, NULL, NULL, &e),
        0);
    assert_int_equal(model_load(tiny_path, &m, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "one image takes"));
    mem_free(params);
    net_free(net);
}

static void test_bad_metadata(void **state)
{
    const struct tiny *t = *state;
    static const struct {
        size_t meta;
        const char *from, *to; /* NULL: the whole string is missing */
        int code;
        const char *words;
    } cases[] = {
        {0, NULL, NULL, ERR_FORMAT, "autodidact.spec"},
        {1, NULL, NULL, ERR_FORMAT, "autodidact.labels"},
        {2, NULL, NULL, ERR_FORMAT, "autodidact.preprocess"},
        {0, "\"stride\": 2", "\"stride\": 0", ERR_RANGE, "stages[1].stride"},
        {0, "\"classes\": 3", "\"classes\": 4", ERR_CONFLICT, "3 labels, but the spec has 4"},
        {0, "\"height\": 8", "\"height\": 9", ERR_CONFLICT, "takes 3x9x8"},
        {0, "\"channels\": 3", "\"channels\": 2", ERR_CONFLICT, "takes 2x8x8"},
        {0, "\"channels\": 6", "\"channels\": 16000", ERR_CONFLICT,
         "parameters, but the file has only"},
        {0, "\"channels\": 6", "\"channels\": 5", ERR_CONFLICT, "the spec in the file asks for"},
        {0, "\"blocks\": 1, \"channels\": 6", "\"blocks\": 1, \"channels\": \"6\"", ERR_FORMAT,
         "stages[1]"},
        {1, "\"cat\"", "1", ERR_FORMAT, "[0]: must be a string"},
        {1, "\"cat\"", "\"\"", ERR_FORMAT, "[0]"},
        {1, "\"cat\"", "\"c\\na\\nt\"", ERR_FORMAT, "control"},
        {1, "\"cat\", ", "", ERR_CONFLICT, "2 labels"},
        {1, "[", "{", ERR_FORMAT, "autodidact.labels: line 1"},
        {2, "\"width\": 8", "\"width\": 0", ERR_RANGE, "width"},
        {2, "\"width\": 8", "\"width\": 1e9", ERR_FORMAT, "width"},
        {2, "\"cover\"", "\"contain\"", ERR_UNSUPPORTED, "resize"},
        {2, "\"cover\"", "\"stretch\"", ERR_UNSUPPORTED, "crop"},
        {2, "\"bilinear\"", "\"nearest\"", ERR_UNSUPPORTED, "filter"},
        {2, "0.2673", "0", ERR_RANGE, "std[0]: must be a number in 1e-06..1000"},
        {2, "0.2673", "-1", ERR_RANGE, "std"},
        {2, "[0.2673, ", "[", ERR_RANGE, "std"},
        {2, "0.5071", "\"0.5\"", ERR_FORMAT, "mean"},
        {2, "0.5071", "1e400", ERR_FORMAT, "autodidact.preprocess"},
        {2, "\"mean\"", "\"meen\"", ERR_FORMAT, "meen: unknown"},
        {3, "\"images\": 5000", "\"images\": 0", ERR_RANGE, "images"},
        {3, "\"top1\": 0.7", "\"top1\": 70", ERR_RANGE, "exits[1].top1"},
        {3, "\"temperature\": 0.93", "\"temperature\": 0", ERR_RANGE, "exits[1].temperature"},
        {3, "\"temperature\": 0.93", "\"temperature\": null", ERR_FORMAT, "exits[1].temperature"},
        {3, "[0.8, 0]", "[0.8]", ERR_RANGE, "thresholds: must have 2 items"},
        {3, "[0.8, 0]", "[0.8, -0.1]", ERR_RANGE, "thresholds[1]"},
        {3, "\"ensemble\"", "\"assembly\"", ERR_FORMAT, "assembly: unknown"},
        {3, "{\"images\"", "[\"images\"", ERR_FORMAT, "autodidact.calibration"},
        {4, "\"epochs\": 15", "\"epochs\": -1", ERR_RANGE, "epochs"},
        {4, "\"epochs\": 15, ", "", ERR_FORMAT, "epochs: missing"},
        {4, "\"18446744073709551615\"", "\"18446744073709551616\"", ERR_FORMAT, "seed"},
        {4, "\"18446744073709551615\"", "-1", ERR_FORMAT, "seed"},
        {4, "\"18446744073709551615\"", "\"1x\"", ERR_FORMAT, "seed"},
        {4, "\"byot\"", "\"a method whose name is longer than thirty-one bytes\"", ERR_LIMIT,
         "method"},
        {4, "\"byot\"", "\"by\\u001bot\"", ERR_FORMAT, "method: control characters"},
        {4, "\"nll\": 1.1", "\"nll\": \"1.1\"", ERR_FORMAT, "figures.exits[1].nll"},
        {4, "true", "1", ERR_FORMAT, "kd_scale"},
    };
    struct err e = {0};
    struct safetensors *file;
    struct parts p, good;
    char *bytes;
    size_t size;
    write_tiny(t, TENSOR_F32);
    assert_int_equal(file_read(tiny_path, 1 << 24, &bytes, &size, &e), 0);
    assert_int_equal(safetensors_parse(bytes, size, &file, &e), 0);
    take_parts(t, file, &good);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static char text[4096];
        p = good;
        if (cases[i].from == NULL) {
            p.meta[cases[i].meta] = p.meta[--p.n_meta];
        } else {
            const char *old = good.meta[cases[i].meta].value, *at = strstr(old, cases[i].from);
            if (at == NULL) fail_msg("no %s in %s", cases[i].from, old);
            snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - old), old, cases[i].to,
                     at + strlen(cases[i].from));
            p.meta[cases[i].meta].value = text;
        }
        assert_load_refused(&p, cases[i].code, cases[i].words);
    }

    /* What a later program says about training does no harm. */
    static char text[4096];
    p = good;
    snprintf(text, sizeof(text), "{\"unheard_of\": {\"name\": \"lion\"}, %s",
             good.meta[4].value + 1);
    p.meta[4].value = text;
    assert_int_equal(safetensors_write(tiny_path, p.tensors, p.n_tensors, p.meta, p.n_meta, &e), 0);
    model_free(tiny_load());

    /* Options that are younger than a file, and words of a later program. */
    static const char *const members[] = {"\"label_smoothing\": 0.1, ", "\"hint\": \"norm\", ",
                                          "\"hint_exits\": \"1\", "};
    snprintf(text, sizeof(text), "%s", good.meta[4].value);
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        char *at = strstr(text, members[i]);
        assert_non_null(at);
        memmove(at, at + strlen(members[i]), strlen(at + strlen(members[i])) + 1);
    }
    char *word = strstr(text, "crop,flip");
    assert_non_null(word);
    memcpy(word, "later,one", 9);
    assert_int_equal(safetensors_write(tiny_path, p.tensors, p.n_tensors, p.meta, p.n_meta, &e), 0);
    struct model *m = tiny_load();
    const struct recipe *r = &m->training.recipe;
    assert_true(r->label_smoothing == 0 && r->hint == HINT_MEAN && r->hint_exits == 0);
    assert_true(r->augment.words == 0 && r->lambda == t->training.recipe.lambda);
    model_free(m);
    safetensors_free(file);
    mem_free(bytes);
}

/* Cut short anywhere: refused. Bytes changed anywhere: refused or loaded, never worse (sanitizers).
 */
static void test_damaged(void **state)
{
    const struct tiny *t = *state;
    enum { ROUNDS = 300, CUTS = 200 };
    struct rng rng = seeded(51);
    struct err e = {0};
    char *bytes;
    size_t size;
    struct model *m = NULL;
    write_tiny(t, TENSOR_I8);
    assert_int_equal(file_read(tiny_path, 1 << 24, &bytes, &size, &e), 0);
    for (int i = 0; i < CUTS; i++) {
        size_t n = i == 0 ? size - 1 : i < 16 ? (size_t)i - 1 : rng_below(&rng, (uint32_t)size);
        char *prefix = mem_new(n, 1);
        memcpy(prefix, bytes, n);
        int rc = model_load_bytes(prefix, n, &m, &e);
        assert_true(rc == ERR_FORMAT || rc == ERR_LIMIT);
        mem_free(prefix);
    }
    uint64_t header;
    memcpy(&header, bytes, sizeof(header));
    for (int i = 0; i < ROUNDS; i++) {
        char *copy = mem_new(size, 1);
        memcpy(copy, bytes, size);
        for (uint32_t k = 1 + rng_below(&rng, 2); k > 0; k--) {
            copy[8 + rng_below(&rng, (uint32_t)header)] = (char)(32 + rng_below(&rng, 95));
        }
        m = NULL;
        if (model_load_bytes(copy, size, &m, &e) < 0) {
            assert_null(m);
            assert_true(e.text[0] != '\0');
        }
        model_free(m);
        mem_free(copy);
    }
    mem_free(bytes);
    assert_int_equal(model_load("/does/not/exist", &m, &e), -ENOENT);
}

/* The n-th allocation fails: an error each time, and nothing leaks. */
static void test_no_memory(void **state)
{
    const struct tiny *t = *state;
    write_tiny(t, TENSOR_I8);
    for (unsigned n = 1;; n++) {
        struct model *m = NULL;
        struct err e = {0};
        mem_fail_at(n);
        int rc = model_load(tiny_path, &m, &e);
        bool fired = mem_fail_left() == 0;
        mem_fail_at(0);
        if (!fired) {
            assert_int_equal(rc, 0);
            assert_true(n > 20);
            model_free(m);
            break;
        }
        if (rc != -ENOMEM) fail_msg("allocation %u: %d %s", n, rc, e.text);
        assert_null(m);
    }
    for (unsigned n = 1;; n++) {
        struct err e = {0};
        unlink(tiny_path);
        mem_fail_at(n);
        int rc = tiny_write(t, TENSOR_I8, &e);
        bool fired = mem_fail_left() == 0;
        mem_fail_at(0);
        if (!fired) {
            assert_int_equal(rc, 0);
            break;
        }
        assert_int_equal(rc, -ENOMEM);
        assert_false(file_exists(tiny_path));
    }
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(model_classifier_name(0), "1");
    assert_string_equal(model_classifier_name(SPEC_SECTIONS_MAX - 1), "8");
    assert_string_equal(model_classifier_name(MODEL_ENSEMBLE), "ensemble");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_learned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_learned_derived, setup, teardown),
        cmocka_unit_test_setup_teardown(test_running, setup, teardown),
        cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_optional, setup, teardown),
        cmocka_unit_test_setup_teardown(test_half_types, setup, teardown),
        cmocka_unit_test_setup_teardown(test_plan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_tensors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_metadata, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_labels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_activations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, tiny_begin, tiny_end);
}
