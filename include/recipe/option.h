/* The table of training options. The tool's command line and help, the body of a job, the identity
 * of a checkpoint and the metadata of a model all walk it, so that an option is one row, a member
 * of struct recipe, and its use in the trainer. Immutable; any thread.
 *
 * A value is a text, as on a command line; JSON says the same without quotes where it is a number
 * or a truth value. Every text that recipe_option_format() makes reads back as the same value. */
#ifndef RECIPE_OPTION_H
#define RECIPE_OPTION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "recipe/recipe.h"

enum recipe_kind {
    RECIPE_WHOLE,         /* int64_t */
    RECIPE_SEED,          /* uint64_t */
    RECIPE_REAL,          /* double */
    RECIPE_AMOUNT,        /* struct holdout, at its first member: 5000 images, 10% of them */
    RECIPE_SWITCH,        /* bool: on, off */
    RECIPE_CHOICE,        /* int, an index into choices; -1: none was made */
    RECIPE_METHOD,        /* const struct method * */
    RECIPE_PRESET,        /* const struct preset *, NULL: none */
    RECIPE_SCHEDULE,      /* the struct of that name */
    RECIPE_AUGMENT,       /* likewise */
    RECIPE_EXITS,         /* unsigned, bit i: classifier i + 1; 0: all */
    RECIPE_CLASS_WEIGHTS, /* the structs of those names */
    RECIPE_EXIT_WEIGHTS,
    RECIPE_PLACE, /* const char *: a file, a directory or a model, in the storage of who gives it */
};

/* How JSON says a value. */
enum recipe_json {
    RECIPE_JSON_INT,
    RECIPE_JSON_SEED, /* an integer; past 2^53, where many readers round, a string of digits */
    RECIPE_JSON_NUMBER,
    RECIPE_JSON_BOOL,
    RECIPE_JSON_STRING
};

enum recipe_section {
    RECIPE_WHAT,
    RECIPE_HOW,
    RECIPE_DISTILLATION, /* read only by methods that name them; all others are read by every one */
    RECIPE_HOLDOUT,
    RECIPE_RUN,
};

/* What a training that goes on from a checkpoint may have instead of the checkpoint's value. */
enum recipe_change {
    RECIPE_SAME,
    RECIPE_MORE, /* a larger one, or 0 for no limit */
    RECIPE_ANY   /* it says only how the training is looked at and when it ends */
};

struct recipe_option {
    const char *name; /* "label-smoothing"; in JSON "label_smoothing" */
    enum recipe_kind kind;
    enum recipe_section section;
    bool result;      /* determines the result: a member of struct recipe, named by checkpoints and
                         models */
    bool job;         /* a job may say it */
    size_t at;        /* in struct recipe_draft, which begins with the recipe */
    double low, high; /* of RECIPE_WHOLE and RECIPE_REAL */
    bool or_zero;     /* 0 is allowed, too */
    enum recipe_change change;  /* of a training that goes on */
    const char *const *choices; /* ends with NULL */
    const char *standard;       /* the default; NULL: there is none, or it is the method's */
    const char *implied; /* what files mean that do not say it; NULL: files have always said it */
    bool always;         /* a model's metadata says it even when its method does not read it */
    /* It is read only where another option has one of these values, words with blanks between them
     * (what follows a colon does not count); NULL: any value but its default; "0": only while that
     * one, and each further one behind a blank, is off. */
    const char *beside, *beside_values;
    const char *takes, *help; /* for the help: "X"; what it is */
    const char *otherwise;    /* without a default: what is then */
};

const struct recipe_option *recipe_option_at(size_t i); /* NULL past the last */
const struct recipe_option *recipe_option_find(const char *name);

/* By the name of a member in JSON, where "_" stands for "-". */
const struct recipe_option *recipe_option_of_member(const char *member);

enum recipe_json recipe_option_json(const struct recipe_option *option);

/* Whether the method reads it. NULL, of what was not trained, reads what all do. */
bool recipe_option_is_read(const struct recipe_option *option, const struct method *method);

/* Whether another option's value lets it be read: `beside` of the row. base: a struct recipe, or a
 * draft. */
bool recipe_option_applies(const struct recipe_option *option, const void *base);

/* The first option whose value does not let it be read, or NULL. */
const struct recipe_option *recipe_option_against(const struct recipe_option *option,
                                                  const void *base);

/* Who gives a value: it decides how messages name options. */
enum recipe_voice {
    RECIPE_COMMAND_LINE, /* --label-smoothing */
    RECIPE_JSON_BODY,    /* "label_smoothing" */
};

enum { RECIPE_NAME_MAX = 40, RECIPE_HELP_MAX = 640 };

/* The name of its member in JSON: "label_smoothing". Returns ret_name. */
const char *recipe_option_member(const struct recipe_option *option,
                                 char ret_name[RECIPE_NAME_MAX]);

/* The option's name as the voice has it; ret_name. */
const char *recipe_option_name(const struct recipe_option *option, enum recipe_voice voice,
                               char ret_name[RECIPE_NAME_MAX]);

/* The line of the help, with what it takes and its default. */
void recipe_option_help(const struct recipe_option *option, char ret_text[RECIPE_HELP_MAX]);

/* Sets ERR_RANGE: "--epochs x: it takes a whole number from 1 to 1000000". text: what was given, or
 * NULL. */
int recipe_option_refuse(const struct recipe_option *option, enum recipe_voice voice,
                         const char *text, struct err *e);

/* The value of a text, whatever its range; for files, whose recipe may be another program's.
 * ERR_RANGE when it is none; base: a struct recipe for options with `result`, else a draft. e may
 * be NULL. */
int recipe_option_parse(const struct recipe_option *option, const char *text,
                        enum recipe_voice voice, void *base, struct err *e);

/* ERR_RANGE when the value is out of the option's range. text: as it was given. */
int recipe_option_check(const struct recipe_option *option, const char *text,
                        enum recipe_voice voice, const void *base, struct err *e);

/* The text that recipe_option_parse() reads back; "" for what was not chosen,
 * cut off for places that are longer. base as above. Returns ret_text. */
const char *recipe_option_format(const struct recipe_option *option, const void *base,
                                 char ret_text[RECIPE_TEXT_MAX]);

#endif
