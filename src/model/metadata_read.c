/* The metadata of a model file from JSON text. What decides answers (labels, preprocessing,
 * calibration) is checked to the last member; what only tells where a model comes from may have
 * members that a later program wrote and this one does not know. */
#include "config.h"

#include "metadata.h"

#include <errno.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "json/read.h"
#include "metadata_recipe.h"

enum {
    DOCUMENT_MAX = SAFETENSORS_HEADER_MAX,
    LABEL_VALUES_MAX = SPEC_CLASSES_MAX + 2,
    DOCUMENT_VALUES_MAX = 1024
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define COUNT_MAX INT64_C(1000000000000) /* of images, epochs..: far more than anybody has */
#define STD_MIN 1e-6
#define MACS_MAX 1e18
#define TEMPERATURE_MIN 1e-3
#define TEMPERATURE_MAX 1e3

const char *metadata_label_problem(const char *label, size_t length)
{
    _Static_assert(MODEL_LABEL_MAX == 256, "the text below says it");
    if (length == 0 || length > MODEL_LABEL_MAX) return "must be a string of 1 to 256 bytes";
    return text_has_control(label) ? "control characters are not allowed" : NULL;
}

/* A label, checked; its bytes with the NUL, or 0 with the error set. */
static size_t check_label(const struct json_place *label)
{
    size_t length = json_text_size(label->value); /* 0 when it is no string */
    const char *problem = metadata_label_problem(json_text(label->value), length);
    if (problem == NULL) return length + 1;
    json_read_fail(label, NULL, ERR_FORMAT, "%s", problem);
    return 0;
}

static int copy_labels(const struct json_place *root, int n, char ***ret_labels)
{
    size_t bytes = (size_t)n * sizeof(**ret_labels);
    if (json_count(root->value) != (size_t)n) {
        return json_read_fail(root, NULL, ERR_CONFLICT, "%zu labels, but the spec has %d classes",
                              json_count(root->value), n);
    }
    for (size_t i = 0; i < (size_t)n; i++) {
        const struct json_place label = json_place_item(root, i);
        size_t size = check_label(&label);
        if (size == 0) return ERR_FORMAT;
        bytes += size;
    }
    char **labels = mem_new(bytes, 1);
    if (labels == NULL) return json_read_fail(root, NULL, -ENOMEM, "no memory for %d labels", n);
    char *text = (char *)(labels + n);
    for (size_t i = 0; i < (size_t)n; i++) {
        const struct json *label = json_item(root->value, i);
        size_t size = json_text_size(label) + 1;
        memcpy(text, json_text(label), size);
        labels[i] = text;
        text += size;
    }
    *ret_labels = labels;
    return 0;
}

int metadata_parse_labels(const char *text, int n, char ***ret_labels, struct err *e)
{
    static const struct json_limits limits = {DOCUMENT_MAX, LABEL_VALUES_MAX};
    struct err local = {0};
    struct json *document =
        json_parse(METADATA_LABELS, text, strlen(text), &limits, JSON_KIND_ARRAY, &local);
    const struct json_place root = json_root(document, METADATA_LABELS, &local);
    int rc = document == NULL ? local.code : copy_labels(&root, n, ret_labels);
    json_free(document);
    return rc < 0 ? err_set(e, rc, "%s", local.text) : 0;
}

static int read_floats(const struct json_place *at, const char *member, double low, double high,
                       float ret[3])
{
    struct json_place array;
    int rc = json_read_array(at, member, 3, 3, &array);
    for (size_t i = 0; i < 3 && rc == 0; i++) {
        const struct json_place item = json_place_item(&array, i);
        double value;
        rc = json_read_number(&item, NULL, low, high, &value);
        if (rc == 0) ret[i] = (float)value;
    }
    return rc;
}

static int read_preprocess(const struct json_place *root, struct preprocess *ret)
{
    static const char *const known[] = {"width", "height", "resize", "filter",
                                        "crop",  "mean",   "std"};
    int64_t width, height;
    int resize, filter, crop;
    int rc = json_read_known(root, known, COUNT(known));
    if (rc == 0) rc = json_read_int(root, "width", 1, SPEC_SIDE_MAX, &width);
    if (rc == 0) rc = json_read_int(root, "height", 1, SPEC_SIDE_MAX, &height);
    if (rc == 0) {
        rc = json_read_choice(root, "resize", preprocess_resize_names,
                              COUNT(preprocess_resize_names), &resize);
    }
    if (rc == 0) {
        rc = json_read_choice(root, "filter", preprocess_filter_names,
                              COUNT(preprocess_filter_names), &filter);
    }
    if (rc == 0) {
        rc = json_read_choice(root, "crop", preprocess_crop_names, COUNT(preprocess_crop_names),
                              &crop);
    }
    if (rc == 0) rc = read_floats(root, "mean", -1000, 1000, ret->mean);
    if (rc == 0) rc = read_floats(root, "std", STD_MIN, 1000, ret->std);
    if (rc < 0) return rc;
    if (crop != resize) {
        return json_read_fail(root, "crop", ERR_UNSUPPORTED, "with resize \"%s\" it must be \"%s\"",
                              preprocess_resize_names[resize], preprocess_crop_names[resize]);
    }
    ret->width = (int)width;
    ret->height = (int)height;
    ret->resize = (enum preprocess_resize)resize;
    ret->filter = (enum preprocess_filter)filter;
    return 0;
}

/* Parses text as an object with a call that sees `root`, and passes the error on. */
#define PARSE_OBJECT(key, text, e, call)                                                           \
    do {                                                                                           \
        static const struct json_limits limits = {DOCUMENT_MAX, DOCUMENT_VALUES_MAX};              \
        struct err local = {0};                                                                    \
        struct json *document =                                                                    \
            json_parse(key, text, strlen(text), &limits, JSON_KIND_OBJECT, &local);                \
        const struct json_place root = json_root(document, key, &local);                           \
        int rc = document == NULL ? local.code : (call);                                           \
        json_free(document);                                                                       \
        return rc < 0 ? err_set(e, rc, "%s", local.text) : 0;                                      \
    } while (0)

int metadata_parse_preprocess(const char *text, struct preprocess *ret, struct err *e)
{
    PARSE_OBJECT(METADATA_PREPROCESS, text, e, read_preprocess(&root, ret));
}

/* What is said of an exit that is untrained, a null or another program's figures, does not count.
 */
static bool is_void(unsigned untrained, int exit)
{
    return (untrained >> exit & 1) != 0;
}

/* Whether the deepest exit is the only one that has learned. */
static bool is_alone(unsigned untrained, int sections)
{
    return untrained == (1u << (sections - 1)) - 1;
}

static int read_figures_of(const struct json_place *at, struct calibration_entry *ret)
{
    int rc = json_read_number(at, "top1", 0, 1, &ret->top1);
    if (rc < 0) return rc;
    return json_read_number(at, "temperature", TEMPERATURE_MIN, TEMPERATURE_MAX, &ret->temperature);
}

static int read_entry(const struct json_place *at, struct calibration_entry *ret)
{
    static const char *const known[] = {"top1", "temperature"};
    int rc = json_read_known(at, known, COUNT(known));
    return rc == 0 ? read_figures_of(at, ret) : rc;
}

static int read_thresholds(const struct json_place *root, int sections, unsigned untrained,
                           struct calibration *ret)
{
    struct json_place array;
    if (json_get(root->value, "thresholds") == NULL) return 0;
    int rc = json_read_array(root, "thresholds", (size_t)sections, (size_t)sections, &array);
    for (int i = 0; i < sections && rc == 0; i++) {
        const struct json_place item = json_place_item(&array, (size_t)i);
        if (is_void(untrained, i)) continue;
        /* Past 1 a threshold says that the exit never answers by itself. */
        rc = json_read_number(&item, NULL, 0, 2, &ret->thresholds[i]);
    }
    ret->has_thresholds = rc == 0;
    return rc;
}

static int read_weights(const struct json_place *at, int exits, unsigned untrained, double *ret)
{
    struct json_place array;
    double sum = 0;
    int rc = json_read_array(at, "weights", (size_t)exits, (size_t)exits, &array);
    for (int i = 0; i < exits && rc == 0; i++) {
        const struct json_place item = json_place_item(&array, (size_t)i);
        rc = json_read_number(&item, NULL, 0, is_void(untrained, i) ? 0 : 1, &ret[i]);
        sum += ret[i];
    }
    if (rc == 0 && fabs(sum - 1) > 1e-6)
        rc = json_read_fail(&array, NULL, ERR_FORMAT, "must have the sum 1");
    return rc;
}

/* The number of an exit, of a list in which they rise: above *last, which it becomes. */
static int read_rising(const struct json_place *at, const char *member, int sections, int64_t *last)
{
    int64_t exit;
    int rc = json_read_int(at, member, 1, sections, &exit);
    if (rc == 0 && exit <= *last)
        rc = json_read_fail(at, member, ERR_RANGE, "exit %d comes behind exit %d; they must rise",
                            (int)exit, (int)*last);
    if (rc == 0) *last = exit;
    return rc;
}

/* The running ensembles, in the order of the exits that they end with. */
static int read_running(const struct json_place *root, int sections, unsigned untrained,
                        struct calibration *ret)
{
    static const char *const known[] = {"exits", "top1", "temperature", "weights"};
    struct json_place array, entry;
    int64_t exits = 1; /* one alone is no ensemble */
    if (json_get(root->value, "running") == NULL) return 0;
    int rc = json_read_array(root, "running", 1, (size_t)sections, &array);
    for (size_t i = 0; rc == 0 && i < json_count(array.value); i++) {
        const struct json_place item = json_place_item(&array, i);
        rc = json_read_object(&item, NULL, &entry);
        if (rc == 0) rc = json_read_known(&entry, known, COUNT(known));
        if (rc == 0) rc = read_rising(&entry, "exits", sections, &exits);
        if (rc == 0 && is_void(untrained, (int)exits - 1))
            rc = json_read_fail(&entry, "exits", ERR_FORMAT, "must be one that has learned");
        if (rc < 0) break;
        struct calibration_running *r = &ret->running[exits - 1];
        rc = read_figures_of(&entry, &r->figures);
        if (rc == 0) rc = read_weights(&entry, (int)exits, untrained, r->weights);
        r->present = rc == 0;
    }
    return rc;
}

static int read_level(const struct json_place *at, struct calibration_level *ret)
{
    static const char *const known[] = {"max_loss", "confidence", "top1", "macs"};
    int rc = json_read_known(at, known, COUNT(known));
    if (rc == 0) rc = json_read_number(at, "max_loss", 0, 1, &ret->max_loss);
    if (rc == 0) rc = json_read_number(at, "confidence", 0, 2, &ret->confidence);
    if (rc == 0) rc = json_read_number(at, "top1", 0, 1, &ret->top1);
    return rc == 0 ? json_read_number(at, "macs", 0, MACS_MAX, &ret->macs) : rc;
}

/* A larger loss takes no more confidence, or a request would be served worse for allowing more. */
static int read_levels(const struct json_place *root, struct calibration_levels *ret)
{
    static const char *const known[] = {"images", "sure", "levels"};
    struct json_place risk, array, entry;
    if (json_get(root->value, "risk") == NULL) return 0;
    int rc = json_read_object(root, "risk", &risk);
    if (rc == 0) rc = json_read_known(&risk, known, COUNT(known));
    if (rc == 0) rc = json_read_int(&risk, "images", 1, COUNT_MAX, &ret->n_images);
    if (rc == 0) rc = json_read_number(&risk, "sure", 0.5, 1, &ret->sure);
    if (rc == 0) rc = json_read_array(&risk, "levels", 1, MODEL_LEVELS_MAX, &array);
    for (size_t i = 0; rc == 0 && i < json_count(array.value); i++) {
        const struct json_place item = json_place_item(&array, i);
        struct calibration_level *level = &ret->at[i];
        rc = json_read_object(&item, NULL, &entry);
        if (rc == 0) rc = read_level(&entry, level);
        if (rc == 0 && i > 0 && level->max_loss <= level[-1].max_loss)
            rc = json_read_fail(&entry, "max_loss", ERR_RANGE, "must rise from level to level");
        if (rc == 0 && i > 0 && level->confidence > level[-1].confidence)
            rc = json_read_fail(&entry, "confidence", ERR_RANGE, "must not rise with the loss");
        if (rc == 0) ret->n = (int)i + 1;
    }
    return rc;
}

static int read_calibration(const struct json_place *root, int sections, unsigned untrained,
                            struct calibration *ret)
{
    static const char *const known[] = {"images",     "exits",   "ensemble",
                                        "thresholds", "running", "risk"};
    struct json_place exits, entry;
    int rc = json_read_known(root, known, COUNT(known));
    if (rc == 0) rc = json_read_int(root, "images", 1, COUNT_MAX, &ret->n_images);
    if (rc == 0) rc = json_read_array(root, "exits", (size_t)sections, (size_t)sections, &exits);
    for (int i = 0; i < sections && rc == 0; i++) {
        const struct json_place item = json_place_item(&exits, (size_t)i);
        if (is_void(untrained, i)) continue;
        rc = json_read_object(&item, NULL, &entry);
        if (rc == 0) rc = read_entry(&entry, &ret->exits[i]);
    }
    if (rc == 0) rc = json_read_object(root, "ensemble", &entry);
    if (rc == 0) rc = read_entry(&entry, &ret->ensemble);
    if (rc == 0) rc = read_thresholds(root, sections, untrained, ret);
    if (rc == 0) rc = read_running(root, sections, untrained, ret);
    if (rc == 0) rc = read_levels(root, &ret->levels);
    /* The mean of one. A file that does not say who has learned has another one's there. */
    if (is_alone(untrained, sections)) ret->ensemble = ret->exits[sections - 1];
    ret->present = rc == 0;
    return rc;
}

int metadata_parse_calibration(const char *text, int sections, unsigned untrained,
                               struct calibration *ret, struct err *e)
{
    *ret = (struct calibration){.present = false};
    PARSE_OBJECT(METADATA_CALIBRATION, text, e, read_calibration(&root, sections, untrained, ret));
}

static int read_figures(const struct json_place *at, struct training_figures *ret)
{
    int rc = json_read_number(at, "top1", 0, 1, &ret->top1);
    if (rc == 0) rc = json_read_number(at, "top5", 0, 1, &ret->top5);
    if (rc == 0) rc = json_read_number(at, "nll", 0, DBL_MAX, &ret->nll);
    if (rc == 0) rc = json_read_number(at, "ece", 0, 1, &ret->ece);
    return rc;
}

static int read_all_figures(const struct json_place *root, int sections, struct training *ret)
{
    struct json_place figures, exits, entry;
    if (json_get(root->value, "figures") == NULL) return 0;
    int rc = json_read_object(root, "figures", &figures);
    if (rc == 0) {
        rc = json_read_array(&figures, "exits", (size_t)sections, (size_t)sections, &exits);
    }
    for (int i = 0; i < sections && rc == 0; i++) {
        const struct json_place item = json_place_item(&exits, (size_t)i);
        if (is_void(ret->untrained, i)) continue;
        rc = json_read_object(&item, NULL, &entry);
        if (rc == 0) rc = read_figures(&entry, &ret->exits[i]);
    }
    if (rc == 0) rc = json_read_object(&figures, "ensemble", &entry);
    if (rc == 0) rc = read_figures(&entry, &ret->ensemble);
    if (is_alone(ret->untrained, sections)) ret->ensemble = ret->exits[sections - 1];
    ret->has_figures = rc == 0;
    return rc;
}

/* What an import by a program that did not write "learned" says in the command, for people. */
static unsigned untrained_import(const char *command)
{
    const char *at = strstr(command, "of random values: classifiers ");
    unsigned untrained = 0;
    for (at = at != NULL ? strpbrk(at, "12345678") : NULL; at != NULL;
         at = strpbrk(at + 1, "12345678"))
        untrained |= 1u << (*at - '1');
    return untrained;
}

/* Which exits have learned. A file that is older than the member: those that its method trains. */
static int read_learned(const struct json_place *root, int sections, struct training *ret)
{
    const unsigned deepest = 1u << (sections - 1), all = deepest | (deepest - 1);
    struct json_place array;
    unsigned learned = 0;
    int64_t last = 0;
    if (json_get(root->value, "learned") == NULL) {
        const struct method *method = ret->recipe.method;
        if (method != NULL && !method->shallow) ret->untrained = all & ~deepest;
        if (strcmp(ret->method, "import") == 0)
            ret->untrained = untrained_import(ret->command) & all & ~deepest;
        return 0;
    }
    int rc = json_read_array(root, "learned", 1, (size_t)sections, &array);
    for (size_t i = 0; rc == 0 && i < json_count(array.value); i++) {
        const struct json_place item = json_place_item(&array, i);
        rc = read_rising(&item, NULL, sections, &last);
        if (rc == 0) learned |= 1u << (last - 1);
    }
    if (rc == 0 && (learned & deepest) == 0)
        rc = json_read_fail(root, "learned", ERR_FORMAT, "must end with the deepest exit, %d",
                            sections);
    ret->untrained = all & ~learned;
    return rc;
}

static int read_training(const struct json_place *root, int sections, struct training *ret)
{
    const struct {
        const char *member;
        char *text;
        size_t size;
    } strings[] = {
        {"method", ret->method, sizeof(ret->method)},
        {"data", ret->data, sizeof(ret->data)},
        {"program", ret->program, sizeof(ret->program)},
        {"parent", ret->parent, sizeof(ret->parent)},
        {"command", ret->command, sizeof(ret->command)},
    };
    int rc = 0;
    for (size_t i = 0; i < COUNT(strings) && rc == 0; i++) {
        rc = json_read_string(root, strings[i].member, strings[i].text, strings[i].size);
    }
    if (rc == 0 && json_get(root->value, "skipped") != NULL)
        rc = json_read_int(root, "skipped", 0, COUNT_MAX, &ret->skipped);
    /* Of methods with a teacher, only some. */
    if (rc == 0 && json_get(root->value, "teacher") != NULL)
        rc = json_read_string(root, "teacher", ret->teacher, sizeof(ret->teacher));
    if (rc == 0) rc = metadata_read_recipe(root, ret->method, &ret->recipe);
    if (rc == 0) rc = read_learned(root, sections, ret);
    return rc == 0 ? read_all_figures(root, sections, ret) : rc;
}

int metadata_parse_training(const char *text, int sections, struct training *ret, struct err *e)
{
    *ret = (struct training){.method = ""};
    PARSE_OBJECT(METADATA_TRAINING, text, e, read_training(&root, sections, ret));
}
