/* Line splitting with a bound: a child that goes mad costs a fixed buffer, not the daemon's memory.
 */
#include "config.h"

#include "lines.h"

#include <string.h>

void lines_init(struct lines *lines)
{
    lines->size = 0;
    lines->dropping = false;
    lines->dropped = 0;
}

static void emit(struct lines *lines, void (*line)(void *arg, const char *text, size_t size),
                 void *arg)
{
    size_t size = lines->size;
    lines->size = 0;
    if (lines->dropping) {
        lines->dropping = false;
        lines->dropped++;
        return;
    }
    if (size > 0 && lines->data[size - 1] == '\r') size--;
    lines->data[size] = '\0';
    line(arg, lines->data, size);
}

void lines_feed(struct lines *lines, const char *bytes, size_t size,
                void (*line)(void *arg, const char *text, size_t size), void *arg)
{
    while (size > 0) {
        const char *newline = memchr(bytes, '\n', size);
        size_t part = newline != NULL ? (size_t)(newline - bytes) : size;
        if (part > LINES_MAX - lines->size) lines->dropping = true;
        if (!lines->dropping) {
            memcpy(lines->data + lines->size, bytes, part);
            lines->size += part;
        }
        if (newline == NULL) return;
        emit(lines, line, arg);
        bytes += part + 1;
        size -= part + 1;
    }
}

void lines_end(struct lines *lines, void (*line)(void *arg, const char *text, size_t size),
               void *arg)
{
    if (lines->size > 0 || lines->dropping) emit(lines, line, arg);
}
