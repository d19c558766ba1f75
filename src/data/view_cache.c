/* One block of pixels with a state for each image. Two threads may want an image at the same time,
 * at the border of two epochs: one of them puts it in, the other goes on with its own copy. */
#include "config.h"

#include "view_cache.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

enum { EMPTY, FILLING, FULL };

struct view_cache {
    struct preprocess preprocess;
    size_t image_bytes;
    uint8_t *pixels;
    atomic_uchar *states;
};

struct view_cache *view_cache_new(const struct preprocess *p, size_t count)
{
    struct view_cache *cache = mem_new(1, sizeof(*cache));
    if (cache == NULL) return NULL;
    cache->preprocess = *p;
    cache->image_bytes = (size_t)p->width * (size_t)p->height * 3;
    cache->pixels = mem_new(count, cache->image_bytes); /* pages come when they are written to */
    cache->states = mem_new(count, sizeof(*cache->states));
    if (cache->pixels != NULL && cache->states != NULL) return cache;
    view_cache_free(cache);
    return NULL;
}

void view_cache_free(struct view_cache *cache)
{
    if (cache == NULL) return;
    mem_free(cache->pixels);
    mem_free(cache->states);
    mem_free(cache);
}

/* Mean and deviation come after the pixels. */
static bool is_of(const struct view_cache *cache, const struct preprocess *p)
{
    const struct preprocess *own = &cache->preprocess;
    return own->width == p->width && own->height == p->height && own->resize == p->resize &&
           own->filter == p->filter;
}

const uint8_t *view_cache_get(const struct view_cache *cache, const struct preprocess *p, size_t i)
{
    if (cache == NULL || !is_of(cache, p)) return NULL;
    if (atomic_load_explicit(&cache->states[i], memory_order_acquire) != FULL) return NULL;
    return cache->pixels + i * cache->image_bytes;
}

void view_cache_put(struct view_cache *cache, const struct preprocess *p, size_t i,
                    const uint8_t *pixels)
{
    unsigned char expected = EMPTY;
    if (cache == NULL || !is_of(cache, p)) return;
    if (!atomic_compare_exchange_strong(&cache->states[i], &expected, FILLING)) return;
    memcpy(cache->pixels + i * cache->image_bytes, pixels, cache->image_bytes);
    atomic_store_explicit(&cache->states[i], FULL, memory_order_release);
}
