/* A growing byte buffer that is created with its maximum (curl's dynbuf): the text always ends in a
 * NUL that is not counted. After a failed append the buffer stays as it was. Not thread-safe. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL until the first append, then NUL-terminated */
    size_t size, capacity, max;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_release(struct buf *b);
void buf_clear(struct buf *b); /* empties, keeps the memory */

/* 0, ERR_LIMIT past the maximum, or -ENOMEM. */
int buf_append(struct buf *b, const void *data, size_t size);
int buf_puts(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The text so far, "" when empty; owned by the buffer, valid until the next call. */
const char *buf_text(const struct buf *b);

/* Hands the memory over to the caller (mem_free()); the buffer is empty afterwards. NULL if empty.
 */
char *buf_take(struct buf *b);

#endif
