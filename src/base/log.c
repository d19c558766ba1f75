/* The log: one event, one line.
 *
 * A line is built in a buffer on the stack and handed over whole, so that lines of different
 * threads never mix and no lock is held while it is made. Control characters, which may come from a
 * request, are escaped: an event cannot forge a second line or recolour a terminal. Where lines go
 * is log_sink.c's; rotation is left to others. */
#include "config.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log_sink.h"
#include "base/text.h"
#include "log_line.h"

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

static atomic_int least_level = LOG_INFO, line_format = LOG_TEXT;
static atomic_bool coloured;

void log_setup(enum log_level level, enum log_format format)
{
    atomic_store(&least_level, (int)level);
    atomic_store(&line_format, (int)format);
    atomic_store(&coloured, format == LOG_TEXT && log_sink_is_terminal());
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

size_t log_line(char ret_line[LOG_LINE_MAX], enum log_level level, const char *text)
{
    char when[32];
    size_t used = 0;
    const int format = atomic_load(&line_format);
    clock_format(clock_real(), when, sizeof(when));
    if (format == LOG_JSON) {
        used = (size_t)sprintf(ret_line, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"", when,
                               levels[level].name);
    } else if (format == LOG_JOURNAL) {
        used = (size_t)sprintf(ret_line, "<%d>", levels[level].priority);
    } else {
        bool colours = atomic_load(&coloured);
        used = (size_t)sprintf(ret_line, "%s %s%s%s: ", when, colours ? levels[level].colour : "",
                               levels[level].name, colours ? "\033[0m" : "");
    }
    used += escape(text, format == LOG_JSON, ret_line + used);
    const char *end = format == LOG_JSON ? "\"}\n" : "\n";
    memcpy(ret_line + used, end, strlen(end));
    return used + strlen(end);
}

void log_write(enum log_level level, const char *format, ...)
{
    if ((int)level > atomic_load(&least_level)) return;
    int saved_errno = errno;
    char text[LOG_TEXT_MAX], line[LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) < 0) text[0] = '\0';
    va_end(args);
    log_sink_write(level, line, log_line(line, level, text));
    errno = saved_errno;
}
