/* What a model comes from: every data set that trained it, or a model that it began with or learned
 * from, and so on back, each with the border that says which of its images none of them has seen.
 * So a training that comes back to data which an ancestor had, with other data in between, holds
 * out what that one held out.
 *
 * A set is known again by its kind and the names of its classes, or by an image that was seen, so
 * that neither a changed folder nor new names make other data of it. A training that only goes on
 * with the same data adds nothing: a set is left out where another one says as much. Any thread. */
#ifndef RECIPE_LINEAGE_H
#define RECIPE_LINEAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "recipe/holdout.h"

enum {
    LINEAGE_KIND_MAX = 31, /* characters of a-z, 0-9 and - */
    LINEAGE_SETS_MAX = 32,
    LINEAGE_CLASSES_MAX = 1 << 16,
    LINEAGE_TEXT_MAX = 4 << 20
};

struct lineage_set {
    char kind[LINEAGE_KIND_MAX + 1]; /* "cifar100" */
    uint64_t *classes;               /* digests of their names, increasing; mem_free() */
    size_t n_classes;
    struct holdout_border border; /* not known: only its seed, of a program older than borders */
    int64_t images;               /* so many were held out; only where the border is not known */
};

struct lineage {
    struct lineage_set *sets;
    size_t n;
    bool has_unknown; /* something of it comes from elsewhere, and nothing is known of that */
};

/* A set with copies of everything; lineage_set_release() is due. A border that is not known counts
 * by its seed and the number of images. ERR_FORMAT for another kind, ERR_LIMIT, -ENOMEM. */
int lineage_set_make(const char *kind, const char *const *labels, size_t n_labels,
                     const struct holdout_border *border, int64_t images, struct lineage_set *ret,
                     struct err *e);
void lineage_set_release(struct lineage_set *set);

/* Whether the two are of one kind and share a class. */
bool lineage_set_is_alike(const struct lineage_set *a, const struct lineage_set *b);

/* Whether an image is known to have trained by both. Their borders' seeds are equal, or it is not
 * known. */
bool lineage_set_has_common(const struct lineage_set *a, const struct lineage_set *b);

/* Takes the set over, whatever is returned. ERR_LIMIT when there are too many, -ENOMEM. */
int lineage_add(struct lineage *lineage, struct lineage_set *set, struct err *e);

/* Adds copies of all that the other one has. Errors as lineage_add()'s. */
int lineage_add_all(struct lineage *lineage, const struct lineage *other, struct err *e);

/* Drops the sets of which this one says as much: whoever shares data with them does so with it, and
 * what it holds out they do. What they have seen its border takes note of. */
void lineage_drop(struct lineage *lineage, struct lineage_set *said);

/* Whether a file can hold it: ERR_LIMIT. */
int lineage_check(const struct lineage *lineage, struct err *e);

void lineage_release(struct lineage *lineage);

/* A line for each: "KIND classes KEY .. BORDER", or "KIND classes KEY .. seed N count N" where the
 * border is not known, and "unknown" in front when there is something. For mem_free(), NULL when
 * out of memory. Parsing: ERR_FORMAT for any other text, with the line's number, ERR_LIMIT,
 * -ENOMEM. */
char *lineage_format(const struct lineage *lineage);
int lineage_parse(const char *text, struct lineage *ret, struct err *e);

#endif
