/* See hard_stop.h. A timer's signal, since it needs neither the loop, which may be gone, nor
 * memory or a thread, which there may be none of. */
#include "config.h"

#include "hard_stop.h"

#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static const char *volatile subject = "";

static void say(const char *text)
{
    ssize_t n = write(STDERR_FILENO, text, strlen(text));
    (void)n; /* there is nobody else to tell */
}

/* Only what may be called in a signal handler. */
static void on_alarm(int number)
{
    (void)number;
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    if (flags >= 0) fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK); /* a full pipe waits, too */
    say("autodidactd: stopping hard: ");
    say(subject);
    say(" does not end\n");
    _exit(1);
}

void hard_stop_after(int64_t ms, const char *waits_for)
{
    const struct itimerval timer = {
        .it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 + 1}};
    struct sigaction action = {.sa_handler = on_alarm};
    sigset_t alarm_only;
    subject = waits_for;
    sigaction(SIGALRM, &action, NULL);
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL); /* whoever started us may have blocked it */
    setitimer(ITIMER_REAL, &timer, NULL);
}
