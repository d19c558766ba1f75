/* The table of presets, from the public codes of the paper's authors (the ICCV paper's own is not
 * public).
 *
 * The weights of a shallow classifier are 1 - alpha for the labels and alpha, or alpha T^2 with
 * kd_scale, for the answers. All three codes fit that: SCAN's 0.5 and 0.5 * 9 are alpha 0.5 with
 * T^2, the journal version's 0.7 and 0.3 are alpha 0.3 without. What is left out of the journal
 * version's is in doc/training.md. */
#include "config.h"

#include "train/preset.h"

#include <stdio.h>
#include <string.h>

static const struct preset presets[] = {
    {"byot",
     "the mean of squares as hint, so that lambda does not depend on batch and width",
     {.temperature = 3, .alpha = 0.3, .lambda = 0.03, .kd_scale = true, .hint = LOSS_HINT_MEAN},
     false,
     SPEC_HEAD_SCALA},
    {"scan",
     "NeurIPS 2019: alpha 0.5, lambda 5e-7 on the sum of squares, heads with attention",
     {.temperature = 3, .alpha = 0.5, .lambda = 5e-7, .kd_scale = true, .hint = LOSS_HINT_SUM},
     true,
     SPEC_HEAD_SCALA_ATTENTION},
    /* Its comment leaves the shallowest classifier without a hint; what the code leaves without one
     * is the third of four. Published numbers come from the code. */
    {"sdf",
     "TPAMI 2021: without T^2, lambda 0.03 on the norm, of classifiers 1 and 2, separable heads",
     {.temperature = 3,
      .alpha = 0.3,
      .lambda = 0.03,
      .kd_scale = false,
      .hint = LOSS_HINT_NORM,
      .hint_exits = 1 | 2},
     true,
     SPEC_HEAD_SEPCONV_ATTENTION},
};

enum { PRESETS = sizeof(presets) / sizeof(presets[0]) };

const struct preset *preset_at(size_t i)
{
    return i < PRESETS ? &presets[i] : NULL;
}

const struct preset *preset_find(const char *name, struct err *e)
{
    for (size_t i = 0; i < PRESETS; i++) {
        if (strcmp(presets[i].name, name) == 0) return &presets[i];
    }
    _Static_assert(PRESETS == 3, "the message lists them");
    err_set(e, ERR_USAGE, "--preset %.64s: it takes %s, %s or %s", name, presets[0].name,
            presets[1].name, presets[2].name);
    return NULL;
}

static const char *const hint_names[] = {
    [LOSS_HINT_MEAN] = "mean", [LOSS_HINT_SUM] = "sum", [LOSS_HINT_NORM] = "norm"};

int hint_parse(const char *text, enum loss_hint_form *ret_form, struct err *e)
{
    for (size_t i = 0; i < sizeof(hint_names) / sizeof(hint_names[0]); i++) {
        if (strcmp(text, hint_names[i]) != 0) continue;
        *ret_form = (enum loss_hint_form)i;
        return 0;
    }
    return err_set(e, ERR_USAGE, "--hint %.64s: it takes mean, sum or norm", text);
}

const char *hint_name(enum loss_hint_form form)
{
    return hint_names[form];
}

int hint_exits_parse(const char *text, unsigned *ret_exits, struct err *e)
{
    unsigned exits = 0;
    const char *at = text;
    if (strcmp(text, "all") == 0) {
        *ret_exits = 0;
        return 0;
    }
    _Static_assert(SPEC_SECTIONS_MAX <= 9, "a number of a classifier is a digit");
    while (*at >= '1' && *at < '0' + SPEC_SECTIONS_MAX) {
        exits |= 1u << (*at++ - '1');
        if (*at == ',' && at[1] != '\0')
            at++;
        else
            break;
    }
    if (exits == 0 || *at != '\0') {
        return err_set(e, ERR_USAGE,
                       "--hint-exits %.64s: it takes all, or numbers of shallow classifiers like "
                       "1,2",
                       text);
    }
    *ret_exits = exits;
    return 0;
}

void hint_exits_format(unsigned exits, char ret_text[HINT_EXITS_TEXT_MAX])
{
    size_t used = 0;
    snprintf(ret_text, HINT_EXITS_TEXT_MAX, "all");
    for (int i = 0; i < SPEC_SECTIONS_MAX; i++) {
        if ((exits >> i & 1) == 0) continue;
        used += (size_t)snprintf(ret_text + used, HINT_EXITS_TEXT_MAX - used, "%s%d",
                                 used > 0 ? "," : "", i + 1);
    }
}
