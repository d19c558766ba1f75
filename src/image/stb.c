/* The only file that sees stb_image (Debian's is 2.27, of before the security fixes of 2.28).
 *
 * What is done about it: PNG only, no files, no floats; three channels asked for, never flipped; it
 * reads what png.c makes of the file and not the file; all memory is zeroed, counted against a
 * budget and freed by us; a failed assertion of stb's becomes an error instead of the end of the
 * program (nothing but that memory has to be undone). The file is compiled with -fwrapv, since
 * stb's sums overflow on hostile data. */
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
#include "header.h"

/* Where a failed assertion goes; NULL while nothing is decoded. */
static _Thread_local jmp_buf *escape;

static void check_assertion(int holds)
{
    if (!holds) longjmp(*escape, 1);
}

#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS IMAGE_SIDE_MAX
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

static int read_bytes(void *user, char *data, int size)
{
    return (int)png_read(user, (uint8_t *)data, (size_t)size);
}

/* Nothing that png_read() gives is skipped but checksums, and those not by this. */
static void skip_bytes(void *user, int n)
{
    (void)user;
    (void)n;
}

static int at_end(void *user)
{
    (void)user; /* asked only when nothing was read */
    return 1;
}

/* The decoded pixels in the thread's heap, or NULL. */
static stbi_uc *decode_guarded(struct png *png, int *width, int *height)
{
    static const stbi_io_callbacks source = {read_bytes, skip_bytes, at_end};
    jmp_buf here;
    int channels;
    if (setjmp(here) != 0) {
        escape = NULL;
        stbi__err("impossible state", "Corrupt image");
        return NULL;
    }
    escape = &here;
    stbi_uc *pixels = stbi_load_from_callbacks(&source, png, width, height, &channels, 3);
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

int stb_decode(struct png *png, struct arena *arena, struct image *ret_image, struct err *e)
{
    const struct image_info *info = png->info;
    struct decode_heap heap;
    int width = 0, height = 0, rc = 0;
    decode_heap_begin(&heap, png_heap_bytes(info));
    stbi_uc *pixels = decode_guarded(png, &width, &height);
    if (pixels == NULL) {
        rc = decode_failure(&heap, e);
        goto out;
    }
    if (width != info->width || height != info->height) {
        rc = err_set(e, ERR_FORMAT, "the image is damaged: it says two different sizes");
        goto out;
    }
    uint8_t *upright = arena_alloc(arena, (size_t)width * (size_t)height, 3);
    if (upright == NULL) {
        rc = err_set(e, -ENOMEM, "no memory for the %dx%d pixels of an image", width, height);
        goto out;
    }
    const struct exif_turn turn = exif_turn(info->orientation, width, height);
    exif_place(&turn, pixels, 0, height, upright);
    *ret_image = image_of_pixels(turn.out_width, turn.out_height, upright);
out:
    decode_heap_end(&heap);
    return rc;
}
