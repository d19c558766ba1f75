/* Orientation: what Exif says about which side of the stored pixels is up. */
#ifndef SRC_IMAGE_EXIF_H
#define SRC_IMAGE_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* Exif 2.32, section 4.6.4 A: 1 as it is, 2 mirrored left-right, 3 turned by 180 degrees, 4
 * mirrored top-bottom, 5 transposed, 6 to be turned clockwise, 7 transposed the other way, 8 to be
 * turned counter-clockwise. From 5 on width and height are exchanged. */
enum { ORIENTATION_NORMAL = 1, ORIENTATION_TRANSPOSED = 5, ORIENTATION_LAST = 8 };

/* The orientation in the TIFF structure at bytes[0..size), 1..8; ORIENTATION_NORMAL when it has
 * none or makes no sense: a tag is never a reason to refuse an image. Pure. */
int exif_orientation(const uint8_t *bytes, size_t size);

/* Writes the pixels [height][width][3] upright: [height][width][3], or [width][height][3] when the
 * orientation exchanges them. The two do not overlap. */
void exif_apply(int orientation, const uint8_t *pixels, int width, int height, uint8_t *ret_pixels);

#endif
