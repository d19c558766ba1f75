/* Greedy placement by size (Pisarchyk and Lee, "Efficient memory management for deep neural net
 * inference", 2020): not optimal, within a few percent of it on chains with shortcuts.
 * Quadratic in the number of items, of which there are hundreds. */
#include "config.h"

#include "place.h"

#include <stdbool.h>

static bool is_placed(const struct place_item *item)
{
    return item->size > 0 && item->first <= item->last;
}

static bool meet(const struct place_item *a, const struct place_item *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest offset at which items[i] meets none of the n placed ones. Each pass either ends or
 * moves up past one of them. */
static size_t lowest_offset(const struct place_item *items, int i, const int *placed, int n)
{
    size_t offset = 0;
    for (int j = 0; j < n; j++) {
        const struct place_item *other = &items[placed[j]];
        if (meet(&items[i], other) && offset < other->offset + other->size &&
            other->offset < offset + items[i].size) {
            offset = other->offset + other->size;
            j = -1;
        }
    }
    return offset;
}

size_t place_items(struct place_item *items, int n, int *order)
{
    int count = 0;
    for (int i = 0; i < n; i++) {
        if (!is_placed(&items[i])) continue;
        int at = count++;
        for (; at > 0 && items[order[at - 1]].size < items[i].size; at--) order[at] = order[at - 1];
        order[at] = i;
    }

    size_t whole = 0;
    for (int j = 0; j < count; j++) {
        struct place_item *item = &items[order[j]];
        item->offset = lowest_offset(items, order[j], order, j);
        if (item->offset + item->size > whole) whole = item->offset + item->size;
    }
    return whole;
}
