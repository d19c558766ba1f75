/* What a sample shows of its image: a part of it at the size of the network's input. */
#ifndef SRC_DATA_VIEW_H
#define SRC_DATA_VIEW_H

#include <stdint.h>

#include "base/arena.h"
#include "data/batch.h"

/* The part of a width x height image that AUGMENT_RESIZED_CROP shows: chosen by (seed, epoch,
 * sample). torchvision's RandomResizedCrop: an area of scale_min to 1 of the image's, a shape of
 * 3:4 to 4:3 evenly in its logarithm, anywhere inside; after ten tries that do not fit, the middle.
 */
struct preprocess_box view_draw(int width, int height, double scale_min, uint64_t seed,
                                uint32_t epoch, uint32_t sample);

/* Bytes of arena that view_pixels() takes at most for image i; 0 when it takes none. */
size_t view_arena_bytes(const struct dataset *set, size_t i, const struct preprocess *p,
                        const struct augment *augment);

/* Image i as p->height x p->width RGB pixels: cut and resized as augment says, or as serving does.
 * They belong to the set or to the arena (which may be NULL when no bytes are wanted). -ENOMEM. */
int view_pixels(const struct dataset *set, size_t i, const struct preprocess *p,
                const struct augment *augment, uint64_t seed, uint32_t epoch, struct arena *arena,
                const uint8_t **ret_pixels, struct err *e);

#endif
