/* The metadata of a model file from JSON text. What decides answers (labels, preprocessing,
 * calibration) is checked to the last member; what only tells where a model comes from may have
 * members that a later program wrote and this one does not know. */
#include "config.h"

#include "metadata.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "json_in.h"

enum { LABEL_ITEMS_MAX = SPEC_CLASSES_MAX + 2, DOCUMENT_ITEMS_MAX = 1024 };

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define COUNT_MAX INT64_C(1000000000000) /* of images, epochs..: far more than anybody has */
#define STD_MIN 1e-6
#define TEMPERATURE_MIN 1e-3
#define TEMPERATURE_MAX 1e3

const char *metadata_label_problem(const char *label, size_t length)
{
    _Static_assert(MODEL_LABEL_MAX == 256, "the text below says it");
    if (length == 0 || length > MODEL_LABEL_MAX) return "must be a string of 1 to 256 bytes";
    return json_in_has_control(label) ? "control characters are not allowed" : NULL;
}

/* A label of class i, checked; its bytes with the NUL, or 0 with the error set. */
static size_t check_label(const struct json_in *in, const json_t *label, size_t i)
{
    size_t length = json_string_length(label); /* 0 when it is no string */
    const char *problem = metadata_label_problem(json_string_value(label), length);
    if (problem == NULL) return length + 1;
    err_set(in->e, ERR_FORMAT, "%s: [%zu]: %s", in->what, i, problem);
    return 0;
}

static int copy_labels(const struct json_in *in, const json_t *root, int n, char ***ret_labels)
{
    size_t bytes = (size_t)n * sizeof(**ret_labels);
    if (json_array_size(root) != (size_t)n) {
        return err_set(in->e, ERR_CONFLICT, "%s: %zu labels, but the spec has %d classes", in->what,
                       json_array_size(root), n);
    }
    for (size_t i = 0; i < (size_t)n; i++) {
        size_t size = check_label(in, json_array_get(root, i), i);
        if (size == 0) return in->e->code;
        bytes += size;
    }
    char **labels = mem_new(bytes, 1);
    if (labels == NULL) return err_set(in->e, -ENOMEM, "%s: no memory for %d labels", in->what, n);
    char *text = (char *)(labels + n);
    for (size_t i = 0; i < (size_t)n; i++) {
        const json_t *label = json_array_get(root, i);
        size_t size = json_string_length(label) + 1;
        memcpy(text, json_string_value(label), size);
        labels[i] = text;
        text += size;
    }
    *ret_labels = labels;
    return 0;
}

int metadata_parse_labels(const char *text, int n, char ***ret_labels, struct err *e)
{
    struct err local = {0};
    const struct json_in in = {METADATA_LABELS, &local};
    json_t *root = json_in_parse(&in, text, strlen(text), LABEL_ITEMS_MAX, JSON_ARRAY);
    int rc = root == NULL ? local.code : copy_labels(&in, root, n, ret_labels);
    json_decref(root);
    return rc < 0 ? err_set(e, local.code, "%s", local.text) : 0;
}

static int read_floats(const struct json_in *in, const json_t *object, const char *member,
                       double low, double high, float ret[3])
{
    const json_t *array = json_in_member(in, object, "", member, JSON_ARRAY);
    if (array == NULL) return in->e->code;
    for (size_t i = 0; i < 3; i++) {
        const json_t *item = json_array_get(array, i);
        double value = json_number_value(item);
        if (json_array_size(array) != 3 || !json_is_number(item) ||
            !(value >= low && value <= high)) {
            return err_set(in->e, ERR_FORMAT, "%s: %s: must be three numbers in %g..%g", in->what,
                           member, low, high);
        }
        ret[i] = (float)value;
    }
    return 0;
}

static int read_preprocess(const struct json_in *in, const json_t *root, struct preprocess *ret)
{
    static const char *const known[] = {"width", "height", "resize", "filter",
                                        "crop",  "mean",   "std"};
    int64_t width, height;
    int resize, filter, crop;
    int rc = json_in_known(in, root, "", known, COUNT(known));
    if (rc == 0) rc = json_in_int(in, root, "", "width", 1, SPEC_SIDE_MAX, &width);
    if (rc == 0) rc = json_in_int(in, root, "", "height", 1, SPEC_SIDE_MAX, &height);
    if (rc == 0) {
        rc = json_in_choice(in, root, "", "resize", preprocess_resize_names,
                            COUNT(preprocess_resize_names), &resize);
    }
    if (rc == 0) {
        rc = json_in_choice(in, root, "", "filter", preprocess_filter_names,
                            COUNT(preprocess_filter_names), &filter);
    }
    if (rc == 0) {
        rc = json_in_choice(in, root, "", "crop", preprocess_crop_names,
                            COUNT(preprocess_crop_names), &crop);
    }
    if (rc == 0) rc = read_floats(in, root, "mean", -1000, 1000, ret->mean);
    if (rc == 0) rc = read_floats(in, root, "std", STD_MIN, 1000, ret->std);
    if (rc < 0) return in->e->code;
    if (crop != resize) {
        return err_set(in->e, ERR_UNSUPPORTED, "%s: crop: with resize \"%s\" it must be \"%s\"",
                       in->what, preprocess_resize_names[resize], preprocess_crop_names[resize]);
    }
    ret->width = (int)width;
    ret->height = (int)height;
    ret->resize = (enum preprocess_resize)resize;
    ret->filter = (enum preprocess_filter)filter;
    return 0;
}

/* Parses text as an object with read() and passes the error on. */
#define PARSE_OBJECT(key, text, e, call)                                                           \
    do {                                                                                           \
        struct err local = {0};                                                                    \
        const struct json_in in = {key, &local};                                                   \
        json_t *root = json_in_parse(&in, text, strlen(text), DOCUMENT_ITEMS_MAX, JSON_OBJECT);    \
        int rc = root == NULL ? local.code : (call);                                               \
        json_decref(root);                                                                         \
        return rc < 0 ? err_set(e, local.code, "%s", local.text) : 0;                              \
    } while (0)

int metadata_parse_preprocess(const char *text, struct preprocess *ret, struct err *e)
{
    PARSE_OBJECT(METADATA_PREPROCESS, text, e, read_preprocess(&in, root, ret));
}

static int read_entry(const struct json_in *in, const json_t *object, const char *path,
                      struct calibration_entry *ret)
{
    static const char *const known[] = {"top1", "temperature"};
    int rc = json_in_known(in, object, path, known, COUNT(known));
    if (rc == 0) rc = json_in_number(in, object, path, "top1", 0, 1, &ret->top1);
    if (rc == 0) {
        rc = json_in_number(in, object, path, "temperature", TEMPERATURE_MIN, TEMPERATURE_MAX,
                            &ret->temperature);
    }
    return rc;
}

/* An array member with as many items as the net has exits, each of the type. */
static const json_t *read_per_exit(const struct json_in *in, const json_t *object, const char *path,
                                   const char *member, int sections, bool objects)
{
    const json_t *array = json_in_member(in, object, path, member, JSON_ARRAY);
    if (array == NULL) return NULL;
    bool good = json_array_size(array) == (size_t)sections;
    for (size_t i = 0; good && i < (size_t)sections; i++) {
        const json_t *item = json_array_get(array, i);
        good = objects ? json_is_object(item) : json_is_number(item);
    }
    if (good) return array;
    err_set(in->e, ERR_FORMAT, "%s: %s: must be %d %s, one for each exit", in->what, member,
            sections, objects ? "objects" : "numbers");
    return NULL;
}

static int read_calibration(const struct json_in *in, const json_t *root, int sections,
                            struct calibration *ret)
{
    static const char *const known[] = {"images", "exits", "ensemble", "thresholds"};
    int rc = json_in_known(in, root, "", known, COUNT(known));
    if (rc == 0) rc = json_in_int(in, root, "", "images", 1, COUNT_MAX, &ret->n_images);
    if (rc < 0) return rc;
    const json_t *exits = read_per_exit(in, root, "", "exits", sections, true);
    if (exits == NULL) return in->e->code;
    for (int i = 0; i < sections && rc == 0; i++) {
        char path[JSON_PATH_MAX];
        json_in_path(path, "exits", NULL, (size_t)i);
        rc = read_entry(in, json_array_get(exits, (size_t)i), path, &ret->exits[i]);
    }
    if (rc < 0) return rc;
    const json_t *ensemble = json_in_member(in, root, "", "ensemble", JSON_OBJECT);
    if (ensemble == NULL) return in->e->code;
    rc = read_entry(in, ensemble, "ensemble", &ret->ensemble);
    if (rc < 0) return rc;
    if (json_object_get(root, "thresholds") != NULL) {
        const json_t *thresholds = read_per_exit(in, root, "", "thresholds", sections, false);
        if (thresholds == NULL) return in->e->code;
        for (int i = 0; i < sections; i++) {
            /* Past 1 a threshold says that the exit never answers by itself. */
            double value = json_number_value(json_array_get(thresholds, (size_t)i));
            if (!(value >= 0 && value <= 2)) {
                return err_set(in->e, ERR_RANGE, "%s: thresholds[%d]: must be in 0..2, not %g",
                               in->what, i, value);
            }
            ret->thresholds[i] = value;
        }
        ret->has_thresholds = true;
    }
    ret->present = true;
    return 0;
}

int metadata_parse_calibration(const char *text, int sections, struct calibration *ret,
                               struct err *e)
{
    *ret = (struct calibration){.present = false};
    PARSE_OBJECT(METADATA_CALIBRATION, text, e, read_calibration(&in, root, sections, ret));
}

/* A seed: an integer, or past 2^53 a string of digits. */
static int read_seed(const struct json_in *in, const json_t *root, const char *member,
                     uint64_t *ret)
{
    const json_t *value = json_object_get(root, member);
    if (json_is_integer(value) && json_integer_value(value) >= 0) {
        *ret = (uint64_t)json_integer_value(value);
        return 0;
    }
    const char *text = json_string_value(value);
    if (text != NULL && *text != '\0' && strlen(text) <= 20 &&
        strspn(text, "0123456789") == strlen(text)) {
        char *end;
        errno = 0;
        unsigned long long seed = strtoull(text, &end, 10);
        if (errno == 0) {
            *ret = seed;
            return 0;
        }
    }
    return err_set(in->e, ERR_FORMAT, "%s: %s: must be an integer in 0..2^64-1", in->what, member);
}

static int read_figures(const struct json_in *in, const json_t *object, const char *path,
                        struct training_figures *ret)
{
    int rc = json_in_number(in, object, path, "top1", 0, 1, &ret->top1);
    if (rc == 0) rc = json_in_number(in, object, path, "top5", 0, 1, &ret->top5);
    if (rc == 0) rc = json_in_number(in, object, path, "nll", 0, DBL_MAX, &ret->nll);
    if (rc == 0) rc = json_in_number(in, object, path, "ece", 0, 1, &ret->ece);
    return rc;
}

static int read_all_figures(const struct json_in *in, const json_t *root, int sections,
                            struct training *ret)
{
    const json_t *figures = json_in_member(in, root, "", "figures", JSON_OBJECT);
    if (figures == NULL) return in->e->code;
    const json_t *exits = read_per_exit(in, figures, "figures", "exits", sections, true);
    if (exits == NULL) return in->e->code;
    for (int i = 0; i < sections; i++) {
        char path[JSON_PATH_MAX];
        json_in_path(path, "figures.exits", NULL, (size_t)i);
        int rc = read_figures(in, json_array_get(exits, (size_t)i), path, &ret->exits[i]);
        if (rc < 0) return rc;
    }
    const json_t *ensemble = json_in_member(in, figures, "figures", "ensemble", JSON_OBJECT);
    if (ensemble == NULL) return in->e->code;
    ret->has_figures = true;
    return read_figures(in, ensemble, "figures.ensemble", &ret->ensemble);
}

static int read_training(const struct json_in *in, const json_t *root, int sections,
                         struct training *ret)
{
    const struct {
        const char *member;
        char *text;
        size_t size;
    } strings[] = {
        {"method", ret->method, sizeof(ret->method)},
        {"data", ret->data, sizeof(ret->data)},
        {"program", ret->program, sizeof(ret->program)},
        {"schedule", ret->schedule, sizeof(ret->schedule)},
        {"augment", ret->augment, sizeof(ret->augment)},
        {"parent", ret->parent, sizeof(ret->parent)},
        {"command", ret->command, sizeof(ret->command)},
    };
    const struct {
        const char *member;
        int64_t *value;
    } integers[] = {
        {"epochs", &ret->epochs},   {"batch", &ret->batch},     {"warmup", &ret->warmup},
        {"threads", &ret->threads}, {"holdout", &ret->holdout},
    };
    const struct {
        const char *member;
        double *value;
    } numbers[] = {
        {"lr", &ret->lr},
        {"momentum", &ret->momentum},
        {"weight_decay", &ret->weight_decay},
        {"temperature", &ret->temperature},
        {"alpha", &ret->alpha},
        {"lambda", &ret->lambda},
    };
    int rc = 0;
    for (size_t i = 0; i < COUNT(strings) && rc == 0; i++) {
        rc = json_in_string(in, root, "", strings[i].member, strings[i].text, strings[i].size);
    }
    for (size_t i = 0; i < COUNT(integers) && rc == 0; i++) {
        rc = json_in_int(in, root, "", integers[i].member, 0, COUNT_MAX, integers[i].value);
    }
    for (size_t i = 0; i < COUNT(numbers) && rc == 0; i++) {
        rc = json_in_number(in, root, "", numbers[i].member, -DBL_MAX, DBL_MAX, numbers[i].value);
    }
    /* Of methods with a teacher, only some. */
    if (rc == 0 && json_object_get(root, "teacher") != NULL)
        rc = json_in_string(in, root, "", "teacher", ret->teacher, sizeof(ret->teacher));
    if (rc == 0 && json_object_get(root, "beta") != NULL)
        rc = json_in_number(in, root, "", "beta", -DBL_MAX, DBL_MAX, &ret->beta);
    if (rc == 0) rc = read_seed(in, root, "seed", &ret->seed);
    if (rc == 0) rc = read_seed(in, root, "holdout_seed", &ret->holdout_seed);
    if (rc < 0) return rc;
    const json_t *scale = json_object_get(root, "kd_scale");
    if (!json_is_boolean(scale)) {
        return err_set(in->e, ERR_FORMAT, "%s: kd_scale: must be a boolean", in->what);
    }
    ret->kd_scale = json_is_true(scale);
    return json_object_get(root, "figures") == NULL ? 0 : read_all_figures(in, root, sections, ret);
}

int metadata_parse_training(const char *text, int sections, struct training *ret, struct err *e)
{
    *ret = (struct training){.method = ""};
    PARSE_OBJECT(METADATA_TRAINING, text, e, read_training(&in, root, sections, ret));
}
