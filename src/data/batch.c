/* The order of an epoch and the augmented input of one sample.
 *
 * A sample's stream of random numbers is keyed by (seed, epoch, index in the set): nothing depends
 * on the batch that it is in, the thread that asks or what was drawn before. All draws are made
 * whether they are used or not, so that switching one augmentation off leaves the others as they
 * were. */
#include "config.h"

#include "data/batch.h"
#include "augment.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/rng.h"
#include "view.h"

enum { CROP_PAD_PART = 8 };

void batch_order(const uint32_t *source, size_t n, uint64_t seed, uint32_t epoch, uint32_t *indices)
{
    assert(n <= UINT32_MAX);
    struct rng rng;
    rng_init(&rng, seed, RNG_ORDER, epoch, 0);
    if (n > 0 && indices != source) memmove(indices, source, n * sizeof(*indices));
    for (size_t i = n; i > 1; i--) {
        uint32_t j = rng_below(&rng, (uint32_t)i), last = indices[i - 1];
        indices[i - 1] = indices[j];
        indices[j] = last;
    }
}

/* Where pixel (0,0) of the crop lies in the padded image, and the mirror. */
struct view {
    int top, left;
    bool flip;
};

static struct view draw_view(const struct preprocess *p, unsigned augment, uint64_t seed,
                             uint32_t epoch, size_t i)
{
    const int down = p->height / CROP_PAD_PART, across = p->width / CROP_PAD_PART;
    struct rng rng;
    rng_init(&rng, seed, RNG_AUGMENT, epoch, (uint32_t)i);
    struct view v;
    v.top = (int)rng_below(&rng, 2 * (uint32_t)down + 1) - down;
    v.left = (int)rng_below(&rng, 2 * (uint32_t)across + 1) - across;
    v.flip = rng_below(&rng, 2) == 1;
    if ((augment & AUGMENT_CROP) == 0) v.top = v.left = 0;
    if ((augment & AUGMENT_FLIP) == 0) v.flip = false;
    return v;
}

/* The normalised value of every byte, by the same function that serving uses: equal bits. */
static void normal_table(const struct preprocess *p, float ret_normal[256][3])
{
    uint8_t grey[256][3];
    for (int value = 0; value < 256; value++) memset(grey[value], value, 3);
    preprocess_normalise(p, grey[0], 256, ret_normal[0]);
}

static void copy_view(const uint8_t *pixels, int width, int height, struct view v, uint8_t fill,
                      uint8_t *ret_image)
{
    const uint8_t outside[3] = {fill, fill, fill};
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++, ret_image += 3) {
            int from_y = y + v.top, from_x = (v.flip ? width - 1 - x : x) + v.left;
            bool inside = from_y >= 0 && from_y < height && from_x >= 0 && from_x < width;
            const size_t from = ((size_t)from_y * (size_t)width + (size_t)from_x) * 3;
            memcpy(ret_image, inside ? pixels + from : outside, 3);
        }
    }
}

/* The bytes are made in the output's own memory, so that nothing is allocated: a pixel takes 3
 * bytes, its normalised values 12. The image is its last quarter, an operation's scratch the
 * quarter before; normalising from the front never overtakes what it reads. */
static void make_input(const uint8_t *pixels, size_t i, const struct preprocess *p,
                       unsigned augment, uint64_t seed, uint32_t epoch, float *ret_input)
{
    _Static_assert(sizeof(float) == 4, "four images of bytes fit into one of floats");
    const size_t n = (size_t)p->width * (size_t)p->height;
    uint8_t *scratch = (uint8_t *)ret_input + n * 6, *image = scratch + n * 3;
    copy_view(pixels, p->width, p->height, draw_view(p, augment, seed, epoch, i),
              augment & AUGMENT_FILL_GREY ? AUGMENT_GREY : 0, image);
    if (augment & AUGMENT_AUTO)
        autoaugment(image, scratch, p->width, p->height, seed, epoch, (uint32_t)i);
    if (augment & AUGMENT_CUTOUT) cutout(image, p->width, p->height, seed, epoch, (uint32_t)i);

    float normal[256][3];
    normal_table(p, normal);
    for (size_t k = 0; k < n; k++) {
        const uint8_t pixel[3] = {image[3 * k], image[3 * k + 1], image[3 * k + 2]};
        for (int c = 0; c < 3; c++) ret_input[3 * k + (size_t)c] = normal[pixel[c]][c];
    }
}

int batch_sample(const struct dataset *set, size_t i, const struct preprocess *p, unsigned augment,
                 uint64_t seed, uint32_t epoch, float *ret_input, struct err *e)
{
    const size_t bytes = view_arena_bytes(set, i, p, augment);
    const uint8_t *pixels;
    struct arena *arena = NULL;
    if (bytes > 0) {
        arena = arena_new(bytes);
        if (arena == NULL) return err_set(e, -ENOMEM, "no memory for an image");
    }
    int rc = view_pixels(set, i, p, augment, seed, epoch, arena, &pixels, e);
    if (rc == 0 && augment == 0) {
        preprocess_normalise(p, pixels, (size_t)p->width * (size_t)p->height, ret_input);
    } else if (rc == 0) {
        make_input(pixels, i, p, augment, seed, epoch, ret_input);
    }
    arena_free(arena);
    return rc;
}
