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
#include "json_in.h"
#include "json_out.h"

enum { SPEC_FILE_MAX = 256 * 1024, SPEC_ITEMS_MAX = 16384 };

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* In the order of the enums. */
static const char *const block_names[] = {"basic", "bottleneck", "preact", "pyramid", "vgg"};
static const char *const head_names[] = {"scala", "scala+attention", "sepconv+attention"};
static const char *const after_names[] = {"bn-relu", "bn", "nothing"};

enum { CUT_QUARTERS, CUT_STAGES };
static const char *const cut_names[] = {[CUT_QUARTERS] = "quarters", [CUT_STAGES] = "stages"};

static int read_int(const struct json_in *in, const json_t *object, const char *path,
                    const char *member, int *ret_value)
{
    int64_t value;
    int rc = json_in_int(in, object, path, member, 0, INT_MAX, &value);
    if (rc == 0) *ret_value = (int)value;
    return rc;
}

/* A member that may be missing: value stays as it is then. */
static int read_optional_int(const struct json_in *in, const json_t *object, const char *path,
                             const char *member, int *value)
{
    if (json_object_get(object, member) == NULL) return 0;
    return read_int(in, object, path, member, value);
}

struct int_member {
    const char *name;
    int *value;
};

/* An object at `path` whose members are n integers and nothing else. */
static int read_ints(const struct json_in *in, const json_t *object, const char *path,
                     const struct int_member *members, size_t n)
{
    const char *known[8];
    for (size_t i = 0; i < n; i++) known[i] = members[i].name;
    int rc = json_in_known(in, object, path, known, n);
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = read_int(in, object, path, members[i].name, members[i].value);
    }
    return rc;
}

static int read_input(const struct json_in *in, const json_t *root, struct spec *spec)
{
    const struct int_member members[] = {
        {"channels", &spec->channels}, {"height", &spec->height}, {"width", &spec->width}};
    const json_t *input = json_in_member(in, root, "", "input", JSON_OBJECT);
    return input == NULL ? ERR_FORMAT : read_ints(in, input, "input", members, COUNT(members));
}

static int read_stem_pool(const struct json_in *in, const json_t *stem, struct spec *spec)
{
    const struct int_member members[] = {{"kernel", &spec->stem.pool.kernel},
                                         {"stride", &spec->stem.pool.stride},
                                         {"pad", &spec->stem.pool.pad}};
    if (json_object_get(stem, "pool") == NULL) return 0;
    const json_t *pool = json_in_member(in, stem, "stem", "pool", JSON_OBJECT);
    return pool == NULL ? ERR_FORMAT : read_ints(in, pool, "stem.pool", members, COUNT(members));
}

static int read_stem(const struct json_in *in, const json_t *root, struct spec *spec)
{
    static const char *const known[] = {"kernel", "channels", "stride", "pad", "after", "pool"};
    if (json_object_get(root, "stem") == NULL) return 0; /* spec_check() knows who needs one */
    const json_t *stem = json_in_member(in, root, "", "stem", JSON_OBJECT);
    if (stem == NULL) return ERR_FORMAT;
    int after = SPEC_AFTER_NORM_RELU, rc = json_in_known(in, stem, "stem", known, COUNT(known));
    if (rc == 0) rc = read_int(in, stem, "stem", "kernel", &spec->stem.kernel);
    if (rc == 0) rc = read_int(in, stem, "stem", "channels", &spec->stem.channels);
    if (rc == 0) rc = read_int(in, stem, "stem", "stride", &spec->stem.stride);
    if (rc == 0) rc = read_int(in, stem, "stem", "pad", &spec->stem.pad);
    if (rc == 0 && json_object_get(stem, "after") != NULL) {
        rc = json_in_choice(in, stem, "stem", "after", after_names, COUNT(after_names), &after);
    }
    spec->stem.after = (enum spec_after)after;
    return rc == 0 ? read_stem_pool(in, stem, spec) : rc;
}

static int read_stage(const struct json_in *in, const json_t *object, const char *path,
                      struct spec_stage *stage)
{
    static const char *const known[] = {"block",  "blocks",      "channels", "stride",
                                        "groups", "group_width", "pool"};
    if (!json_is_object(object)) {
        return err_set(in->e, ERR_FORMAT, "%s: %s: must be an object", in->what, path);
    }
    int block, rc = json_in_known(in, object, path, known, COUNT(known));
    if (rc == 0) {
        rc = json_in_choice(in, object, path, "block", block_names, COUNT(block_names), &block);
    }
    if (rc < 0) return rc;
    stage->block = (enum spec_block)block;
    stage->stride = 1;
    rc = read_int(in, object, path, "blocks", &stage->blocks);
    if (rc == 0) rc = read_int(in, object, path, "channels", &stage->channels);
    if (rc == 0) rc = read_optional_int(in, object, path, "stride", &stage->stride);
    if (rc == 0) rc = read_optional_int(in, object, path, "groups", &stage->groups);
    if (rc == 0) rc = read_optional_int(in, object, path, "group_width", &stage->group_width);
    if (rc == 0) rc = read_optional_int(in, object, path, "pool", &stage->pool);
    return rc;
}

/* An array of 1 to max items; NULL with the error set. */
static const json_t *read_array(const struct json_in *in, const json_t *object, const char *path,
                                const char *member, size_t max)
{
    const json_t *array = json_in_member(in, object, path, member, JSON_ARRAY);
    if (array == NULL) return NULL;
    size_t n = json_array_size(array);
    if (n >= 1 && n <= max) return array;
    char at[JSON_PATH_MAX];
    json_in_path(at, path, member, 0);
    err_set(in->e, ERR_RANGE, "%s: %s: must have 1 to %zu items, not %zu", in->what, at, max, n);
    return NULL;
}

static int read_stages(const struct json_in *in, const json_t *root, struct spec *spec)
{
    const json_t *stages = read_array(in, root, "", "stages", SPEC_STAGES_MAX);
    if (stages == NULL) return ERR_FORMAT;
    spec->n_stages = (int)json_array_size(stages);
    for (int i = 0; i < spec->n_stages; i++) {
        char path[JSON_PATH_MAX];
        json_in_path(path, "stages", NULL, (size_t)i);
        int rc = read_stage(in, json_array_get(stages, (size_t)i), path, &spec->stages[i]);
        if (rc < 0) return rc;
    }
    return 0;
}

/* By a word, or left out, or block by block. */
static int read_cuts(const struct json_in *in, const json_t *root, struct spec *spec)
{
    const json_t *given = json_object_get(root, "cuts");
    int word = CUT_QUARTERS, rc = 0;
    if (json_is_string(given)) {
        rc = json_in_choice(in, root, "", "cuts", cut_names, COUNT(cut_names), &word);
    }
    if (rc < 0) return rc;
    if (given == NULL || json_is_string(given)) {
        (word == CUT_STAGES ? spec_cut_stages : spec_cut_quarters)(spec);
        return 0;
    }

    const json_t *cuts = read_array(in, root, "", "cuts", SPEC_SECTIONS_MAX);
    if (cuts == NULL) return ERR_FORMAT;
    spec->n_sections = (int)json_array_size(cuts);
    for (int i = 0; i < spec->n_sections; i++) {
        const json_t *cut = json_array_get(cuts, (size_t)i);
        json_int_t value = json_integer_value(cut); /* 0 when it is not one */
        if (!json_is_integer(cut) || value < 1 || value > SPEC_BLOCKS_MAX) {
            return err_set(in->e, json_is_integer(cut) ? ERR_RANGE : ERR_FORMAT,
                           "%s: cuts[%d]: must be an integer in 1..%d, the number of blocks before "
                           "the cut",
                           in->what, i, SPEC_BLOCKS_MAX);
        }
        spec->cuts[i] = (int)value;
    }
    return 0;
}

static int read_classifier(const struct json_in *in, const json_t *root, struct spec *spec)
{
    static const char *const known[] = {"hidden", "pooled"};
    if (json_object_get(root, "classifier") == NULL) return 0;
    const json_t *object = json_in_member(in, root, "", "classifier", JSON_OBJECT);
    if (object == NULL) return ERR_FORMAT;
    int rc = json_in_known(in, object, "classifier", known, COUNT(known));
    if (rc < 0) return rc;
    const json_t *hidden = read_array(in, object, "classifier", "hidden", SPEC_HIDDEN_MAX);
    if (hidden == NULL) return ERR_FORMAT;
    spec->classifier.n_hidden = (int)json_array_size(hidden);
    for (int i = 0; i < spec->classifier.n_hidden; i++) {
        const json_t *item = json_array_get(hidden, (size_t)i);
        json_int_t value = json_integer_value(item); /* 0 when it is not one */
        if (!json_is_integer(item) || value < 1 || value > SPEC_CHANNELS_MAX) {
            return err_set(
                in->e, json_is_integer(item) ? ERR_RANGE : ERR_FORMAT,
                "%s: classifier.hidden[%d]: must be an integer in 1..%d, the channels of a "
                "layer",
                in->what, i, SPEC_CHANNELS_MAX);
        }
        spec->classifier.hidden[i] = (int)value;
    }
    return read_optional_int(in, object, "classifier", "pooled", &spec->classifier.pooled);
}

/* A net of one section has no shallow head, so its spec may leave them out. */
static int read_heads(const struct json_in *in, const json_t *root, struct spec *spec)
{
    static const char *const known[] = {"kind", "mid_channels"};
    if (spec->n_sections == 1 && json_object_get(root, "heads") == NULL) return 0;
    const json_t *heads = json_in_member(in, root, "", "heads", JSON_OBJECT);
    if (heads == NULL) return ERR_FORMAT;
    int kind, rc = json_in_known(in, heads, "heads", known, COUNT(known));
    if (rc == 0) {
        rc = json_in_choice(in, heads, "heads", "kind", head_names, COUNT(head_names), &kind);
    }
    if (rc < 0) return rc;
    spec->heads.kind = (enum spec_head)kind;
    if (kind == SPEC_HEAD_SEPCONV_ATTENTION) {
        return read_optional_int(in, heads, "heads", "mid_channels", &spec->heads.mid_channels);
    }
    return read_int(in, heads, "heads", "mid_channels", &spec->heads.mid_channels);
}

/* The name becomes a directory's and a URL's part: [a-z0-9._-]{1,64}, not beginning with a dot. */
static int read_name(const struct json_in *in, const json_t *root, struct spec *spec)
{
    int rc = json_in_string(in, root, "", "name", spec->name, sizeof(spec->name));
    if (rc < 0) return rc;
    size_t good = strspn(spec->name, "abcdefghijklmnopqrstuvwxyz0123456789._-");
    if (good > 0 && spec->name[good] == '\0' && spec->name[0] != '.') return 0;
    return err_set(in->e, ERR_RANGE,
                   "%s: name: must be 1 to %d of a-z, 0-9, '.', '_', '-' and not begin with a dot",
                   in->what, SPEC_NAME_MAX);
}

static int read_spec(const struct json_in *in, const json_t *root, struct spec *spec)
{
    static const char *const known[] = {"name",   "classes",    "input", "stem",
                                        "stages", "classifier", "cuts",  "heads"};
    int rc = json_in_known(in, root, "", known, COUNT(known));
    if (rc == 0) rc = read_name(in, root, spec);
    if (rc == 0) rc = read_int(in, root, "", "classes", &spec->classes);
    if (rc == 0) rc = read_input(in, root, spec);
    if (rc == 0) rc = read_stem(in, root, spec);
    if (rc == 0) rc = read_stages(in, root, spec);
    if (rc == 0) rc = read_classifier(in, root, spec);
    if (rc == 0) rc = read_cuts(in, root, spec);
    if (rc == 0) rc = read_heads(in, root, spec);
    return rc;
}

int spec_parse(const char *json, size_t size, struct spec *ret_spec, struct err *e)
{
    struct err local = {0};
    const struct json_in in = {"spec", &local};
    struct spec spec;
    memset(&spec, 0, sizeof(spec)); /* padding too: equal specs are equal bytes */
    if (size > SPEC_FILE_MAX) {
        return err_set(e, ERR_LIMIT, "spec: %zu bytes long, at most %d", size, SPEC_FILE_MAX);
    }
    json_t *root = json_in_parse(&in, json, size, SPEC_ITEMS_MAX, JSON_OBJECT);
    int rc = root == NULL ? local.code : read_spec(&in, root, &spec);
    json_decref(root);
    if (rc == 0) {
        rc = spec_check(&spec, &local);
    } else {
        rc = local.code; /* more exact than what the helpers return */
    }
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

static void put_int(struct json_out *out, const char *before, int value)
{
    json_out_raw(out, before);
    json_out_int(out, value);
}

/* A member that is left out where it has its default, 0. */
static void put_optional(struct json_out *out, const char *before, int value)
{
    if (value != 0) put_int(out, before, value);
}

static void put_stem(struct json_out *out, const struct spec *spec)
{
    if (spec->stem.kernel == 0) return;
    put_int(out, ",\n \"stem\": {\"kernel\": ", spec->stem.kernel);
    put_int(out, ", \"channels\": ", spec->stem.channels);
    put_int(out, ", \"stride\": ", spec->stem.stride);
    put_int(out, ", \"pad\": ", spec->stem.pad);
    if (spec->stem.after != SPEC_AFTER_NORM_RELU) {
        json_out_raw(out, ", \"after\": ");
        json_out_string(out, after_names[spec->stem.after]);
    }
    if (spec->stem.pool.kernel != 0) {
        put_int(out, ",\n  \"pool\": {\"kernel\": ", spec->stem.pool.kernel);
        put_int(out, ", \"stride\": ", spec->stem.pool.stride);
        put_int(out, ", \"pad\": ", spec->stem.pool.pad);
        json_out_raw(out, "}");
    }
    json_out_raw(out, "}");
}

static void put_stages(struct json_out *out, const struct spec *spec)
{
    json_out_raw(out, ",\n \"stages\": [");
    for (int i = 0; i < spec->n_stages; i++) {
        const struct spec_stage *stage = &spec->stages[i];
        json_out_raw(out, i > 0 ? ",\n  {\"block\": " : "\n  {\"block\": ");
        json_out_string(out, block_names[stage->block]);
        put_int(out, ", \"blocks\": ", stage->blocks);
        put_int(out, ", \"channels\": ", stage->channels);
        put_int(out, ", \"stride\": ", stage->stride);
        put_optional(out, ", \"groups\": ", stage->groups);
        put_optional(out, ", \"group_width\": ", stage->group_width);
        put_optional(out, ", \"pool\": ", stage->pool);
        json_out_raw(out, "}");
    }
    json_out_raw(out, "]");
}

static void put_classifier(struct json_out *out, const struct spec *spec)
{
    if (spec->classifier.n_hidden == 0) return;
    for (int i = 0; i < spec->classifier.n_hidden; i++) {
        put_int(out, i > 0 ? ", " : ",\n \"classifier\": {\"hidden\": [",
                spec->classifier.hidden[i]);
    }
    json_out_raw(out, "]");
    put_optional(out, ", \"pooled\": ", spec->classifier.pooled);
    json_out_raw(out, "}");
}

char *spec_format(const struct spec *spec)
{
    struct json_out out;
    json_out_init(&out, SPEC_FILE_MAX);
    json_out_raw(&out, "{\"name\": ");
    json_out_string(&out, spec->name);
    put_int(&out, ",\n \"classes\": ", spec->classes);
    put_int(&out, ",\n \"input\": {\"channels\": ", spec->channels);
    put_int(&out, ", \"height\": ", spec->height);
    put_int(&out, ", \"width\": ", spec->width);
    json_out_raw(&out, "}");
    put_stem(&out, spec);
    put_stages(&out, spec);
    put_classifier(&out, spec);
    for (int i = 0; i < spec->n_sections; i++) {
        put_int(&out, i > 0 ? ", " : ",\n \"cuts\": [", spec->cuts[i]);
    }
    json_out_raw(&out, "]");
    if (spec->n_sections > 1) {
        json_out_raw(&out, ",\n \"heads\": {\"kind\": ");
        json_out_string(&out, head_names[spec->heads.kind]);
        put_optional(&out, ", \"mid_channels\": ", spec->heads.mid_channels);
        json_out_raw(&out, "}");
    }
    json_out_raw(&out, "}\n");

    char *text = out.status == 0 ? buf_take(&out.text) : NULL;
    json_out_release(&out);
    return text;
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
