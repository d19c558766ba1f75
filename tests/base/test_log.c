/* The log: formats, levels, that an event stays one line whatever is in it, whole lines of threads.
 */
#include "config.h"

#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"

static int saved_stderr = -1;
static FILE *captured;

static void capture(void)
{
    fflush(stderr);
    saved_stderr = dup(STDERR_FILENO);
    captured = tmpfile();
    assert_non_null(captured);
    dup2(fileno(captured), STDERR_FILENO);
}

static size_t release(char *text, size_t size)
{
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    rewind(captured);
    size_t n = fread(text, 1, size - 1, captured);
    text[n] = '\0';
    fclose(captured);
    return n;
}

/* One event in one format; what stands behind the time. */
static const char *logged(enum log_format format, const char *message)
{
    static char text[20000];
    log_setup(LOG_DEBUG, format);
    capture();
    log_warning("%s", message);
    release(text, sizeof(text));
    if (format == LOG_TEXT) {
        assert_true(strlen(text) > 25 && text[10] == 'T' && text[23] == 'Z' && text[24] == ' ');
        return text + 25;
    }
    if (format == LOG_JSON) {
        assert_memory_equal(text, "{\"time\":\"", 9);
        return text + 9 + 24;
    }
    return text;
}

static void test_formats(void **state)
{
    (void)state;
    assert_string_equal(logged(LOG_TEXT, "hello"), "warning: hello\n");
    assert_string_equal(logged(LOG_JOURNAL, "hello"), "<4>hello\n");
    assert_string_equal(logged(LOG_JSON, "hello"),
                        "\",\"level\":\"warning\",\"message\":\"hello\"}\n");
}

static void test_levels(void **state)
{
    (void)state;
    char text[1000];
    log_setup(LOG_WARNING, LOG_JOURNAL);
    capture();
    log_error("e");
    log_warning("w");
    log_info("i");
    log_debug("d");
    release(text, sizeof(text));
    assert_string_equal(text, "<3>e\n<4>w\n");
    log_setup(LOG_DEBUG, LOG_JOURNAL);
    capture();
    errno = ENOSPC;
    log_info("i %d", 1);
    assert_int_equal(errno, ENOSPC);
    log_debug("d");
    release(text, sizeof(text));
    assert_string_equal(text, "<6>i 1\n<7>d\n");
}

/* A log that cannot be written must not change what the caller is about to report. */
static void test_errno_survives(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_TEXT);
    saved_stderr = dup(STDERR_FILENO);
    close(STDERR_FILENO);
    errno = ENOSPC;
    log_info("into the void");
    int after = errno;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    assert_int_equal(after, ENOSPC);
}

static void test_parse(void **state)
{
    (void)state;
    assert_int_equal(log_level_parse("error"), LOG_ERROR);
    assert_int_equal(log_level_parse("Debug"), LOG_DEBUG);
    assert_int_equal(log_level_parse("loud"), ERR_RANGE);
    assert_int_equal(log_level_parse(""), ERR_RANGE);
    assert_int_equal(log_format_parse("text"), LOG_TEXT);
    assert_int_equal(log_format_parse("json"), LOG_JSON);
    assert_int_equal(log_format_parse("journal"), LOG_JOURNAL);
    assert_int_equal(log_format_parse("xml"), ERR_RANGE);
}

/* What a client sends must not forge a line, colour a terminal or break the JSON. */
static void test_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *in, *text, *json;
    } rows[] = {
        {"a\nb\r\t", "a\\x0ab\\x0d\\x09", "a\\u000ab\\u000d\\u0009"},
        {"\033[31m\x7f", "\\x1b[31m\\x7f", "\\u001b[31m\\u007f"},
        {"q\"q\\", "q\"q\\", "q\\\"q\\\\"},
        {"gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x98\x80", "gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x98\x80",
         "gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc2\x9b", "\\x9b", "\\u009b"},                /* a C1 control: CSI in one character */
        {"\xff|\xc3", "\\xff|\\xc3", "\\ufffd|\\ufffd"}, /* no UTF-8 */
        {"\xc0\xaf", "\\xc0\\xaf", "\\ufffd\\ufffd"},    /* overlong */
        {"\xe0\x80\xaf", "\\xe0\\x80\\xaf", "\\ufffd\\ufffd\\ufffd"},
        {"\xed\xa0\x80", "\\xed\\xa0\\x80", "\\ufffd\\ufffd\\ufffd"}, /* a surrogate */
        {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char want[256];
        snprintf(want, sizeof(want), "<4>%s\n", rows[i].text);
        assert_string_equal(logged(LOG_JOURNAL, rows[i].in), want);
        snprintf(want, sizeof(want), "\",\"level\":\"warning\",\"message\":\"%s\"}\n",
                 rows[i].json);
        assert_string_equal(logged(LOG_JSON, rows[i].in), want);
    }
}

static void test_long_text_is_cut(void **state)
{
    (void)state;
    static char text[5000];
    memset(text, 1, sizeof(text) - 1); /* six bytes each in JSON */
    const char *line = logged(LOG_JSON, text);
    size_t n = strlen(line);
    assert_true(n > 2000 * 6);
    assert_string_equal(line + n - 3, "\"}\n");
}

enum { THREADS = 4, EACH = 300 };

static void *chatter(void *arg)
{
    const char *name = arg;
    for (int i = 0; i < EACH; i++)
        log_info("%s%s%s%s%s%s%s%s", name, name, name, name, name, name, name, name);
    return NULL;
}

static void test_lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    static char names[THREADS][8] = {"aaaaaaa", "bbbbbbb", "ccccccc", "ddddddd"};
    static char text[THREADS * EACH * 64];
    log_setup(LOG_INFO, LOG_JOURNAL);
    capture();
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, chatter, names[i]);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    size_t n = release(text, sizeof(text)), lines = 0;
    for (const char *s = text; s < text + n; s += 60, lines++) {
        assert_memory_equal(s, "<6>", 3);
        for (int i = 3; i < 59; i++) assert_int_equal(s[i], s[3]);
        assert_int_equal(s[59], '\n');
    }
    assert_int_equal(lines, THREADS * EACH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_errno_survives),
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_long_text_is_cut),
        cmocka_unit_test(test_lines_of_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
