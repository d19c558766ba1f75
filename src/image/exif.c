/* The one thing in Exif that changes what an image shows: its orientation.
 *
 * Exif is a TIFF file (TIFF 6.0, section 2) of its own: a byte order, the offset of the first
 * directory, entries of 12 bytes. Only that directory is read, every offset is compared with the
 * size before it is followed, and whatever is wrong means "as it is". Thumbnails, the other
 * directories and XMP's own orientation are left out. */
#include "config.h"

#include "exif.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

enum {
    TIFF_HEADER = 8,
    TIFF_MAGIC = 42,
    ENTRY_SIZE = 12,
    TAG_ORIENTATION = 0x0112,
    TYPE_SHORT = 3,
};

struct tiff {
    const uint8_t *bytes;
    size_t size;
    bool big_endian;
};

static unsigned read16(const struct tiff *t, size_t at)
{
    const uint8_t *p = t->bytes + at;
    return t->big_endian ? (unsigned)p[0] << 8 | p[1] : (unsigned)p[1] << 8 | p[0];
}

static uint32_t read32(const struct tiff *t, size_t at)
{
    const uint32_t first = read16(t, at), second = read16(t, at + 2);
    return t->big_endian ? first << 16 | second : second << 16 | first;
}

int exif_orientation(const uint8_t *bytes, size_t size)
{
    struct tiff t = {bytes, size, false};
    if (size < TIFF_HEADER) return ORIENTATION_NORMAL;
    if (memcmp(bytes, "MM", 2) == 0) {
        t.big_endian = true;
    } else if (memcmp(bytes, "II", 2) != 0) {
        return ORIENTATION_NORMAL;
    }
    const size_t directory = read32(&t, 4);
    if (read16(&t, 2) != TIFF_MAGIC || directory > size || size - directory < 2) {
        return ORIENTATION_NORMAL;
    }
    const unsigned n =
        read16(&t, directory); /* at most 65,535, and no more than there is room for */
    size_t at = directory + 2;
    for (unsigned i = 0; i < n && size - at >= ENTRY_SIZE; i++, at += ENTRY_SIZE) {
        if (read16(&t, at) != TAG_ORIENTATION) continue;
        const unsigned value = read16(&t, at + 8);
        const bool sound = read16(&t, at + 2) == TYPE_SHORT && read32(&t, at + 4) == 1 &&
                           value >= ORIENTATION_NORMAL && value <= ORIENTATION_LAST;
        return sound ? (int)value : ORIENTATION_NORMAL;
    }
    return ORIENTATION_NORMAL;
}

struct exif_turn exif_turn(int orientation, int width, int height)
{
    assert(orientation >= ORIENTATION_NORMAL && orientation <= ORIENTATION_LAST);
    const bool exchanged = orientation >= ORIENTATION_TRANSPOSED;
    return (struct exif_turn){
        .width = width,
        .height = height,
        .out_width = exchanged ? height : width,
        .out_height = exchanged ? width : height,
        .exchanged = exchanged,
        .from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8,
        .from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7,
    };
}

void exif_place(const struct exif_turn *turn, const uint8_t *pixels, int y, int n,
                uint8_t *ret_pixels)
{
    const size_t out_stride = (size_t)turn->out_width * 3;
    if (!turn->exchanged && !turn->from_right && !turn->from_bottom) {
        memcpy(ret_pixels + (size_t)y * out_stride, pixels, (size_t)n * out_stride);
        return;
    }
    for (const int end = y + n; y < end; y++) {
        const int to_y = turn->from_bottom ? turn->height - 1 - y : y;
        for (int x = 0; x < turn->width; x++, pixels += 3) {
            const int to_x = turn->from_right ? turn->width - 1 - x : x;
            const size_t row = (size_t)(turn->exchanged ? to_x : to_y);
            const size_t column = (size_t)(turn->exchanged ? to_y : to_x);
            memcpy(ret_pixels + row * out_stride + column * 3, pixels, 3);
        }
    }
}
