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

size_t batch_share(size_t n, size_t shares, size_t share, size_t i)
{
    const size_t size = n / shares, back = size / 2, front = size - back;
    assert(share < shares && i < size && size * shares == n);
    return i < front ? share * front + i : n - (share + 1) * back + (i - front);
}

/* Where pixel (0,0) of the crop lies in the padded image, and the mirror. */
struct view {
    int top, left;
    bool flip;
};

/* Jordan 2024 (arXiv 2404.00498, section 3.6): by chance in the first epoch, then in turn, so that
 * any two epochs in a row show both. */
static bool alternate(uint64_t seed, uint32_t epoch, size_t i)
{
    struct rng rng;
    rng_init(&rng, seed, RNG_ALTERNATING_FLIP, 0, (uint32_t)i);
    return (rng_below(&rng, 2) + epoch) % 2 == 1;
}

static struct view draw_view(const struct preprocess *p, unsigned words, uint64_t seed,
                             uint32_t epoch, size_t i)
{
    const int down = p->height / CROP_PAD_PART, across = p->width / CROP_PAD_PART;
    struct rng rng;
    rng_init(&rng, seed, RNG_AUGMENT, epoch, (uint32_t)i);
    struct view v;
    v.top = (int)rng_below(&rng, 2 * (uint32_t)down + 1) - down;
    v.left = (int)rng_below(&rng, 2 * (uint32_t)across + 1) - across;
    v.flip = rng_below(&rng, 2) == 1;
    if ((words & AUGMENT_CROP) == 0) v.top = v.left = 0;
    if ((words & AUGMENT_FLIP) == 0) v.flip = false;
    if ((words & AUGMENT_ALTERNATING_FLIP) != 0) v.flip = alternate(seed, epoch, i);
    return v;
}

/* The normalised value of every byte, by the same function that serving uses: equal bits. */
static void normal_table(const struct preprocess *p, float ret_normal[256][3])
{
    uint8_t grey[256][3];
    for (int value = 0; value < 256; value++) memset(grey[value], value, 3);
    preprocess_normalise(p, grey[0], 256, ret_normal[0]);
}

/* The mirror image beyond a border, which itself is not repeated: numpy's pad(mode="reflect"). */
static int mirrored(int i, int n)
{
    if (n == 1) return 0;
    return i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i;
}

static void copy_view(const uint8_t *pixels, int width, int height, struct view v, unsigned words,
                      uint8_t *ret_image)
{
    const uint8_t fill = words & AUGMENT_FILL_GREY ? AUGMENT_GREY : 0,
                  outside[3] = {fill, fill, fill};
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++, ret_image += 3) {
            int from_y = y + v.top, from_x = (v.flip ? width - 1 - x : x) + v.left;
            if (words & AUGMENT_REFLECT) {
                from_y = mirrored(from_y, height);
                from_x = mirrored(from_x, width);
            }
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
                       const struct augment *augment, uint64_t seed, uint32_t epoch,
                       float *ret_input)
{
    _Static_assert(sizeof(float) == 4, "four images of bytes fit into one of floats");
    const size_t n = (size_t)p->width * (size_t)p->height;
    uint8_t *scratch = (uint8_t *)ret_input + n * 6, *image = scratch + n * 3;
    const unsigned words = augment->words;
    const uint32_t sample = (uint32_t)i;
    const int width = p->width, height = p->height;
    copy_view(pixels, width, height, draw_view(p, words, seed, epoch, i), words, image);
    if (words & AUGMENT_AUTO) autoaugment(image, scratch, width, height, seed, epoch, sample);
    if (words & AUGMENT_TRIVIAL) trivialaugment(image, scratch, width, height, seed, epoch, sample);
    if (words & AUGMENT_RAND) {
        randaugment(image, scratch, width, height, augment->operations, augment->magnitude, seed,
                    epoch, sample);
    }
    if (words & AUGMENT_CUTOUT) cutout(image, width, height, seed, epoch, sample);
    if (words & AUGMENT_ERASING) erase(image, width, height, augment->erasing, seed, epoch, sample);

    float normal[256][3];
    normal_table(p, normal);
    for (size_t k = 0; k < n; k++) {
        const uint8_t pixel[3] = {image[3 * k], image[3 * k + 1], image[3 * k + 2]};
        for (int c = 0; c < 3; c++) ret_input[3 * k + (size_t)c] = normal[pixel[c]][c];
    }
}

int batch_sample(const struct dataset *set, size_t i, const struct preprocess *p,
                 const struct augment *augment, uint64_t seed, uint32_t epoch, float *ret_input,
                 struct err *e)
{
    static const struct augment none = {0};
    if (augment == NULL) augment = &none;
    const size_t bytes = view_arena_bytes(set, i, p, augment);
    const uint8_t *pixels;
    struct arena *arena = NULL;
    if (bytes > 0) {
        arena = arena_new(bytes);
        if (arena == NULL) return err_set(e, -ENOMEM, "no memory for an image");
    }
    int rc = view_pixels(set, i, p, augment, seed, epoch, arena, &pixels, e);
    if (rc == 0 && augment->words == 0) {
        preprocess_normalise(p, pixels, (size_t)p->width * (size_t)p->height, ret_input);
    } else if (rc == 0) {
        make_input(pixels, i, p, augment, seed, epoch, ret_input);
    }
    arena_free(arena);
    return rc;
}
