/* What a connection sends: an answer's head and body in one call of the system where they fit, or
 * the pieces of a stream. */
#include "config.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "connection.h"
#include "pack.h"
#include "problem.h"

enum { PIECE = PACK_BLOCK }; /* of an answer whose length is not known before its end */

/* RFC 9110, 5.6.7; made once a second. */
static const char *date(void)
{
    static char text[40];
    static time_t of;
    time_t now = (time_t)(clock_real() / CLOCK_SECOND);
    struct tm tm;
    if (now != of && gmtime_r(&now, &tm) != NULL &&
        strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &tm) > 0)
        of = now;
    return text;
}

/* traceparent: 00-<32 hex>-<16 hex>-<2 hex>, lower case, no id all zero (W3C Trace Context 3.2). */
static bool traceparent_valid(const char *s)
{
    static const int digits[] = {2, 32, 16, 2};
    for (int field = 0; field < 4; field++) {
        bool zero = true;
        for (int i = 0; i < digits[field]; i++, s++) {
            if (!((*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f'))) return false;
            if (*s != '0') zero = false;
        }
        if (zero && (field == 1 || field == 2)) return false;
        if (field < 3 && *s++ != '-') return false;
    }
    return *s == '\0';
}

static bool has_content(const struct exchange *x)
{
    return strcmp(x->head.method, "HEAD") != 0 && x->status != 204 && x->status != 304;
}

static int write_fields(struct exchange *x, struct buf *out)
{
    int rc = 0;
    if (x->id[0] != '\0') rc = buf_printf(out, "X-Request-Id: %s\r\n", x->id);
    const char *trace = head_value(&x->head, "traceparent");
    if (rc == 0 && trace != NULL && traceparent_valid(trace))
        rc = buf_printf(out, "traceparent: %s\r\n", trace);
    for (size_t at = 0; rc == 0 && at < x->headers.size;) {
        const char *name = x->headers.data + at, *value = name + strlen(name) + 1;
        rc = buf_printf(out, "%s: %s\r\n", name, value);
        at = (size_t)(value - x->headers.data) + strlen(value) + 1;
    }
    return rc;
}

static bool in_pieces(const struct exchange *x)
{
    return x->stream.open || x->packer != NULL;
}

/* How the answer's end is told, and whether another one follows. */
static int write_framing(struct connection *c, struct buf *out)
{
    struct exchange *x = &c->x;
    int rc = 0;
    bool open_end = in_pieces(x) && x->head.is_1_0; /* HTTP/1.0 knows no chunks */
    if (server_is_closing(c->server) || open_end) x->close = true;
    if (in_pieces(x) && !open_end)
        rc = buf_puts(out, "Transfer-Encoding: chunked\r\n");
    else if (!in_pieces(x) && x->status != 204 && x->status != 304)
        rc = buf_printf(out, "Content-Length: %zu\r\n", x->answer_size);
    if (rc == 0 && x->close)
        rc = buf_puts(out, "Connection: close\r\n");
    else if (rc == 0 && x->head.is_1_0)
        rc = buf_puts(out, "Connection: keep-alive\r\n");
    return rc;
}

/* Sends text and answer, as far as they are taken. */
static enum output send_all(struct connection *c, size_t answer_size)
{
    for (;;) {
        struct iovec pieces[2] = {
            {c->out.text.data + c->out.text_sent, c->out.text.size - c->out.text_sent},
            {c->x.answer + c->out.answer_sent, answer_size - c->out.answer_sent}};
        if (pieces[0].iov_len + pieces[1].iov_len == 0) return OUTPUT_DONE;
        if (!c->writable) return OUTPUT_WAITS;
        int first = pieces[0].iov_len == 0, count = 2 - first - (pieces[1].iov_len == 0);
        ssize_t n = c->transport.kind->send(&c->transport, pieces + first, count);
        if (n == -EAGAIN)
            c->writable = false;
        else if (n < 0)
            return OUTPUT_LOST;
        if (n < 0) continue;
        size_t of_text = (size_t)n < pieces[0].iov_len ? (size_t)n : pieces[0].iov_len;
        c->out.text_sent += of_text;
        c->out.answer_sent += (size_t)n - of_text;
    }
}

/* Appends the next piece to what is sent next: its size, or what stream_take() says. */
static ssize_t add_piece(struct connection *c)
{
    struct exchange *x = &c->x;
    struct buf *out = &c->out.text;
    char *piece = server_scratch(c->server);
    bool chunked = !x->head.is_1_0;
    ssize_t n = x->stream.open ? stream_take(x, piece, PIECE) : packer_run(x->packer, piece);
    if (n < 0) return n;
    x->last_piece = n == 0 || (x->packer != NULL && n < PIECE);
    int rc = 0;
    if (chunked && n > 0) rc = buf_printf(out, "%zx\r\n", (size_t)n);
    if (rc == 0) rc = buf_append(out, piece, (size_t)n);
    if (rc == 0 && chunked && n > 0) rc = buf_puts(out, "\r\n");
    if (rc == 0 && chunked && x->last_piece) rc = buf_puts(out, "0\r\n\r\n");
    return rc < 0 ? rc : n;
}

int output_begin(struct connection *c)
{
    struct exchange *x = &c->x;
    struct buf *out = &c->out.text;
    buf_clear(out);
    c->out.text_sent = c->out.answer_sent = 0;
    int rc = buf_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", x->status, problem_title(x->status),
                        date());
    if (rc == 0) rc = write_framing(c, out);
    if (rc == 0) rc = write_fields(x, out);
    if (rc == 0) rc = buf_puts(out, "\r\n");
    /* A small one is packed into one piece, and goes out in one call with its head. */
    if (rc == 0 && x->packer != NULL && has_content(x) && add_piece(c) < 0) rc = -EIO;
    return rc;
}

enum output output_send(struct connection *c)
{
    struct exchange *x = &c->x;
    bool whole = !in_pieces(x), content = has_content(x);
    for (;;) {
        enum output rc = send_all(c, whole && content ? x->answer_size : 0);
        if (rc != OUTPUT_DONE || whole || !content || x->last_piece) return rc;
        buf_clear(&c->out.text);
        c->out.text_sent = 0;
        ssize_t n = add_piece(c);
        if (n == -EAGAIN) return OUTPUT_PAUSED;
        if (n < 0) return OUTPUT_LOST;
        if (x->packer != NULL) return OUTPUT_AGAIN;
    }
}

enum output output_continue(struct connection *c)
{
    static char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const struct iovec piece = {text, sizeof(text) - 1};
    ssize_t n = c->transport.kind->send(&c->transport, &piece, 1);
    /* A client that has earlier answers to read before this one does without it (RFC 9110, 10.1.1);
     * a part of it would be part of the next answer. */
    return n == (ssize_t)piece.iov_len || n == -EAGAIN ? OUTPUT_DONE : OUTPUT_LOST;
}
