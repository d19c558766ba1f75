/* Command lines of the subcommands: a table of long options ("--name VALUE", "--name=VALUE"),
 * filled into the caller's variables. Every error names the option and what it takes (ERR_USAGE).
 */
#ifndef TOOL_OPTIONS_H
#define TOOL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum option_kind {
    OPTION_FLAG,   /* bool *, set to true */
    OPTION_STRING, /* const char **, points into argv */
    OPTION_INT,    /* int64_t * */
    OPTION_SEED,   /* uint64_t * */
    OPTION_REAL,   /* double *, finite */
    OPTION_OTHER,  /* const struct option_reader * */
};

/* Reads an option of another kind: its name, and what was given. ERR_USAGE. */
struct option_reader {
    int (*read)(void *arg, const char *name, const char *text, struct err *e);
    void *arg;
};

struct option_row {
    const char *name; /* without "--"; NULL: a heading in the help */
    enum option_kind kind;
    const char *takes; /* what stands for the value in the help; NULL for flags */
    void *value;       /* left alone when the option is not given */
    bool *given;       /* may be NULL */
    const char *help;
};

struct command_line {
    const char *program;           /* "autodidact train" */
    const char *usage;             /* "SPEC.json --data ..." */
    const char *about;             /* a paragraph, wrapped */
    const struct option_row *rows; /* ends with a row whose help is NULL */
    int positional_min, positional_max;
};

enum { POSITIONAL_MAX = 4 }; /* room enough for a subcommand of few arguments */

/* Parses argv[1..argc). ret_positional has room for positional_max + 1 entries, the rest become
 * NULL. Returns 0, ERR_USAGE, or 1 when --help was asked for (nothing else is checked then): the
 * help is on stdout. */
int options_parse(const struct command_line *line, int argc, char **argv,
                  const char **ret_positional, struct err *e);

/* The name among n_names that differs in at most two letters, or NULL: for "did you mean". */
const char *options_nearest(const char *word, const char *const *names, size_t n_names);

#endif
