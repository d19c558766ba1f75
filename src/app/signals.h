/* The signals that people and supervisors send, and what each asks of the daemon. */
#ifndef APP_SIGNALS_H
#define APP_SIGNALS_H

#include <stdbool.h>
#include <uv.h>

#include "base/err.h"

enum wish {
    WISH_DRAIN,  /* SIGTERM: stop, with the delay for balancers */
    WISH_STOP,   /* SIGINT, SIGQUIT: without it */
    WISH_RELOAD, /* SIGHUP */
    WISH_REOPEN, /* SIGUSR1: the log's file */
};

enum { SIGNALS_CAUGHT = 5 };

struct signals {
    uv_signal_t handles[SIGNALS_CAUGHT];
    bool open;
    void (*wished)(void *arg, enum wish wish, const char *signal);
    void *arg;
};

/* From now on no signal that somebody sends by habit kills: SIGHUP and SIGUSR1, until they are
 * caught, SIGUSR2 and timers' are ignored. A write to a closed pipe and a file beyond the limit of
 * sizes are errors. First thing of the program. */
void signals_ignore(void);

/* Has wished(arg, wish, "SIGTERM") called on the loop's thread for each. */
int signals_catch(struct signals *signals, uv_loop_t *loop,
                  void (*wished)(void *arg, enum wish wish, const char *signal), void *arg,
                  struct err *e);

/* Nothing is caught any more; the loop must run once more before *signals goes. Never opened is
 * fine. */
void signals_close(struct signals *signals);

#endif
