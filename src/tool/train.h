/* `autodidact train`: the command line (train_command.c), opening everything (train_open.c; of that
 * where it writes, train_out.c, which images it holds out, train_holdout.c, and a second network,
 * train_peer.c, and other processes, train_ranks.c), and the training with the model that it ends
 * in (train.c). */
#ifndef TOOL_TRAIN_H
#define TOOL_TRAIN_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/pool.h"
#include "data/dataset.h"
#include "data/split.h"
#include "model/model.h"
#include "recipe/draft.h"
#include "train/ranks.h"
#include "train/trainer.h"
#include "train_lock.h"
#include "train_log.h"
#include "train_progress.h"

/* The command line. */
struct train_command {
    struct recipe_draft draft;
    const char *spec, *out, *progress;
    int64_t classes, checkpoint_steps;
    int64_t cache_mb, loaders; /* -1: a quarter of the memory; 0: one a processor */
    bool resume, force, keep_checkpoint;
    const char *log, *dump_step;     /* a directory, a file; or NULL */
    const char *algorithm, *choices; /* choices: the file; NULL: the user's own */
    bool by_rule;                    /* that is its value */
};

/* Everything that is open while a training runs. */
struct train_session {
    struct train_command command;
    struct ranks *ranks;
    bool goes_on; /* from a checkpoint that is there */
    char checkpoint[PATH_MAX];
    struct train_lock locks[2]; /* of what it becomes, and of its peer */
    struct dataset *set;
    struct model *parent;   /* --init, or NULL */
    struct model *teacher;  /* --teacher, or NULL */
    struct net *net, *peer; /* peer NULL: the method has none */
    struct split split;
    struct lineage lineage; /* what the model comes from beside its own data */
    bool is_doubtful[2];    /* of parent and teacher: who knows whether they saw what is held out */
    struct preprocess preprocess;
    struct pool *pool;
    const struct kernels *kernels;
    struct trainer *trainer;
    struct progress progress;
    struct train_log *log; /* NULL: none, or another rank has it */
};

/* Parses and checks; 1 when --help was printed. */
int train_command_parse(int argc, char **argv, struct train_command *c,
                        enum progress_mode *ret_mode, struct err *e);

/* Opens data, networks and trainer for s->command, and goes to the checkpoint's position with
 * --resume. train_session_close() is due after a failure, too. */
int train_session_open(struct train_session *s, struct err *e);
void train_session_close(struct train_session *s);

/* The network that the command asks for, at the width of its spec. */
int train_choose_spec(const struct train_session *s, struct spec *ret_spec, struct err *e);

/* Whether this process writes, evaluates and reports: of several ranks the first. */
bool train_is_first(const struct train_session *s);

/* By all ranks, with an empty text but for the first: it becomes that of all, unless one has rc < 0
 * and *e, which then all have. */
int train_ranks_tell(struct train_session *s, int rc, struct buf *text, struct err *e);

/* Whether everything can be written; fills in s->checkpoint and takes the locks. ERR_CONFLICT when
 * another training writes there, when its checkpoint is there, or a model that is not to be
 * overwritten. */
int train_out_check(struct train_session *s, struct err *e);

/* Takes the lock of a file that a model is to become. ERR_USAGE when the training begins with it.
 */
int train_out_claim(struct train_session *s, const char *option, const char *out,
                    struct train_lock *lock, struct err *e);

/* Whether the option's file can be written in its directory, and no training may keep another file
 * of that name: ERR_USAGE. */
int train_out_check_writable(const char *option, const char *out, struct err *e);

/* Of files that need not be there: the same name in the same directory. */
bool train_out_is_same(const char *a, const char *b);

/* The seed of the images' keys, once parent and teacher are open: theirs, or that of what they come
 * from, unless it is said. Errors as model_lineage()'s. */
int train_holdout_seed(const struct train_session *s, uint64_t *ret_seed, struct err *e);

/* Makes s->split and s->lineage, once the data are open: a tenth is held out unless somebody says
 * otherwise, and nothing that parent or teacher have seen, or what those come from. ERR_CONFLICT
 * when these do not go together, else errors as split_make()'s. The recipe then says how many it
 * is. */
int train_holdout_split(struct train_session *s, struct err *e);

/* Warns where it cannot be told whether held-out images have been seen: one line for each of
 * --init and --teacher at most. */
void train_holdout_warn(struct train_session *s);

/* Says on stderr how many images of each class train and are held out. */
void train_holdout_say(const struct train_session *s);

/* Whether the held-out images are to be looked at after this epoch (train_control.c). */
bool train_is_due(const struct train_session *s, const struct train_report *report);

/* Takes note of what they say; writes the best epoch's checkpoint where it becomes the model. */
int train_judge(struct train_session *s, const struct train_report *report, const struct heldout *h,
                struct err *e);

/* All steps are done, or more are not worth it. */
bool train_is_over(const struct train_session *s);

/* Whether there is what an epoch is chosen by, and the best one so far where it goes on from a
 * checkpoint: said before the first step. ERR_RANGE, ERR_NOT_FOUND. */
int train_control_check(const struct train_session *s, struct err *e);

/* Goes back to the best epoch, if that becomes the model. What is kept of it goes when the
 * checkpoint does. */
int train_take_best(struct train_session *s, struct err *e);
void train_drop_best(const struct train_session *s);

/* Opens s->peer after s->net, for a method that has one. */
int train_peer_open(struct train_session *s, struct err *e);

/* The file of the second network, or NULL, and whether it can be written beside the model. */
const char *train_peer_out(const struct train_session *s);
int train_peer_check_out(struct train_session *s, struct err *e);

/* Its options in a command that gives the model again, with a space before each; is_result: the
 * model is the second network itself. Returns what snprintf() does. */
int train_peer_format(const struct train_session *s, bool is_result, char *ret_text, size_t size);

#endif
