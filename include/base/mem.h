/* Memory from the heap. Every allocation of the program passes here, so that products of sizes are
 * checked and tests can make the n-th allocation fail. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

enum { MEM_ALIGN = 64 }; /* bytes; a cache line and a 512-bit register */

/* Zeroed memory for count objects of size bytes; NULL when out of memory or the product overflows.
 * Free with mem_free(). Any thread. */
void *mem_new(size_t count, size_t size);

/* Like mem_new(), aligned to MEM_ALIGN bytes and not cleared; large blocks are resident at once.
 * Free with mem_free(). */
void *mem_new_aligned(size_t count, size_t size);

/* realloc() with a checked product; on failure NULL and the old block stays. Not for aligned
 * blocks. */
void *mem_grow(void *block, size_t count, size_t size);

/* A copy of a string; NULL when out of memory. mem_strndup() copies at most n bytes and terminates.
 */
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);

/* free(); NULL is fine. */
void mem_free(void *block);

/* a*b+c without overflow into *ret; 0, or -EOVERFLOW. */
int mem_size(size_t a, size_t b, size_t c, size_t *ret);

/* For tests: the n-th allocation from now on fails, once (1 is the next one; 0 turns it off).
 * Process-wide and atomic. mem_fail_left() returns what is left of n; 0 means that it has fired. */
void mem_fail_at(unsigned n);
unsigned mem_fail_left(void);

#endif
