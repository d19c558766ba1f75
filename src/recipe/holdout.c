/* Borders between images that train and images that are held out. */
#include "config.h"

#include "recipe/holdout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

enum { KEY_DIGITS = 16, HEAD_MAX = 96 };

void holdout_border_release(struct holdout_border *border)
{
    mem_free(border->apart);
    *border = (struct holdout_border){.known = false};
}

int holdout_border_copy(const struct holdout_border *border, struct holdout_border *ret,
                        struct err *e)
{
    struct holdout_border b = *border;
    b.apart = NULL;
    if (b.n_apart > 0) {
        b.apart = mem_new(b.n_apart, sizeof(*b.apart));
        if (b.apart == NULL) return err_set(e, -ENOMEM, "no memory for %zu keys", b.n_apart);
        memcpy(b.apart, border->apart, b.n_apart * sizeof(*b.apart));
    }
    *ret = b;
    return 0;
}

static bool is_apart(const struct holdout_border *b, uint64_t key)
{
    size_t first = 0, end = b->n_apart;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (b->apart[middle] == key) return true;
        if (b->apart[middle] < key)
            first = middle + 1;
        else
            end = middle;
    }
    return false;
}

bool holdout_border_holds(const struct holdout_border *border, uint64_t key)
{
    return (key < border->limit) != is_apart(border, key);
}

/* Below a limit nearly every key is held out, beyond it nearly none, so only those that stand apart
 * need a look. */
bool holdout_border_is_within(const struct holdout_border *inner,
                              const struct holdout_border *outer)
{
    if (!inner->known || !outer->known || inner->seed != outer->seed) return false;
    if (inner->limit > outer->limit) return false;
    for (size_t i = 0; i < inner->n_apart; i++) {
        const uint64_t key = inner->apart[i];
        if (holdout_border_holds(inner, key) && !holdout_border_holds(outer, key)) return false;
    }
    for (size_t i = 0; i < outer->n_apart; i++) {
        const uint64_t key = outer->apart[i];
        if (holdout_border_holds(inner, key) && !holdout_border_holds(outer, key)) return false;
    }
    return true;
}

char *holdout_border_format(const struct holdout_border *b)
{
    const size_t size = HEAD_MAX + b->n_apart * (KEY_DIGITS + 1);
    char *text = mem_new(size, 1);
    if (text == NULL) return NULL;
    size_t used = (size_t)snprintf(text, size, "seed %" PRIu64 " limit %016" PRIx64 "%s", b->seed,
                                   b->limit, b->n_apart > 0 ? " apart" : "");
    for (size_t i = 0; i < b->n_apart; i++)
        used += (size_t)snprintf(text + used, size - used, " %016" PRIx64, b->apart[i]);
    return text;
}

/* Goes behind a word; NULL when another one stands there. */
static const char *behind(const char *at, const char *word)
{
    const size_t n = strlen(word);
    return at != NULL && strncmp(at, word, n) == 0 ? at + n : NULL;
}

/* Goes behind a number of 16 digits. */
static const char *read_key(const char *at, uint64_t *ret)
{
    uint64_t key = 0;
    for (int i = 0; i < KEY_DIGITS; i++) {
        const char c = at[i];
        const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0) return NULL;
        key = key << 4 | (uint64_t)digit;
    }
    *ret = key;
    return at + KEY_DIGITS;
}

static const char *read_seed(const char *at, uint64_t *ret)
{
    char digits[24];
    const size_t n = strspn(at, "0123456789");
    if (n >= sizeof(digits)) return NULL;
    memcpy(digits, at, n);
    digits[n] = '\0';
    return text_to_unsigned(digits, ret) ? at + n : NULL;
}

static int refuse(struct err *e)
{
    return err_set(e, ERR_FORMAT,
                   "it is not \"seed N limit KEY\", perhaps with \" apart\" and "
                   "keys that increase, of 16 hexadecimal digits each");
}

int holdout_border_parse(const char *text, struct holdout_border *ret, struct err *e)
{
    struct holdout_border b = {.known = true};
    const char *at = behind(text, "seed ");
    if (at != NULL) at = behind(read_seed(at, &b.seed), " limit ");
    if (at != NULL) at = read_key(at, &b.limit);
    if (at != NULL && *at == '\0') {
        *ret = b;
        return 0;
    }
    at = behind(at, " apart");
    const size_t n = at != NULL ? strlen(at) / (KEY_DIGITS + 1) : 0;
    if (n == 0) return refuse(e);
    if (n > HOLDOUT_APART_MAX) {
        return err_set(e, ERR_LIMIT, "%zu keys stand apart, at most %d are taken", n,
                       HOLDOUT_APART_MAX);
    }
    b.apart = mem_new(n, sizeof(*b.apart));
    if (b.apart == NULL) return err_set(e, -ENOMEM, "no memory for %zu keys", n);
    while (at != NULL && b.n_apart < n) {
        uint64_t *key = &b.apart[b.n_apart];
        at = behind(at, " ");
        if (at != NULL) at = read_key(at, key);
        if (at != NULL && b.n_apart > 0 && *key <= key[-1]) at = NULL;
        b.n_apart++;
    }
    if (at == NULL || *at != '\0') {
        mem_free(b.apart);
        return refuse(e);
    }
    *ret = b;
    return 0;
}
