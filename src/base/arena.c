/* An arena: a chain of blocks that objects are cut from, front to back.
 *
 * A block is at least BLOCK_MIN bytes and at least as large as the object that needed it; the
 * maximum is counted over what is handed out, not over the blocks. A reset keeps the largest block,
 * so that a steady stream of equal requests allocates nothing. Nothing is freed one by one. */
#include "config.h"

#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"

enum { BLOCK_MIN = 64 * 1024 };

/* The header takes one MEM_ALIGN unit, so that data is aligned as the block is. */
struct block {
    struct block *next;
    size_t size, used; /* of data */
};

_Static_assert(sizeof(struct block) <= MEM_ALIGN, "the data of a block begins at MEM_ALIGN");

struct arena {
    struct block *blocks; /* the newest first; only it is cut from */
    size_t used, max;
};

static unsigned char *block_data(struct block *block)
{
    return (unsigned char *)block + MEM_ALIGN;
}

static void free_blocks(struct block *block)
{
    while (block != NULL) {
        struct block *next = block->next;
        mem_free(block);
        block = next;
    }
}

struct arena *arena_new(size_t max_bytes)
{
    struct arena *arena = mem_new(1, sizeof(*arena));
    if (arena != NULL) arena->max = max_bytes;
    return arena;
}

void arena_free(struct arena *arena)
{
    if (arena == NULL) return;
    free_blocks(arena->blocks);
    mem_free(arena);
}

/* Puts a block with room for size bytes in front. */
static struct block *add_block(struct arena *arena, size_t size)
{
    size_t bytes, data_size = size > BLOCK_MIN ? size : BLOCK_MIN;
    if (mem_size(data_size, 1, MEM_ALIGN, &bytes) < 0) return NULL;
    struct block *block = mem_new_aligned(bytes, 1);
    if (block == NULL) return NULL;
    *block = (struct block){.next = arena->blocks, .size = data_size};
    arena->blocks = block;
    return block;
}

void *arena_alloc(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (mem_size(count, size, MEM_ALIGN - 1, &bytes) < 0) return NULL;
    bytes &= ~(size_t)(MEM_ALIGN - 1);
    if (bytes == 0) bytes = MEM_ALIGN; /* distinct objects have distinct addresses */
    if (bytes > arena->max - arena->used) return NULL;

    struct block *block = arena->blocks;
    if (block == NULL || bytes > block->size - block->used) block = add_block(arena, bytes);
    if (block == NULL) return NULL;
    void *object = block_data(block) + block->used;
    block->used += bytes;
    arena->used += bytes;
    return object;
}

char *arena_strndup(struct arena *arena, const char *s, size_t n)
{
    size_t length = strnlen(s, n), bytes;
    if (mem_size(length, 1, 1, &bytes) < 0) return NULL;
    char *copy = arena_alloc(arena, bytes, 1);
    if (copy == NULL) return NULL;
    memcpy(copy, s, length);
    copy[length] = '\0';
    return copy;
}

void arena_reset(struct arena *arena)
{
    struct block *kept = NULL;
    for (struct block *block = arena->blocks, *next; block != NULL; block = next) {
        next = block->next;
        if (kept == NULL || block->size > kept->size) {
            mem_free(kept);
            kept = block;
        } else {
            mem_free(block);
        }
    }
    if (kept != NULL) {
        kept->next = NULL;
        kept->used = 0;
    }
    arena->blocks = kept;
    arena->used = 0;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}
