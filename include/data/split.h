/* The split of a set into images that train and images that are held out. It goes by the images'
 * keys (dataset_key()), so by their content alone: equal images are on the same side, and what a
 * split has decided is a border (recipe/holdout.h) that decides the same for ever, whatever becomes
 * of the set. */
#ifndef DATA_SPLIT_H
#define DATA_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/dataset.h"
#include "recipe/holdout.h"

struct split {
    /* Indices into the set, increasing; one block. */
    uint32_t *train, *holdout;
    size_t n_train, n_holdout;
    struct holdout_border border;
};

void split_release(struct split *split); /* fine on zeros */

/* All that are allowed. */
#define SPLIT_ALL SIZE_MAX

/* Holds out `images` of the set, of every class its part, those with the smallest keys; at least
 * one image of each class stays in training, whatever is wished. Copies of an image count and go
 * together, so that it can be some more or fewer. Nothing is held out that one of the borders
 * (known, of the set's seed) has on the other side: images that a model has seen cannot judge its
 * child; the new border lies within them, and is the first one itself where that is what comes out.
 * It remembers what they do, and images that are trained on.
 * ERR_RANGE when so many cannot be held out; ERR_LIMIT when the border would take too many keys;
 * -ENOMEM. */
int split_make(const struct dataset *set, size_t images, const struct holdout_border *const *within,
               size_t n_within, struct split *ret_split, struct err *e);

/* Keeps n of the images to train on, drawn by the seed; those held out stay. ERR_RANGE when there
 * are not so many. */
int split_limit(struct split *split, size_t n, uint64_t seed, struct err *e);

/* What a border (of the set's seed) makes of the set, exactly. -ENOMEM. */
int split_by_border(const struct dataset *set, const struct holdout_border *border,
                    struct split *ret_split, struct err *e);

/* Whether the set has an image that a border remembers as trained on; false also where its seed is
 * another one. */
bool split_has_seen(const struct dataset *set, const struct holdout_border *border);

/* The border of programs that stored how many were held out, and no border: the smallest keys of
 * all classes together were. It is what that model knew as long as the set is what it was.
 * ERR_RANGE when the set has no more images. holdout_border_release(). */
int split_border_of_count(const struct dataset *set, size_t images,
                          struct holdout_border *ret_border, struct err *e);

#endif
