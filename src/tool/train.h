/* `autodidact train` in three files: the command line (train_command.c), opening everything
 * (train_open.c), and the training with the model that it ends in (train.c). */
#ifndef TOOL_TRAIN_H
#define TOOL_TRAIN_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "data/dataset.h"
#include "data/split.h"
#include "model/model.h"
#include "recipe/draft.h"
#include "train/trainer.h"
#include "train_progress.h"

/* The command line. */
struct train_command {
    struct recipe_draft draft;
    const char *spec, *out, *progress;
    int64_t classes, checkpoint_steps;
    bool resume;
};

/* Everything that is open while a training runs. */
struct train_session {
    struct train_command command;
    char checkpoint[PATH_MAX];
    struct dataset *set;
    struct model *parent;   /* --init, or NULL */
    struct model *teacher;  /* --teacher, or NULL */
    struct net *net, *peer; /* peer NULL: the method has none */
    struct split split;
    struct preprocess preprocess;
    struct pool *pool;
    const struct kernels *kernels;
    struct trainer *trainer;
    struct progress progress;
};

/* Parses and checks; 1 when --help was printed. */
int train_command_parse(int argc, char **argv, struct train_command *c,
                        enum progress_mode *ret_mode, struct err *e);

/* Opens data, networks and trainer for s->command, and goes to the checkpoint's position with
 * --resume. train_session_close() is due after a failure, too. */
int train_session_open(struct train_session *s, struct err *e);
void train_session_close(struct train_session *s);

#endif
