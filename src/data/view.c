/* From an image of any size to the pixels of the network's input.
 *
 * Without AUGMENT_RESIZED_CROP it is preprocess_resize(), which serving uses: training, evaluation
 * and the daemon see the same bytes. The random crop has a stream of random numbers of its own, so
 * that the draws of the other augmentations do not depend on it. */
#include "config.h"

#include "view.h"

#include <math.h>
#include <stdbool.h>

#include "base/rng.h"
#include "dataset.h"
#include "view_cache.h"

enum { TRIES = 10, ARENA_SLACK = 4096 };

static int between(struct rng *rng, int last)
{
    return (int)rng_below(rng, (uint32_t)last + 1);
}

struct preprocess_box view_draw(int width, int height, double scale_min, uint64_t seed,
                                uint32_t epoch, uint32_t sample)
{
    const double shape_max = 4.0 / 3.0, area = (double)width * (double)height;
    struct rng rng;
    rng_init(&rng, seed, RNG_RESIZED_CROP, epoch, sample);
    for (int i = 0; i < TRIES; i++) {
        const double part = area * (scale_min + (1 - scale_min) * rng_uniform(&rng));
        const double shape = exp(log(shape_max) * (2 * rng_uniform(&rng) - 1));
        const double w = round(sqrt(part * shape)), h = round(sqrt(part / shape));
        if (w < 1 || h < 1 || w > width || h > height) continue;
        struct preprocess_box box = {0, 0, (int)w, (int)h};
        box.top = between(&rng, height - box.height);
        box.left = between(&rng, width - box.width);
        return box;
    }
    /* The middle, in the nearest shape that is allowed. */
    struct preprocess_box box = {0, 0, width, height};
    if (width > height * shape_max) box.width = (int)round(height * shape_max);
    if (height > width * shape_max) box.height = (int)round(width * shape_max);
    box.left = (width - box.width) / 2;
    box.top = (height - box.height) / 2;
    return box;
}

struct view_size {
    int width, height;
};

static struct view_size full_size(const struct dataset *set, size_t i)
{
    if (set->files == NULL) return (struct view_size){set->width, set->height};
    return (struct view_size){set->files[i].width, set->files[i].height};
}

size_t view_arena_bytes(const struct dataset *set, size_t i, const struct preprocess *p,
                        const struct augment *augment)
{
    const struct view_size full = full_size(set, i);
    if ((augment->words & AUGMENT_RESIZED_CROP) == 0 && view_cache_get(set->kept, p, i) != NULL)
        return 0;
    const bool resized = (augment->words & AUGMENT_RESIZED_CROP) != 0 || full.width != p->width ||
                         full.height != p->height;
    size_t bytes = dataset_image_bytes(set, i);
    if (resized) bytes += preprocess_cut_bytes(p, full.width, full.height);
    return bytes > 0 ? bytes + ARENA_SLACK : 0;
}

int view_pixels(const struct dataset *set, size_t i, const struct preprocess *p,
                const struct augment *augment, uint64_t seed, uint32_t epoch, struct arena *arena,
                const uint8_t **ret_pixels, struct err *e)
{
    struct image image;
    if ((augment->words & AUGMENT_RESIZED_CROP) == 0) {
        *ret_pixels = view_cache_get(set->kept, p, i);
        if (*ret_pixels != NULL) return 0;
        int rc = dataset_image(set, i, preprocess_want(p), arena, &image, e);
        if (rc == 0) rc = preprocess_resize(p, &image, arena, ret_pixels, e);
        if (rc == 0) view_cache_put(set->kept, p, i, *ret_pixels);
        return rc;
    }
    const struct view_size full = full_size(set, i);
    const struct preprocess_box box =
        view_draw(full.width, full.height, augment->scale / 1000.0, seed, epoch, (uint32_t)i);
    const struct image_want want = preprocess_cut_want(p, full.width, full.height, box);
    int rc = dataset_image(set, i, want, arena, &image, e);
    return rc < 0 ? rc : preprocess_cut(p, &image, box, arena, ret_pixels, e);
}
