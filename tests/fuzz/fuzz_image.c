/* Any bytes as an image: probed, decoded and brought to the size of a network's input under small
 * limits. What the probe allows keeps to the limits and never takes more memory than was announced.
 *
 * Checksums would stop a fuzzer at the door, so a PNG is tried a second time with good ones. */
#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "fuzz.h"
#include "image/image.h"
#include "image/preprocess.h"

enum { SIDE = 16 };

static const struct image_limits limits = {.bytes_max = 1 << 17,
                                           .pixels_max = 1 << 16,
                                           .side_max = 1024,
                                           .memory_max = 1 << 24,
                                           .samples_max = 1 << 22};

static bool give_up(void *arg)
{
    int *left = arg;
    return (*left)-- == 0;
}

static void preprocess(const struct image *image, enum preprocess_resize resize)
{
    static float input[SIDE * SIDE * 3];
    const struct preprocess p = {SIDE,     SIDE, resize, PREPROCESS_BILINEAR, {0.5f, 0.5f, 0.5f},
                                 {1, 1, 1}};
    struct arena *arena = arena_new(preprocess_arena_bytes(&p, image->width, image->height));
    FUZZ_CHECK(arena != NULL);
    FUZZ_CHECK(preprocess_apply(&p, image, arena, input, NULL) == 0);
    for (size_t i = 0; i < SIDE * SIDE * 3; i++) FUZZ_CHECK(input[i] >= -0.5f && input[i] <= 0.5f);
    arena_free(arena);
}

/* Decoded as it is wanted; -ENOMEM would mean that more memory was taken than was said. */
static int try_decoding(const uint8_t *data, size_t size, const struct image_info *info,
                        const struct image_decoding *decoding)
{
    struct err e = {0};
    struct image image;
    const int shrink = image_shrink(info, decoding->want);
    const int width = (info->width + shrink - 1) / shrink;
    const int height = (info->height + shrink - 1) / shrink;
    struct arena *arena = arena_new(image_arena_bytes(width, height));
    FUZZ_CHECK(arena != NULL);
    int rc = image_decode(data, size, decoding, arena, &image, &e);
    FUZZ_CHECK(rc == 0 || (rc != -ENOMEM && e.code == rc && e.text[0] != '\0'));
    if (rc == 0) {
        FUZZ_CHECK((image.width == width && image.height == height) ||
                   (image.width == height && image.height == width)); /* turned upright */
        preprocess(&image, PREPROCESS_STRETCH);
        preprocess(&image, PREPROCESS_COVER);
    }
    arena_free(arena);
    return rc;
}

static void try_image(const uint8_t *data, size_t size)
{
    struct image_limits accept = limits;
    struct image_decoding decoding = {.limits = &limits};
    struct image_price price;
    struct image_info info;
    struct err e = {0};
    int rc = image_probe(data, size, &info, &e);
    if (rc == 0) {
        FUZZ_CHECK(info.width > 0 && info.height > 0 && info.channels > 0);
        image_price(&info, decoding.want, &price);
        FUZZ_CHECK(price.pixels == (uint64_t)info.width * (uint64_t)info.height);
        rc = image_check_limits(&info, &limits, decoding.want, &e);
    }
    if (rc < 0) {
        FUZZ_CHECK(e.code == rc && e.text[0] != '\0');
        return;
    }
    FUZZ_CHECK(info.width <= limits.side_max && price.pixels <= limits.pixels_max);
    const int whole = try_decoding(data, size, &info, &decoding);
    decoding.want = (struct image_want){2 * SIDE, 2 * SIDE};
    FUZZ_CHECK(try_decoding(data, size, &info, &decoding) == whole);
    accept.truncated = IMAGE_TRUNCATED_ACCEPT;
    decoding.limits = &accept;
    if (whole == 0) FUZZ_CHECK(try_decoding(data, size, &info, &decoding) == 0);
    if (whole != 0) try_decoding(data, size, &info, &decoding);
    int left = (int)(size % 16);
    decoding.stop = give_up;
    decoding.stop_arg = &left;
    try_decoding(data, size, &info, &decoding);
}

static uint32_t crc32_of(const uint8_t *data, size_t size)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        crc ^= data[i];
        for (int k = 0; k < 8; k++) crc = crc & 1 ? 0xedb88320 ^ crc >> 1 : crc >> 1;
    }
    return ~crc;
}

/* Sets the checksum of every chunk that is there as a whole. */
static void mend_checksums(uint8_t *png, size_t size)
{
    for (size_t at = 8; at <= size && size - at >= 12;) {
        size_t length = (size_t)png[at] << 24 | (size_t)png[at + 1] << 16 |
                        (size_t)png[at + 2] << 8 | png[at + 3];
        if (length > size - at - 12) return;
        uint32_t crc = crc32_of(png + at + 4, length + 4);
        for (int i = 0; i < 4; i++)
            png[at + 8 + length + (size_t)i] = (uint8_t)(crc >> 8 * (3 - i));
        at += 12 + length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_image(data, size);
    if (size < 8 || data[0] != 0x89) return 0;
    uint8_t *copy = mem_new(size, 1);
    if (copy == NULL) return 0;
    memcpy(copy, data, size);
    mend_checksums(copy, size);
    try_image(copy, size);
    mem_free(copy);
    return 0;
}
