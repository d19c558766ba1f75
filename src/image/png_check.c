/* The chunks of a PNG (ISO/IEC 15948): signature, IHDR, chunks of length, name, data and CRC, IEND.
 *
 * The CRC of every chunk that pixels come from is checked, which stb_image does not do: it would
 * answer with a damaged image. Unknown critical chunks are refused here and not by stb, whose
 * message about them is written to a variable that all threads share. Of the others only eXIf is
 * looked at, for the orientation; text, colour profiles and the like are skipped. */
#include "config.h"

#include "check.h"
#include "exif.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"

enum {
    SIGNATURE_SIZE = 8,
    CHUNK_OVERHEAD = 12, /* length, name and CRC */
    IHDR_SIZE = 13,
    PALETTE_SIZE = 3 * 256,
    FIXED_BUDGET = 1 << 20, /* the decoder's own tables */
};

#define CHUNK(a, b, c, d)                                                                          \
    ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define CHUNK_CRITICAL_BIT (UINT32_C(1) << 29) /* clear: a decoder must know the chunk */

enum { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGB_ALPHA = 6 };

static const uint8_t signature[SIGNATURE_SIZE] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

struct png {
    int width, height, depth, colour;
    bool interlaced;
};

static uint32_t big_endian(const uint8_t *p)
{
    return CHUNK(p[0], p[1], p[2], p[3]);
}

static uint32_t checksum(const uint8_t *data, size_t size)
{
    return (uint32_t)crc32_z(0, data, size);
}

static bool depth_allowed(int colour, int depth)
{
    switch (colour) {
    case GREY:
        return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16;
    case PALETTE:
        return depth == 1 || depth == 2 || depth == 4 || depth == 8;
    case RGB:
    case GREY_ALPHA:
    case RGB_ALPHA:
        return depth == 8 || depth == 16;
    default:
        return false;
    }
}

static int read_ihdr(const uint8_t *bytes, size_t size, struct png *png, struct err *e)
{
    const uint8_t *chunk = bytes + SIGNATURE_SIZE, *data = chunk + 8;
    if (size < SIGNATURE_SIZE + CHUNK_OVERHEAD + IHDR_SIZE) {
        return err_set(e, ERR_FORMAT, "the PNG ends inside its header, after %zu bytes", size);
    }
    if (memcmp(bytes, signature, SIGNATURE_SIZE) != 0) {
        return err_set(e, ERR_FORMAT, "the signature of the PNG is damaged");
    }
    if (big_endian(chunk + 4) == CHUNK('C', 'g', 'B', 'I')) {
        return err_set(
            e, ERR_UNSUPPORTED,
            "an iPhone's own kind of PNG (CgBI) is not supported; convert it to PNG or JPEG");
    }
    if (big_endian(chunk) != IHDR_SIZE || big_endian(chunk + 4) != CHUNK('I', 'H', 'D', 'R')) {
        return err_set(e, ERR_FORMAT, "the PNG does not begin with a header (IHDR)");
    }
    if (checksum(chunk + 4, 4 + IHDR_SIZE) != big_endian(data + IHDR_SIZE)) {
        return err_set(e, ERR_FORMAT, "the PNG is damaged: the checksum of its header is wrong");
    }
    const uint32_t width = big_endian(data), height = big_endian(data + 4);
    if (width == 0 || height == 0 || width > INT32_MAX || height > INT32_MAX) {
        return err_set(e, ERR_FORMAT, "the PNG says that it is %" PRIu32 "x%" PRIu32 " pixels",
                       width, height);
    }
    *png = (struct png){(int)width, (int)height, data[8], data[9], data[12] == 1};
    if (!depth_allowed(png->colour, png->depth) || data[10] != 0 || data[11] != 0 || data[12] > 1) {
        return err_set(
            e, ERR_FORMAT,
            "the header of the PNG is damaged: colour type %d, depth %d, compression %d, "
            "filter %d, interlace %d",
            data[9], data[8], data[10], data[11], data[12]);
    }
    return 0;
}

int png_header(const uint8_t *bytes, size_t size, struct image_header *ret, struct err *e)
{
    struct png png;
    int rc = read_ihdr(bytes, size, &png, e);
    if (rc == 0) {
        *ret = (struct image_header){
            .width = png.width, .height = png.height, .orientation = ORIENTATION_NORMAL};
    }
    return rc;
}

/* What stb_image needs at most: the compressed data, gathered in a block that doubles; the inflated
 * rows, which double once more when the image is interlaced; two unpacked images. */
static size_t decode_budget(const struct png *png, size_t encoded)
{
    static const int channels[] = {
        [GREY] = 1, [RGB] = 3, [PALETTE] = 1, [GREY_ALPHA] = 2, [RGB_ALPHA] = 4};
    const size_t width = (size_t)png->width, height = (size_t)png->height;
    const size_t row = (width * (size_t)channels[png->colour] * (size_t)png->depth + 7) / 8 + 1;
    const size_t unpacked = width * height * 4 * (png->depth == 16 ? 2 : 1);
    return FIXED_BUDGET + 4 * encoded + 3 * (row * height + 8 * (width + height)) + 2 * unpacked;
}

/* What has been seen so far. */
struct chunks {
    bool palette, data, data_ended, exif;
};

/* One chunk: does it stand where it may? */
static int check_chunk(uint32_t name, uint32_t length, const struct png *png, struct chunks *seen,
                       size_t at, struct err *e)
{
    if (seen->data && name != CHUNK('I', 'D', 'A', 'T')) seen->data_ended = true;
    if (name == CHUNK('I', 'D', 'A', 'T')) {
        if (seen->data_ended || (png->colour == PALETTE && !seen->palette)) {
            return err_set(e, ERR_FORMAT, "the PNG is damaged: pixel data out of place at byte %zu",
                           at);
        }
        seen->data = true;
        return 0;
    }
    if (name == CHUNK('P', 'L', 'T', 'E')) {
        if (seen->palette || seen->data || length == 0 || length > PALETTE_SIZE ||
            length % 3 != 0) {
            return err_set(e, ERR_FORMAT, "the PNG is damaged: a bad palette at byte %zu", at);
        }
        seen->palette = true;
        return 0;
    }
    if (name == CHUNK('I', 'E', 'N', 'D')) {
        if (seen->data) return 0;
        return err_set(e, ERR_FORMAT, "the PNG holds no pixel data");
    }
    return err_set(e, name == CHUNK('I', 'H', 'D', 'R') ? ERR_FORMAT : ERR_UNSUPPORTED,
                   "the PNG has a chunk of kind %08" PRIx32
                   " at byte %zu that it may not have here",
                   name, at);
}

int png_check(const uint8_t *bytes, size_t size, struct image_header *ret, struct err *e)
{
    struct png png;
    struct chunks seen = {false, false, false, false};
    int rc = read_ihdr(bytes, size, &png, e);
    if (rc < 0) return rc;
    *ret = (struct image_header){.width = png.width,
                                 .height = png.height,
                                 .orientation = ORIENTATION_NORMAL,
                                 .budget = decode_budget(&png, size)};

    for (size_t at = SIGNATURE_SIZE + CHUNK_OVERHEAD + IHDR_SIZE;;) {
        if (size - at < CHUNK_OVERHEAD || big_endian(bytes + at) > size - at - CHUNK_OVERHEAD) {
            return err_set(e, ERR_FORMAT,
                           "the PNG is cut short: it ends after %zu bytes, inside a chunk", size);
        }
        const uint32_t length = big_endian(bytes + at), name = big_endian(bytes + at + 4);
        const size_t end = at + CHUNK_OVERHEAD + length;
        if ((name & CHUNK_CRITICAL_BIT) == 0) {
            rc = check_chunk(name, length, &png, &seen, at, e);
            if (rc < 0) return rc;
            if (checksum(bytes + at + 4, 4 + (size_t)length) != big_endian(bytes + end - 4)) {
                return err_set(e, ERR_FORMAT,
                               "the PNG is damaged: the checksum of the chunk at byte %zu is wrong",
                               at);
            }
        } else if (seen.data) {
            seen.data_ended = true;
        }
        if (name == CHUNK('e', 'X', 'I', 'f') && !seen.exif &&
            checksum(bytes + at + 4, 4 + (size_t)length) == big_endian(bytes + end - 4)) {
            ret->orientation = exif_orientation(bytes + at + 8, length);
            seen.exif = true;
        }
        if (name == CHUNK('P', 'L', 'T', 'E') && png.colour == PALETTE && length < PALETTE_SIZE) {
            ret->palette_at = at;
            ret->palette_end = end;
        }
        if (name == CHUNK('I', 'E', 'N', 'D')) return 0;
        at = end;
    }
}

uint8_t *png_pad_palette(const uint8_t *bytes, size_t size, const struct image_header *header,
                         size_t *ret_size)
{
    const size_t at = header->palette_at, end = header->palette_end;
    const size_t length = end - at - CHUNK_OVERHEAD;
    uint8_t *copy = mem_new(size + PALETTE_SIZE, 1);
    if (copy == NULL) return NULL;
    memcpy(copy, bytes, at + 8 + length);
    copy[at + 2] = PALETTE_SIZE >> 8; /* the length; stb_image skips the checksum */
    copy[at + 3] = PALETTE_SIZE & 0xff;
    const size_t new_end = at + CHUNK_OVERHEAD + PALETTE_SIZE;
    memcpy(copy + new_end, bytes + end, size - end);
    *ret_size = size - end + new_end;
    return copy;
}
