/* Images from strangers: kind, limits, structure, pixels, in this order, each only when the one
 * before it was good. Colour profiles are not looked at. */
#include "config.h"

#include "image/image.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "check.h"
#include "stb.h"

const struct image_limits image_limits_default = {
    .bytes_max = 16 << 20,
    .pixels_max = 25000000,
    .side_max = 8192,
};

int image_format_of(const void *bytes, size_t size, enum image_format *ret_format, struct err *e)
{
    static const struct {
        enum image_format format;
        size_t size;
        const char *magic;
    } formats[] = {
        {IMAGE_JPEG, 3, "\xff\xd8\xff"},
        {IMAGE_PNG, 4, "\x89PNG"},
    };
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (size >= formats[i].size && memcmp(bytes, formats[i].magic, formats[i].size) == 0) {
            *ret_format = formats[i].format;
            return 0;
        }
    }
    if (size == 0) return err_set(e, ERR_FORMAT, "the image is empty (0 bytes)");
    return err_set(e, ERR_UNSUPPORTED, "the content is neither a JPEG nor a PNG image");
}

int image_check_size(int width, int height, const struct image_limits *limits, struct err *e)
{
    if (width < 1 || height < 1)
        return err_set(e, ERR_RANGE, "%dx%d is no size of an image", width, height);
    const int side_max = limits->side_max < STB_SIDE_MAX ? limits->side_max : STB_SIDE_MAX;
    if (width > side_max || height > side_max) {
        return err_set(e, ERR_LIMIT, "the image has %dx%d pixels; no side may have more than %d",
                       width, height, side_max);
    }
    const uint64_t pixels = (uint64_t)width * (uint64_t)height;
    if (pixels > limits->pixels_max) {
        return err_set(e, ERR_LIMIT,
                       "the image has %dx%d = %" PRIu64 " pixels, at most %" PRIu64 " are taken",
                       width, height, pixels, limits->pixels_max);
    }
    return 0;
}

/* Kind, size of the file, and what the header says against the limits. */
static int probe(const void *bytes, size_t size, const struct image_limits *limits,
                 enum image_format *ret_format, struct image_header *ret_header, struct err *e)
{
    if (size > limits->bytes_max || size > INT_MAX) {
        return err_set(e, ERR_LIMIT, "the image is %zu bytes long, at most %zu are taken", size,
                       limits->bytes_max);
    }
    int rc = image_format_of(bytes, size, ret_format, e);
    if (rc < 0) return rc;
    rc = *ret_format == IMAGE_PNG ? png_header(bytes, size, ret_header, e)
                                  : jpeg_header(bytes, size, ret_header, e);
    return rc < 0 ? rc : image_check_size(ret_header->width, ret_header->height, limits, e);
}

int image_probe(const void *bytes, size_t size, const struct image_limits *limits, int *ret_width,
                int *ret_height, struct err *e)
{
    enum image_format format;
    struct image_header header;
    int rc = probe(bytes, size, limits, &format, &header, e);
    if (rc < 0) return rc;
    *ret_width = header.width;
    *ret_height = header.height;
    return 0;
}

size_t image_arena_bytes(int width, int height, size_t encoded_size)
{
    (void)encoded_size; /* what decoding takes besides the pixels does not come from the arena */
    return (size_t)width * (size_t)height * 3 + MEM_ALIGN;
}

int image_decode(const void *bytes, size_t size, const struct image_limits *limits,
                 struct arena *arena, struct image *ret_image, struct err *e)
{
    enum image_format format;
    struct image_header header;
    struct image image;
    uint8_t *padded = NULL;
    int rc = probe(bytes, size, limits, &format, &header, e);
    if (rc < 0) return rc;
    rc = format == IMAGE_PNG ? png_check(bytes, size, &header, e)
                             : jpeg_check(bytes, size, &header, e);
    if (rc < 0) return rc;

    if (header.palette_at > 0) {
        padded = png_pad_palette(bytes, size, &header, &size);
        if (padded == NULL) return err_set(e, -ENOMEM, "no memory to decode the image");
        bytes = padded;
    }
    rc = stb_decode(bytes, size, &header, arena, &image, e);
    mem_free(padded);
    if (rc < 0) return rc;
    *ret_image = image;
    return 0;
}
