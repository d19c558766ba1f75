/* Where the log's lines go: a reader that does not read stops nobody, what is lost is counted and
 * told, files are opened anew, and an end has its bound. */
#include "config.h"

#include "base/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"

enum { LONG = 60 }; /* seconds, for what is only to end some time */

static char root[] = "/tmp/test_log_sink.XXXXXX";
static int pipe_end, saved_stderr;

/* stderr is a pipe of 64 KiB that nobody reads yet. */
static void begin(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    saved_stderr = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    pipe_end = ends[0];
    log_setup(LOG_DEBUG, LOG_JOURNAL);
    assert_int_equal(log_sink_start(NULL), 0);
}

static void *read_on(void *arg)
{
    FILE *to = arg;
    char data[4096];
    for (ssize_t n; (n = read(pipe_end, data, sizeof(data))) > 0;) fwrite(data, 1, (size_t)n, to);
    return NULL;
}

/* Ends the log, reading all there is; free() the text. */
static char *end(void)
{
    char *text;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    pthread_t reader;
    pthread_create(&reader, NULL, read_on, to);
    assert_true(log_sink_flush(LONG * CLOCK_SECOND));
    log_sink_stop(LONG * CLOCK_SECOND);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    pthread_join(reader, NULL);
    close(pipe_end);
    fclose(to);
    return text;
}

static unsigned count(const char *text, const char *words)
{
    unsigned n = 0;
    while ((text = strstr(text, words)) != NULL) n++, text++;
    return n;
}

static void lines_arrive_in_order(void **state)
{
    (void)state;
    begin();
    for (int i = 0; i < 1000; i++) log_info("line %d", i);
    char *text = end(), *at = text;
    for (int i = 0; i < 1000; i++) {
        char line[32];
        int n = snprintf(line, sizeof(line), "<6>line %d\n", i);
        assert_memory_equal(at, line, (size_t)n);
        at += n;
    }
    assert_string_equal(at, "");
    free(text);
}

/* More than pipe and queue hold: nobody waits, errors have room longest, and what was lost is told
 * as soon as it can be. */
static void full_pipe(void **state)
{
    (void)state;
    enum { LINES = 20000 };
    begin();
    uint64_t before = log_sink_lost();
    for (int i = 0; i < LINES; i++) log_info("information that fills the pipe and the queue %d", i);
    uint64_t lost = log_sink_lost() - before;
    assert_true(lost > 0 && lost < LINES);
    for (int i = 0; i < 100; i++) log_error("trouble %d", i);
    assert_int_equal(log_sink_lost() - before, lost);
    assert_false(log_sink_flush(CLOCK_MS)); /* bounded, too */
    char *text = end();
    assert_int_equal(count(text, "information"), LINES - lost);
    assert_int_equal(count(text, "<3>trouble"), 100);
    /* Told in one go or in several, as the thread came by. */
    unsigned long long told = 0;
    for (const char *at = text; (at = strstr(at, "<4>")) != NULL; at++)
        told += strtoull(at + 3, NULL, 10);
    assert_int_equal(told, lost);
    assert_int_equal(count(text, "\n"), LINES - lost + 100 + count(text, "<4>"));
    free(text);
}

static void *chatter(void *arg)
{
    for (int i = 0; i < 5000; i++)
        log_info("%s%s%s%s", (char *)arg, (char *)arg, (char *)arg, (char *)arg);
    return NULL;
}

static void threads_do_not_mix(void **state)
{
    (void)state;
    static char names[4][8] = {"aaaaaaa", "bbbbbbb", "ccccccc", "ddddddd"};
    begin();
    uint64_t before = log_sink_lost();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, chatter, names[i]);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    uint64_t lost = log_sink_lost() - before;
    char *text = end();
    unsigned whole = 0;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        if (line[1] == '4') continue; /* what was lost */
        assert_int_equal(strlen(line), 31);
        for (int i = 3; i < 31; i++) assert_int_equal(line[i], line[3]);
        whole++;
    }
    assert_int_equal(whole, 20000 - lost);
    free(text);
}

static void read_file(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, size - 1, f)] = '\0';
    fclose(f);
}

/* Moved away and opened anew, as logrotate has it; into a directory that is not there: as before.
 */
static void files(void **state)
{
    (void)state;
    char path[64], moved[64], nowhere[64], fifo[64], text[256];
    struct err e = {0};
    snprintf(path, sizeof(path), "%s/log", root);
    snprintf(moved, sizeof(moved), "%s/log.1", root);
    snprintf(fifo, sizeof(fifo), "%s/fifo", root);
    snprintf(nowhere, sizeof(nowhere), "%s/no/log", root);
    for (int threaded = 0; threaded < 2; threaded++) {
        if (threaded) assert_int_equal(log_sink_start(&e), 0);
        assert_int_equal(log_sink_open(path, &e), 0);
        log_setup(LOG_INFO, LOG_JOURNAL);
        log_info("one");
        assert_true(log_sink_flush(LONG * CLOCK_SECOND));
        assert_int_equal(rename(path, moved), 0);
        log_info("two");
        assert_true(log_sink_flush(LONG * CLOCK_SECOND));
        assert_int_equal(log_sink_reopen(&e), 0);
        log_info("three");
        assert_int_equal(log_sink_open(nowhere, &e), -ENOENT);
        assert_non_null(strstr(e.text, nowhere));
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_int_equal(log_sink_open(fifo, &e), -ENXIO); /* without waiting for a reader */
        unlink(fifo);
        log_info("four");
        assert_true(log_sink_flush(LONG * CLOCK_SECOND));
        read_file(moved, text, sizeof(text));
        assert_string_equal(text, "<6>one\n<6>two\n");
        read_file(path, text, sizeof(text));
        assert_string_equal(text, "<6>three\n<6>four\n");
        unlink(path);
        unlink(moved);
        assert_int_equal(log_sink_open("", &e), 0);
        log_sink_stop(LONG * CLOCK_SECOND);
    }
}

/* A full disk loses lines, and says so when there is room: no half line hides the next one. */
static void writing_fails(void **state)
{
    (void)state;
    int before = dup(STDERR_FILENO), full = open("/dev/full", O_WRONLY);
    uint64_t lost = log_sink_lost();
    char path[64], text[256];
    if (full < 0) skip();
    dup2(full, STDERR_FILENO);
    log_setup(LOG_INFO, LOG_JOURNAL);
    assert_int_equal(log_sink_start(NULL), 0);
    log_info("one");
    assert_true(log_sink_flush(LONG * CLOCK_SECOND));
    log_info("two");
    assert_true(log_sink_flush(LONG * CLOCK_SECOND));
    assert_int_equal(log_sink_lost() - lost, 2);
    snprintf(path, sizeof(path), "%s/log", root);
    assert_int_equal(log_sink_open(path, NULL), 0);
    log_info("three");
    assert_true(log_sink_flush(LONG * CLOCK_SECOND));
    read_file(path, text, sizeof(text));
    assert_non_null(strstr(text, "<6>three\n<4>"));
    assert_non_null(strstr(text, " lines of the log were lost"));
    assert_int_equal(log_sink_open("", NULL), 0);
    log_sink_stop(LONG * CLOCK_SECOND);
    unlink(path);
    dup2(before, STDERR_FILENO);
    close(before);
    close(full);
}

/* The last lines of a process that crashes arrive; one that cannot get rid of its lines ends all
 * the same. */
static void ends(void **state)
{
    (void)state;
    for (int full = 0; full < 2; full++) {
        int fds[2], status;
        assert_int_equal(pipe(fds), 0);
        pid_t child = fork();
        if (child == 0) {
            close(fds[0]);
            dup2(fds[1], STDERR_FILENO);
            if (full) { /* somebody else keeps the other end open, and does not read */
                fcntl(fds[1], F_SETFL, O_NONBLOCK);
                while (write(fds[1], "xxxxxxxx", 8) > 0) {
                }
                fcntl(fds[1], F_SETFL, 0);
            }
            for (int i = 1; i < 32; i++) signal(i, SIG_DFL);
            log_setup(LOG_INFO, LOG_JOURNAL);
            log_sink_outlive_crashes();
            if (log_sink_start(NULL) < 0) _exit(1);
            for (int i = 0; i < 100; i++) log_error("last words %d", i);
            if (full) {
                log_sink_stop(CLOCK_MS);
                _exit(7);
            }
            abort();
        }
        close(fds[1]);
        if (!full) {
            char text[100000];
            size_t used = 0;
            for (ssize_t n; (n = read(fds[0], text + used, sizeof(text) - 1 - used)) > 0;)
                used += (size_t)n;
            text[used] = '\0';
            assert_int_equal(count(text, "last words"), 100);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (full)
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        else
            assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        close(fds[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_arrive_in_order), cmocka_unit_test(full_pipe),
        cmocka_unit_test(threads_do_not_mix),    cmocka_unit_test(files),
        cmocka_unit_test(writing_fails),         cmocka_unit_test(ends),
    };
    if (mkdtemp(root) == NULL) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(root);
    return failed;
}
