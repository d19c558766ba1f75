/* The split: all images in the order of their keys; each class has a quota, and who comes first is
 * held out until the quotas are full. Images of equal keys are copies of each other and are taken
 * together or not at all, though they may be of several classes.
 *
 * The border's limit is the key up to which as many images lie as were taken; those of them that
 * were not taken, and those taken beyond, stand apart: with 50 of 500 images of each of 100 classes
 * about a tenth of the number held out. Within other borders what these have on the training side
 * below the limit stays there, also where the set lacks it today. */
#include "config.h"

#include "data/split.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct item {
    uint64_t key;
    uint32_t index;
    int32_t class;
    bool allowed, held;
};

struct quota {
    size_t total, allowed; /* images of the class; those that may be held out */
    size_t most, wish;     /* of them at most, and by its part */
    size_t taken, remainder;
};

struct work {
    const struct dataset *set;
    const struct holdout_border *const *within;
    size_t n_within, count, n_classes, n_allowed, n_held;
    struct item *items; /* [count], by key */
    struct quota *quotas;
    size_t *order; /* [n_classes] */
};

static int compare_items(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

static struct item *sorted_items(const struct dataset *set)
{
    const size_t count = dataset_count(set);
    struct item *items = mem_new(count, sizeof(*items));
    for (size_t i = 0; items != NULL && i < count; i++)
        items[i] = (struct item){
            .key = dataset_key(set, i), .index = (uint32_t)i, .class = dataset_class(set, i)};
    if (items != NULL) qsort(items, count, sizeof(*items), compare_items);
    return items;
}

static int no_memory(const struct dataset *set, struct err *e)
{
    return err_set(e, -ENOMEM, "no memory to split %zu images", dataset_count(set));
}

/* --- quotas ----------------------------------------------------------------------------------- */

static void count_classes(struct work *w)
{
    for (size_t i = 0; i < w->count; i++) {
        struct item *item = &w->items[i];
        struct quota *q = &w->quotas[item->class];
        item->allowed = true;
        for (size_t k = 0; k < w->n_within; k++)
            item->allowed = item->allowed && holdout_border_holds(w->within[k], item->key);
        q->total++;
        q->allowed += item->allowed;
        w->n_allowed += item->allowed;
    }
    for (size_t c = 0; c < w->n_classes; c++) {
        struct quota *q = &w->quotas[c];
        q->most = q->allowed < q->total ? q->allowed : q->total > 0 ? q->total - 1 : 0;
    }
}

/* By the largest remainder, classes with equal ones in their order. */
static void order_by_remainder(struct work *w)
{
    for (size_t c = 0; c < w->n_classes; c++) {
        size_t at = c;
        while (at > 0 && w->quotas[w->order[at - 1]].remainder < w->quotas[c].remainder) {
            w->order[at] = w->order[at - 1];
            at--;
        }
        w->order[at] = c;
    }
}

static void wish_for(struct work *w, size_t images)
{
    size_t left = images;
    for (size_t c = 0; c < w->n_classes; c++) {
        struct quota *q = &w->quotas[c];
        const uint64_t part = (uint64_t)images * q->allowed;
        q->wish = (size_t)(part / w->n_allowed);
        q->remainder = (size_t)(part % w->n_allowed);
        if (q->wish > q->most) q->wish = q->most;
        left -= q->wish;
    }
    order_by_remainder(w);
    while (left > 0) { /* ends: all that can be had is at least what is wished */
        for (size_t i = 0; i < w->n_classes && left > 0; i++) {
            struct quota *q = &w->quotas[w->order[i]];
            if (q->wish == q->most) continue;
            q->wish++;
            left--;
        }
    }
}

static int set_quotas(struct work *w, size_t images, struct err *e)
{
    size_t most = 0;
    count_classes(w);
    for (size_t c = 0; c < w->n_classes; c++) most += w->quotas[c].most;
    if (images == SPLIT_ALL) images = most;
    if (images > most && w->n_within == 0) {
        return err_set(e, ERR_RANGE,
                       "%zu images cannot be held out of %zu; one of each class at least must be "
                       "left to train on, so it is %zu at most",
                       images, w->count, most);
    }
    if (images > most) {
        return err_set(
            e, ERR_RANGE,
            "%zu images cannot be held out of %zu, only %zu: a model cannot be judged by "
            "images that its parent or its teacher has seen",
            images, w->count, most);
    }
    if (images > 0) wish_for(w, images);
    return 0;
}

/* --- who is taken ----------------------------------------------------------------------------- */

/* Whether every class of the copies [first, end) has room for them. */
static bool has_room(struct work *w, size_t first, size_t end)
{
    bool room = w->items[first].allowed;
    for (size_t i = first; i < end; i++) {
        struct quota *q = &w->quotas[w->items[i].class];
        room = room && q->taken < q->wish;
        q->taken++;
    }
    for (size_t i = first; i < end; i++) {
        const struct quota *q = &w->quotas[w->items[i].class];
        room = room && q->taken < q->total;
    }
    for (size_t i = first; i < end; i++) w->quotas[w->items[i].class].taken--;
    return room;
}

static void take(struct work *w)
{
    for (size_t first = 0, end; first < w->count; first = end) {
        for (end = first + 1; end < w->count && w->items[end].key == w->items[first].key;) end++;
        if (!has_room(w, first, end)) continue;
        for (size_t i = first; i < end; i++) {
            w->items[i].held = true;
            w->quotas[w->items[i].class].taken++;
        }
        w->n_held += end - first;
    }
}

/* --- the border ------------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static uint64_t choose_limit(const struct work *w)
{
    uint64_t limit = UINT64_MAX;
    size_t before = 0;
    if (w->n_held == 0) return 0;
    for (size_t i = 0; i < w->count; i++) {
        if (!w->items[i].allowed) continue;
        if (before++ < w->n_held) continue;
        limit = w->items[i].key;
        break;
    }
    for (size_t k = 0; k < w->n_within; k++) {
        if (w->within[k]->limit < limit) limit = w->within[k]->limit;
    }
    return limit;
}

/* The keys that the new border must have apart. */
static size_t list_apart(const struct work *w, uint64_t limit, uint64_t *ret_keys)
{
    size_t n = 0, kept = 0;
    for (size_t k = 0; k < w->n_within; k++) {
        const struct holdout_border *b = w->within[k];
        for (size_t i = 0; i < b->n_apart && b->apart[i] < limit; i++) ret_keys[n++] = b->apart[i];
    }
    for (size_t i = 0; i < w->count; i++) {
        if (w->items[i].held != (w->items[i].key < limit)) ret_keys[n++] = w->items[i].key;
    }
    qsort(ret_keys, n, sizeof(*ret_keys), compare_keys);
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || ret_keys[i] != ret_keys[kept - 1]) ret_keys[kept++] = ret_keys[i];
    }
    return kept;
}

/* Whether the first of the borders says of the set what was chosen, and lies within the others. */
static bool is_first(const struct work *w)
{
    if (w->n_within == 0) return false;
    for (size_t k = 1; k < w->n_within; k++) {
        if (!holdout_border_is_within(w->within[0], w->within[k])) return false;
    }
    for (size_t i = 0; i < w->count; i++) {
        if (w->items[i].held != holdout_border_holds(w->within[0], w->items[i].key)) return false;
    }
    return true;
}

/* The border remembers those that are trained on, and what others remember of this data. */
static void note_seen(const struct work *w, struct holdout_border *b)
{
    for (size_t k = 0; k < w->n_within; k++) holdout_border_see_all(b, w->within[k]);
    for (size_t i = 0; i < w->count; i++) {
        if (!w->items[i].held) holdout_border_see(b, w->items[i].key);
    }
}

static int choose_border(const struct work *w, struct holdout_border *ret, struct err *e)
{
    struct holdout_border b = {.known = true, .seed = dataset_key_seed(w->set)};
    size_t room = w->count;
    if (is_first(w)) return holdout_border_copy(w->within[0], ret, e);
    for (size_t k = 0; k < w->n_within; k++) room += w->within[k]->n_apart;
    b.limit = choose_limit(w);
    b.apart = mem_new(room, sizeof(*b.apart));
    if (b.apart == NULL) return no_memory(w->set, e);
    b.n_apart = list_apart(w, b.limit, b.apart);
    if (b.n_apart > HOLDOUT_APART_MAX) {
        holdout_border_release(&b);
        return err_set(e, ERR_LIMIT,
                       "the border of %zu held-out images would take more than %d keys: hold out "
                       "fewer",
                       w->n_held, HOLDOUT_APART_MAX);
    }
    *ret = b;
    return 0;
}

/* --- both sides ------------------------------------------------------------------------------- */

/* held: by index. */
static int list_sides(const struct dataset *set, const uint8_t *held, size_t n_held,
                      struct split *ret, struct err *e)
{
    const size_t count = dataset_count(set);
    uint32_t *block = mem_new(count, sizeof(*block));
    if (block == NULL) return no_memory(set, e);
    ret->train = block;
    ret->holdout = block + (count - n_held);
    ret->n_train = ret->n_holdout = 0;
    for (size_t i = 0; i < count; i++) {
        if (held[i]) {
            ret->holdout[ret->n_holdout++] = (uint32_t)i;
        } else {
            ret->train[ret->n_train++] = (uint32_t)i;
        }
    }
    return 0;
}

static int finish(const struct work *w, struct split *ret, struct err *e)
{
    struct split split = {0};
    uint8_t *held = mem_new(w->count, 1);
    if (held == NULL) return no_memory(w->set, e);
    for (size_t i = 0; i < w->count; i++) held[w->items[i].index] = w->items[i].held;
    int rc = list_sides(w->set, held, w->n_held, &split, e);
    if (rc == 0) rc = choose_border(w, &split.border, e);
    if (rc == 0) note_seen(w, &split.border);
    if (rc == 0)
        *ret = split;
    else
        split_release(&split);
    mem_free(held);
    return rc;
}

int split_make(const struct dataset *set, size_t images, const struct holdout_border *const *within,
               size_t n_within, struct split *ret_split, struct err *e)
{
    struct work w = {.set = set,
                     .within = within,
                     .n_within = n_within,
                     .count = dataset_count(set),
                     .n_classes = (size_t)dataset_classes(set)};
    for (size_t k = 0; k < n_within; k++)
        assert(within[k]->known && within[k]->seed == dataset_key_seed(set));
    w.items = sorted_items(set);
    w.quotas = mem_new(w.n_classes, sizeof(*w.quotas));
    w.order = mem_new(w.n_classes, sizeof(*w.order));
    int rc = w.items != NULL && w.quotas != NULL && w.order != NULL ? 0 : no_memory(set, e);
    if (rc == 0) rc = set_quotas(&w, images, e);
    if (rc == 0) take(&w);
    if (rc == 0 && w.n_held == 0 && images > 0 && images != SPLIT_ALL) {
        rc = err_set(e, ERR_RANGE,
                     "none of %zu images can be held out, since they are copies of each other",
                     w.count);
    }
    if (rc == 0) rc = finish(&w, ret_split, e);
    mem_free(w.items);
    mem_free(w.quotas);
    mem_free(w.order);
    return rc;
}

int split_by_border(const struct dataset *set, const struct holdout_border *border,
                    struct split *ret_split, struct err *e)
{
    const size_t count = dataset_count(set);
    size_t n_held = 0;
    struct split split = {0};
    assert(border->known && border->seed == dataset_key_seed(set));
    uint8_t *held = mem_new(count, 1);
    if (held == NULL) return no_memory(set, e);
    for (size_t i = 0; i < count; i++) {
        held[i] = holdout_border_holds(border, dataset_key(set, i));
        n_held += held[i];
    }
    int rc = list_sides(set, held, n_held, &split, e);
    mem_free(held);
    if (rc == 0) rc = holdout_border_copy(border, &split.border, e);
    if (rc == 0)
        *ret_split = split;
    else
        split_release(&split);
    return rc;
}

bool split_has_seen(const struct dataset *set, const struct holdout_border *border)
{
    const size_t n = border->n_seen;
    const uint64_t last = n > 0 ? border->seen[n - 1] : 0;
    if (n == 0 || border->seed != dataset_key_seed(set)) return false;
    for (size_t i = 0; i < dataset_count(set); i++) {
        const uint64_t key = dataset_key(set, i);
        for (size_t k = 0; key <= last && k < n; k++)
            if (border->seen[k] == key) return true;
    }
    return false;
}

int split_border_of_count(const struct dataset *set, size_t images,
                          struct holdout_border *ret_border, struct err *e)
{
    const size_t count = dataset_count(set);
    struct holdout_border b = {.known = true, .seed = dataset_key_seed(set)};
    struct item *items = images > 0 ? sorted_items(set) : NULL;
    if (images > 0 && items == NULL) return no_memory(set, e);
    size_t n = images;
    while (n > 0 && n < count && items[n].key == items[n - 1].key) n++;
    if (n > 0 && n < count) b.limit = items[n].key;
    mem_free(items);
    if (n >= count && n > 0) {
        return err_set(e, ERR_RANGE,
                       "%zu images were held out, and here are %zu: these are not the ones that "
                       "there were",
                       images, count);
    }
    *ret_border = b;
    return 0;
}

void split_release(struct split *split)
{
    mem_free(split->train); /* the beginning of the one block */
    holdout_border_release(&split->border);
    *split = (struct split){0};
}
