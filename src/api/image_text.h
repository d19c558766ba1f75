/* An image that stands in a text, as the strings of JSON hold it: base64, or a data: URL (RFC
 * 2397). Pure; any thread. */
#ifndef API_IMAGE_TEXT_H
#define API_IMAGE_TEXT_H

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

/* The bytes, which are the arena's. The media type that an URL names is not looked at: the bytes
 * say what they are. ERR_FORMAT: broken, or nothing; ERR_BUSY: the arena is too small. Messages do
 * not name the place. */
int image_text_decode(const char *text, size_t length, struct arena *arena, const void **ret_bytes,
                      size_t *ret_size, struct err *e);

#endif
