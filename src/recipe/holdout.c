/* Borders between images that train and images that are held out. */
#include "config.h"

#include "recipe/holdout.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "keys.h"

enum { HEAD_MAX = 96 };

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

bool holdout_border_holds(const struct holdout_border *border, uint64_t key)
{
    return (key < border->limit) != keys_have(border->apart, border->n_apart, key);
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

void holdout_border_see(struct holdout_border *b, uint64_t key)
{
    const size_t at = keys_find(b->seen, b->n_seen, key);
    if (at == HOLDOUT_SEEN_MAX || (at < b->n_seen && b->seen[at] == key)) return;
    if (b->n_seen < HOLDOUT_SEEN_MAX) b->n_seen++;
    memmove(b->seen + at + 1, b->seen + at, (b->n_seen - 1 - at) * sizeof(*b->seen));
    b->seen[at] = key;
}

void holdout_border_see_all(struct holdout_border *border, const struct holdout_border *other)
{
    for (size_t i = 0; i < other->n_seen && other->seed == border->seed; i++)
        holdout_border_see(border, other->seen[i]);
}

char *holdout_border_format(const struct holdout_border *b)
{
    const size_t size = HEAD_MAX + (b->n_apart + b->n_seen) * (KEY_DIGITS + 1);
    char *text = mem_new(size, 1);
    if (text == NULL) return NULL;
    size_t used =
        (size_t)snprintf(text, size, "seed %" PRIu64 " limit %016" PRIx64, b->seed, b->limit);
    used += keys_put(text + used, size - used, " apart", b->apart, b->n_apart);
    keys_put(text + used, size - used, " seen", b->seen, b->n_seen);
    return text;
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
    return err_set(
        e, ERR_FORMAT,
        "it is not \"seed N limit KEY\", perhaps with \" apart\" and \" seen\", each with "
        "keys that increase, of 16 hexadecimal digits each");
}

static int check_number(size_t n, size_t most, const char *what, struct err *e)
{
    if (n <= most) return 0;
    return err_set(e, ERR_LIMIT, "%zu keys %s, at most %zu are taken", n, what, most);
}

/* The lists of keys, of which either may be missing; *at goes behind them, or becomes NULL. */
static int read_lists(const char **at, struct holdout_border *b, struct err *e)
{
    const char *list = keys_behind(*at, " apart");
    int rc = 0;
    if (list != NULL) {
        b->n_apart = keys_count(list);
        rc = check_number(b->n_apart, HOLDOUT_APART_MAX, "stand apart", e);
        if (rc < 0) return rc;
        b->apart = mem_new(b->n_apart + 1, sizeof(*b->apart));
        if (b->apart == NULL) return err_set(e, -ENOMEM, "no memory for %zu keys", b->n_apart);
        *at = keys_read(list, b->n_apart, b->apart);
    }
    list = keys_behind(*at, " seen");
    if (list == NULL) return 0;
    b->n_seen = keys_count(list);
    rc = check_number(b->n_seen, HOLDOUT_SEEN_MAX, "were seen", e);
    if (rc == 0) *at = keys_read(list, b->n_seen, b->seen);
    return rc;
}

int holdout_border_parse(const char *text, struct holdout_border *ret, struct err *e)
{
    struct holdout_border b = {.known = true};
    const char *at = keys_behind(text, "seed ");
    if (at != NULL) at = keys_behind(read_seed(at, &b.seed), " limit ");
    if (at != NULL) at = keys_read_one(at, &b.limit);
    int rc = at != NULL ? read_lists(&at, &b, e) : 0;
    if (rc == 0 && (at == NULL || *at != '\0')) rc = refuse(e);
    if (rc == 0)
        *ret = b;
    else
        holdout_border_release(&b);
    return rc;
}
