/* The log: one event, one line, one write() to stderr.
 *
 * A line is built in a buffer on the stack and written at once, so that lines of different threads
 * never mix and no lock is held while writing. Control characters, which may come from a request,
 * are escaped: an event cannot forge a second line or recolour a terminal. Left out: files and
 * rotation, which are the supervisor's. */
#include "config.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"

enum { TEXT_MAX = 2048, LINE_MAX_BYTES = 6 * TEXT_MAX + 256 /* every byte as \u0000 */ };

static const struct {
    const char *name, *colour;
    int priority; /* of syslog(3), for the journal */
} levels[] = {
    [LOG_ERROR] = {"error", "\033[31m", 3},
    [LOG_WARNING] = {"warning", "\033[33m", 4},
    [LOG_INFO] = {"info", "", 6},
    [LOG_DEBUG] = {"debug", "\033[2m", 7},
};

static const char *const format_names[] = {
    [LOG_TEXT] = "text", [LOG_JSON] = "json", [LOG_JOURNAL] = "journal"};

/* Written by log_setup() before threads start, read-only after it. */
static enum log_level least_level = LOG_INFO;
static enum log_format line_format = LOG_TEXT;
static bool coloured;

void log_setup(enum log_level level, enum log_format format)
{
    least_level = level;
    line_format = format;
    coloured = format == LOG_TEXT && isatty(STDERR_FILENO) == 1;
}

int log_level_parse(const char *text)
{
    for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
        if (strcasecmp(text, levels[i].name) == 0) return i;
    }
    return ERR_RANGE;
}

int log_format_parse(const char *text)
{
    for (int i = LOG_TEXT; i <= LOG_JOURNAL; i++) {
        if (strcasecmp(text, format_names[i]) == 0) return i;
    }
    return ERR_RANGE;
}

/* Copies text, which is NUL-terminated, so that it is printable UTF-8 and, for JSON, a string's
 * inside. ret has room for six bytes a byte. */
static size_t escape(const char *text, bool json, char *ret)
{
    size_t used = 0;
    const char *end = text + strlen(text);
    for (const unsigned char *s = (const unsigned char *)text; *s != '\0';) {
        size_t n = text_utf8_length((const char *)s, (size_t)(end - (const char *)s));
        bool control = *s < 0x20 || *s == 0x7f || (n == 2 && s[0] == 0xc2 && s[1] < 0xa0);
        if (n == 0) {
            /* JSON has no bytes: the replacement character stands for what is no text. */
            used += (size_t)sprintf(ret + used, json ? "\\ufffd" : "\\x%02x", *s);
            s++;
        } else if (control) {
            used += (size_t)sprintf(ret + used, json ? "\\u%04x" : "\\x%02x", n == 2 ? s[1] : s[0]);
            s += n;
        } else {
            if (json && (*s == '"' || *s == '\\')) ret[used++] = '\\';
            memcpy(ret + used, s, n);
            used += n;
            s += n;
        }
    }
    ret[used] = '\0';
    return used;
}

static void write_line(const char *line, size_t size)
{
    while (size > 0) {
        ssize_t n = write(STDERR_FILENO, line, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return; /* there is nobody left to tell */
        line += n;
        size -= (size_t)n;
    }
}

void log_write(enum log_level level, const char *format, ...)
{
    if (level > least_level) return;
    int saved_errno = errno;
    char text[TEXT_MAX], line[LINE_MAX_BYTES], when[32];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0) text[0] = '\0';
    va_end(args);

    size_t used = 0;
    clock_format(clock_real(), when, sizeof(when));
    if (line_format == LOG_JSON) {
        used =
            (size_t)snprintf(line, sizeof(line), "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"",
                             when, levels[level].name);
    } else if (line_format == LOG_JOURNAL) {
        used = (size_t)snprintf(line, sizeof(line), "<%d>", levels[level].priority);
    } else {
        used = (size_t)snprintf(line, sizeof(line), "%s %s%s%s: ", when,
                                coloured ? levels[level].colour : "", levels[level].name,
                                coloured ? "\033[0m" : "");
    }
    used += escape(text, line_format == LOG_JSON, line + used);
    const char *end = line_format == LOG_JSON ? "\"}\n" : "\n";
    memcpy(line + used, end, strlen(end));
    write_line(line, used + strlen(end));
    errno = saved_errno;
}
