/* `autodidact import`: a checkpoint that others trained becomes a model.
 *
 * The file brings numbers and names; what it does not bring (the architecture, what the classes are
 * called, how images are normalised) the command says. Classifiers that it does not have get first
 * values, which the model's description of its training says; it is not calibrated. */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "model/import.h"
#include "options.h"
#include "recipe/draft.h"
#include "recipe/option.h"
#include "tool.h"

enum { LABELS_MAX_BYTES = 16 << 20, NOTE_MAX = 160 };

/* Twice a model's: it may be of doubles. */
static const size_t CHECKPOINT_MAX = (size_t)2 * MODEL_FILE_MAX;

/* What torchvision's networks for ImageNet were trained with. */
static const float torchvision_mean[3] = {0.485f, 0.456f, 0.406f};
static const float torchvision_std[3] = {0.229f, 0.224f, 0.225f};

struct command {
    const char *checkpoint, *spec, *out, *labels, *mean, *std, *store;
    int64_t width, classes;
    uint64_t seed;
    bool json;
    enum tensor_type type;
};

/* Everything that an import holds. */
struct import {
    struct command command;
    char *bytes; /* the checkpoint */
    struct safetensors *file;
    char *label_text;   /* the file of --labels */
    char **label_lines; /* pointers into it */
    size_t n_labels;
    char **labels, **own_labels; /* those that count; the same, if they are to be freed */
    struct tool_net net;
    float *params;
    struct preprocess preprocess;
    struct import_report report;
    unsigned untrained;     /* bit i: exit i has not learned */
    struct lineage lineage; /* what the checkpoint has seen */
};

/* --- the command line ------------------------------------------------------------------------- */

static int parse_triple(const char *option, const char *text, float least, float ret[3],
                        struct err *e)
{
    const char *at = text;
    for (int i = 0; i < 3; i++) {
        char *end;
        float value = strtof(at, &end);
        bool last = i == 2;
        bool whole = end != at && !isspace((unsigned char)*at) && *end == (last ? '\0' : ',');
        if (!whole || !isfinite(value) || value < least) {
            return err_set(e, ERR_USAGE,
                           "--%s %s: it takes three numbers%s, for values from 0 to 1: 0.5,0.5,0.5",
                           option, text, least > 0 ? " above 0 (at least 0.000001)" : "");
        }
        ret[i] = value;
        at = end + 1;
    }
    return 0;
}

static int check(struct import *im, struct err *e)
{
    struct command *c = &im->command;
    struct recipe_draft draft;
    if (recipe_option_parse(recipe_option_find("store"), c->store, RECIPE_COMMAND_LINE, &draft, e) <
        0)
        return e->code = ERR_USAGE;
    c->type = (enum tensor_type)draft.store;
    if ((c->mean == NULL) != (c->std == NULL))
        return err_set(e, ERR_USAGE, "--mean and --std go together");
    float mean[3], std[3];
    int rc = c->mean != NULL ? parse_triple("mean", c->mean, -1e6f, mean, e) : 0;
    if (rc == 0 && c->std != NULL) rc = parse_triple("std", c->std, 1e-6f, std, e);
    return rc;
}

static int parse(int argc, char **argv, struct import *im, struct err *e)
{
    struct command *c = &im->command;
    *c = (struct command){.store = "f32"};
    const struct option_row rows[] = {
        {"spec", OPTION_STRING, "SPEC.json", &c->spec, NULL, "the network that it is (required)"},
        {"out", OPTION_STRING, "FILE", &c->out, NULL, "the model file, .safetensors (required)"},
        {"width", OPTION_INT, "W", &c->width, NULL,
         "channels of the first stage; all others scale (the spec's own)"},
        {"classes", OPTION_INT, "N", &c->classes, NULL,
         "classes (those of --labels, or the spec's)"},
        {"labels", OPTION_STRING, "FILE", &c->labels, NULL,
         "their names, one a line (those in the checkpoint, or 0, 1, 2..)"},
        {"mean", OPTION_STRING, "R,G,B", &c->mean, NULL,
         "of the normalisation, for values from 0 to 1 (torchvision's)"},
        {"std", OPTION_STRING, "R,G,B", &c->std, NULL, "its deviation (torchvision's)"},
        {"seed", OPTION_SEED, "N", &c->seed, NULL,
         "of the classifiers that the checkpoint does not have (0)"},
        {"store", OPTION_STRING, "TYPE", &c->store, NULL,
         "numbers in the file: f32, f16, bf16 or i8 (f32)"},
        {"json", OPTION_FLAG, NULL, &c->json, NULL, "say what was taken as one JSON object"},
        {NULL, 0, NULL, NULL, NULL, NULL},
    };
    const struct command_line line = {
        "autodidact import",
        "CHECKPOINT.safetensors --spec SPEC.json --out MODEL [OPTION]...",
        "Makes a model of a safetensors checkpoint with torchvision's names, or ours.\n"
        "doc/interchange.md lists the names, and says how to write one from PyTorch. Classifiers\n"
        "that it does not have get random values: train the model with `train --init`.",
        rows,
        1,
        1};
    const char *positional[POSITIONAL_MAX];
    int rc = options_parse(&line, argc, argv, positional, e);
    if (rc != 0) return rc;
    c->checkpoint = positional[0];
    if (c->spec == NULL || c->out == NULL) {
        return err_set(e, ERR_USAGE, "--%s is missing: usage: %s %s",
                       c->spec == NULL ? "spec" : "out", line.program, line.usage);
    }
    rc = check(im, e);
    const char *const inputs[] = {c->checkpoint, c->spec, c->labels};
    for (size_t i = 0; rc == 0 && i < 3; i++) {
        if (inputs[i] != NULL) rc = tool_check_output("out", c->out, inputs[i], e);
    }
    return rc;
}

/* --- what the command and the file say -------------------------------------------------------- */

/* The lines of --labels. */
static int read_labels(struct import *im, struct err *e)
{
    const char *path = im->command.labels;
    size_t size, n = 1;
    int rc = file_read(path, LABELS_MAX_BYTES, &im->label_text, &size, e);
    if (rc < 0) return rc;
    for (size_t i = 0; i < size; i++) n += im->label_text[i] == '\n';
    im->label_lines = mem_new(n, sizeof(*im->label_lines));
    if (im->label_lines == NULL) return err_set(e, -ENOMEM, "%s: out of memory", path);
    size_t bad = text_split_lines(im->label_text, size, im->label_lines, n, &im->n_labels);
    if (bad > 0)
        return err_set(e, ERR_FORMAT,
                       "--labels %s: line %zu: it holds a byte of zero: is it a text file?", path,
                       bad);
    for (size_t i = 0; i < im->n_labels; i++) {
        rc = model_check_label(im->label_lines[i], e);
        if (rc < 0) return err_prefix(e, "--labels %s: line %zu", path, i + 1), rc;
    }
    im->labels = im->label_lines;
    return 0;
}

static int open_net(struct import *im, struct err *e)
{
    const struct command *c = &im->command;
    int64_t classes = c->classes != 0 ? c->classes : (int64_t)im->n_labels;
    int rc = tool_net_open(c->spec, c->width, classes, &im->net, e);
    if (rc < 0) return rc;
    if (im->net.model != NULL) {
        return err_set(e, ERR_USAGE, "--spec %s: it is a model; a spec is a .json file", c->spec);
    }
    if (im->labels != NULL && im->n_labels != (size_t)net_classes(im->net.net)) {
        return err_set(e, ERR_CONFLICT, "--labels %s: %zu lines, but there are %d classes",
                       c->labels, im->n_labels, net_classes(im->net.net));
    }
    return 0;
}

/* The numbers of the classes, in one block with their pointers. */
static char **number_labels(int n)
{
    enum { ROOM = 12 };
    char **labels = mem_new((size_t)n, sizeof(*labels) + ROOM);
    if (labels == NULL) return NULL;
    char *text = (char *)(labels + n);
    for (int i = 0; i < n; i++, text += ROOM) {
        snprintf(text, ROOM, "%d", i);
        labels[i] = text;
    }
    return labels;
}

static int choose_labels(struct import *im, struct err *e)
{
    const int n = net_classes(im->net.net);
    if (im->labels != NULL) return 0;
    int rc = import_labels(im->file, n, &im->own_labels, e);
    if (rc < 0) return err_prefix(e, "%s", im->command.checkpoint), rc;
    if (im->own_labels == NULL) im->own_labels = number_labels(n);
    im->labels = im->own_labels;
    return im->labels != NULL ? 0 : err_set(e, -ENOMEM, "out of memory for %d labels", n);
}

static void warn_of_doubled_label(const struct import *im)
{
    int classes[2];
    if (model_has_doubled_label(im->labels, net_classes(im->net.net), classes))
        fprintf(stderr,
                "autodidact import: warning: classes %d and %d are both called \"%s\": in answers "
                "only the index tells them apart\n",
                classes[0], classes[1], im->labels[classes[0]]);
}

static int choose_preprocess(struct import *im, struct err *e)
{
    const struct command *c = &im->command;
    struct preprocess *p = &im->preprocess;
    struct shape in = net_input(im->net.net);
    int rc = import_preprocess(im->file, p, e);
    if (rc < 0) return err_prefix(e, "%s", c->checkpoint), rc;
    if (rc == 0) {
        *p = (struct preprocess){.resize = PREPROCESS_COVER, .filter = PREPROCESS_BILINEAR};
        memcpy(p->mean, torchvision_mean, sizeof(p->mean));
        memcpy(p->std, torchvision_std, sizeof(p->std));
    }
    p->width = in.width;
    p->height = in.height;
    rc = 0;
    if (c->mean != NULL) rc = parse_triple("mean", c->mean, -1e6f, p->mean, e);
    if (rc == 0 && c->std != NULL) rc = parse_triple("std", c->std, 1e-6f, p->std, e);
    return rc;
}

/* --- the model -------------------------------------------------------------------------------- */

/* "classifiers 1, 2, 3 are not trained", or "". */
static void say_fresh(const struct import *im, char ret_text[NOTE_MAX])
{
    size_t used = 0;
    ret_text[0] = '\0';
    for (int i = 0; i < SPEC_SECTIONS_MAX; i++) {
        if ((im->untrained >> i & 1) == 0) continue;
        used += (size_t)snprintf(ret_text + used, NOTE_MAX - used, "%s%s",
                                 used == 0 ? "not trained, and out of use: classifiers " : ", ",
                                 model_classifier_name(i));
    }
}

static int write_model(const struct import *im, struct err *e)
{
    const struct command *c = &im->command;
    struct training t = {.method = "import", .program = PACKAGE_STRING, .recipe.seed = c->seed};
    t.untrained = im->untrained;
    t.lineage = im->lineage;
    snprintf(t.command, sizeof(t.command),
             "autodidact import CHECKPOINT --spec %s.json --width %d --classes %d --seed %llu",
             net_spec(im->net.net)->name, net_spec(im->net.net)->stages[0].channels,
             net_classes(im->net.net), (unsigned long long)c->seed);
    return model_write(c->out, c->type, im->net.net, im->params, im->labels, &im->preprocess, NULL,
                       &t, e);
}

static void write_floats(struct json_writer *w, const char *name, const float values[3])
{
    json_write_open(w, name, '[');
    for (int i = 0; i < 3; i++) json_write_float(w, NULL, values[i]);
    json_write_close(w, ']');
}

static int print_report(const struct import *im, struct err *e)
{
    const struct import_report *r = &im->report;
    const struct preprocess *p = &im->preprocess;
    char note[NOTE_MAX];
    if (im->command.json) {
        struct tool_json json;
        struct json_writer *w = tool_json_begin(&json);
        json_write_string(w, "name", net_spec(im->net.net)->name);
        json_write_int(w, "classes", net_classes(im->net.net));
        json_write_int(w, "tensors", (int64_t)r->taken);
        json_write_int(w, "ignored", (int64_t)r->ignored);
        json_write_open(w, "untrained", '[');
        for (int i = 0; i < SPEC_SECTIONS_MAX; i++) {
            if ((im->untrained >> i & 1) != 0) json_write_string(w, NULL, model_classifier_name(i));
        }
        json_write_close(w, ']');
        write_floats(w, "mean", p->mean);
        write_floats(w, "std", p->std);
        return tool_json_print(&json, e);
    }
    say_fresh(im, note);
    printf("%s, %d classes: %zu tensors taken, %zu counters left out\n",
           net_spec(im->net.net)->name, net_classes(im->net.net), r->taken, r->ignored);
    printf("normalised by mean %g,%g,%g and std %g,%g,%g\n", (double)p->mean[0], (double)p->mean[1],
           (double)p->mean[2], (double)p->std[0], (double)p->std[1], (double)p->std[2]);
    if (note[0] != '\0') printf("%s (train it with --init)\n", note);
    return 0;
}

static int import(struct import *im, struct err *e)
{
    const struct command *c = &im->command;
    size_t size;
    int rc = file_read(c->checkpoint, CHECKPOINT_MAX, &im->bytes, &size, e);
    if (rc < 0) return rc;
    rc = safetensors_parse_checkpoint(im->bytes, size, &im->file, e);
    if (rc < 0) return err_prefix(e, "%s", c->checkpoint), rc;
    if (c->labels != NULL) rc = read_labels(im, e);
    if (rc == 0) rc = open_net(im, e);
    if (rc == 0) rc = choose_labels(im, e);
    if (rc == 0) rc = choose_preprocess(im, e);
    if (rc < 0) return rc;
    im->params = mem_new_aligned(net_block_size(im->net.net), sizeof(*im->params));
    if (im->params == NULL) return err_set(e, -ENOMEM, "out of memory for the parameters");
    rc = import_params(im->file, im->net.net, c->seed, im->params, &im->report, e);
    if (rc == 0)
        rc = import_untrained(im->file, net_sections(im->net.net), im->report.fresh, &im->untrained,
                              e);
    if (rc == 0)
        rc = import_lineage(im->file, net_sections(im->net.net), net_classes(im->net.net),
                            &im->lineage, e);
    if (rc < 0) return err_prefix(e, "%s", c->checkpoint), rc;
    warn_of_doubled_label(im);
    rc = write_model(im, e);
    return rc == 0 ? print_report(im, e) : rc;
}

int tool_import(int argc, char **argv, struct err *e)
{
    struct import im = {.bytes = NULL};
    int rc = parse(argc, argv, &im, e);
    if (rc == 0) rc = import(&im, e);
    lineage_release(&im.lineage);
    mem_free(im.params);
    mem_free(im.own_labels);
    mem_free(im.label_lines);
    mem_free(im.label_text);
    tool_net_free(&im.net);
    safetensors_free(im.file);
    mem_free(im.bytes);
    return rc;
}
