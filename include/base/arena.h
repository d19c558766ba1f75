/* An arena: memory that lives as long as one request (or one load) and is released at once.
 * Created with its maximum, so that no input can make it grow without bound. Not thread-safe. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena;

/* An arena that hands out at most max_bytes in all. NULL when out of memory. */
struct arena *arena_new(size_t max_bytes);
void arena_free(struct arena *arena);

/* size bytes, 64-byte aligned, not cleared; NULL past the maximum or when out of memory. */
void *arena_alloc(struct arena *arena, size_t count, size_t size);
char *arena_strndup(struct arena *arena, const char *s, size_t n);

/* Forgets everything handed out; keeps one block for the next use. */
void arena_reset(struct arena *arena);

/* Bytes handed out since the last reset. */
size_t arena_used(const struct arena *arena);

#endif
