/* Preprocessing: pixels -> the normalised input of a network. The parameters travel with the model
 * so that serving does what training did. Pure; any thread. */
#ifndef IMAGE_PREPROCESS_H
#define IMAGE_PREPROCESS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "image/image.h"

enum preprocess_resize {
    PREPROCESS_STRETCH, /* to width x height, aspect ratio ignored */
    PREPROCESS_COVER,   /* shorter side fitted, the middle cropped */
};

enum preprocess_filter { PREPROCESS_BILINEAR /* antialiased triangle when shrinking */ };

struct preprocess {
    int width, height; /* of the network's input */
    enum preprocess_resize resize;
    enum preprocess_filter filter;
    float mean[3], std[3]; /* of values in 0..1, RGB */
};

/* How large an image has to be decoded to be resized by p, or to be cut out of: the same for all
 * who decode, so that training, evaluation and serving see the same pixels. */
struct image_want preprocess_want(const struct preprocess *p);

/* Resizes when the sizes differ (bytes are kept as they are when they agree), then writes
 * (pixel / 255 - mean) / std as [height][width][3]. Scratch comes from the arena. */
int preprocess_apply(const struct preprocess *p, const struct image *image, struct arena *arena,
                     float *ret_input, struct err *e);

/* The bytes that preprocess_apply() normalises, [height][width][3]: the image's own when the sizes
 * agree, else the arena's. */
int preprocess_resize(const struct preprocess *p, const struct image *image, struct arena *arena,
                      const uint8_t **ret_pixels, struct err *e);

/* Bytes of arena that either of them takes at most for an image of this size. */
size_t preprocess_arena_bytes(const struct preprocess *p, int width, int height);

/* A part of an image, in whole pixels of its full size. */
struct preprocess_box {
    int left, top, width, height;
};

/* That part, inside of the image, resized to the input's size, for training. The pixels are the
 * arena's, of which at most preprocess_cut_bytes() are taken, whatever the part. */
int preprocess_cut(const struct preprocess *p, const struct image *image, struct preprocess_box box,
                   struct arena *arena, const uint8_t **ret_pixels, struct err *e);
size_t preprocess_cut_bytes(const struct preprocess *p, int width, int height);
struct image_want preprocess_cut_want(const struct preprocess *p, int width, int height,
                                      struct preprocess_box box);

/* The normalisation alone, for pixels [count][3] that have the right size already. */
void preprocess_normalise(const struct preprocess *p, const uint8_t *pixels, size_t count,
                          float *ret_input);

#endif
