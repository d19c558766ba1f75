/* What a network's input is made of, and making it. The description is plain data, sizes and no
 * pointers, with the bytes and the floats in buffers of their own, so that the work can be done by
 * another process that shares these. */
#ifndef DECODE_WORK_H
#define DECODE_WORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "image/image.h"
#include "image/preprocess.h"

enum input_kind {
    INPUT_ENCODED, /* the bytes of a JPEG or PNG image */
    INPUT_U8,      /* pixels [height][width][3], RGB; resized when the network takes another size */
    INPUT_F32,     /* the network's input [3][height][width], normalised already; the machine's byte
                      order, at any address */
};

/* One image as it was sent. */
struct input {
    enum input_kind kind;
    int width, height; /* of INPUT_U8 and INPUT_F32; an encoded image says it itself */
    const void *data;
    size_t size; /* bytes */
};

struct decode_work {
    enum input_kind kind;
    int width, height;  /* as in struct input */
    size_t input_bytes; /* of the buffer with the input */
    struct image_limits limits;
    struct preprocess preprocess; /* the output is [height][width][3] floats of its size */
};

/* Whether to give up, asked now and then: between rows and scans of a JPEG. */
struct decode_stop {
    bool (*asked)(void *arg);
    void *arg;
};

/* Does it: decodes, resizes, normalises, or takes over. *scratch is the calling thread's, NULL at
 * first, arena_free()'s at its end; it holds one image at a time and does not stay large. stop:
 * NULL for never. Errors: what image_decode() says; ERR_CANCELLED: stop said so; ERR_RANGE sizes
 * that do not agree, or a number that is not finite; ERR_LIMIT; -ENOMEM. Any thread. */
int decode_run(const struct decode_work *work, const void *input, float *ret_output,
               struct arena **scratch, const struct decode_stop *stop, struct err *e);

#endif
