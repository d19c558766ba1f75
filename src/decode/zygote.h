/* The zygote: a small process of one thread, forked from the daemon before that has others. It
 * forks the helpers, watches them, and forks another one for each that ends; what happens it tells
 * the daemon. So helpers can be started at any time, though the daemon, with threads and other
 * people's data in its memory, never forks. */
#ifndef SRC_DECODE_ZYGOTE_H
#define SRC_DECODE_ZYGOTE_H

#include <stdbool.h>
#include <sys/types.h>

#include "helper.h"
#include "sandbox.h"

struct zygote_options {
    unsigned foreground, background; /* helpers; those of the foreground have the first numbers */
    struct helper_options helper;
};

enum zygote_event {
    ZYGOTE_STARTED, /* a helper, in its sandbox */
    ZYGOTE_ENDED,   /* it */
    ZYGOTE_FAILED,  /* one could not be started; it is tried again */
};

struct zygote_news {
    enum zygote_event event;
    unsigned number; /* of the helper, from 0 */
    pid_t pid;
    struct sandbox_posture posture; /* STARTED */
    bool stopped;                   /* ENDED: by a signal that stops, and so by us */
    int signal;                     /* ENDED: by it; 0: by itself */
    struct err error;               /* FAILED */
};

/* What comes with ZYGOTE_STARTED. */
enum { ZYGOTE_REGION, ZYGOTE_SOCKET, ZYGOTE_PIDFD, ZYGOTE_FDS };

/* Forks it. socket: a descriptor for zygote_receive(), the caller's; when it is closed, zygote and
 * helpers end. Errors: what socketpair() and fork() say. */
int zygote_start(const struct zygote_options *options, pid_t *ret_pid, int *ret_socket,
                 struct err *e);

/* Waits for news; the descriptors of ZYGOTE_STARTED become the caller's. 0, or -EPIPE: the zygote
 * has ended. */
int zygote_receive(int socket, struct zygote_news *ret_news, int ret_fds[ZYGOTE_FDS]);

#endif
