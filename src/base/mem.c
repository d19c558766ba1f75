/* The heap: checked sizes, zeroed or aligned blocks, and a switch that makes the n-th allocation
 * fail.
 *
 * Aligned and plain blocks come from the same allocator (posix_memalign() and calloc()), so that
 * one mem_free() takes both. There is no accounting here: limits belong to arenas and buffers,
 * which know whose memory it is. */
#include "config.h"

#include "base/mem.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Bytes: the processor's pages, its larger ones; a block whose pages are asked for at once. */
#define HUGE_PAGE ((size_t)2 << 20)
#define PAGE ((size_t)4 << 10)
#define RESIDENT ((size_t)256 << 10)

/* What is left until the allocation that fails; 0: none does. */
static atomic_uint fail_left;

/* Whether this allocation is the one to fail. */
static bool must_fail(void)
{
    unsigned left = atomic_load_explicit(&fail_left, memory_order_relaxed);
    while (left > 0) {
        if (atomic_compare_exchange_weak(&fail_left, &left, left - 1)) return left == 1;
    }
    return false;
}

void mem_fail_at(unsigned n)
{
    atomic_store(&fail_left, n);
}

unsigned mem_fail_left(void)
{
    return atomic_load(&fail_left);
}

int mem_size(size_t a, size_t b, size_t c, size_t *ret)
{
    size_t product, sum;
    if (__builtin_mul_overflow(a, b, &product)) return -EOVERFLOW;
    if (__builtin_add_overflow(product, c, &sum)) return -EOVERFLOW;
    *ret = sum;
    return 0;
}

/* The product, at least 1 so that an empty block is still a block; false when no object can be so
 * big (PTRDIFF_MAX, past which differences of pointers are undefined). */
static bool block_size(size_t count, size_t size, size_t *ret)
{
    size_t bytes;
    if (mem_size(count, size, 0, &bytes) < 0 || bytes > PTRDIFF_MAX) return false;
    *ret = bytes > 0 ? bytes : 1;
    return true;
}

void *mem_new(size_t count, size_t size)
{
    size_t bytes;
    if (!block_size(count, size, &bytes) || must_fail()) return NULL;
    return calloc(1, bytes);
}

void *mem_new_aligned(size_t count, size_t size)
{
    size_t bytes;
    void *block;
    if (!block_size(count, size, &bytes) || must_fail()) return NULL;
    size_t align = bytes >= HUGE_PAGE ? HUGE_PAGE : bytes >= RESIDENT ? PAGE : MEM_ALIGN;
    if (posix_memalign(&block, align, bytes) != 0) return NULL;
    /* Large weights are read from end to end, and prefetching ends with a page; a page that is
     * asked for when it is touched may cost more than what is computed with it. Only advice: where
     * the kernel does not know it, nothing changes. */
    if (align == HUGE_PAGE) (void)madvise(block, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    if (align >= PAGE) (void)madvise(block, bytes / PAGE * PAGE, MADV_POPULATE_WRITE);
    return block;
}

void *mem_grow(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (!block_size(count, size, &bytes) || must_fail()) return NULL;
    return realloc(block, bytes);
}

char *mem_strndup(const char *s, size_t n)
{
    size_t length = strnlen(s, n);
    size_t bytes;
    if (mem_size(length, 1, 1, &bytes) < 0 || must_fail()) return NULL;
    char *copy = malloc(bytes);
    if (copy == NULL) return NULL;
    memcpy(copy, s, length);
    copy[length] = '\0';
    return copy;
}

char *mem_strdup(const char *s)
{
    return mem_strndup(s, SIZE_MAX);
}

void mem_free(void *block)
{
    free(block);
}
