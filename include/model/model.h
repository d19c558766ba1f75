/* A model: one self-contained safetensors file, loaded. Immutable after loading; it has one owner.
 * Holds the net, its parameters, the plan, labels, preprocessing, calibration and what is known of
 * its training. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/name.h"
#include "base/sha256.h"
#include "image/preprocess.h"
#include "model/safetensors.h"
#include "nn/net.h"
#include "nn/plan.h"
#include "nn/spec.h"
#include "recipe/lineage.h"
#include "recipe/recipe.h"

enum {
    MODEL_NAME_MAX = NAME_BYTES_MAX,
    MODEL_FILE_MAX = 1 << 30,
    MODEL_LABEL_MAX = 256,
    MODEL_LEVELS_MAX = 16,
    MODEL_ACTIVATION_MAX = 1 << 30 /* bytes that one image may take while it is computed */
};

/* Classifiers by number: 0.. the exits from the shallowest on; the ensemble, the mean of the logits
 * of all exits that have learned; the running ensemble of exits 0..exit, a mean of theirs with
 * weights. */
#define MODEL_ENSEMBLE (-1)
#define MODEL_RUNNING(exit) (SPEC_SECTIONS_MAX + (exit))

/* What the held-out images say about a classifier. */
struct calibration_entry {
    double top1;        /* fraction */
    double temperature; /* of the softmax of its answers; 1 when not calibrated */
};

/* A running ensemble. */
struct calibration_running {
    bool present; /* not of exits that have not learned, nor of one alone */
    struct calibration_entry figures;
    double weights[SPEC_SECTIONS_MAX]; /* of exits 0.., not negative, sum 1; untrained ones 0 */
};

/* A promise about early answers (rule 12 of doc/sla.md): a least confidence by which they are at
 * most max_loss less often right than those of the best classifier. What it gave on the images that
 * it was tuned on: accuracy, multiply-accumulates an image. */
struct calibration_level {
    double max_loss, confidence; /* past 1: nobody answers before the best classifier */
    double top1, macs;
};

struct calibration_levels {
    int n;            /* 0: none */
    double sure;      /* the chance that a promise is kept, at least, over draws of the images */
    int64_t n_images; /* held out, that they were tuned on */
    struct calibration_level at[MODEL_LEVELS_MAX]; /* max_loss rises */
};

struct calibration {
    bool present;     /* of the exits that have learned */
    int64_t n_images; /* how many held-out images it was made on */
    struct calibration_entry exits[SPEC_SECTIONS_MAX], ensemble;
    struct calibration_running running[SPEC_SECTIONS_MAX]; /* [i]: of exits 0..i */
    bool has_thresholds;
    double thresholds[SPEC_SECTIONS_MAX]; /* calibrated confidence at which exit i answers; deepest
                                             0 */
    struct calibration_levels levels;     /* of no model that was not tuned */
};

struct training_figures {
    double top1, top5, nll, ece;
};

/* Where a model comes from. Strings are empty when not known. */
struct training {
    char method[32], data[512], program[64];
    char parent[SHA256_HEX_SIZE];  /* the model given as --init */
    char teacher[SHA256_HEX_SIZE]; /* the model given as --teacher */
    struct recipe recipe;          /* its method NULL: none that this program knows */
    char command[1024];            /* the command line, for people */
    unsigned untrained;            /* bit i: exit i never learned, or not what it reads now; its
                                      figures and thresholds mean nothing. Never the deepest */
    int64_t skipped;               /* images that could not be read and were left out */
    struct holdout_border border;  /* of a loaded model its own; else the caller's */
    struct lineage lineage;        /* so is this: what else it comes from than these data */
    bool has_lineage; /* false: of a program that did not write them, which may have had one */
    bool has_figures; /* on the held-out images */
    struct training_figures exits[SPEC_SECTIONS_MAX], ensemble;
};

struct model {
    char name[MODEL_NAME_MAX + 1]; /* the spec's, or what the registry calls it */
    char sha256[SHA256_HEX_SIZE];
    enum tensor_type stored; /* of most of the file's elements */
    size_t file_bytes;
    struct net *net;
    float *params;     /* the net's block */
    struct plan *plan; /* an outline until model_plan() */
    char **labels;     /* net_classes() of them */
    struct preprocess preprocess;
    struct calibration calibration;
    struct training training;
};

/* Loads a file. The name is the spec's. The caller frees it. Errors name the file and the
 * tensor, member or offset. model_load_bytes(): the same from memory, not needed afterwards. */
int model_load(const char *path, struct model **ret_model, struct err *e);
int model_load_bytes(const void *bytes, size_t size, struct model **ret_model, struct err *e);

/* Makes the plan to compute with, in place of the outline (nn/plan.h) that loading makes; before
 * anybody else has the model. -ENOMEM, and the outline stays. */
int model_plan(struct model *model, const struct plan_options *options, struct err *e);

void model_free(struct model *model); /* NULL is fine */

/* The data that it was trained on, for lineage_set_release(). ERR_NOT_FOUND when there are none,
 * or lineage_set_make()'s errors. */
int model_data(const struct model *model, struct lineage_set *ret, struct err *e);

/* Everything that it has seen: these data first, where there are some, and its lineage.
 * lineage_release(). Errors as lineage_add()'s. */
int model_lineage(const struct model *model, struct lineage *ret, struct err *e);

/* Whether the model, or one that it comes from, may have been trained on images that the other one
 * holds out: as far as is known, or where it is not. Errors as model_lineage()'s. */
int model_may_have_seen(const struct model *model, const struct model *holdout_of, bool *ret,
                        struct err *e);

/* The names that users see: "1".."N" for exits 0..N-1, "ensemble", "ensemble:2".."ensemble:N".
 * Static storage. */
const char *model_classifier_name(int classifier);

/* Of the softmax of a classifier's answers; 1 where the model is not calibrated. */
double model_temperature(const struct model *model, int classifier);

/* What answers behind section `exit` when nobody has named a classifier: the exit, or its running
 * ensemble where that is right more often on held-out images. */
int model_answerer(const struct calibration *calibration, int exit);

/* Whether a label can stand in a model file: 1 to MODEL_LABEL_MAX bytes of UTF-8 without control
 * characters. ERR_FORMAT with the reason; -ENOMEM. */
int model_check_label(const char *label, struct err *e);

/* Whether two of n labels are alike, which is no error: ImageNet's own list has such. Answers give
 * the index beside the label, and only that tells them apart; so people are told. ret_classes: the
 * first such pair. Also false when there is no memory to look. */
bool model_has_doubled_label(char *const *labels, int n, int ret_classes[2]);

/* The members of a recipe, one for each option that its method reads, defaults, too, into the
 * object that is open. */
struct json_writer;
void model_write_recipe(struct json_writer *w, const struct recipe *recipe);

/* Writes a model file: the net's parameters and everything else as given. labels: net_classes().
 * type: of all tensors, up to TENSOR_I8: then weights of convolutions and linear layers become
 * whole numbers, with a scale for each output channel, and all else F32 (doc/interchange.md). */
int model_write(const char *path, enum tensor_type type, const struct net *net, const float *params,
                char *const *labels, const struct preprocess *preprocess,
                const struct calibration *calibration, const struct training *training,
                struct err *e);

/* The texts (JSON) in a model file's metadata, as model_write() makes them: *ret_text for
 * mem_free(), or NULL where the model has none (a calibration). The keys are "autodidact.spec" and
 * so on. Any thread. */
enum model_text {
    MODEL_TEXT_SPEC,
    MODEL_TEXT_LABELS,
    MODEL_TEXT_PREPROCESS,
    MODEL_TEXT_CALIBRATION,
    MODEL_TEXT_TRAINING,
    MODEL_TEXTS
};

extern const char *const model_text_keys[MODEL_TEXTS];
int model_text(const struct model *model, enum model_text which, char **ret_text, struct err *e);

#endif
