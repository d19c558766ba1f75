/* Pixels -> the input of a network: the part of the image that is looked at, its size, its scale.
 *
 * The resized image is bytes again before it is normalised: a training set holds bytes, so the
 * network never saw anything finer. An image that has the right size already passes untouched. */
#include "config.h"

#include "image/preprocess.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <math.h>

#include "resample.h"

/* Pixels that each side keeps at least for one of the input when an image is decoded smaller than
 * it is. Four leave differences as small as rounding makes them, two twice as large ones
 * (doc/data.md). */
static const double sharpness = 4;

/* With PREPROCESS_COVER the middle part of the image that has the shape of the input. */
static struct image_box visible_box(const struct preprocess *p, const struct image *image)
{
    struct image_box box = image->shown;
    if (p->resize != PREPROCESS_COVER) return box;
    const double by_width = box.width / p->width, by_height = box.height / p->height;
    const double scale = by_width < by_height ? by_width : by_height;
    const double width = scale * p->width, height = scale * p->height;
    if (width < box.width) { /* else they are equal, but for rounding */
        box.left += (box.width - width) / 2;
        box.width = width;
    }
    if (height < box.height) {
        box.top += (box.height - height) / 2;
        box.height = height;
    }
    return box;
}

/* The box of the image at the input's size, in the arena. */
static int resize_box(const struct preprocess *p, const struct image *image, struct image_box box,
                      struct arena *arena, const uint8_t **ret_pixels, struct err *e)
{
    uint8_t *resized = arena_alloc(arena, (size_t)p->width * (size_t)p->height, 3);
    if (resized == NULL || resample(image, box, p->width, p->height, arena, resized) < 0) {
        return err_set(e, -ENOMEM, "no memory to bring a %dx%d image to %dx%d", image->width,
                       image->height, p->width, p->height);
    }
    *ret_pixels = resized;
    return 0;
}

int preprocess_resize(const struct preprocess *p, const struct image *image, struct arena *arena,
                      const uint8_t **ret_pixels, struct err *e)
{
    assert(p->width > 0 && p->height > 0 && image->width > 0 && image->height > 0);
    if (image->width == p->width && image->height == p->height) {
        *ret_pixels = image->pixels;
        return 0;
    }
    return resize_box(p, image, visible_box(p, image), arena, ret_pixels, e);
}

int preprocess_cut(const struct preprocess *p, const struct image *image, struct preprocess_box box,
                   struct arena *arena, const uint8_t **ret_pixels, struct err *e)
{
    const double shrink = image->shrink;
    const struct image_box part = {image->shown.left + box.left / shrink,
                                   image->shown.top + box.top / shrink, box.width / shrink,
                                   box.height / shrink};
    return resize_box(p, image, part, arena, ret_pixels, e);
}

static int at_least(double side)
{
    return side < INT_MAX ? (int)ceil(side) : INT_MAX;
}

struct image_want preprocess_want(const struct preprocess *p)
{
    return (struct image_want){at_least(sharpness * p->width), at_least(sharpness * p->height)};
}

struct image_want preprocess_cut_want(const struct preprocess *p, int width, int height,
                                      struct preprocess_box box)
{
    return (struct image_want){at_least(sharpness * p->width / box.width * width),
                               at_least(sharpness * p->height / box.height * height)};
}

int preprocess_apply(const struct preprocess *p, const struct image *image, struct arena *arena,
                     float *ret_input, struct err *e)
{
    const uint8_t *pixels;
    int rc = preprocess_resize(p, image, arena, &pixels, e);
    if (rc < 0) return rc;
    preprocess_normalise(p, pixels, (size_t)p->width * (size_t)p->height, ret_input);
    return 0;
}

size_t preprocess_cut_bytes(const struct preprocess *p, int width, int height)
{
    return (size_t)p->width * (size_t)p->height * 3 + 64 +
           resample_arena_bytes(width, height, p->width, p->height);
}

size_t preprocess_arena_bytes(const struct preprocess *p, int width, int height)
{
    if (width == p->width && height == p->height) return 0;
    return preprocess_cut_bytes(p, width, height);
}

void preprocess_normalise(const struct preprocess *p, const uint8_t *pixels, size_t count,
                          float *ret_input)
{
    for (size_t i = 0; i < count; i++) {
        for (int c = 0; c < 3; c++, pixels++, ret_input++) {
            *ret_input = ((float)*pixels / 255.0f - p->mean[c]) / p->std[c];
        }
    }
}
