/* Where the values of the options come from: flag over environment over file over default. */
#ifndef APP_SETTINGS_H
#define APP_SETTINGS_H

#include "base/buf.h"
#include "base/err.h"
#include "options.h"

enum { SETTINGS_FLAGS_MAX = 256 };

/* What set an option's value. */
struct origin {
    enum { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_ENVIRONMENT, ORIGIN_FLAG } source;
    int line; /* of the file */
};

/* What the command line says, and where the values came from at the last settings_apply(). */
struct settings {
    const char *config_file;               /* --config, or NULL */
    const char *flags[SETTINGS_FLAGS_MAX]; /* the arguments of --set */
    size_t n_flags;
    struct origin origins[OPTIONS_MAX]; /* as in option_table */
    bool check, print, version, help;
};

/* ERR_USAGE with a message for a command line that says something else. */
int settings_parse(struct settings *settings, int argc, char **argv, struct err *e);

/* Defaults, the file, the environment (AUTODIDACT_SECTION_KEY; NULL-terminated), the flags. Errors
 * name file and line, variable or flag. */
int settings_apply(struct settings *settings, char *const *environment, struct config *config,
                   struct err *e);

/* Says in an error that begins with an option's name, "SECTION.KEY: ...", what has set it:
 * "SECTION.KEY (FILE:12): ...". Of others nothing is changed. */
void settings_explain(const struct settings *settings, struct err *e);

/* tell(arg, message) for each variable of the environment that begins as options do and is none;
 * a message names it and what it may have meant. Kubernetes makes such ones (AUTODIDACT_PORT). */
void settings_unknown_variables(char *const *environment,
                                void (*tell)(void *arg, const char *message), void *arg);

/* One file's text over what *config holds; `name` is for messages. */
int settings_read(const char *name, const char *text, size_t size, struct config *config,
                  struct err *e);

/* An INI file that holds every option with its help; reading it back gives the same config. */
int settings_print(const struct config *config, struct buf *out);
int settings_help(struct buf *out);

#endif
