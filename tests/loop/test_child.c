/* Child processes, real ones: what they inherit, how they end, what they leave. */
#include "config.h"

#include "loop/child.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../place.h"

static struct {
    char lines[4096];
    int ended, exit_code, signal;
} seen;

static void line(void *arg, const char *text, size_t size)
{
    (void)arg;
    size_t used = strlen(seen.lines);
    assert_false(seen.ended);
    snprintf(seen.lines + used, sizeof(seen.lines) - used, "%.*s|", size > 300 ? 300 : (int)size,
             text);
}

static void ended(void *arg, int exit_code, int signal)
{
    (void)arg;
    seen.ended++;
    seen.exit_code = exit_code;
    seen.signal = signal;
}

static struct place place;
static struct loop *loop;

static int set_up(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof(seen));
    place_make(&place);
    loop = loop_new(NULL);
    return loop != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop); /* waits until no handle is left */
    place_remove(&place);
    return 0;
}

static int start(const char *script, struct child **ret_child, struct err *e)
{
    static const struct child_calls calls = {line, ended};
    const char *argv[] = {"/bin/sh", "-c", script, "sh", "a b", "$HOME", NULL};
    char log[128];
    snprintf(log, sizeof(log), "%s/log", place.root);
    const struct child_options options = {argv, place.root, log, 7, true};
    return child_start(loop, &options, &calls, NULL, ret_child, e);
}

static void wait_end(void)
{
    while (seen.ended == 0) uv_run(loop_uv(loop), UV_RUN_ONCE);
}

static void run(const char *script)
{
    struct child *child;
    assert_int_equal(start(script, &child, NULL), 0);
    wait_end();
    assert_int_equal(seen.ended, 1);
}

static char *log_text(void)
{
    char *text;
    size_t size;
    assert_int_equal(file_read(place_path(&place, "log"), 1 << 20, &text, &size, NULL), 0);
    return text;
}

static void test_ends(void **state)
{
    (void)state;
    run("echo one; echo two >&2; echo \"$1,$2\"; printf three; exit 3");
    assert_string_equal(seen.lines, "one|a b,$HOME|three|");
    assert_int_equal(seen.exit_code, 3);
    assert_int_equal(seen.signal, 0);
    char *text = log_text();
    assert_string_equal(text, "two\n");
    free(text);
}

static void test_signal(void **state)
{
    (void)state;
    run("echo x; kill -9 $$; echo never");
    assert_string_equal(seen.lines, "x|");
    assert_int_equal(seen.exit_code, -1);
    assert_int_equal(seen.signal, SIGKILL);
}

/* Directory, stdin, priority, OOM score, process group, descriptors. */
static void test_surroundings(void **state)
{
    (void)state;
    char path[128], expected[512];
    snprintf(path, sizeof(path), "%s/leak", place.root);
    FILE *leak = fopen(path, "w"); /* without O_CLOEXEC, as a careless library would */
    assert_non_null(leak);
    run("pwd; readlink /proc/$$/fd/0; cat /proc/$$/oom_score_adj; nice; cut -d' ' -f5 "
        "/proc/$$/stat | "
        "sed \"s/^$$\\$/group/\"; "
        "case \"$(readlink /proc/$$/fd/*)\" in *leak*) echo leaked ;; *) echo clean ;; esac; "
        "umask");
    fclose(leak);
    snprintf(expected, sizeof(expected), "%s|/dev/null|1000|7|group|clean|0077|", place.root);
    assert_string_equal(seen.lines, expected);
}

/* Neither blocked nor ignored, whatever this program does with them. Those below 29: libc keeps
 * some above for itself. exec: the shell blocks signals of its own around a command. */
static void test_signals_are_fresh(void **state)
{
    (void)state;
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    signal(SIGPIPE, SIG_IGN);
    run("exec sed -n 's/^Sig\\(Blk\\|Ign\\):.*\\(.......\\)$/\\1\\2/p' /proc/self/status");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_string_equal(seen.lines, "Blk0000000|Ign0000000|");
}

static void test_cannot_start(void **state)
{
    (void)state;
    static const struct child_calls calls = {line, ended};
    const char *argv[] = {"/nonesuch/autodidact", "train", NULL};
    char log[128];
    struct child *child = NULL;
    struct err e = {0};
    snprintf(log, sizeof(log), "%s/log", place.root);
    struct child_options options = {argv, place.root, log, 0, false};
    assert_int_equal(child_start(loop, &options, &calls, NULL, &child, &e), -ENOENT);
    assert_non_null(strstr(e.text, "/nonesuch/autodidact"));
    argv[0] = "/etc/passwd";
    assert_int_equal(child_start(loop, &options, &calls, NULL, &child, &e), -EACCES);
    argv[0] = "/bin/sh";
    options.directory = "/nonesuch";
    assert_int_equal(child_start(loop, &options, &calls, NULL, &child, &e), -ENOENT);
    options.directory = place.root;
    options.log = "/nonesuch/log";
    assert_int_equal(child_start(loop, &options, &calls, NULL, &child, &e), -ENOENT);
    assert_null(child);
    uv_run(loop_uv(loop), UV_RUN_NOWAIT);
    assert_int_equal(seen.ended, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no zombies */
}

/* A grandchild that keeps the pipe open goes with its parent. */
static void test_group(void **state)
{
    (void)state;
    run("sleep 600 & echo started; exit 0");
    assert_string_equal(seen.lines, "started|");
    assert_int_equal(seen.exit_code, 0);
}

static void stop_it(uv_timer_t *timer)
{
    if (strstr(seen.lines, "ready") == NULL) return;
    child_signal(timer->data, SIGTERM);
    uv_close((uv_handle_t *)timer, NULL);
}

static void test_stop(void **state)
{
    (void)state;
    struct child *child;
    uv_timer_t timer;
    assert_int_equal(
        start("trap 'echo stopping; exit 1' TERM; echo ready; while :; do sleep 0.02; done", &child,
              NULL),
        0);
    uv_timer_init(loop_uv(loop), &timer);
    timer.data = child;
    uv_timer_start(&timer, stop_it, 5, 5);
    wait_end();
    assert_string_equal(seen.lines, "ready|stopping|");
    assert_int_equal(seen.exit_code, 1);
}

/* More than a pipe holds, and a line that is too long. */
static void test_much(void **state)
{
    (void)state;
    run("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end");
    assert_string_equal(seen.lines, "end|");
    assert_int_equal(seen.exit_code, 0);
}

/* The child dies when this program does, however that dies. */
static void test_parent_dies(void **state)
{
    (void)state;
    int out[2];
    assert_int_equal(pipe(out), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct child *child;
        close(out[0]);
        loop = loop_new(NULL);
        if (start("exec sleep 600", &child, NULL) < 0) _exit(1);
        long number = child_pid(child);
        if (write(out[1], &number, sizeof(number)) != (ssize_t)sizeof(number)) _exit(1);
        kill(getpid(), SIGKILL);
    }
    close(out[1]);
    long number = 0;
    assert_int_equal(read(out[0], &number, sizeof(number)), sizeof(number));
    close(out[0]);
    waitpid(pid, NULL, 0);
    char path[64], *text;
    size_t size;
    snprintf(path, sizeof(path), "/proc/%ld/stat", number);
    /* It is gone, or a zombie of whoever adopted it; waiting is bounded by the test's own time
     * limit. */
    for (;;) {
        if (file_read(path, 4096, &text, &size, NULL) < 0) break;
        const char *after_name = strrchr(text, ')');
        bool zombie = after_name != NULL && strchr("ZX", after_name[2]) != NULL;
        free(text);
        if (zombie) break;
        usleep(10000);
    }
}

int main(void)
{
    alarm(120);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_signal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_surroundings, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_signals_are_fresh, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cannot_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_group, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_much, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_parent_dies, set_up, tear_down),
    };
    return cmocka_run_group_tests_name("loop/child", tests, NULL, NULL);
}
