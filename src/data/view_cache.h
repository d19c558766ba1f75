/* A cache of decoded images: what an image of a set shows without a random crop, at the size of the
 * network's input. Filled as images are first wanted, never emptied. Any thread, but for new and
 * free. */
#ifndef SRC_DATA_VIEW_CACHE_H
#define SRC_DATA_VIEW_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "image/preprocess.h"

struct view_cache;

/* For so many images, resized by p. NULL when out of memory. */
struct view_cache *view_cache_new(const struct preprocess *p, size_t count);
void view_cache_free(struct view_cache *cache);

/* Image i as p resizes it, or NULL: it is not there yet, or the cache (NULL is one that keeps
 * nothing) is another one's. The pixels stay as long as the cache. */
const uint8_t *view_cache_get(const struct view_cache *cache, const struct preprocess *p, size_t i);

/* Keeps a copy, if the cache is of p and nobody else is at it. */
void view_cache_put(struct view_cache *cache, const struct preprocess *p, size_t i,
                    const uint8_t *pixels);

#endif
