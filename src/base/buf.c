/* The growing buffer. It doubles until its maximum; the NUL after the text is not counted in size
 * or max, so that a buffer of maximum n takes exactly n bytes. */
#include "config.h"

#include "base/buf.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

enum { BUF_FIRST = 256 };

void buf_init(struct buf *b, size_t max_bytes)
{
    /* One byte is always left for the NUL, and sums with max never wrap. */
    *b = (struct buf){.max = max_bytes < PTRDIFF_MAX / 2 ? max_bytes : PTRDIFF_MAX / 2};
}

void buf_release(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->size = 0;
    if (b->data != NULL) b->data[0] = '\0';
}

/* Makes room for size more bytes and the NUL. */
static int reserve(struct buf *b, size_t size)
{
    if (size > b->max - b->size) return ERR_LIMIT;
    size_t needed = b->size + size + 1;
    if (needed <= b->capacity) return 0;
    size_t capacity = b->capacity < BUF_FIRST ? BUF_FIRST : 2 * b->capacity;
    if (capacity < needed) capacity = needed;
    if (capacity > b->max + 1) capacity = b->max + 1;
    char *data = mem_grow(b->data, capacity, 1);
    if (data == NULL) return -ENOMEM;
    if (b->data == NULL) data[0] = '\0';
    b->data = data;
    b->capacity = capacity;
    return 0;
}

int buf_append(struct buf *b, const void *data, size_t size)
{
    int rc = reserve(b, size);
    if (rc < 0) return rc;
    if (size > 0) memcpy(b->data + b->size, data, size);
    b->size += size;
    b->data[b->size] = '\0';
    return 0;
}

int buf_puts(struct buf *b, const char *s)
{
    return buf_append(b, s, strlen(s));
}

int buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = b->capacity > b->size ? b->capacity - b->size : 0;
    int n = vsnprintf(room > 0 ? b->data + b->size : NULL, room, format, args);
    va_end(args);
    int rc = n < 0 ? ERR_FORMAT : reserve(b, (size_t)n);
    if (rc == 0 && (size_t)n >= room) {
        vsnprintf(b->data + b->size, (size_t)n + 1, format, again);
    }
    va_end(again);
    if (rc == 0) b->size += (size_t)n;
    /* A first try that did not fit has written a part behind the end. */
    if (b->data != NULL) b->data[b->size] = '\0';
    return rc;
}

const char *buf_text(const struct buf *b)
{
    return b->data != NULL ? b->data : "";
}

char *buf_take(struct buf *b)
{
    char *data = b->size > 0 ? b->data : NULL;
    if (data == NULL) mem_free(b->data);
    *b = (struct buf){.max = b->max};
    return data;
}
