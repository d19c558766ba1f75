/* The chunks of a PNG (ISO/IEC 15948): signature, IHDR, chunks of length, name, data and CRC, IEND.
 *
 * The CRC of every chunk that pixels come from is checked, which stb_image does not do: it would
 * answer with a damaged image. Of the others only eXIf is looked at, for the orientation. The
 * decoder then reads a smaller PNG, which is made while it reads (png_read()): the header, a
 * palette of all 256 colours, one chunk with all of the data, an end. So what stands beside the
 * pixels cannot do harm, and transparency, which is dropped, costs nothing. */
#include "config.h"

#include "png.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <zlib.h>

#include "exif.h"
#include "header.h"

enum {
    SIGNATURE_SIZE = 8,
    CHUNK_OVERHEAD = 12, /* length, name and CRC */
    IHDR_SIZE = 13,
    CHUNK_HEADER = 8, /* length and name */
    IHDR_END = SIGNATURE_SIZE + CHUNK_OVERHEAD + IHDR_SIZE,
    FIXED_BUDGET = 1 << 20,  /* the decoder's own tables */
    GENEROUS_MAX = 16 << 20, /* bytes of pixel data up to which there may be more than needed */
};

#define CHUNK(a, b, c, d)                                                                          \
    ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define CHUNK_CRITICAL_BIT (UINT32_C(1) << 29) /* clear: a decoder must know the chunk */

enum { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGB_ALPHA = 6 };

static const uint8_t signature[SIGNATURE_SIZE] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

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

static int channels_of(int colour)
{
    return colour == RGB ? 3 : colour == RGB_ALPHA ? 4 : colour == GREY_ALPHA ? 2 : 1;
}

int png_header(const uint8_t *bytes, size_t size, struct image_info *ret, struct err *e)
{
    const uint8_t *chunk = bytes + SIGNATURE_SIZE, *data = chunk + CHUNK_HEADER;
    if (size < IHDR_END) {
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
    const int depth = data[8], colour = data[9];
    if (!depth_allowed(colour, depth) || data[10] != 0 || data[11] != 0 || data[12] > 1) {
        return err_set(
            e, ERR_FORMAT,
            "the header of the PNG is damaged: colour type %d, depth %d, compression %d, "
            "filter %d, interlace %d",
            colour, depth, data[10], data[11], data[12]);
    }
    *ret = (struct image_info){.format = IMAGE_PNG,
                               .width = (int)width,
                               .height = (int)height,
                               .orientation = ORIENTATION_NORMAL,
                               .channels = channels_of(colour),
                               .depth = depth,
                               .palette = colour == PALETTE,
                               .interlaced = data[12] == 1};
    return 0;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* What stb_image takes at most, step by step: the compressed data and the inflated rows, whose
 * block doubles when there are more than it guessed (always where rows are interlaced); rows and
 * unpacked pixels, of interlaced ones those of a pass, half of all, too; then from one form of
 * pixels to the next, each twice: palette to colours, to three channels, to 8 bits. */
size_t png_heap_bytes(const struct image_info *info)
{
    const size_t width = (size_t)info->width, height = (size_t)info->height, n = width * height;
    const size_t channels = (size_t)info->channels, depth = (size_t)info->depth;
    const size_t rows = ((width * depth + 7) / 8 * channels + 1) * height;
    const size_t pixel = channels * (depth == 16 ? 2 : 1), three = depth == 16 ? 6 : 3;
    const bool doubled = info->interlaced || rows <= GENEROUS_MAX;
    const size_t inflating = info->bytes + rows * (doubled ? 3 : 1);
    const size_t unpacking = rows * (info->interlaced ? 2 : 1) + n * pixel +
                             (info->interlaced ? (n / 2 + width + height) * pixel : 0);
    const size_t colouring = info->palette ? rows * (info->interlaced ? 2 : 1) + n * (1 + 3) : 0;
    const size_t converting = n * (pixel + three), narrowing = depth == 16 ? n * (6 + 3) : 0;
    return FIXED_BUDGET +
           larger(larger(inflating, unpacking), larger(colouring, larger(converting, narrowing)));
}

/* One chunk that a decoder must know: does it stand where it may? */
static int check_chunk(struct png *png, uint32_t name, uint32_t length, size_t at, bool data_ended,
                       struct err *e)
{
    if (name == CHUNK('I', 'D', 'A', 'T')) {
        if (data_ended || (png->info->palette && png->palette_size == 0)) {
            return err_set(e, ERR_FORMAT, "the PNG is damaged: pixel data out of place at byte %zu",
                           at);
        }
        return 0;
    }
    if (name == CHUNK('P', 'L', 'T', 'E')) {
        if (!png->info->palette) return 0; /* a suggestion for poor screens */
        if (png->palette_size > 0 || png->data_at > 0 || length == 0 || length > PNG_PALETTE_SIZE ||
            length % 3 != 0) {
            return err_set(e, ERR_FORMAT, "the PNG is damaged: a bad palette at byte %zu", at);
        }
        return 0;
    }
    if (name == CHUNK('I', 'E', 'N', 'D')) return 0;
    return err_set(e, name == CHUNK('I', 'H', 'D', 'R') ? ERR_FORMAT : ERR_UNSUPPORTED,
                   "the PNG has a chunk of kind %08" PRIx32
                   " at byte %zu that it may not have here",
                   name, at);
}

static int cut_short(const struct png *png, struct err *e)
{
    return err_set(e, ERR_FORMAT, "the PNG is cut short: it ends after %zu bytes, inside a chunk",
                   png->size);
}

static bool sum_is_right(const uint8_t *chunk, uint32_t length)
{
    return checksum(chunk + 4, 4 + (size_t)length) == big_endian(chunk + CHUNK_HEADER + length);
}

/* Takes in what is needed of a sound chunk. */
static void note_chunk(struct png *png, uint32_t name, uint32_t length, size_t at)
{
    if (name == CHUNK('I', 'D', 'A', 'T')) {
        if (png->data_at == 0) png->data_at = at;
        png->data_size += length;
    }
    if (name == CHUNK('P', 'L', 'T', 'E') && png->info->palette) {
        png->palette_at = at + CHUNK_HEADER;
        png->palette_size = length;
    }
}

int png_open(struct png *png, const uint8_t *bytes, size_t size, struct image_info *info,
             struct err *e)
{
    bool exif = false, data_ended = false;
    *png = (struct png){.bytes = bytes, .size = size, .info = info};
    for (size_t at = IHDR_END;;) {
        const bool whole =
            size - at >= CHUNK_OVERHEAD && big_endian(bytes + at) <= size - at - CHUNK_OVERHEAD;
        const uint32_t name = size - at >= CHUNK_HEADER ? big_endian(bytes + at + 4) : 0;
        if (!whole) {
            /* All pixels are there when the cut is behind them; the decoder will see. */
            if (png->data_at == 0 || name == CHUNK('I', 'D', 'A', 'T')) return cut_short(png, e);
            break;
        }
        const uint32_t length = big_endian(bytes + at);
        if (png->data_at > 0 && name != CHUNK('I', 'D', 'A', 'T')) data_ended = true;
        if ((name & CHUNK_CRITICAL_BIT) == 0) {
            int rc = check_chunk(png, name, length, at, data_ended, e);
            if (rc < 0) return rc;
            if (name == CHUNK('I', 'E', 'N', 'D')) break;
            if ((name == CHUNK('I', 'D', 'A', 'T') || info->palette) &&
                !sum_is_right(bytes + at, length)) {
                return err_set(e, ERR_FORMAT,
                               "the PNG is damaged: the checksum of the chunk at byte %zu is wrong",
                               at);
            }
            note_chunk(png, name, length, at);
        } else if (name == CHUNK('e', 'X', 'I', 'f') && !exif && sum_is_right(bytes + at, length)) {
            info->orientation = exif_orientation(bytes + at + CHUNK_HEADER, length);
            exif = true;
        }
        at += CHUNK_OVERHEAD + (size_t)length;
    }
    if (png->data_size == 0) return err_set(e, ERR_FORMAT, "the PNG holds no pixel data");
    png->next = png->data_at;
    return 0;
}

static void put_chunk(uint8_t *p, size_t length, const char *name)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(length >> 8 * (3 - i));
    memcpy(p + 4, name, 4);
}

/* What stands before the data: signature, header, palette, the head of the data's chunk. The
 * decoder skips checksums. */
static size_t make_head(const struct png *png, uint8_t head[PNG_HEAD_MAX])
{
    size_t at = IHDR_END;
    memset(head, 0, PNG_HEAD_MAX);
    memcpy(head, png->bytes, IHDR_END);
    if (png->info->palette) { /* an index past the palette is black */
        put_chunk(head + at, PNG_PALETTE_SIZE, "PLTE");
        memcpy(head + at + CHUNK_HEADER, png->bytes + png->palette_at, png->palette_size);
        at += CHUNK_OVERHEAD + PNG_PALETTE_SIZE;
    }
    put_chunk(head + at, png->data_size, "IDAT");
    return at + CHUNK_HEADER;
}

static size_t take(const uint8_t *from, size_t from_size, size_t *at, uint8_t *to, size_t size)
{
    const size_t n = from_size - *at < size ? from_size - *at : size;
    memcpy(to, from + *at, n);
    *at += n;
    return n;
}

size_t png_read(struct png *png, uint8_t *to, size_t size)
{
    static const uint8_t tail[4 + CHUNK_OVERHEAD] = {0, 0, 0, 0, 0, 0, 0, 0, 'I', 'E', 'N', 'D'};
    size_t done = 0;
    if (png->head_size == 0) png->head_size = make_head(png, png->head);
    done += take(png->head, png->head_size, &png->head_at, to, size);
    while (done < size && png->data_given < png->data_size) {
        const size_t length = big_endian(png->bytes + png->next);
        const uint8_t *data = png->bytes + png->next + CHUNK_HEADER;
        const size_t n = take(data, length, &png->next_at, to + done, size - done);
        done += n;
        png->data_given += n;
        if (png->next_at == length) {
            png->next += CHUNK_OVERHEAD + length;
            png->next_at = 0;
        }
    }
    return done + take(tail, sizeof(tail), &png->tail_at, to + done, size - done);
}
