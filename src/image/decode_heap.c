/* The heap of a decoding: blocks in a list, each with its size before it.
 *
 * Zeroed memory costs little and takes the sting out of a whole class of faults: pixels that no
 * scan of a JPEG wrote would otherwise be what somebody else's image left in memory. */
#include "config.h"

#include "decode_heap.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

struct decode_block {
    struct decode_block *next, *previous;
    size_t size; /* of the object */
    _Alignas(max_align_t) unsigned char object[];
};

static _Thread_local struct decode_heap *current;

static struct decode_block *block_of(void *object)
{
    return (struct decode_block *)(void *)((unsigned char *)object -
                                           offsetof(struct decode_block, object));
}

void decode_heap_begin(struct decode_heap *heap, size_t budget)
{
    assert(current == NULL);
    *heap = (struct decode_heap){.budget = budget};
    current = heap;
}

void decode_heap_end(struct decode_heap *heap)
{
    assert(current == heap);
    while (heap->blocks != NULL) {
        struct decode_block *next = heap->blocks->next;
        mem_free(heap->blocks);
        heap->blocks = next;
    }
    heap->used = 0;
    current = NULL;
}

/* Whether size more bytes may be taken, the header counted; the sum in *ret_total. */
static bool within_budget(size_t size, size_t *ret_total)
{
    if (mem_size(size, 1, sizeof(struct decode_block), ret_total) < 0 ||
        *ret_total > current->budget - current->used) {
        current->over_budget = true;
        return false;
    }
    return true;
}

static void link_block(struct decode_block *block, size_t size)
{
    block->size = size;
    block->previous = NULL;
    block->next = current->blocks;
    if (block->next != NULL) block->next->previous = block;
    current->blocks = block;
    current->used += sizeof(*block) + size;
}

static void unlink_block(struct decode_block *block)
{
    if (block->next != NULL) block->next->previous = block->previous;
    if (block->previous != NULL) block->previous->next = block->next;
    if (current->blocks == block) current->blocks = block->next;
    current->used -= sizeof(*block) + block->size;
}

void *decode_heap_alloc(size_t size)
{
    size_t total;
    if (!within_budget(size, &total)) return NULL;
    struct decode_block *block = mem_new(total, 1);
    if (block == NULL) {
        current->out_of_memory = true;
        return NULL;
    }
    link_block(block, size);
    return block->object;
}

/* A new block, since what realloc() adds would have to be cleared, and so be in memory, before
 * anybody uses it. While it moves, both blocks exist, and so both are counted. */
void *decode_heap_grow(void *object, size_t size)
{
    void *grown = decode_heap_alloc(size);
    if (grown == NULL || object == NULL) return grown;
    const size_t old_size = block_of(object)->size;
    memcpy(grown, object, old_size < size ? old_size : size);
    decode_heap_free(object);
    return grown;
}

void decode_heap_free(void *object)
{
    if (object == NULL) return;
    struct decode_block *block = block_of(object);
    unlink_block(block);
    mem_free(block);
}
