/* Any bytes as the TIFF structure of an Exif segment: an orientation, whatever they are, and an
 * image that it turns has the same pixels. */
#include "config.h"

#include <stdbool.h>
#include <string.h>

#include "../../src/image/exif.h"
#include "fuzz.h"

enum { WIDTH = 3, HEIGHT = 2, BYTES = WIDTH * HEIGHT * 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int orientation = exif_orientation(data, size);
    FUZZ_CHECK(orientation >= ORIENTATION_NORMAL && orientation <= ORIENTATION_LAST);

    uint8_t pixels[BYTES], upright[BYTES];
    bool seen[BYTES] = {false};
    for (int i = 0; i < BYTES; i++) pixels[i] = (uint8_t)i;
    memset(upright, 0xff, sizeof(upright));
    const struct exif_turn turn = exif_turn(orientation, WIDTH, HEIGHT);
    exif_place(&turn, pixels, 0, 1, upright);
    exif_place(&turn, pixels + 3 * WIDTH, 1, HEIGHT - 1, upright);
    for (int i = 0; i < BYTES; i++) {
        FUZZ_CHECK(upright[i] < BYTES && upright[i] % 3 == i % 3 && !seen[upright[i]]);
        seen[upright[i]] = true;
    }
    return 0;
}
