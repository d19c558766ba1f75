/* Where a training writes: the model, and its checkpoint beside it. Hours of work are lost by one
 * wrong word here, so nothing is overwritten that was not meant to be. */
#include "config.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "nn/choices.h"
#include "tool.h"
#include "train.h"

/* Beside a model X stand X.ckpt, X.best.ckpt, X.lock and X.part while it is trained, so that a name
 * with such an end, or whose own checkpoint would have one, may be another training's file. */
static int check_end(const char *option, const char *out, struct err *e)
{
    static const char *const ends[] = {".ckpt", ".best", ".lock", ".part"};
    const size_t n = strlen(out);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        const size_t end = strlen(ends[i]);
        if (n < end || strcmp(out + n - end, ends[i]) != 0) continue;
        return err_set(e, ERR_USAGE,
                       "%s %s: a name that ends in %s is kept for what stands beside a model while "
                       "it is trained: name another file",
                       option, out, ends[i]);
    }
    return 0;
}

int train_out_check_writable(const char *option, const char *out, struct err *e)
{
    char dir[PATH_MAX];
    struct stat st;
    int rc = check_end(option, out, e);
    if (rc < 0) return rc;
    if (strlen(out) + sizeof(".ckpt") > sizeof(dir)) {
        return err_set(e, -ENAMETOOLONG, "%s: %s", option, err_text(-ENAMETOOLONG));
    }
    snprintf(dir, sizeof(dir), "%s", out);
    const char *parent = dirname(dir);
    if (access(parent, W_OK | X_OK) < 0) {
        return err_set(e, -errno, "%s %s: cannot write to %s: %s", option, out, parent,
                       err_text(-errno));
    }
    if (stat(out, &st) == 0 && !S_ISREG(st.st_mode)) {
        return err_set(e, -EEXIST, "%s %s: there is something that is not a file", option, out);
    }
    return 0;
}

bool train_out_is_same(const char *a, const char *b)
{
    char dir_a[PATH_MAX], dir_b[PATH_MAX];
    struct stat of_a, of_b;
    const char *name_a = strrchr(a, '/'), *name_b = strrchr(b, '/');
    if (strcmp(name_a != NULL ? name_a + 1 : a, name_b != NULL ? name_b + 1 : b) != 0) return false;
    snprintf(dir_a, sizeof(dir_a), "%s", a);
    snprintf(dir_b, sizeof(dir_b), "%s", b);
    return stat(dirname(dir_a), &of_a) == 0 && stat(dirname(dir_b), &of_b) == 0 &&
           of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

/* Its own parents are never what it becomes: it could not be resumed after that. */
static int check_inputs(const struct train_session *s, const char *option, const char *out,
                        struct err *e)
{
    const char *const inputs[] = {s->command.draft.init, s->command.draft.teacher, s->command.spec};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        if (inputs[i] != NULL) rc = tool_check_output(option, out, inputs[i], e);
    }
    return rc;
}

/* Who goes on from a checkpoint has decided about the file when the training began. */
static int check_finished(const struct train_session *s, const char *option, const char *out,
                          struct err *e)
{
    const struct train_command *c = &s->command;
    if (c->force || !file_exists(out)) return 0;
    if (!c->resume) {
        return err_set(e, ERR_CONFLICT,
                       "--%s %s: the file is there: --force overwrites it, or name another one",
                       option, out);
    }
    if (file_exists(s->checkpoint)) return 0;
    return err_set(e, ERR_CONFLICT,
                   "--%s %s: the training has ended, there is no %s to go on from: --force trains "
                   "anew",
                   option, out, s->checkpoint);
}

int train_out_claim(struct train_session *s, const char *option, const char *out,
                    struct train_lock *lock, struct err *e)
{
    int rc = check_inputs(s, option, out, e);
    if (rc == 0) rc = train_lock_take(lock, option, out, e);
    return rc == 0 ? check_finished(s, option, out, e) : rc;
}

/* A file beside the model: none that is read or written otherwise, in a directory that can be
 * written. */
static int check_beside(const struct train_session *s, const char *option, const char *path,
                        struct err *e)
{
    const struct train_command *c = &s->command;
    const struct {
        const char *what, *path;
    } outs[] = {{"--out", c->out},
                {"the file of the peer", train_peer_out(s)},
                {"--dump-step", c->dump_step}};
    char shown[32];
    for (size_t i = 0; i < sizeof(outs) / sizeof(outs[0]); i++) {
        if (outs[i].path == NULL || outs[i].path == path) continue;
        if (train_out_is_same(path, outs[i].path))
            return err_set(e, ERR_USAGE, "--%s %s: it is %s: name another file", option, path,
                           outs[i].what);
    }
    snprintf(shown, sizeof(shown), "--%s", option);
    int rc = check_inputs(s, option, path, e);
    return rc == 0 ? train_out_check_writable(shown, path, e) : rc;
}

static int check_dump(const struct train_session *s, struct err *e)
{
    const char *dump = s->command.dump_step;
    if (dump == NULL) return 0;
    int rc = check_beside(s, "dump-step", dump, e);
    if (rc < 0 || s->command.force || !file_exists(dump)) return rc;
    return err_set(e, ERR_CONFLICT,
                   "--dump-step %s: the file is there: --force overwrites it, or name another one",
                   dump);
}

/* Its directory is made, as that of the user's own choices is. */
static int check_choices(const struct train_session *s, struct err *e)
{
    const char *choices = s->command.choices;
    char dir[PATH_MAX];
    if (choices == NULL) return 0;
    snprintf(dir, sizeof(dir), "%s", choices);
    int rc = file_make_dirs(dirname(dir), e);
    if (rc < 0) return err_prefix(e, "--choices"), rc;
    rc = check_beside(s, "choices", choices, e);
    if (rc < 0) return rc;
    rc = choices_check_file(choices, e);
    return rc < 0 ? err_prefix(e, "--choices"), rc : 0;
}

int train_out_check(struct train_session *s, struct err *e)
{
    const char *out = s->command.out;
    int rc = train_out_check_writable("--out", out, e);
    if (rc < 0) return rc;
    snprintf(s->checkpoint, sizeof(s->checkpoint), "%s.ckpt", out);
    rc = check_dump(s, e);
    if (rc == 0) rc = check_choices(s, e);
    if (rc == 0) rc = train_out_claim(s, "out", out, &s->locks[0], e);
    if (rc == 0) rc = train_peer_check_out(s, e);
    if (rc < 0) return rc;
    if (!s->command.resume && file_exists(s->checkpoint)) {
        return err_set(
            e, ERR_CONFLICT,
            "%s is the checkpoint of an unfinished training: go on with --resume, or remove it",
            s->checkpoint);
    }
    return 0;
}
