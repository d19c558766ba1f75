/* Who writes OUT: a lock on OUT.lock that two trainings cannot both have, whichever directory they
 * are started in. It ends with its process, however that ends. */
#ifndef TOOL_TRAIN_LOCK_H
#define TOOL_TRAIN_LOCK_H

#include <limits.h>
#include <stdbool.h>

#include "base/err.h"

struct train_lock {
    bool is_held;
    int fd;
    char path[PATH_MAX];
};

/* ERR_CONFLICT names the process that has it; who is just being killed is waited for, a second.
 * option: "out", for messages. */
int train_lock_take(struct train_lock *lock, const char *option, const char *out, struct err *e);

/* Fine on zeros. */
void train_lock_release(struct train_lock *lock);

#endif
