/* A recipe while it is written: which options somebody gave, on a command line or in a job's body,
 * and what then holds for the others. One caller at a time.
 *
 * Life: recipe_draft_init(), recipe_give() for each value, recipe_finish(). The texts of places
 * (RECIPE_PLACE) are the giver's and must outlive the draft. */
#ifndef RECIPE_DRAFT_H
#define RECIPE_DRAFT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "recipe/option.h"
#include "recipe/recipe.h"

struct recipe_draft {
    struct recipe recipe; /* the first member: the places of options count from here */
    enum recipe_voice voice;
    uint64_t given; /* bit i: the option recipe_option_at(i) */
    /* What it is applied to, and what the result becomes. */
    const char *data, *init, *teacher, *peer, *peer_out;
    const struct preset *preset;
    int64_t width, peer_width; /* 0: the spec's own */
    int64_t broken_max;        /* images that may be left out */
    int heads, store;
};

void recipe_draft_init(struct recipe_draft *draft, enum recipe_voice voice);

/* ERR_RANGE, with the option's name, what was given and what it takes. */
int recipe_give(struct recipe_draft *draft, const struct recipe_option *option, const char *text,
                struct err *e);

bool recipe_is_given(const struct recipe_draft *draft, const char *name);

/* Who chose the value of an option: itself ("--heads") or a preset that has it ("--preset scan").
 * false when nobody did, and nothing is written. */
bool recipe_said_by(const struct recipe_draft *draft, const char *name,
                    char ret_text[RECIPE_TEXT_MAX]);

/* Fills in the preset's and the method's values where nothing was given. ERR_RANGE when something
 * was that the method does not read (who gives it expects something of it), or when the method
 * needs what was not. */
int recipe_finish(struct recipe_draft *draft, struct err *e);

/* Makes a finished draft the recipe of so many processes. ERR_CONFLICT when somebody gave another
 * number, ERR_RANGE when they cannot share its batches, ERR_UNSUPPORTED for what only a whole batch
 * can be asked. */
int recipe_share(struct recipe_draft *draft, int64_t ranks, struct err *e);

/* What a finished draft says that cannot be meant although it can be done: one sentence each.
 * Returns how many. */
enum { RECIPE_WARNINGS_MAX = 8, RECIPE_WARNING_SIZE = 200 };
struct recipe_warning {
    char text[RECIPE_WARNING_SIZE];
};
size_t recipe_warnings(const struct recipe_draft *draft,
                       struct recipe_warning ret_warnings[RECIPE_WARNINGS_MAX]);

/* The word of a choice: recipe_choice("heads", draft->heads); NULL when none was made. */
const char *recipe_choice(const char *name, int value);

#endif
