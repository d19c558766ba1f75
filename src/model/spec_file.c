/* Specs as JSON; the language is described in doc/spec.md.
 *
 *     {"name": "resnet18",
 *      "classes": 100,
 *      "input": {"channels": 3, "height": 32, "width": 32},
 *      "stem": {"kernel": 3, "channels": 64, "stride": 1, "pad": 1},
 *      "stages": [{"block": "basic", "blocks": 2, "channels": 64, "stride": 1}, ...],
 *      "cuts": [2, 4, 6, 8],
 *      "heads": {"kind": "scala", "mid_channels": 128}}
 *
 * The language grows by values, not by forms: another kind of block or head is another word with,
 * where it needs any, members of its own in the same object. Types and members are checked here,
 * values and how they fit together by spec_check(); every member counts, so that a typing error is
 * an error. A spec is written with what it means, not with the words it was read from: cuts as
 * numbers. */
#include "config.h"

#include "model/spec_file.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/name.h"
#include "json/read.h"
#include "json/write.h"

enum { SPEC_FILE_MAX = 256 * 1024, SPEC_VALUES_MAX = 16384 };

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* In the order of the enums. */
static const char *const block_names[] = {"basic", "bottleneck", "preact", "pyramid", "vgg"};
static const char *const head_names[] = {"scala", "scala+attention", "sepconv+attention"};
static const char *const after_names[] = {"bn-relu", "bn", "nothing"};

enum { CUT_QUARTERS, CUT_STAGES };
static const char *const cut_names[] = {[CUT_QUARTERS] = "quarters", [CUT_STAGES] = "stages"};

static int read_int(const struct json_place *at, const char *member, int *ret_value)
{
    int64_t value;
    int rc = json_read_int(at, member, 0, INT_MAX, &value);
    if (rc == 0) *ret_value = (int)value;
    return rc;
}

/* A member that may be missing: value stays as it is then. */
static int read_optional_int(const struct json_place *at, const char *member, int *value)
{
    return json_get(at->value, member) == NULL ? 0 : read_int(at, member, value);
}

struct int_member {
    const char *name;
    int *value;
};

/* An object whose members are n integers and nothing else. */
static int read_ints(const struct json_place *at, const char *name,
                     const struct int_member *members, size_t n)
{
    const char *known[8];
    struct json_place object;
    int rc = json_read_object(at, name, &object);
    for (size_t i = 0; i < n; i++) known[i] = members[i].name;
    if (rc == 0) rc = json_read_known(&object, known, n);
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = read_int(&object, members[i].name, members[i].value);
    }
    return rc;
}

static int read_input(const struct json_place *root, struct spec *spec)
{
    const struct int_member members[] = {
        {"channels", &spec->channels}, {"height", &spec->height}, {"width", &spec->width}};
    return read_ints(root, "input", members, COUNT(members));
}

static int read_stem_pool(const struct json_place *stem, struct spec *spec)
{
    const struct int_member members[] = {{"kernel", &spec->stem.pool.kernel},
                                         {"stride", &spec->stem.pool.stride},
                                         {"pad", &spec->stem.pool.pad}};
    if (json_get(stem->value, "pool") == NULL) return 0;
    return read_ints(stem, "pool", members, COUNT(members));
}

static int read_stem(const struct json_place *root, struct spec *spec)
{
    static const char *const known[] = {"kernel", "channels", "stride", "pad", "after", "pool"};
    struct json_place stem;
    if (json_get(root->value, "stem") == NULL) return 0; /* spec_check() knows who needs one */
    int after = SPEC_AFTER_NORM_RELU, rc = json_read_object(root, "stem", &stem);
    if (rc == 0) rc = json_read_known(&stem, known, COUNT(known));
    if (rc == 0) rc = read_int(&stem, "kernel", &spec->stem.kernel);
    if (rc == 0) rc = read_int(&stem, "channels", &spec->stem.channels);
    if (rc == 0) rc = read_int(&stem, "stride", &spec->stem.stride);
    if (rc == 0) rc = read_int(&stem, "pad", &spec->stem.pad);
    if (rc == 0 && json_get(stem.value, "after") != NULL) {
        rc = json_read_choice(&stem, "after", after_names, COUNT(after_names), &after);
    }
    spec->stem.after = (enum spec_after)after;
    return rc == 0 ? read_stem_pool(&stem, spec) : rc;
}

static int read_stage(const struct json_place *item, struct spec_stage *stage)
{
    static const char *const known[] = {"block",  "blocks",      "channels", "stride",
                                        "groups", "group_width", "pool"};
    struct json_place at;
    int block, rc = json_read_object(item, NULL, &at);
    if (rc == 0) rc = json_read_known(&at, known, COUNT(known));
    if (rc == 0) rc = json_read_choice(&at, "block", block_names, COUNT(block_names), &block);
    if (rc < 0) return rc;
    stage->block = (enum spec_block)block;
    stage->stride = 1;
    rc = read_int(&at, "blocks", &stage->blocks);
    if (rc == 0) rc = read_int(&at, "channels", &stage->channels);
    if (rc == 0) rc = read_optional_int(&at, "stride", &stage->stride);
    if (rc == 0) rc = read_optional_int(&at, "groups", &stage->groups);
    if (rc == 0) rc = read_optional_int(&at, "group_width", &stage->group_width);
    if (rc == 0) rc = read_optional_int(&at, "pool", &stage->pool);
    return rc;
}

static int read_stages(const struct json_place *root, struct spec *spec)
{
    struct json_place stages;
    int rc = json_read_array(root, "stages", 1, SPEC_STAGES_MAX, &stages);
    if (rc < 0) return rc;
    spec->n_stages = (int)json_count(stages.value);
    for (int i = 0; i < spec->n_stages && rc == 0; i++) {
        const struct json_place item = json_place_item(&stages, (size_t)i);
        rc = read_stage(&item, &spec->stages[i]);
    }
    return rc;
}

/* An array of 1 to n_max integers in 1..value_max. */
static int read_int_array(const struct json_place *at, const char *name, int n_max, int value_max,
                          int *ret_values, int *ret_n)
{
    struct json_place array;
    int rc = json_read_array(at, name, 1, (size_t)n_max, &array);
    if (rc < 0) return rc;
    int n = (int)json_count(array.value);
    for (int i = 0; i < n && rc == 0; i++) {
        const struct json_place item = json_place_item(&array, (size_t)i);
        int64_t value;
        rc = json_read_int(&item, NULL, 1, value_max, &value);
        if (rc == 0) ret_values[i] = (int)value;
    }
    if (rc == 0) *ret_n = n;
    return rc;
}

/* By a word, or left out, or block by block: the number of blocks before each cut. */
static int read_cuts(const struct json_place *root, struct spec *spec)
{
    const struct json *given = json_get(root->value, "cuts");
    int word = CUT_QUARTERS, rc = 0;
    if (given != NULL && !json_is(given, JSON_KIND_STRING)) {
        return read_int_array(root, "cuts", SPEC_SECTIONS_MAX, SPEC_BLOCKS_MAX, spec->cuts,
                              &spec->n_sections);
    }
    if (given != NULL) rc = json_read_choice(root, "cuts", cut_names, COUNT(cut_names), &word);
    if (rc == 0) (word == CUT_STAGES ? spec_cut_stages : spec_cut_quarters)(spec);
    return rc;
}

static int read_classifier(const struct json_place *root, struct spec *spec)
{
    static const char *const known[] = {"hidden", "pooled"};
    struct json_place at;
    if (json_get(root->value, "classifier") == NULL) return 0;
    int rc = json_read_object(root, "classifier", &at);
    if (rc == 0) rc = json_read_known(&at, known, COUNT(known));
    if (rc == 0) {
        rc = read_int_array(&at, "hidden", SPEC_HIDDEN_MAX, SPEC_CHANNELS_MAX,
                            spec->classifier.hidden, &spec->classifier.n_hidden);
    }
    if (rc == 0) rc = read_optional_int(&at, "pooled", &spec->classifier.pooled);
    return rc;
}

/* A net of one section has no shallow head, so its spec may leave them out. */
static int read_heads(const struct json_place *root, struct spec *spec)
{
    static const char *const known[] = {"kind", "mid_channels"};
    struct json_place at;
    if (spec->n_sections == 1 && json_get(root->value, "heads") == NULL) return 0;
    int kind, rc = json_read_object(root, "heads", &at);
    if (rc == 0) rc = json_read_known(&at, known, COUNT(known));
    if (rc == 0) rc = json_read_choice(&at, "kind", head_names, COUNT(head_names), &kind);
    if (rc < 0) return rc;
    spec->heads.kind = (enum spec_head)kind;
    return kind == SPEC_HEAD_SEPCONV_ATTENTION
               ? read_optional_int(&at, "mid_channels", &spec->heads.mid_channels)
               : read_int(&at, "mid_channels", &spec->heads.mid_channels);
}

static int read_name(const struct json_place *root, struct spec *spec)
{
    int rc = json_read_string(root, "name", spec->name, sizeof(spec->name));
    if (rc < 0) return rc;
    if (name_is_valid(spec->name)) return 0;
    return json_read_fail(root, "name", ERR_RANGE, "must be " NAME_RULE);
}

static int read_spec(const struct json_place *root, struct spec *spec)
{
    static const char *const known[] = {"name",   "classes",    "input", "stem",
                                        "stages", "classifier", "cuts",  "heads"};
    int rc = json_read_known(root, known, COUNT(known));
    if (rc == 0) rc = read_name(root, spec);
    if (rc == 0) rc = read_int(root, "classes", &spec->classes);
    if (rc == 0) rc = read_input(root, spec);
    if (rc == 0) rc = read_stem(root, spec);
    if (rc == 0) rc = read_stages(root, spec);
    if (rc == 0) rc = read_classifier(root, spec);
    if (rc == 0) rc = read_cuts(root, spec);
    if (rc == 0) rc = read_heads(root, spec);
    return rc;
}

int spec_parse(const char *json, size_t size, struct spec *ret_spec, struct err *e)
{
    static const struct json_limits limits = {SPEC_FILE_MAX, SPEC_VALUES_MAX};
    struct err local = {0};
    struct spec spec;
    memset(&spec, 0, sizeof(spec)); /* padding too: equal specs are equal bytes */
    struct json *document = json_parse("spec", json, size, &limits, JSON_KIND_OBJECT, &local);
    const struct json_place root = json_root(document, "spec", &local);
    int rc = document == NULL ? local.code : read_spec(&root, &spec);
    json_free(document);
    if (rc == 0) rc = spec_check(&spec, &local);
    if (rc < 0) return err_set(e, rc, "%s", local.text);
    *ret_spec = spec;
    return 0;
}

int spec_read(const char *path, struct spec *ret_spec, struct err *e)
{
    char *json;
    size_t size;
    int rc = file_read(path, SPEC_FILE_MAX, &json, &size, e);
    if (rc < 0) return rc;
    rc = spec_parse(json, size, ret_spec, e);
    if (rc < 0) err_prefix(e, "%s", path);
    mem_free(json);
    return rc;
}

/* A member that is left out where it has its default, 0. */
static void put_optional(struct json_writer *w, const char *name, int value)
{
    if (value != 0) json_write_int(w, name, value);
}

static void put_stem(struct json_writer *w, const struct spec *spec)
{
    if (spec->stem.kernel == 0) return;
    json_write_line(w, 1);
    json_write_open(w, "stem", '{');
    json_write_int(w, "kernel", spec->stem.kernel);
    json_write_int(w, "channels", spec->stem.channels);
    json_write_int(w, "stride", spec->stem.stride);
    json_write_int(w, "pad", spec->stem.pad);
    if (spec->stem.after != SPEC_AFTER_NORM_RELU)
        json_write_string(w, "after", after_names[spec->stem.after]);
    if (spec->stem.pool.kernel != 0) {
        json_write_line(w, 2);
        json_write_open(w, "pool", '{');
        json_write_int(w, "kernel", spec->stem.pool.kernel);
        json_write_int(w, "stride", spec->stem.pool.stride);
        json_write_int(w, "pad", spec->stem.pool.pad);
        json_write_close(w, '}');
    }
    json_write_close(w, '}');
}

static void put_stages(struct json_writer *w, const struct spec *spec)
{
    json_write_line(w, 1);
    json_write_open(w, "stages", '[');
    for (int i = 0; i < spec->n_stages; i++) {
        const struct spec_stage *stage = &spec->stages[i];
        json_write_line(w, 2);
        json_write_open(w, NULL, '{');
        json_write_string(w, "block", block_names[stage->block]);
        json_write_int(w, "blocks", stage->blocks);
        json_write_int(w, "channels", stage->channels);
        json_write_int(w, "stride", stage->stride);
        put_optional(w, "groups", stage->groups);
        put_optional(w, "group_width", stage->group_width);
        put_optional(w, "pool", stage->pool);
        json_write_close(w, '}');
    }
    json_write_close(w, ']');
}

static void put_ints(struct json_writer *w, const char *name, const int *values, int n)
{
    json_write_open(w, name, '[');
    for (int i = 0; i < n; i++) json_write_int(w, NULL, values[i]);
    json_write_close(w, ']');
}

static void put_classifier(struct json_writer *w, const struct spec *spec)
{
    if (spec->classifier.n_hidden == 0) return;
    json_write_line(w, 1);
    json_write_open(w, "classifier", '{');
    put_ints(w, "hidden", spec->classifier.hidden, spec->classifier.n_hidden);
    put_optional(w, "pooled", spec->classifier.pooled);
    json_write_close(w, '}');
}

char *spec_format(const struct spec *spec)
{
    struct buf text;
    struct json_writer w;
    buf_init(&text, SPEC_FILE_MAX);
    json_writer_init(&w, &text);
    w.spaced = true;
    json_write_open(&w, NULL, '{');
    json_write_string(&w, "name", spec->name);
    json_write_line(&w, 1);
    json_write_int(&w, "classes", spec->classes);
    json_write_line(&w, 1);
    json_write_open(&w, "input", '{');
    json_write_int(&w, "channels", spec->channels);
    json_write_int(&w, "height", spec->height);
    json_write_int(&w, "width", spec->width);
    json_write_close(&w, '}');
    put_stem(&w, spec);
    put_stages(&w, spec);
    put_classifier(&w, spec);
    json_write_line(&w, 1);
    put_ints(&w, "cuts", spec->cuts, spec->n_sections);
    if (spec->n_sections > 1) {
        json_write_line(&w, 1);
        json_write_open(&w, "heads", '{');
        json_write_string(&w, "kind", head_names[spec->heads.kind]);
        put_optional(&w, "mid_channels", spec->heads.mid_channels);
        json_write_close(&w, '}');
    }
    json_write_close(&w, '}');
    char *result = w.status == 0 && buf_puts(&text, "\n") == 0 ? buf_take(&text) : NULL;
    buf_release(&text);
    return result;
}

const char *spec_head_name(enum spec_head kind)
{
    return (size_t)kind < COUNT(head_names) ? head_names[kind] : NULL;
}

int spec_head_parse(const char *text, enum spec_head *ret_kind, struct err *e)
{
    for (size_t i = 0; i < COUNT(head_names); i++) {
        if (strcmp(text, head_names[i]) != 0) continue;
        *ret_kind = (enum spec_head)i;
        return 0;
    }
    _Static_assert(COUNT(head_names) == 3, "the message lists them");
    return err_set(e, ERR_USAGE, "--heads %.64s: it takes %s, %s or %s", text, head_names[0],
                   head_names[1], head_names[2]);
}
