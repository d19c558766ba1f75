/* A child process in the background: low priority, first to be killed when memory runs out, killed
 * when this program dies, in a process group and a directory of its own, its stdout followed line
 * by line. */
#ifndef LOOP_CHILD_H
#define LOOP_CHILD_H

#include <stddef.h>

#include "base/err.h"
#include "loop/loop.h"

struct child;

struct child_options {
    const char *const *argv; /* argv[0] is the program's path; ends in NULL */
    const char *directory;   /* its working directory */
    const char *log;         /* stderr is appended to this file */
    int niceness;
    bool idle; /* it gets what nothing else wants of the processors (SCHED_IDLE) */
};

struct child_calls {
    void (*line)(void *arg, const char *text, size_t size); /* a line of stdout */
    /* It has ended, and so has its stdout: exit code, or -1 and the signal that killed it. The
     * child is gone afterwards. */
    void (*ended)(void *arg, int exit_code, int signal);
};

/* Starts it. Must be called on the thread that lives as long as the program (the loop's): Linux
 * sends the parent-death signal when the *thread* that forked ends. Nothing is called back before
 * it returns. Errors name the program: -ENOENT, -EACCES.. */
int child_start(struct loop *loop, const struct child_options *options,
                const struct child_calls *calls, void *arg, struct child **ret_child,
                struct err *e);

/* Sends a signal to the whole group. */
void child_signal(struct child *child, int signal);

long child_pid(const struct child *child);

#endif
