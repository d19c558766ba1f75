/* Both headers are lists: #( token [ ";" "q" "=" qvalue ] ), with empty members that mean nothing
 * (RFC 9110, 5.6.1). */
#include "config.h"

#include "coding.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"

enum { NAME_SHOWN_MAX = 40, QUALITY_FULL = 1000 };

/* A piece of text, not terminated. */
struct piece {
    const char *data;
    size_t size;
};

static struct piece trim(const char *from, const char *to)
{
    while (from < to && (*from == ' ' || *from == '\t')) from++;
    while (from < to && (to[-1] == ' ' || to[-1] == '\t')) to--;
    return (struct piece){from, (size_t)(to - from)};
}

/* The next member, which *at goes behind; false: there is none. Commas in quotes, which neither
 * header has, are not looked at. */
static bool next_member(const char **at, struct piece *ret_member)
{
    while (**at != '\0') {
        const char *end = *at + strcspn(*at, ",");
        *ret_member = trim(*at, end);
        *at = *end == ',' ? end + 1 : end;
        if (ret_member->size > 0) return true;
    }
    return false;
}

static bool is_word(struct piece piece, const char *word)
{
    return piece.size == strlen(word) && strncasecmp(piece.data, word, piece.size) == 0;
}

static bool is_gzip(struct piece name)
{
    return is_word(name, "gzip") || is_word(name, "x-gzip"); /* the same (8.4.1.3) */
}

int coding_add(enum coding *coding, const char *value, struct err *e)
{
    struct piece name;
    while (next_member(&value, &name)) {
        if (is_word(name, "identity")) continue;
        const enum coding one = is_gzip(name)              ? CODING_GZIP
                                : is_word(name, "deflate") ? CODING_DEFLATE
                                                           : CODING_IDENTITY;
        if (one == CODING_IDENTITY) {
            char text[NAME_SHOWN_MAX], shown[NAME_SHOWN_MAX];
            const size_t n = name.size < sizeof(text) ? name.size : sizeof(text) - 1;
            memcpy(text, name.data, n);
            text[n] = '\0';
            return err_set(e, ERR_UNSUPPORTED,
                           "Content-Encoding is \"%s\"; taken: gzip, deflate and identity",
                           text_printable(shown, sizeof(shown), text));
        }
        if (*coding != CODING_IDENTITY)
            return err_set(e, ERR_UNSUPPORTED,
                           "Content-Encoding names several codings; one at most is taken, gzip or "
                           "deflate");
        *coding = one;
    }
    return 0;
}

/* ---- Accept-Encoding ---- */

/* 0 to 1 with three decimals at most, in thousandths; -1: it is none. */
static int read_quality(struct piece text)
{
    if (text.size == 0 || text.size > 5 || (text.data[0] != '0' && text.data[0] != '1')) return -1;
    int value = (text.data[0] - '0') * QUALITY_FULL;
    if (text.size > 1 && text.data[1] != '.') return -1;
    for (size_t i = 2, worth = 100; i < text.size; i++, worth /= 10) {
        if (text.data[i] < '0' || text.data[i] > '9') return -1;
        value += (text.data[i] - '0') * (int)worth;
    }
    return value <= QUALITY_FULL ? value : -1;
}

/* "gzip ; q=0.5": the name is left over. */
static int take_quality(struct piece *member)
{
    const char *end = member->data + member->size;
    const char *semicolon = memchr(member->data, ';', member->size);
    if (semicolon == NULL) return QUALITY_FULL;
    struct piece weight = trim(semicolon + 1, end);
    *member = trim(member->data, semicolon);
    if (weight.size < 2 || (weight.data[0] != 'q' && weight.data[0] != 'Q') ||
        weight.data[1] != '=')
        return -1;
    return read_quality((struct piece){weight.data + 2, weight.size - 2});
}

void coding_wish_init(struct coding_wish *wish)
{
    *wish = (struct coding_wish){-1, -1, -1};
}

void coding_wish_add(struct coding_wish *wish, const char *value)
{
    struct piece member;
    while (next_member(&value, &member)) {
        const int quality = take_quality(&member);
        int *place = is_gzip(member)               ? &wish->gzip
                     : is_word(member, "identity") ? &wish->identity
                     : is_word(member, "*")        ? &wish->any
                                                   : NULL;
        if (quality >= 0 && place != NULL) *place = quality;
    }
}

bool coding_wish_gzip(const struct coding_wish *wish)
{
    const int gzip = wish->gzip >= 0 ? wish->gzip : wish->any;
    return gzip > 0 && gzip >= wish->identity;
}

bool coding_wish_identity(const struct coding_wish *wish)
{
    return wish->identity > 0 || (wish->identity < 0 && wish->any != 0);
}
