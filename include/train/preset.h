/* Presets: the constants of self distillation as published codes have them, and the words that name
 * parts of them. Immutable; any thread. */
#ifndef TRAIN_PRESET_H
#define TRAIN_PRESET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "nn/spec.h"
#include "train/method.h"

/* What a preset does not touch (augmentation, schedule, normalisation) differs between the codes,
 * too: doc/training.md has a command for each. */
struct preset {
    const char *name, *summary;
    struct distillation distillation;
    bool has_heads; /* else the spec's own */
    enum spec_head heads;
};

/* The preset of that name; NULL with ERR_USAGE and a list of them. */
const struct preset *preset_find(const char *name, struct err *e);
const struct preset *preset_at(size_t i); /* NULL past the last */

/* "mean", "sum", "norm". ERR_USAGE. */
int hint_parse(const char *text, enum loss_hint_form *ret_form, struct err *e);
const char *hint_name(enum loss_hint_form form);

enum { HINT_EXITS_TEXT_MAX = 32 };

/* "all" (0), or "1,2": bit i for classifier i + 1. ERR_USAGE. */
int hint_exits_parse(const char *text, unsigned *ret_exits, struct err *e);
void hint_exits_format(unsigned exits, char ret_text[HINT_EXITS_TEXT_MAX]);

#endif
