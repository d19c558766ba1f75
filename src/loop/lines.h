/* Lines out of a stream of bytes, each at most LINES_MAX long; a longer one is dropped to its end.
 */
#ifndef LOOP_LINES_H
#define LOOP_LINES_H

#include <stdbool.h>
#include <stddef.h>

enum { LINES_MAX = 1 << 20 };

struct lines {
    char data[LINES_MAX + 1];
    size_t size;
    bool dropping;  /* the present line was too long */
    size_t dropped; /* lines that were */
};

void lines_init(struct lines *lines);

/* Calls line(arg, text, size) for each line that ends in these bytes; text ends in a NUL in place
 * of the newline (and of a carriage return before it). */
void lines_feed(struct lines *lines, const char *bytes, size_t size,
                void (*line)(void *arg, const char *text, size_t size), void *arg);

/* The end of the stream: what is there without a newline is a line too. */
void lines_end(struct lines *lines, void (*line)(void *arg, const char *text, size_t size),
               void *arg);

#endif
