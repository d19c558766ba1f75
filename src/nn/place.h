/* Places blocks that live for a while into one block of memory, so that those which live at the
 * same time do not overlap. */
#ifndef NN_PLACE_H
#define NN_PLACE_H

#include <stddef.h>

/* Needed at the times first..last, both included; a size of 0 or first > last is never placed. */
struct place_item {
    size_t size;
    int first, last;
    size_t offset; /* the answer */
};

/* Fills in the offsets; returns the size of the whole. The largest are placed first, each at the
 * lowest offset where it fits. order is scratch for n indices. */
size_t place_items(struct place_item *items, int n, int *order);

#endif
