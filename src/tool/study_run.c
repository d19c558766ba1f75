/* A training as a child. It has a process group of its own, so that Ctrl-C reaches it once, by way
 * of us; when we die, it gets SIGTERM and writes a checkpoint. */
#include "config.h"

#include "study_run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "json/value.h"

enum { LINE_MAX_BYTES = 1 << 16 };

static const struct json_limits line_limits = {LINE_MAX_BYTES, 1 << 10};

static volatile sig_atomic_t stop_signal;
static volatile pid_t child;

static void on_signal(int number)
{
    stop_signal = number;
    if (child > 0) kill(child, SIGTERM);
}

void study_run_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* The child, which never returns. */
static void become_training(char *const *arguments, int output, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    dup2(output, STDOUT_FILENO);
    execv("/proc/self/exe", arguments);
    fprintf(stderr, "autodidact study: cannot start itself: %s\n", strerror(errno));
    _exit(1);
}

static void show(const char *label, const char *line, size_t size)
{
    struct json *event = json_parse("line", line, size, &line_limits, JSON_KIND_OBJECT, NULL);
    const struct json *loss = json_get(event, "loss");
    if (loss != NULL) {
        long eta = (long)json_number(json_get(event, "eta_s"), 0);
        fprintf(stderr, "\r%s  epoch %lld/%lld  loss %.4f  %.0f img/s  ETA %ld:%02ld:%02ld\033[K",
                label, (long long)json_int(json_get(event, "epoch"), 0),
                (long long)json_int(json_get(event, "epochs"), 0), json_number(loss, 0),
                json_number(json_get(event, "img_per_s"), 0), eta / 3600, eta / 60 % 60, eta % 60);
        fflush(stderr);
    }
    json_free(event);
}

/* Line by line, until the child closes its end. */
static void follow(FILE *lines, FILE *log, const char *label)
{
    char *line = NULL;
    size_t capacity = 0;
    const bool terminal = isatty(STDERR_FILENO) == 1;
    for (ssize_t n; (n = getline(&line, &capacity, lines)) > 0;) {
        fwrite(line, 1, (size_t)n, log);
        fflush(log);
        if (terminal && n < LINE_MAX_BYTES) show(label, line, (size_t)n);
    }
    free(line);
    if (terminal) fprintf(stderr, "\r\033[K");
}

static int judge_end(pid_t pid, struct err *e)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    child = 0;
    if (stop_signal != 0)
        return err_set(e, ERR_CANCELLED, "stopped by signal %d: the same command goes on from here",
                       (int)stop_signal);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    if (WIFSIGNALED(status))
        return err_set(e, ERR_CONFLICT, "the training was ended by signal %d", WTERMSIG(status));
    return err_set(e, ERR_CONFLICT, "the training failed");
}

int study_run(char *const *arguments, const char *log, const char *label, struct err *e)
{
    int ends[2];
    if (stop_signal != 0)
        return err_set(e, ERR_CANCELLED, "stopped: the same command goes on from here");
    FILE *file = fopen(log, "ae");
    if (file == NULL) return err_set(e, -errno, "%s: %s", log, err_text(-errno));
    if (pipe(ends) < 0) {
        err_set(e, -errno, "no pipe: %s", err_text(-errno));
        fclose(file);
        return e->code;
    }
    const pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        close(ends[0]);
        become_training(arguments, ends[1], parent);
    }
    close(ends[1]);
    FILE *lines = pid > 0 ? fdopen(ends[0], "r") : NULL;
    int rc = 0;
    if (pid < 0) {
        rc = err_set(e, -errno, "cannot start a training: %s", err_text(-errno));
    } else {
        child = pid;
        if (stop_signal != 0) kill(pid, SIGTERM); /* it came in between */
        if (lines != NULL) follow(lines, file, label);
        rc = judge_end(pid, e);
    }
    if (lines != NULL)
        fclose(lines);
    else
        close(ends[0]);
    fclose(file);
    return rc;
}
