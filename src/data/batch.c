/* The order of an epoch and the augmented input of one sample.
 *
 * A sample's stream of random numbers is keyed by (seed, epoch, index in the set): nothing depends
 * on the batch that it is in, the thread that asks or what was drawn before. All draws are made
 * whether they are used or not, so that switching one augmentation off leaves the others as they
 * were. */
#include "config.h"

#include "data/batch.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/rng.h"

enum { CROP_PAD = 4 };

static const struct {
    const char *name;
    unsigned bit;
} augmentations[] = {
    {"crop", AUGMENT_CROP},
    {"flip", AUGMENT_FLIP},
};

int augment_parse(const char *text, unsigned *ret_bits, struct err *e)
{
    unsigned bits = 0;
    if (strcmp(text, "none") == 0) {
        *ret_bits = 0;
        return 0;
    }
    for (const char *word = text;; word++) {
        size_t length = strcspn(word, ","), i, n = sizeof augmentations / sizeof augmentations[0];
        for (i = 0; i < n; i++) {
            if (strlen(augmentations[i].name) == length &&
                memcmp(augmentations[i].name, word, length) == 0) {
                break;
            }
        }
        if (i == n) {
            return err_set(
                e, ERR_RANGE,
                "'%.*s' is no augmentation; known are crop and flip, separated by commas, "
                "or none",
                length > 64 ? 64 : (int)length, word);
        }
        bits |= augmentations[i].bit;
        word += length;
        if (*word == '\0') break;
    }
    *ret_bits = bits;
    return 0;
}

void batch_order(const uint32_t *source, size_t n, uint64_t seed, uint32_t epoch, uint32_t *indices)
{
    assert(n <= UINT32_MAX);
    struct rng rng;
    rng_init(&rng, seed, RNG_ORDER, epoch, 0);
    if (n > 0 && indices != source) memmove(indices, source, n * sizeof *indices);
    for (size_t i = n; i > 1; i--) {
        uint32_t j = rng_below(&rng, (uint32_t)i), last = indices[i - 1];
        indices[i - 1] = indices[j];
        indices[j] = last;
    }
}

/* Where pixel (0,0) of the crop lies in the image, from -CROP_PAD to +CROP_PAD, and the mirror. */
struct view {
    int top, left;
    bool flip;
};

static struct view draw_view(unsigned augment, uint64_t seed, uint32_t epoch, size_t i)
{
    struct rng rng;
    rng_init(&rng, seed, RNG_AUGMENT, epoch, (uint32_t)i);
    struct view v;
    v.top = (int)rng_below(&rng, 2 * CROP_PAD + 1) - CROP_PAD;
    v.left = (int)rng_below(&rng, 2 * CROP_PAD + 1) - CROP_PAD;
    v.flip = rng_below(&rng, 2) == 1;
    if ((augment & AUGMENT_CROP) == 0) v.top = v.left = 0;
    if ((augment & AUGMENT_FLIP) == 0) v.flip = false;
    return v;
}

void batch_sample(const struct dataset *set, size_t i, const struct preprocess *p, unsigned augment,
                  uint64_t seed, uint32_t epoch, float *ret_input)
{
    const int width = dataset_width(set), height = dataset_height(set);
    assert(p->width == width && p->height == height);
    const uint8_t *pixels = dataset_pixels(set, i);
    if (augment == 0) {
        preprocess_normalise(p, pixels, (size_t)width * (size_t)height, ret_input);
        return;
    }
    /* The normalised value of every byte, by the same function that serving uses: equal bits. */
    uint8_t grey[256][3];
    float normal[256][3];
    for (int value = 0; value < 256; value++) {
        memset(grey[value], value, 3);
    }
    preprocess_normalise(p, grey[0], 256, normal[0]);

    const struct view v = draw_view(augment, seed, epoch, i);
    static const uint8_t black[3];
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            int from_y = y + v.top, from_x = (v.flip ? width - 1 - x : x) + v.left;
            bool inside = from_y >= 0 && from_y < height && from_x >= 0 && from_x < width;
            const uint8_t *from =
                inside ? pixels + ((size_t)from_y * (size_t)width + (size_t)from_x) * 3 : black;
            for (int c = 0; c < 3; c++) *ret_input++ = normal[from[c]][c];
        }
    }
}
