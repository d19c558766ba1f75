/* Which images of a data set a model is looked at on: a split's name, and the choice of held-out
 * images that the model or the command has. */
#ifndef TOOL_SELECTION_H
#define TOOL_SELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/dataset.h"
#include "data/split.h"
#include "model/model.h"
#include "options.h"

/* The options of a command that say it. */
struct selection_wish {
    const char *split;      /* train, holdout or test */
    const char *holdout_of; /* the file of a model whose choice counts; NULL: each model's own */
    struct model *judge;    /* that model, from selection_open() on */
};

struct selection {
    struct split split;
    uint32_t *own;           /* a list that is neither part of the split; NULL: there is none */
    const uint32_t *indices; /* into the data set; NULL: all */
    size_t n;
};

/* The options of a command line that fill in a wish; help: of the split. */
enum selection_option { SELECTION_SPLIT, SELECTION_HOLDOUT_OF };
struct option_row selection_option(struct selection_wish *wish, enum selection_option which,
                                   const char *help);

/* Whether the wish makes sense; usage: for the message that --split is missing. ERR_USAGE. */
int selection_check(const struct selection_wish *wish, const char *usage, struct err *e);

/* Opens the part of the data set that has the split, and the model whose choice counts, by whose
 * seed images are known from the start (a folder is read once more for each other seed). Broken
 * images that the first model was trained without are left out again. selection_close() is due
 * afterwards, also of a failure. */
int selection_open(struct selection_wish *wish, const char *data, const struct model *first,
                   struct dataset **ret_set, struct err *e);
void selection_close(struct selection_wish *wish);

/* Whether the classes mean the same in model and data set, or figures mean nothing. ERR_CONFLICT.
 */
int selection_check_classes(const struct model *model, const struct dataset *set, struct err *e);

/* By the border of the model, or of the one that is wished. ERR_NOT_FOUND when there are no such
 * images. selection_release() is due afterwards. */
int selection_choose(const struct selection_wish *wish, const struct model *model,
                     struct dataset *set, struct selection *ret_selection, struct err *e);

/* Leaves those that the other has, too: of two models, what both have held out. ERR_CONFLICT when
 * nothing is left. */
int selection_meet(struct selection *selection, const struct selection *other, struct err *e);
void selection_release(struct selection *selection);

#endif
