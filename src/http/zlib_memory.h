/* zlib's memory, for the zalloc and zfree of a z_stream. */
#ifndef SRC_HTTP_ZLIB_MEMORY_H
#define SRC_HTTP_ZLIB_MEMORY_H

#include "base/mem.h"

static inline void *zlib_allocate(void *arg, unsigned count, unsigned size)
{
    (void)arg;
    return mem_new(count, size);
}

static inline void zlib_free(void *arg, void *memory)
{
    (void)arg;
    mem_free(memory);
}

#endif
