/* A study: trainings of methods x networks x widths x seeds, as a JSON file describes them
 * (doc/evaluation.md). Plain values; the texts are its own. */
#ifndef TOOL_STUDY_FILE_H
#define TOOL_STUDY_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "recipe/option.h"

enum {
    STUDY_NETWORKS_MAX = 32,
    STUDY_WIDTHS_MAX = 16,
    STUDY_SEEDS_MAX = 100,
    STUDY_METHODS_MAX = 32,
    STUDY_OPTIONS_MAX = 48,
    STUDY_RUNS_MAX = 10000,
    STUDY_TEXT_MAX = 1024,
    STUDY_FILE_BYTES_MAX = 1 << 20
};

/* An option of training as it is given on a command line. */
struct study_option {
    const struct recipe_option *option;
    char value[STUDY_TEXT_MAX];
};

struct study_method {
    char name[65]; /* of the row; unlike all others */
    const struct method *method;
    struct study_option options[STUDY_OPTIONS_MAX]; /* its own behind those of all */
    size_t n_options;
};

struct study {
    char data[STUDY_TEXT_MAX], split[8];
    size_t n_networks, n_widths, n_seeds, n_methods;
    char networks[STUDY_NETWORKS_MAX][STUDY_TEXT_MAX]; /* paths of specs */
    int64_t widths[STUDY_WIDTHS_MAX];                  /* 0: the spec's own */
    uint64_t seeds[STUDY_SEEDS_MAX];
    struct study_method methods[STUDY_METHODS_MAX];
};

/* Parses a text; dir: what relative paths in it start from ("" or ending in /). Every method with
 * its options is checked as `autodidact train` would check it. Errors name the place. ERR_FORMAT,
 * ERR_RANGE, ERR_LIMIT, ERR_UNSUPPORTED, -ENOMEM. Free with mem_free(). */
int study_parse(const char *what, const char *text, size_t size, const char *dir,
                struct study **ret_study, struct err *e);
int study_read(const char *path, struct study **ret_study, struct err *e);

#endif
