/* The command line of `autodidact train`. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "data/batch.h"
#include "model/spec_file.h"
#include "options.h"
#include "tool.h"
#include "train.h"
#include "train/preset.h"

/* What was given, over the preset's constants or the method's defaults. */
static int choose_constants(struct train_command *c, struct err *e)
{
    struct distillation *d = &c->options.distillation;
    const struct preset *preset = NULL;
    enum spec_head heads;
    *d = c->options.method->defaults;
    if (c->preset != NULL) {
        preset = preset_find(c->preset, e);
        if (preset == NULL) return ERR_USAGE;
        *d = preset->distillation;
        if (preset->has_heads) c->heads_kind = spec_head_name(preset->heads);
    }
    if (c->heads != NULL) c->heads_kind = c->heads;
    int rc = c->heads != NULL ? spec_head_parse(c->heads, &heads, e) : 0;
    if (rc == 0 && c->hint != NULL) rc = hint_parse(c->hint, &d->hint, e);
    if (rc == 0 && c->hint_exits != NULL) rc = hint_exits_parse(c->hint_exits, &d->hint_exits, e);
    if (c->temperature_given) d->temperature = c->constants.temperature;
    if (c->alpha_given) d->alpha = c->constants.alpha;
    if (c->lambda_given) d->lambda = c->constants.lambda;
    if (c->kd_scale_given) d->kd_scale = c->constants.kd_scale;
    if (c->beta_given) d->beta = c->constants.beta;
    return rc;
}

static bool is_given(const struct option_row *row)
{
    if (row->given != NULL) return *row->given;
    return row->kind == OPTION_STRING && *(const char **)row->value != NULL;
}

/* What the method would ignore is refused: who gives it expects something of it. */
static int check_readers(const struct option_row *rows, const struct method *m, struct err *e)
{
    char names[128];
    for (const struct option_row *r = rows; r->help != NULL; r++) {
        if (r->name == NULL || method_reads(m, r->name) || !is_given(r)) continue;
        method_readers(r->name, names, sizeof(names));
        return err_set(e, ERR_USAGE, "--%s: --method %s does not read it: it is of %s", r->name,
                       m->name, names);
    }
    return 0;
}

static int parse_names(const struct option_row *rows, struct train_command *c, struct err *e)
{
    char names[128];
    c->options.method = method_find(c->method);
    if (c->options.method == NULL) {
        method_names(names, sizeof(names));
        return err_set(e, ERR_USAGE, "--method %s: it takes %s", c->method, names);
    }
    int rc = check_readers(rows, c->options.method, e);
    if (rc == 0) rc = choose_constants(c, e);
    if (rc < 0) return rc;
    if (c->options.method->source == METHOD_TEACHER && c->teacher == NULL)
        return err_set(e, ERR_USAGE, "--method %s needs --teacher MODEL", c->method);
    static const char *const types[] = {
        [TENSOR_F32] = "f32", [TENSOR_F16] = "f16", [TENSOR_BF16] = "bf16"};
    size_t type = 0;
    while (type < 3 && strcmp(types[type], c->store) != 0) type++;
    if (type == 3) return err_set(e, ERR_USAGE, "--store %s: it takes f32, f16 or bf16", c->store);
    c->store_type = (enum tensor_type)type;
    if (schedule_parse(c->schedule, &c->options.schedule, e) < 0) {
        err_prefix(e, "--schedule");
        return ERR_USAGE;
    }
    if (augment_parse(c->augment, &c->options.augment, e) < 0) {
        err_prefix(e, "--augment");
        return ERR_USAGE;
    }
    return 0;
}

/* A line each. */
static void format_presets(char *ret_text, size_t size)
{
    size_t used = (size_t)snprintf(ret_text, size,
                                   "constants of a published code; other options go before it:");
    for (size_t i = 0; preset_at(i) != NULL && used < size; i++) {
        used += (size_t)snprintf(ret_text + used, size - used, "\n%s: %s", preset_at(i)->name,
                                 preset_at(i)->summary);
    }
}

int train_command_parse(int argc, char **argv, struct train_command *c,
                        enum progress_mode *ret_mode, struct err *e)
{
    char names[128], method_help[192], preset_help[640];
    struct train_options *o = &c->options;
    train_options_default(o);
    *c = (struct train_command){.options = *o,
                                .schedule = "cosine",
                                .augment = "crop,flip",
                                .precision = "fp32",
                                .store = "f32"};
    method_names(names, sizeof(names));
    snprintf(method_help, sizeof(method_help), "%s (required)", names);
    format_presets(preset_help, sizeof(preset_help));
    const struct option_row rows[] = {
        {NULL, 0, NULL, NULL, NULL, "What is trained:"},
        {"data", OPTION_STRING, "KIND:DIR", &c->data, NULL,
         "the images: cifar100:DIR, cifar10:DIR or folder:DIR (required)"},
        {"method", OPTION_STRING, "NAME", &c->method, NULL, method_help},
        {"epochs", OPTION_INT, "N", &o->epochs, NULL, "passes over the images (200)"},
        {"out", OPTION_STRING, "FILE", &c->out, NULL, "the model file, .safetensors (required)"},
        {"width", OPTION_INT, "W", &c->width, NULL,
         "channels of the first stage; all others scale (the spec's own)"},
        {"classes", OPTION_INT, "N", &c->classes, NULL,
         "classes; must be those of the data (they are the default)"},
        {"heads", OPTION_STRING, "KIND", &c->heads, NULL,
         "of the shallow classifiers: scala, scala+attention or sepconv+attention (the spec's "
         "own)"},
        {"init", OPTION_STRING, "MODEL", &c->init, NULL,
         "start from this model's parameters and keep its held-out images"},
        {NULL, 0, NULL, NULL, NULL, "How:"},
        {"batch", OPTION_INT, "N", &o->batch, NULL,
         "images a step (128); an epoch's last, partial batch is dropped"},
        {"lr", OPTION_REAL, "X", &o->lr, NULL, "learning rate (0.1)"},
        {"momentum", OPTION_REAL, "X", &o->momentum, NULL, "of SGD (0.9)"},
        {"weight-decay", OPTION_REAL, "X", &o->weight_decay, NULL,
         "on all tensors that learn (5e-4)"},
        {"schedule", OPTION_STRING, "NAME", &c->schedule, NULL,
         "cosine, or steps:75,130,180 (times 0.1 at these epochs) (cosine)"},
        {"warmup", OPTION_INT, "N", &o->warmup, NULL, "epochs of linear warm-up from zero (2)"},
        {"augment", OPTION_STRING, "LIST", &c->augment, NULL,
         "of crop, flip, autoaugment, cutout, fill128 (crop pads with grey), "
         "resizedcrop, resizedcrop:0.25 (shows at least that share), or none (crop,flip)"},
        {"label-smoothing", OPTION_REAL, "X", &o->label_smoothing, NULL,
         "share of the labels that all classes get alike (0)"},
        {"mixup", OPTION_REAL, "A", &o->mixup, NULL,
         "mix images and labels of a batch in pairs, by shares from Beta(A, A) (0: off)"},
        {"seed", OPTION_SEED, "N", &o->seed, NULL, "of everything random (0)"},
        {NULL, 0, NULL, NULL, NULL,
         "Distillation, by the deepest classifier (byot), a teacher or a peer:"},
        {"preset", OPTION_STRING, "NAME", &c->preset, NULL, preset_help},
        {"temperature", OPTION_REAL, "T", &c->constants.temperature, &c->temperature_given,
         "of the distilled softmax (byot 3, kd fitnet at 4, dml 1)"},
        {"alpha", OPTION_REAL, "X", &c->constants.alpha, &c->alpha_given,
         "share of its answers, against the labels (byot 0.3, kd fitnet 0.9, at 0; dml 1, beside)"},
        {"lambda", OPTION_REAL, "X", &c->constants.lambda, &c->lambda_given,
         "weight of the hint between features (byot 0.03, fitnet 10)"},
        {"hint", OPTION_STRING, "FORM", &c->hint, NULL,
         "byot: of its squares the mean or the sum, or norm, the root of the sum (mean)"},
        {"hint-exits", OPTION_STRING, "LIST", &c->hint_exits, NULL,
         "byot: which classifiers have it: all, or like 1,2 (all)"},
        {"beta", OPTION_REAL, "X", &c->constants.beta, &c->beta_given,
         "twice the weight of attention transfer (at 1000)"},
        {"kd-scale", OPTION_SWITCH, "on|off", &c->constants.kd_scale, &c->kd_scale_given,
         "the distilled term times T^2 (on)"},
        {"teacher", OPTION_STRING, "MODEL", &c->teacher, NULL,
         "kd, fitnet, at: of the same classes and image size; its normalisation is taken"},
        {"peer", OPTION_STRING, "SPEC", &c->peer, NULL,
         "dml: the second network (the first one's, with other first values)"},
        {"peer-width", OPTION_INT, "W", &c->peer_width, &c->peer_width_given,
         "dml: as --width, of SPEC"},
        {"peer-out", OPTION_STRING, "FILE", &c->peer_out, NULL,
         "dml: keep the second network, too (it is dropped at the end)"},
        {NULL, 0, NULL, NULL, NULL,
         "Held-out images (never trained on; they calibrate and judge the model):"},
        {"holdout", OPTION_INT, "N", &o->holdout, &c->holdout_given,
         "how many; 0: none, then no calibration (a tenth, at most 5000)"},
        {"holdout-seed", OPTION_SEED, "N", &o->holdout_seed, &c->holdout_seed_given,
         "another choice of them (0)"},
        {NULL, 0, NULL, NULL, NULL, "The run:"},
        {"threads", OPTION_INT, "N", &c->threads, NULL,
         "equal threads give equal bits (0: all processors; with --resume as before)"},
        {"precision", OPTION_STRING, "P", &c->precision, NULL, "fp32 (fp32)"},
        {"store", OPTION_STRING, "TYPE", &c->store, NULL,
         "f32, f16 or bf16: what FILE holds; it is calibrated as stored (f32)"},
        {"checkpoint-steps", OPTION_INT, "N", &c->checkpoint_steps, NULL,
         "a checkpoint every N steps, beside those at epochs' ends (0: every 45 s)"},
        {"resume", OPTION_FLAG, NULL, &c->resume, NULL,
         "go on from FILE.ckpt if there is one; options must be the same"},
        {"progress", OPTION_STRING, "MODE", &c->progress, NULL,
         "bar, json or none (bar on a terminal, else a line an epoch)"},
        {NULL, 0, NULL, NULL, NULL, NULL},
    };
    const struct command_line line = {
        "autodidact train",
        "SPEC.json --data KIND:DIR --method NAME --out FILE [OPTION]...",
        "Trains the network of SPEC.json and writes one self-contained model file. With\n"
        "--init the spec may be left out. While it runs, FILE.ckpt holds a checkpoint;\n"
        "SIGTERM and Ctrl-C write one and stop with exit code 1. --progress json prints JSON\n"
        "Lines with the events start, step (about once a second), epoch and done; accuracies\n"
        "are of the held-out images.",
        rows,
        0,
        1};
    const char *positional[POSITIONAL_MAX];
    int rc = options_parse(&line, argc, argv, positional, e);
    if (rc != 0) return rc;
    c->spec = positional[0];
    if (c->spec == NULL && c->init == NULL) {
        return err_set(e, ERR_USAGE, "which network? usage: %s %s", line.program, line.usage);
    }
    const char *missing = c->data == NULL     ? "data"
                          : c->method == NULL ? "method"
                          : c->out == NULL    ? "out"
                                              : NULL;
    if (missing != NULL)
        return err_set(e, ERR_USAGE, "--%s is missing: usage: %s %s", missing, line.program,
                       line.usage);
    rc = parse_names(rows, c, e);
    if (rc == 0 && train_options_check(o, e) < 0) rc = ERR_USAGE;
    if (rc == 0 && c->checkpoint_steps < 0) {
        rc = err_set(e, ERR_USAGE, "--checkpoint-steps %lld: it takes a whole number from 0",
                     (long long)c->checkpoint_steps);
    }
    if (rc == 0 && strcmp(c->precision, "fp32") != 0) {
        rc = err_set(e, strcmp(c->precision, "bf16") == 0 ? ERR_UNSUPPORTED : ERR_USAGE,
                     "--precision %s: it takes fp32", c->precision);
    }
    if (rc == 0) rc = progress_mode_parse(c->progress, ret_mode, e);
    return rc;
}
