/* Which images are held out: what is wished for, and the border that the choice left.
 *
 * An image has a key, a function of its content and the seed alone (data/split.h). A border says of
 * every key on which side it is, also of images that nobody has seen yet: those below the limit are
 * held out, but for some that stand apart, on the other side, since each class gives its share. It
 * is stored in the model and passed on, so that an image keeps its side for ever, whatever it is
 * called, wherever it stands and what else has come or gone. A border also remembers some of the
 * keys on the other side, by which those images are known again. Any thread. */
#ifndef RECIPE_HOLDOUT_H
#define RECIPE_HOLDOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* The wish. */
struct holdout {
    int64_t images; /* how many; 0: none */
    double share;   /* as a part of all, in (0, 1), until it is known how many these are; else 0 */
    uint64_t seed;
};

enum { HOLDOUT_APART_MAX = 1 << 17, HOLDOUT_SEEN_MAX = 64 };

struct holdout_border {
    bool known; /* false: of a model that was not trained, or says only how many; the seed counts */
    uint64_t seed;
    uint64_t limit;  /* of keys that are held out */
    uint64_t *apart; /* [n_apart], increasing; mem_free() by holdout_border_release() */
    size_t n_apart;
    uint64_t seen[HOLDOUT_SEEN_MAX]; /* the smallest keys that were trained on, increasing */
    size_t n_seen;                   /* 0: of a program that did not write them */
};

/* -ENOMEM. holdout_border_release() is due for the copy. */
int holdout_border_copy(const struct holdout_border *border, struct holdout_border *ret,
                        struct err *e);
void holdout_border_release(struct holdout_border *border);

/* Whether the image with this key, made with the border's seed, is held out. */
bool holdout_border_holds(const struct holdout_border *border, uint64_t key);

/* Whether `outer` holds out every image that `inner` does, of all that there can be. */
bool holdout_border_is_within(const struct holdout_border *inner,
                              const struct holdout_border *outer);

/* Notes that an image of this key was trained on, which counts when it is among the smallest
 * (bottom-k sketch: Cohen and Kaplan, PODC 2007). holdout_border_see_all(): what another border of
 * the same seed has noted. */
void holdout_border_see(struct holdout_border *border, uint64_t key);
void holdout_border_see_all(struct holdout_border *border, const struct holdout_border *other);

/* "seed 0 limit 1999999999999999 apart 0123456789abcdef .. seen 2000000000000000 ..": numbers of 64
 * bits in hexadecimal but for the seed; for mem_free(), NULL when out of memory. Parsing:
 * ERR_FORMAT for any other text, ERR_LIMIT past the numbers of keys above, -ENOMEM; *ret is to be
 * released. */
char *holdout_border_format(const struct holdout_border *border);
int holdout_border_parse(const char *text, struct holdout_border *ret, struct err *e);

#endif
