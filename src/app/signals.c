/* Signals by the loop. */
#include "config.h"

#include "signals.h"

#include <signal.h>
#include <stddef.h>

static const struct {
    int number;
    const char *name;
    enum wish wish;
} caught[] = {
    {SIGTERM, "SIGTERM", WISH_DRAIN},  {SIGINT, "SIGINT", WISH_STOP},
    {SIGQUIT, "SIGQUIT", WISH_STOP},   {SIGHUP, "SIGHUP", WISH_RELOAD},
    {SIGUSR1, "SIGUSR1", WISH_REOPEN},
};
_Static_assert(sizeof(caught) / sizeof(caught[0]) == SIGNALS_CAUGHT, "a handle for each");

void signals_ignore(void)
{
    static const int ignored[] = {SIGPIPE, SIGXFSZ,   SIGHUP,  SIGUSR1, SIGUSR2,
                                  SIGALRM, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR};
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) signal(ignored[i], SIG_IGN);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct signals *signals = handle->data;
    (void)number;
    size_t i = (size_t)(handle - signals->handles);
    signals->wished(signals->arg, caught[i].wish, caught[i].name);
}

int signals_catch(struct signals *signals, uv_loop_t *loop,
                  void (*wished)(void *arg, enum wish wish, const char *signal), void *arg,
                  struct err *e)
{
    signals->wished = wished;
    signals->arg = arg;
    for (size_t i = 0; i < SIGNALS_CAUGHT; i++) {
        uv_signal_init(loop, &signals->handles[i]);
        signals->handles[i].data = signals;
    }
    signals->open = true;
    for (size_t i = 0; i < SIGNALS_CAUGHT; i++) {
        int rc = uv_signal_start(&signals->handles[i], on_signal, caught[i].number);
        if (rc < 0) return err_set(e, rc, "cannot catch signals: %s", uv_strerror(rc));
    }
    return 0;
}

void signals_close(struct signals *signals)
{
    for (size_t i = 0; signals->open && i < SIGNALS_CAUGHT; i++)
        uv_close((uv_handle_t *)&signals->handles[i], NULL);
    signals->open = false;
}
