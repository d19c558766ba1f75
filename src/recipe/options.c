/* The table of training options. Its order is that of a model's command and, kind by kind, of a
 * model's metadata, so it stays; a new option stands behind those of its section.
 *
 * Ranges are wide: they keep out what cannot be meant or computed, not what is unwise. */
#include "config.h"

#include "recipe/option.h"

#include <stdio.h>
#include <string.h>

#include "recipe/draft.h"

#define AT(member) offsetof(struct recipe_draft, member)
#define IN_RECIPE(member) .result = true, .job = true, .at = AT(recipe.member)
#define IN_DRAFT(member) .at = AT(member)
#define BESIDE(option, words) .beside = (option), .beside_values = (words)

/* Below, the logarithms of mixup's gamma numbers leave what a double can tell apart; Beta(A, A) is
 * 0 or 1 long before. */
#define MIXUP_MIN 1e-6
#define BETA_MAX 0.9999999
#define EPOCHS_MAX 1000000
#define CHANNELS_MAX 16384

static const char *const heads[] = {"scala", "scala+attention", "sepconv+attention", NULL};
static const char *const hints[] = {
    [HINT_MEAN] = "mean", [HINT_SUM] = "sum", [HINT_NORM] = "norm", NULL};
static const char *const keeps[] = {[KEEP_LAST] = "last", [KEEP_BEST] = "best", NULL};
static const char *const precisions[] = {[RECIPE_FP32] = "fp32", [RECIPE_BF16] = "bf16", NULL};
static const char *const optimizers[] = {
    [OPTIMIZER_SGD] = "sgd", [OPTIMIZER_ADAMW] = "adamw", NULL};
static const char *const decays[] = {[DECAY_ON_ALL] = "all", [DECAY_ON_WEIGHTS] = "weights", NULL};
static const char *const distillers[] = {
    [DISTILL_FROM_DEEPEST] = "deepest", [DISTILL_FROM_ENSEMBLE] = "ensemble", NULL};
static const char *const freezes[] = {[FREEZE_NONE] = "none", [FREEZE_TRUNK] = "trunk", NULL};
static const char *const stores[] = {"f32", "f16", "bf16", "i8", NULL};

static const struct recipe_option options[] = {
    {"data", RECIPE_PLACE, RECIPE_WHAT, IN_DRAFT(data), .job = true, .takes = "KIND:DIR",
     .help = "the images: cifar100:DIR, cifar10:DIR or folder:DIR", .otherwise = "required"},
    {"method", RECIPE_METHOD, RECIPE_WHAT, IN_RECIPE(method), .standard = "byot", .takes = "NAME",
     .help = "how it learns", .otherwise = "required"},
    {"epochs", RECIPE_WHOLE, RECIPE_WHAT, IN_RECIPE(epochs), .low = 1, .high = EPOCHS_MAX,
     .standard = "200", .change = RECIPE_MORE, .takes = "N", .help = "passes over the images"},
    {"width", RECIPE_WHOLE, RECIPE_WHAT, IN_DRAFT(width), .job = true, .low = 1,
     .high = CHANNELS_MAX, .takes = "W", .help = "channels of the first stage; all others scale",
     .otherwise = "the spec's own"},
    {"heads", RECIPE_CHOICE, RECIPE_WHAT, IN_DRAFT(heads), .job = true, .choices = heads,
     .takes = "KIND", .help = "of the shallow classifiers", .otherwise = "the spec's own"},
    {"init", RECIPE_PLACE, RECIPE_WHAT, IN_DRAFT(init), .job = true, .takes = "MODEL",
     .help = "start from this model's parameters and keep its held-out images"},
    {"skip-broken", RECIPE_WHOLE, RECIPE_WHAT, IN_DRAFT(broken_max), .job = true, .high = INT32_MAX,
     .standard = "0", .takes = "N",
     .help = "go on without up to N images of a folder that cannot be read"},

    {"batch", RECIPE_WHOLE, RECIPE_HOW, IN_RECIPE(batch), .low = 2, .high = 65536,
     .standard = "128", .takes = "N",
     .help = "images a step; an epoch's last, partial batch is dropped"},
    {"lr", RECIPE_REAL, RECIPE_HOW, IN_RECIPE(rate), .high = 1e9, .standard = "0.1", .takes = "X",
     .help = "learning rate"},
    {"momentum", RECIPE_REAL, RECIPE_HOW, IN_RECIPE(momentum), .high = 0.999999, .standard = "0.9",
     .takes = "X", .help = "of SGD", BESIDE("optimizer", "sgd")},
    {"weight-decay", RECIPE_REAL, RECIPE_HOW, IN_RECIPE(weight_decay), .high = 1,
     .standard = "5e-4", .takes = "X", .help = "on all tensors that learn"},
    {"schedule", RECIPE_SCHEDULE, RECIPE_HOW, IN_RECIPE(schedule), .standard = "cosine",
     .takes = "NAME",
     .help = "cosine, linear, rex, one-cycle (rises on 0.3 of the steps; one-cycle:X on X of "
             "them), restarts:10,2 (cosines of 10, 20, 40 .. epochs), or steps:75,130,180 (times "
             "0.1 at these epochs)"},
    {"warmup", RECIPE_WHOLE, RECIPE_HOW, IN_RECIPE(warmup), .high = EPOCHS_MAX, .standard = "2",
     .takes = "N", .help = "epochs of linear warm-up",
     BESIDE("schedule", "cosine linear rex restarts steps")},
    {"augment", RECIPE_AUGMENT, RECIPE_HOW, IN_RECIPE(augment), .standard = "crop,flip",
     .takes = "LIST",
     .help = "of crop, flip, autoaugment, cutout, fill128 (crop pads with grey), resizedcrop, "
             "resizedcrop:0.25 (shows at least that share), reflect (crop pads with the mirrored "
             "image), altflip, trivialaugment, randaugment:2:9, erasing:0.5, or none"},
    {"label-smoothing", RECIPE_REAL, RECIPE_HOW, IN_RECIPE(label_smoothing), .high = 1,
     .standard = "0", .implied = "0", .takes = "X",
     .help = "share of the labels that all classes get alike"},
    {"mixup", RECIPE_REAL, RECIPE_HOW, IN_RECIPE(mixup), .low = MIXUP_MIN, .high = 1000,
     .or_zero = true, .standard = "0", .implied = "0", .takes = "A",
     .help = "mix images and labels of a batch in pairs, by shares from Beta(A, A)",
     .otherwise = "0: off"},
    {"cutmix", RECIPE_REAL, RECIPE_HOW, IN_RECIPE(cutmix), .low = MIXUP_MIN, .high = 1000,
     .or_zero = true, .standard = "0", .implied = "0", .takes = "A",
     .help = "exchange a rectangle in pairs, and as much of the labels; its area from Beta(A, A)",
     .otherwise = "0: off"},
    {"cutmix-prob", RECIPE_REAL, RECIPE_HOW, IN_RECIPE(cutmix_prob), .low = 0.001, .high = 1,
     .standard = "0.5", .implied = "0.5", .takes = "P",
     .help = "share of the steps that do; mixup has the others"},
    {"accumulate", RECIPE_WHOLE, RECIPE_HOW, IN_RECIPE(accumulate), .low = 1, .high = 32768,
     .standard = "1", .implied = "1", .takes = "K",
     .help = "take a batch in K equal parts, one after the other, in a Kth of the memory"},
    {"optimizer", RECIPE_CHOICE, RECIPE_HOW, IN_RECIPE(optimizer), .choices = optimizers,
     .standard = "sgd", .implied = "sgd", .takes = "NAME", .help = "what moves the parameters"},
    {"nesterov", RECIPE_SWITCH, RECIPE_HOW, IN_RECIPE(nesterov), .standard = "off",
     .implied = "off", .takes = "on|off", .help = "momentum as Nesterov has it",
     BESIDE("optimizer", "sgd")},
    {"adam-beta1", RECIPE_REAL, RECIPE_HOW, IN_RECIPE(adam_beta1), .high = BETA_MAX,
     .standard = "0.9", .implied = "0.9", .takes = "X", .help = "of the mean of gradients",
     BESIDE("optimizer", "adamw")},
    {"adam-beta2", RECIPE_REAL, RECIPE_HOW, IN_RECIPE(adam_beta2), .high = BETA_MAX,
     .standard = "0.999", .implied = "0.999", .takes = "X", .help = "of the mean of their squares",
     BESIDE("optimizer", "adamw")},
    {"adam-epsilon", RECIPE_REAL, RECIPE_HOW, IN_RECIPE(adam_epsilon), .low = 1e-12, .high = 1,
     .standard = "1e-08", .implied = "1e-08", .takes = "X", .help = "added to their root",
     BESIDE("optimizer", "adamw")},
    {"decay-on", RECIPE_CHOICE, RECIPE_HOW, IN_RECIPE(decay_on), .choices = decays,
     .standard = "all", .implied = "all", .takes = "WHAT",
     .help = "which tensors decay; weights leaves out norms and biases"},
    {"clip", RECIPE_REAL, RECIPE_HOW, IN_RECIPE(clip), .low = 1e-6, .high = 1e9, .or_zero = true,
     .standard = "0", .implied = "0", .takes = "X",
     .help = "scale gradients down to this norm where theirs is greater", .otherwise = "0: off"},
    {"ema", RECIPE_REAL, RECIPE_HOW, IN_RECIPE(ema), .high = 0.9999999, .standard = "0",
     .implied = "0", .takes = "D",
     .help = "the model is the moving average of the parameters, with this decay a step",
     .otherwise = "0: off"},
    {"ema-images", RECIPE_WHOLE, RECIPE_HOW, IN_RECIPE(ema_images), .low = 1, .high = INT32_MAX,
     .standard = "5000", .implied = "5000", .takes = "N",
     .help = "training images that the average's norms are made anew from", BESIDE("ema", NULL)},
    {"class-weights", RECIPE_CLASS_WEIGHTS, RECIPE_HOW, IN_RECIPE(class_weights),
     .standard = "none", .implied = "none", .takes = "HOW",
     .help = "of the labels: none, inverse (to a class' number of images), effective:0.999, or "
             "given like 3=2.5,17=0.5 (all others 1)"},

    {"limit-images", RECIPE_WHOLE, RECIPE_HOW, IN_RECIPE(limit_images), .high = INT32_MAX,
     .standard = "0", .implied = "0", .takes = "N",
     .help = "train on so many of the images, drawn by --holdout-seed", .otherwise = "0: all"},
    {"limit-steps", RECIPE_WHOLE, RECIPE_HOW, IN_RECIPE(limit_steps), .high = 1e12, .standard = "0",
     .implied = "0", .change = RECIPE_MORE, .takes = "N",
     .help = "end after so many steps of the schedule", .otherwise = "0: after all epochs"},
    {"eval-every", RECIPE_WHOLE, RECIPE_HOW, IN_RECIPE(eval_every), .low = 1, .high = EPOCHS_MAX,
     .standard = "1", .implied = "1", .change = RECIPE_ANY, .takes = "N",
     .help = "look at the held-out images after every Nth epoch and the last"},
    {"patience", RECIPE_WHOLE, RECIPE_HOW, IN_RECIPE(patience), .high = EPOCHS_MAX, .standard = "0",
     .implied = "0", .change = RECIPE_ANY, .takes = "N",
     .help = "end when the deepest classifier's held-out accuracy was no better N times",
     .otherwise = "0: never"},
    {"keep", RECIPE_CHOICE, RECIPE_HOW, IN_RECIPE(keep), .choices = keeps, .standard = "last",
     .implied = "last", .takes = "WHICH",
     .help = "epoch, of the last one or of the best held-out accuracy, becomes the model"},

    {"preset", RECIPE_PRESET, RECIPE_DISTILLATION, IN_DRAFT(preset), .job = true, .takes = "NAME",
     .help = "constants of a published code; other options go before it:"},
    {"temperature", RECIPE_REAL, RECIPE_DISTILLATION, IN_RECIPE(temperature), .low = 0.01,
     .high = 1000, .always = true, .takes = "T", .help = "of the distilled softmax"},
    {"alpha", RECIPE_REAL, RECIPE_DISTILLATION, IN_RECIPE(alpha), .high = 1, .always = true,
     .takes = "X", .help = "share of its answers, against the labels; of dml, beside them"},
    {"kd-scale", RECIPE_SWITCH, RECIPE_DISTILLATION, IN_RECIPE(kd_scale), .always = true,
     .takes = "on|off", .help = "the distilled term times T^2"},
    {"lambda", RECIPE_REAL, RECIPE_DISTILLATION, IN_RECIPE(lambda), .high = 1e6, .always = true,
     .takes = "X", .help = "weight of the hint between features"},
    {"hint", RECIPE_CHOICE, RECIPE_DISTILLATION, IN_RECIPE(hint), .choices = hints,
     .implied = "mean", .takes = "FORM",
     .help = "of its squares the mean or the sum, or norm, the root of the sum"},
    {"hint-exits", RECIPE_EXITS, RECIPE_DISTILLATION, IN_RECIPE(hint_exits), .implied = "all",
     .takes = "LIST", .help = "which classifiers have it: all, or like 1,2"},
    {"distill-from", RECIPE_CHOICE, RECIPE_DISTILLATION, IN_RECIPE(distill_from),
     .choices = distillers, .implied = "deepest", .takes = "WHOM",
     .help = "whose answers classifiers learn from; the deepest one learns from the ensemble, too"},
    {"exit-weights", RECIPE_EXIT_WEIGHTS, RECIPE_DISTILLATION, IN_RECIPE(exit_weights),
     .implied = "equal", .takes = "LIST",
     .help = "of each classifier's part of the loss, like 0.5,0.75,1,1"},
    {"freeze", RECIPE_CHOICE, RECIPE_DISTILLATION, IN_RECIPE(freeze), .choices = freezes,
     .implied = "none", .takes = "WHAT",
     .help = "trunk: sections and the deepest classifier stay --init's, shallow heads learn"},
    {"exit-rescale", RECIPE_SWITCH, RECIPE_DISTILLATION, IN_RECIPE(exit_rescale), .implied = "off",
     .takes = "on|off", BESIDE("freeze", "none"),
     .help = "sections learn from the mean of their classifiers, not the sum"},
    {"ps-kd", RECIPE_REAL, RECIPE_DISTILLATION, IN_RECIPE(ps_kd), .high = 1, .implied = "0",
     .takes = "X", BESIDE("mixup cutmix", "0"),
     .help = "share in an image's label, growing up to this, of what was answered an epoch ago"},
    {"beta", RECIPE_REAL, RECIPE_DISTILLATION, IN_RECIPE(beta), .high = 1e9, .takes = "X",
     .help = "twice the weight of attention transfer"},
    {"teacher", RECIPE_PLACE, RECIPE_DISTILLATION, IN_DRAFT(teacher), .job = true, .takes = "MODEL",
     .help = "of the same classes and image size; its normalisation is taken"},
    {"peer", RECIPE_PLACE, RECIPE_DISTILLATION, IN_DRAFT(peer), .takes = "SPEC",
     .help = "the second network", .otherwise = "the first one's, with other first values"},
    {"peer-width", RECIPE_WHOLE, RECIPE_DISTILLATION, IN_DRAFT(peer_width), .low = 1,
     .high = CHANNELS_MAX, .takes = "W", .help = "as --width, of SPEC"},
    {"peer-out", RECIPE_PLACE, RECIPE_DISTILLATION, IN_DRAFT(peer_out), .takes = "FILE",
     .help = "keep the second network, too", .otherwise = "it is dropped at the end"},

    {"holdout", RECIPE_AMOUNT, RECIPE_HOLDOUT, IN_RECIPE(holdout.images), .high = INT32_MAX,
     .standard = "5000", .takes = "N|P%",
     .help = "how many, or which part of each class; 0: none, then no calibration",
     .otherwise = "a tenth, at most 5000"},
    {"holdout-seed", RECIPE_SEED, RECIPE_HOLDOUT, IN_RECIPE(holdout.seed), .standard = "0",
     .takes = "N", .help = "another choice of them"},

    {"seed", RECIPE_SEED, RECIPE_HOW, IN_RECIPE(seed), .standard = "0", .takes = "N",
     .help = "of everything random"},
    {"threads", RECIPE_WHOLE, RECIPE_RUN, IN_RECIPE(threads), .high = 1024, .standard = "0",
     .takes = "N", .help = "equal threads give equal bits",
     .otherwise = "0: all processors; with --resume as before"},
    {"ranks", RECIPE_WHOLE, RECIPE_RUN, IN_RECIPE(ranks), .low = 1, .high = 4096, .standard = "1",
     .implied = "1", .takes = "N",
     .help = "processes with a share of each batch each; mpirun starts them, and says how many"},
    {"sync-bn", RECIPE_SWITCH, RECIPE_RUN, IN_RECIPE(sync_bn), .standard = "off", .implied = "off",
     .takes = "on|off", .help = "norms use the statistics of all ranks' images, not of their own"},
    {"precision", RECIPE_CHOICE, RECIPE_RUN, IN_RECIPE(precision), .choices = precisions,
     .standard = "fp32", .implied = "fp32", .takes = "P",
     .help = "bf16 rounds the factors of convolutions where that is quicker; sums, parameters and "
             "all else stay fp32"},
    {"store", RECIPE_CHOICE, RECIPE_RUN, IN_DRAFT(store), .job = true, .choices = stores,
     .standard = "f32", .takes = "TYPE", .help = "what FILE holds; it is calibrated as stored"},
};

enum { OPTIONS = sizeof(options) / sizeof(options[0]) };
_Static_assert(OPTIONS <= 64, "a draft has a bit for each");
_Static_assert(OPTIONS <= RECIPE_TEXTS_MAX - 8, "all fit into texts, and a caller's");

const struct recipe_option *recipe_option_at(size_t i)
{
    return i < OPTIONS ? &options[i] : NULL;
}

const struct recipe_option *recipe_option_find(const char *name)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strcmp(options[i].name, name) == 0) return &options[i];
    }
    return NULL;
}

const struct recipe_option *recipe_option_of_member(const char *member)
{
    char name[RECIPE_NAME_MAX];
    size_t n = strlen(member);
    if (n >= sizeof(name) || strchr(member, '-') != NULL) return NULL;
    for (size_t i = 0; i <= n; i++) name[i] = member[i] == '_' ? '-' : member[i];
    return recipe_option_find(name);
}

bool recipe_option_is_read(const struct recipe_option *option, const struct method *method)
{
    if (option->section != RECIPE_DISTILLATION) return true;
    for (const struct setting *s = method != NULL ? method->reads : NULL;
         s != NULL && s->option != NULL; s++) {
        if (strcmp(s->option, option->name) == 0) return true;
    }
    return false;
}

/* Whether the words have the value, but for what follows a colon in it. */
static bool has_word(const char *words, const char *value)
{
    const size_t length = strcspn(value, ":");
    for (const char *word = words; *word != '\0'; word += strspn(word, " ")) {
        const size_t n = strcspn(word, " ");
        if (n == length && memcmp(word, value, n) == 0) return true;
        word += n;
    }
    return false;
}

const struct recipe_option *recipe_option_against(const struct recipe_option *option,
                                                  const void *base)
{
    char value[RECIPE_TEXT_MAX], name[RECIPE_NAME_MAX];
    const char *at = option->beside != NULL ? option->beside : "";
    for (; *at != '\0'; at += strspn(at, " ")) {
        const size_t n = strcspn(at, " ");
        snprintf(name, sizeof(name), "%.*s", (int)n, at);
        const struct recipe_option *other = recipe_option_find(name);
        recipe_option_format(other, base, value);
        const bool applies = option->beside_values != NULL ? has_word(option->beside_values, value)
                                                           : strcmp(value, other->standard) != 0;
        if (!applies) return other;
        at += n;
    }
    return NULL;
}

bool recipe_option_applies(const struct recipe_option *option, const void *base)
{
    return recipe_option_against(option, base) == NULL;
}
