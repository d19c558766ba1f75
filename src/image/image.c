/* Images from strangers: kind, limits, structure, pixels, in this order, each only when the one
 * before it was good. Colour profiles are not looked at. */
#include "config.h"

#include "image/image.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>

#include "base/mem.h"
#include "jpeg.h"
#include "png.h"
#include "stb.h"

const struct image_limits image_limits_default = {
    .bytes_max = 24 << 20,
    .pixels_max = 50000000,
    .side_max = 16384,
    .memory_max = 512 << 20,
    .samples_max = (uint64_t)1 << 30,
    .truncated = IMAGE_TRUNCATED_REFUSE,
};

struct image image_of_pixels(int width, int height, uint8_t *pixels)
{
    return (struct image){
        .width = width,
        .height = height,
        .pixels = pixels,
        .full_width = width,
        .full_height = height,
        .shrink = 1,
        .shown = {0, 0, width, height},
    };
}

int image_check_size(int width, int height, const struct image_limits *limits, struct err *e)
{
    const int side_max = limits->side_max < IMAGE_SIDE_MAX ? limits->side_max : IMAGE_SIDE_MAX;
    if (width < 1 || height < 1)
        return err_set(e, ERR_RANGE, "%dx%d is no size of an image", width, height);
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

int image_check_limits(const struct image_info *info, const struct image_limits *limits,
                       struct image_want want, struct err *e)
{
    if (info->bytes > limits->bytes_max || info->bytes > INT_MAX) {
        return err_set(e, ERR_LIMIT, "the image is %zu bytes long, at most %zu are taken",
                       info->bytes, limits->bytes_max);
    }
    int rc = image_check_size(info->width, info->height, limits, e);
    if (rc < 0) return rc;
    if (info->multiscan) {
        const uint64_t samples = info->scan_samples + (uint64_t)info->scans * IMAGE_SCAN_SAMPLES;
        if (samples > limits->samples_max) {
            return err_set(e, ERR_LIMIT,
                           "the JPEG has too many scans for its size: %u of them walk over %" PRIu64
                           " samples, at most %" PRIu64 " are taken",
                           info->scans, samples, limits->samples_max);
        }
    }
    struct image_price price;
    image_price(info, want, &price);
    if (price.memory_bytes > limits->memory_max) {
        return err_set(e, ERR_LIMIT,
                       "decoding an image of this kind with %dx%d pixels takes %zu MiB of memory, "
                       "at most %zu are given",
                       info->width, info->height, price.memory_bytes >> 20,
                       limits->memory_max >> 20);
    }
    return 0;
}

size_t image_arena_bytes(int width, int height)
{
    return (size_t)width * (size_t)height * 3 + MEM_ALIGN;
}

int image_decode(const void *bytes, size_t size, const struct image_decoding *decoding,
                 struct arena *arena, struct image *ret_image, struct err *e)
{
    struct image_info info;
    struct png png;
    if (size > decoding->limits->bytes_max) {
        return err_set(e, ERR_LIMIT, "the image is %zu bytes long, at most %zu are taken", size,
                       decoding->limits->bytes_max);
    }
    int rc = image_probe(bytes, size, &info, e);
    if (rc == 0) rc = image_check_limits(&info, decoding->limits, decoding->want, e);
    if (rc < 0) return rc;
    if (info.format == IMAGE_JPEG) {
        return jpeg_decode(bytes, size, &info, decoding, arena, ret_image, e);
    }
    rc = png_open(&png, bytes, size, &info, e);
    return rc < 0 ? rc : stb_decode(&png, arena, ret_image, e);
}
