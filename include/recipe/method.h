/* Training methods and presets: rows of values. A method says which heads learn, from whom, and
 * which of the options that only some methods read it reads; a preset is the values of those that a
 * published code has. What the loss of a method is: train/objective.h. Immutable; any thread. */
#ifndef RECIPE_METHOD_H
#define RECIPE_METHOD_H

#include <stdbool.h>
#include <stddef.h>

/* Whom the deepest exit learns from, beside the labels. */
enum method_source {
    METHOD_LABELS,  /* nobody */
    METHOD_TEACHER, /* a model that is frozen */
    METHOD_PEER,    /* a second network, which learns from it in turn */
};

/* What is compared with the teacher at the ends of sections. */
enum method_guide {
    METHOD_NO_MAPS,
    METHOD_HINT,      /* the map in the middle, through a regressor that is trained along */
    METHOD_ATTENTION, /* where each section looks */
};

/* An option by its name, and its value as on a command line; NULL: it has no default. */
struct setting {
    const char *option, *value;
};

enum { METHOD_SETTINGS_MAX = 16 };

struct method {
    const char *name;
    const char *summary;
    bool shallow;           /* the shallow heads learn too; else only the deepest does */
    bool self_distillation; /* they learn from the deepest one beside the labels */
    enum method_source source;
    enum method_guide guide;
    /* What it reads of the section RECIPE_DISTILLATION, with its defaults; ends with NULL. */
    struct setting reads[METHOD_SETTINGS_MAX + 1];
};

/* The row of that name, or NULL. */
const struct method *method_find(const char *name);
const struct method *method_at(size_t i); /* NULL past the last */

/* The constants of a published code, for methods that take one. What a preset does not touch
 * (augmentation, rates, normalisation) differs between the codes, too: doc/training.md has a
 * command for each. */
struct preset {
    const char *name, *summary;
    struct setting settings[METHOD_SETTINGS_MAX + 1]; /* ends with NULL */
};

const struct preset *preset_find(const char *name);
const struct preset *preset_at(size_t i); /* NULL past the last */

#endif
