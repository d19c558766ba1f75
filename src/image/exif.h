/* Orientation: what Exif says about which side of the stored pixels is up. */
#ifndef SRC_IMAGE_EXIF_H
#define SRC_IMAGE_EXIF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exif 2.32, section 4.6.4 A: 1 as it is, 2 mirrored left-right, 3 turned by 180 degrees, 4
 * mirrored top-bottom, 5 transposed, 6 to be turned clockwise, 7 transposed the other way, 8 to be
 * turned counter-clockwise. From 5 on width and height are exchanged. */
enum { ORIENTATION_NORMAL = 1, ORIENTATION_TRANSPOSED = 5, ORIENTATION_LAST = 8 };

/* The orientation in the TIFF structure at bytes[0..size), 1..8; ORIENTATION_NORMAL when it has
 * none or makes no sense: a tag is never a reason to refuse an image. Pure. */
int exif_orientation(const uint8_t *bytes, size_t size);

/* How the pixels of a stored width x height image become an upright one. */
struct exif_turn {
    int width, height, out_width, out_height;
    bool exchanged, from_right, from_bottom; /* sides; and counted from the far end, before that */
};

struct exif_turn exif_turn(int orientation, int width, int height);

/* Writes the stored rows [y, y + n), pixels [n][width][3], to where they belong in ret_pixels
 * [out_height][out_width][3]. The two do not overlap. */
void exif_place(const struct exif_turn *turn, const uint8_t *pixels, int y, int n,
                uint8_t *ret_pixels);

#endif
