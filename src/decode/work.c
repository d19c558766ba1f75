/* An input of any kind -> the network's. Whatever comes, the sizes that were announced are held
 * against what is there before anything is read. */
#include "config.h"

#include "decode/work.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum {
    SCRATCH_KEEP_MAX = 8 << 20, /* bytes that stay between images */
    SCRATCH_SPARE = 64 << 20    /* for resizing */
};

/* An arena that one image of the largest size fits in, with its resizing. */
static struct arena *scratch_new(const struct image_limits *limits)
{
    uint64_t side = (uint64_t)limits->side_max;
    uint64_t height = limits->pixels_max / side > 0 ? limits->pixels_max / side + 1 : 1;
    size_t bytes = image_arena_bytes((int)side, (int)height);
    return arena_new(2 * bytes + SCRATCH_SPARE);
}

static int run_encoded(const struct decode_work *work, const void *input, float *ret_output,
                       struct arena *scratch, const struct decode_stop *stop, struct err *e)
{
    const struct image_decoding decoding = {.limits = &work->limits,
                                            .want = preprocess_want(&work->preprocess),
                                            .stop = stop != NULL ? stop->asked : NULL,
                                            .stop_arg = stop != NULL ? stop->arg : NULL};
    struct image image;
    int rc = image_decode(input, work->input_bytes, &decoding, scratch, &image, e);
    return rc < 0 ? rc : preprocess_apply(&work->preprocess, &image, scratch, ret_output, e);
}

static int check_bytes(const struct decode_work *work, size_t element, struct err *e)
{
    size_t wanted = (size_t)work->width * (size_t)work->height * 3 * element;
    if (work->input_bytes == wanted) return 0;
    return err_set(e, ERR_RANGE, "%zu bytes given, an input of %dx%d with 3 channels has %zu",
                   work->input_bytes, work->width, work->height, wanted);
}

static int run_u8(const struct decode_work *work, const void *input, float *ret_output,
                  struct arena *scratch, struct err *e)
{
    int rc = image_check_size(work->width, work->height, &work->limits, e);
    if (rc == 0) rc = check_bytes(work, 1, e);
    if (rc < 0) return rc;
    /* Only read: an image's pixels are not const for who decodes them. */
    const struct image image = image_of_pixels(work->width, work->height, (uint8_t *)input);
    return preprocess_apply(&work->preprocess, &image, scratch, ret_output, e);
}

static int run_f32(const struct decode_work *work, const void *input, float *ret_output,
                   struct err *e)
{
    int width = work->preprocess.width, height = work->preprocess.height;
    if (work->width != width || work->height != height) {
        return err_set(e, ERR_RANGE, "[3,%d,%d] given, the model takes [3,%d,%d]", work->height,
                       work->width, height, width);
    }
    int rc = check_bytes(work, sizeof(float), e);
    if (rc < 0) return rc;
    const unsigned char *from = input;
    size_t pixels = (size_t)width * (size_t)height;
    bool finite = true;
    for (size_t c = 0; c < 3; c++) {
        for (size_t i = 0; i < pixels; i++, from += sizeof(float)) {
            float value;
            memcpy(&value, from, sizeof(value));
            finite &= isfinite(value) != 0;
            ret_output[3 * i + c] = value;
        }
    }
    return finite ? 0 : err_set(e, ERR_RANGE, "a number of the input is not finite");
}

int decode_run(const struct decode_work *work, const void *input, float *ret_output,
               struct arena **scratch, const struct decode_stop *stop, struct err *e)
{
    int rc;
    if (work->kind == INPUT_F32) return run_f32(work, input, ret_output, e);
    if (*scratch == NULL) *scratch = scratch_new(&work->limits);
    if (*scratch == NULL) return err_set(e, -ENOMEM, "out of memory for an image");
    if (work->kind == INPUT_U8)
        rc = run_u8(work, input, ret_output, *scratch, e);
    else
        rc = run_encoded(work, input, ret_output, *scratch, stop, e);
    if (arena_used(*scratch) > SCRATCH_KEEP_MAX) {
        arena_free(*scratch);
        *scratch = NULL;
    } else {
        arena_reset(*scratch);
    }
    return rc;
}
