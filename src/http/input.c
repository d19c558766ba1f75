/* What a connection receives: a head, then its body, then what comes next. A head grows in a buffer
 * of the connection and stays there while its exchange lasts. Bodies pass through memory that all
 * connections of a server share; only a chunked one, whose end nobody knows before it is read,
 * passes through the buffer behind its head. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "connection.h"

enum {
    FIRST = 4 << 10,
    BEHIND = 4 << 10,            /* room for a body behind a head */
    LARGEST = HEAD_MAX + BEHIND, /* what a head that is refused as too long may come to */
    KEPT = 16 << 10,             /* between two exchanges */
};

static enum input receive(struct connection *c, char *to, size_t room, size_t *ret_size)
{
    if (c->ended) return INPUT_END;
    if (!c->readable) return INPUT_WAITS;
    ssize_t n = c->transport.kind->receive(&c->transport, to, room, &c->came_ns);
    if (n == -EAGAIN) {
        c->readable = false;
        return INPUT_WAITS;
    }
    if (n < 0) return INPUT_LOST;
    c->ended = n == 0;
    if (n == 0) return INPUT_END;
    /* A short read has taken all there was, unless the end has come as well: no edge announces what
     * has been announced. */
    if ((size_t)n < room && !c->end_seen) c->readable = false;
    *ret_size = (size_t)n;
    return INPUT_MORE;
}

/* Memory for so many bytes in all. */
static bool make_room(struct connection *c, size_t needed)
{
    size_t capacity = c->in.capacity == 0 ? FIRST : c->in.capacity;
    while (capacity < needed) capacity *= 2;
    if (capacity > LARGEST) capacity = LARGEST;
    if (capacity == c->in.capacity) return true;
    char *data = mem_grow(c->in.data, capacity, 1);
    if (data == NULL) return false;
    c->in.data = data;
    c->in.capacity = capacity;
    return true;
}

/* Appends to what has come. */
static enum input fill(struct connection *c)
{
    size_t n = 0;
    enum input rc = receive(c, c->in.data + c->in.size, c->in.capacity - c->in.size, &n);
    c->in.size += n;
    return rc;
}

enum input input_head(struct connection *c, size_t *ret_size, int *ret_status, struct err *e)
{
    int rc = head_scan(&c->in.scan, c->in.data, c->in.size, ret_size, e);
    if (rc == HEAD_WHOLE) {
        if (make_room(c, *ret_size + BEHIND)) return INPUT_WHOLE;
    } else if (rc != 0) {
        *ret_status = rc;
        return INPUT_BAD;
    } else if (make_room(c, c->in.size + 1)) {
        return fill(c);
    }
    return INPUT_LOST; /* out of memory */
}

/* As many bytes as the head says. */
static enum input counted_body(struct connection *c,
                               void (*take)(struct exchange *, const char *, size_t))
{
    struct exchange *x = &c->x;
    uint64_t length = x->framing.content_length > 0 ? (uint64_t)x->framing.content_length : 0;
    uint64_t left = length - x->body_seen;
    if (left == 0) return INPUT_WHOLE;
    size_t n = c->in.size - c->in.taken;
    if (n > left) n = (size_t)left;
    if (n > 0) {
        c->in.taken += n;
        take(x, c->in.data + c->in.taken - n, n);
        return INPUT_MORE;
    }
    char *scratch = server_scratch(c->server);
    enum input rc = receive(c, scratch, left < INPUT_BLOCK ? (size_t)left : INPUT_BLOCK, &n);
    if (rc == INPUT_MORE) take(x, scratch, n);
    return rc;
}

static enum input chunked_body(struct connection *c,
                               void (*take)(struct exchange *, const char *, size_t), struct err *e)
{
    struct exchange *x = &c->x;
    if (c->in.taken == c->in.size) {
        c->in.taken = c->in.size = c->in.head;
        enum input rc = fill(c);
        if (rc != INPUT_MORE) return rc;
    }
    size_t used, size;
    const char *data = c->in.data + c->in.taken;
    int rc = chunks_take(&x->chunks, data, c->in.size - c->in.taken, &used, &size, e);
    if (rc < 0) return INPUT_BAD;
    c->in.taken += used;
    if (size > 0) take(x, data + used - size, size);
    return rc == CHUNKS_END ? INPUT_WHOLE : INPUT_MORE;
}

enum input input_body(struct connection *c, void (*take)(struct exchange *, const char *, size_t),
                      struct err *e)
{
    return c->x.framing.chunked ? chunked_body(c, take, e) : counted_body(c, take);
}

enum input input_discard(struct connection *c)
{
    size_t n = 0;
    enum input rc = receive(c, server_scratch(c->server), INPUT_BLOCK, &n);
    c->discarded += n;
    return rc;
}

void input_next(struct connection *c)
{
    size_t left = c->in.size - c->in.taken;
    if (left > 0)
        memmove(c->in.data, c->in.data + c->in.taken, left);
    else if (c->in.capacity > KEPT)
        input_release(c);
    c->in.size = left;
    c->in.head = c->in.taken = 0;
    c->in.scan = (struct head_scan){0};
}

bool input_is_empty(const struct connection *c)
{
    return c->in.size == c->in.taken;
}

void input_release(struct connection *c)
{
    mem_free(c->in.data);
    c->in.data = NULL;
    c->in.size = c->in.capacity = c->in.head = c->in.taken = 0;
}
