/* The chunked transfer coding: a machine that looks at the framing byte by byte, and gives out
 * content piece by piece.
 *
 *   SIZE -> EXTENSION -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE ..
 *                                `-> TRAILER (a chunk of size 0) -> NAME -> VALUE -> VALUE_LF ->
 * TRAILER
 *                                        `-> END_LF -> END */
#include "config.h"

#include "chunks.h"

#include "head.h"

enum state {
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    NAME,
    VALUE,
    VALUE_LF,
    END_LF,
    END
};

enum { DIGITS_MAX = 15 }; /* so that a size is below 2^60 */

static int hex(char ch)
{
    return ch >= '0' && ch <= '9'   ? ch - '0'
           : ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
           : ch >= 'A' && ch <= 'F' ? ch - 'A' + 10
                                    : -1;
}

static int begin_size(struct chunks *c)
{
    c->digits = 0;
    c->left = 0;
    c->overhead = 0;
    return SIZE;
}

static int end_of_size(struct chunks *c)
{
    c->overhead = 0;
    return c->left > 0 ? DATA : TRAILER;
}

/* The state after a byte of a chunk's line, or -1. */
static int line_byte(struct chunks *c, char ch)
{
    if (++c->overhead > CHUNKS_LINE_MAX) return -1;
    int digit = c->state == SIZE ? hex(ch) : -1;
    if (digit >= 0) {
        c->left = c->left * 16 + (uint64_t)digit;
        return ++c->digits <= DIGITS_MAX ? SIZE : -1;
    }
    if (c->state == SIZE_LF) return ch == '\n' ? end_of_size(c) : -1;
    if (c->digits == 0) return -1;
    if (ch == '\r') return SIZE_LF;
    if (c->state == SIZE) return ch == ';' ? EXTENSION : -1;
    return head_is_value(&ch, 1) ? EXTENSION : -1;
}

/* The same for what comes behind the last chunk. */
static int trailer_byte(struct chunks *c, char ch)
{
    if (++c->overhead > CHUNKS_TRAILER_MAX) return -1;
    switch (c->state) {
    case TRAILER:
        return ch == '\r' ? END_LF : head_is_token(&ch, 1) ? NAME : -1;
    case NAME:
        return ch == ':' ? VALUE : head_is_token(&ch, 1) ? NAME : -1;
    case VALUE:
        return ch == '\r' ? VALUE_LF : head_is_value(&ch, 1) ? VALUE : -1;
    case VALUE_LF:
        return ch == '\n' ? TRAILER : -1;
    default:
        return ch == '\n' ? END : -1;
    }
}

static int byte(struct chunks *c, char ch)
{
    if (c->state <= SIZE_LF) return line_byte(c, ch);
    if (c->state >= TRAILER) return trailer_byte(c, ch);
    if (c->state == DATA_CR) return ch == '\r' ? DATA_LF : -1;
    return ch == '\n' ? begin_size(c) : -1;
}

int chunks_take(struct chunks *c, const char *data, size_t size, size_t *ret_used, size_t *ret_size,
                struct err *e)
{
    size_t used = 0;
    *ret_size = 0;
    while (used < size && c->state != DATA && c->state != END) {
        int next = byte(c, data[used++]);
        if (next < 0)
            return err_set(e, ERR_FORMAT,
                           c->state >= TRAILER
                               ? "the trailer of the chunked body is none, or too long"
                               : "the body is not chunked as RFC 9112 says: sizes in hexadecimal "
                                 "digits, lines that end in CR LF");
        c->state = next;
    }
    if (c->state == DATA && used < size) {
        size_t n = size - used;
        if (n > c->left) n = (size_t)c->left;
        c->left -= n;
        if (c->left == 0) c->state = DATA_CR;
        used += n;
        *ret_size = n;
    }
    *ret_used = used;
    return c->state == END ? CHUNKS_END : CHUNKS_MORE;
}
