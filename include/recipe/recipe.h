/* A recipe: what determines the result of a training, apart from the network, the data and the
 * first parameters. Plain values, no ownership; any thread.
 *
 * Each member is an option of the table in recipe/option.h, which gives it name, range, default and
 * help. A method reads all options but those of the section RECIPE_DISTILLATION, of which it names
 * the ones that it reads; members that it does not read are zero. */
#ifndef RECIPE_RECIPE_H
#define RECIPE_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recipe/augment.h"
#include "recipe/balance.h"
#include "recipe/holdout.h"
#include "recipe/method.h"
#include "recipe/schedule.h"

/* How the squares of a hint between features are put together. */
enum hint_form { HINT_MEAN, HINT_SUM, HINT_NORM };

enum optimizer_kind { OPTIMIZER_SGD, OPTIMIZER_ADAMW };

/* What keeps the parameters that it has. */
enum freeze { FREEZE_NONE, FREEZE_TRUNK };

/* Whose answers the classifiers of self distillation learn from. */
enum distill_from { DISTILL_FROM_DEEPEST, DISTILL_FROM_ENSEMBLE };

/* What the factors of products are rounded to. Parameters, sums and all else are fp32. */
enum recipe_precision { RECIPE_FP32, RECIPE_BF16 };

/* Which tensors weight decay is of: all, or those of convolutions and linear layers alone. */
enum decay_on { DECAY_ON_ALL, DECAY_ON_WEIGHTS };

/* Which epoch a model is of. */
enum keep { KEEP_LAST, KEEP_BEST };

struct recipe {
    const struct method *method; /* NULL: nothing was trained */
    int64_t epochs, batch;
    int64_t accumulate;                  /* micro-batches that a batch is taken in */
    int optimizer;                       /* enum optimizer_kind */
    double rate, momentum, weight_decay; /* of learning; of SGD */
    bool nesterov;                       /* of SGD */
    double adam_beta1, adam_beta2, adam_epsilon;
    int decay_on;       /* enum decay_on */
    double clip;        /* the most that a gradient's norm may be; 0: any */
    double ema;         /* the greatest decay of the average; 0: there is none */
    int64_t ema_images; /* that its norms' statistics are made from */
    struct class_balance class_weights;
    struct exit_balance exit_weights; /* of methods whose shallow exits learn; so is the next */
    int freeze;                       /* enum freeze */
    bool exit_rescale;                /* the trunk's gradient: the mean over exits, not the sum */
    double ps_kd;                     /* share of an image's last answers at the end; 0: off */
    int distill_from;                 /* enum distill_from */
    struct schedule schedule;
    int64_t warmup;
    struct augment augment;
    double label_smoothing, mixup; /* 0: off; mixup is alpha of Beta(alpha, alpha) */
    double cutmix, cutmix_prob;    /* so is cutmix; the share of the steps that cut */
    double temperature, alpha;     /* of the softmax; share of the answers that are learnt from */
    bool kd_scale;                 /* the KL term times T^2, as Hinton et al. 2015 have it */
    double lambda;                 /* weight of the hint */
    int hint;                      /* enum hint_form, of self distillation */
    unsigned hint_exits;           /* bit i: exit i has it; 0: every shallow one */
    double beta;                   /* twice the weight of attention transfer */
    struct holdout holdout;
    int64_t limit_images, limit_steps; /* 0: none */
    int64_t eval_every;                /* epochs from one look at held-out images to the next */
    int64_t patience; /* looks without a better accuracy, after which it ends; 0: it does not */
    int keep;         /* enum keep */
    uint64_t seed;
    int precision;   /* enum recipe_precision */
    int64_t threads; /* 0: all processors, as a wish only */
    int64_t ranks;   /* processes that share each batch */
    bool sync_bn;    /* norms' statistics are those of the ranks together */
};

/* The defaults of a method. byot's are the recipe of SCAN with a cosine instead of steps: 200
 * epochs of batches of 128, a rate of 0.1, crop and flip, 5,000 held-out images. */
void recipe_default(struct recipe *ret_recipe, const struct method *method);

/* Images that go through the network at a time: a rank's share of a batch, or one of its equal
 * parts. */
int64_t recipe_micro_batch(const struct recipe *recipe);

/* Whether sections and the deepest classifier stay as they are, and only shallow heads learn. */
static inline bool recipe_is_frozen(const struct recipe *recipe)
{
    return recipe->freeze == FREEZE_TRUNK;
}

enum { RECIPE_TEXTS_MAX = 72, RECIPE_TEXT_MAX = 160 };

struct recipe_text {
    const char *name; /* the option's, without "--"; static storage */
    char value[RECIPE_TEXT_MAX];
    bool implied; /* files that are older than the option mean this value and do not say it */
};

/* Every option that the recipe's method and other options let be read, as text, in the order of the
 * table: what identifies a checkpoint and makes up the command that a model remembers. Returns how
 * many, at most RECIPE_TEXTS_MAX - 8, so that a caller can add its own. */
size_t recipe_texts(const struct recipe *recipe, struct recipe_text ret_texts[RECIPE_TEXTS_MAX]);

#endif
