/* The memory of one decoding: counted against a budget, zeroed, and gone when the decoding ends,
 * even what the decoder lost. stb_image takes no argument for its allocator, so the heap in use is
 * a variable of the thread. */
#ifndef SRC_IMAGE_DECODE_HEAP_H
#define SRC_IMAGE_DECODE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct decode_block;

struct decode_heap {
    struct decode_block *blocks;
    size_t used, budget;
    bool over_budget, out_of_memory; /* why an allocation failed */
};

/* Makes heap the thread's; one at a time. */
void decode_heap_begin(struct decode_heap *heap, size_t budget);

/* Frees every block that is left; the thread has no heap afterwards. */
void decode_heap_end(struct decode_heap *heap);

/* malloc(), realloc() and free() on the thread's heap; new bytes are zero. */
void *decode_heap_alloc(size_t size);
void *decode_heap_grow(void *object, size_t size);
void decode_heap_free(void *object);

#endif
