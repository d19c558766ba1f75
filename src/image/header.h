/* The headers of the two formats that are decoded. */
#ifndef SRC_IMAGE_HEADER_H
#define SRC_IMAGE_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/probe.h"

/* Fill what image_probe() gives, but for the number of bytes. Errors as there. */
int jpeg_header(const uint8_t *bytes, size_t size, struct image_info *ret, struct err *e);
int png_header(const uint8_t *bytes, size_t size, struct image_info *ret, struct err *e);

/* Bytes of heap that decoding takes at most, the result apart. */
size_t jpeg_heap_bytes(const struct image_info *info);
size_t png_heap_bytes(const struct image_info *info);

#endif
