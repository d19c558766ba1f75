/* The only file that sees stb_image (Debian's is 2.27, of before the security fixes of 2.28).
 *
 * What is done about it: JPEG and PNG only, no files, no floats; three channels asked for, never
 * flipped; the structure of the file is checked by jpeg_check.c and png_check.c first, Huffman
 * tables included; all memory is zeroed, counted against a budget and freed by us; a failed
 * assertion of stb's becomes an error instead of the end of the program (nothing but that memory
 * has to be undone). The file is compiled with -fwrapv, since stb's sums overflow on hostile data.
 */
#include "config.h"

#include "stb.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>

#include "decode_heap.h"
#include "exif.h"

/* Where a failed assertion goes; NULL while nothing is decoded. */
static _Thread_local jmp_buf *escape;

static void check_assertion(int holds)
{
    if (!holds) longjmp(*escape, 1);
}

#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS STB_SIDE_MAX
#define STBI_ASSERT(x) check_assertion(!!(x))
#define STBI_MALLOC(size) decode_heap_alloc(size)
#define STBI_REALLOC(object, size) decode_heap_grow(object, size)
#define STBI_FREE(object) decode_heap_free(object)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

/* The decoded pixels in the thread's heap, or NULL. */
static stbi_uc *decode_guarded(const void *bytes, size_t size, int *width, int *height)
{
    jmp_buf here;
    int channels;
    if (setjmp(here) != 0) {
        escape = NULL;
        stbi__err("impossible state", "Corrupt image");
        return NULL;
    }
    escape = &here;
    stbi_uc *pixels = stbi_load_from_memory(bytes, (int)size, width, height, &channels, 3);
    escape = NULL;
    return pixels;
}

static int decode_failure(const struct decode_heap *heap, struct err *e)
{
    const char *reason = stbi_failure_reason();
    if (heap->out_of_memory) return err_set(e, -ENOMEM, "no memory to decode the image");
    if (heap->over_budget) {
        return err_set(e, ERR_LIMIT,
                       "decoding takes more than %zu bytes, more than its size allows for; it is "
                       "damaged or malicious",
                       heap->budget);
    }
    return err_set(e, ERR_FORMAT, "the image is damaged: %s", reason != NULL ? reason : "?");
}

/* Turning upright costs no memory: it is part of the copy out of the decoder's heap. */
int stb_decode(const void *bytes, size_t size, const struct image_header *header,
               struct arena *arena, struct image *ret_image, struct err *e)
{
    struct decode_heap heap;
    int width = 0, height = 0, rc = 0;
    assert(size <= INT_MAX);
    decode_heap_begin(&heap, header->budget);
    stbi_uc *pixels = decode_guarded(bytes, size, &width, &height);
    if (pixels == NULL) {
        rc = decode_failure(&heap, e);
        goto out;
    }
    if (width != header->width || height != header->height) {
        rc = err_set(e, ERR_FORMAT, "the image is damaged: it says two different sizes");
        goto out;
    }
    ret_image->pixels = arena_alloc(arena, (size_t)width * (size_t)height, 3);
    if (ret_image->pixels == NULL) {
        rc = err_set(e, -ENOMEM, "no memory for the %dx%d pixels of an image", width, height);
        goto out;
    }
    exif_apply(header->orientation, pixels, width, height, ret_image->pixels);
    const bool exchanged = header->orientation >= ORIENTATION_TRANSPOSED;
    ret_image->width = exchanged ? height : width;
    ret_image->height = exchanged ? width : height;
out:
    decode_heap_end(&heap);
    return rc;
}
