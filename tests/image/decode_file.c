/* Decodes one image for tests/image/test_pillow.py and for measurements:
 *
 *     decode_file FILE [WIDTH HEIGHT [ROUNDS]]
 *
 * Without a size: "width height\n" and its RGB bytes, upright. With one: the same after it was
 * brought to that size as a network's input is, stretched. With rounds nothing is written but the
 * best processor time of each step, the largest of memory, and what was predicted.
 * Exit 1 and a message when the image is refused. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/image.h"
#include "image/preprocess.h"

enum { FILE_MAX = 64 << 20 };

/* Of this thread, so that a busy machine measures the same. */
static int64_t processor_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct times {
    int64_t probe_ns, decode_ns, resize_ns;
};

static int one_round(const void *bytes, size_t size, const struct preprocess *p,
                     struct arena *arena, struct image *ret_image, const uint8_t **ret_pixels,
                     struct times *best, struct err *e)
{
    const struct image_decoding decoding = {.limits = &image_limits_default,
                                            .want = p->width > 0 ? preprocess_want(p)
                                                                 : (struct image_want){0, 0}};
    struct image_info info;
    const int64_t start = processor_time();
    int rc = image_probe(bytes, size, &info, e);
    if (rc < 0) return rc;
    const int64_t probed = processor_time();
    rc = image_decode(bytes, size, &decoding, arena, ret_image, e);
    if (rc < 0) return rc;
    const int64_t decoded = processor_time();
    *ret_pixels = ret_image->pixels;
    if (p->width > 0) rc = preprocess_resize(p, ret_image, arena, ret_pixels, e);
    const int64_t resized = processor_time();
    if (probed - start < best->probe_ns) best->probe_ns = probed - start;
    if (decoded - probed < best->decode_ns) best->decode_ns = decoded - probed;
    if (resized - decoded < best->resize_ns) best->resize_ns = resized - decoded;
    return rc;
}

static void print_figures(const void *bytes, size_t size, const struct preprocess *p,
                          const struct image *image, const struct times *best)
{
    struct image_info info;
    struct image_price price;
    struct rusage usage;
    image_probe(bytes, size, &info, NULL);
    image_price(&info, preprocess_want(p), &price);
    getrusage(RUSAGE_SELF, &usage);
    printf("%dx%d at 1/%d: probe %.1f us, decode %.3f ms, resize %.3f ms, largest %ld KiB; "
           "predicted %zu KiB, %u scans, %llu samples\n",
           image->full_width, image->full_height, image->shrink, (double)best->probe_ns / 1e3,
           (double)best->decode_ns / 1e6, (double)best->resize_ns / 1e6, usage.ru_maxrss,
           price.memory_bytes >> 10, info.scans, (unsigned long long)price.samples);
}

int main(int argc, char **argv)
{
    struct preprocess p = {0};
    struct times best = {INT64_MAX, INT64_MAX, INT64_MAX};
    struct err e = {0};
    char *bytes;
    size_t size;
    if (argc != 2 && argc != 4 && argc != 5) return 2;
    if (argc >= 4) {
        p.width = atoi(argv[2]);
        p.height = atoi(argv[3]);
        if (p.width < 1 || p.height < 1) return 2;
    }
    const int rounds = argc == 5 ? atoi(argv[4]) : 1;
    struct arena *arena = arena_new((size_t)1 << 31);
    int rc = arena == NULL ? -ENOMEM : file_read(argv[1], FILE_MAX, &bytes, &size, &e);
    if (rc < 0) goto out;
    struct image image;
    const uint8_t *pixels = NULL;
    for (int i = 0; rc == 0 && i < rounds; i++) {
        arena_reset(arena);
        rc = one_round(bytes, size, &p, arena, &image, &pixels, &best, &e);
    }
    if (rc == 0 && argc == 5) {
        print_figures(bytes, size, &p, &image, &best);
    } else if (rc == 0) {
        const int width = p.width > 0 ? p.width : image.width;
        const int height = p.height > 0 ? p.height : image.height;
        printf("%d %d\n", width, height);
        fwrite(pixels, 3, (size_t)width * (size_t)height, stdout);
    }
    mem_free(bytes);
out:
    if (rc < 0) fprintf(stderr, "%s: %s\n", argv[1], e.text);
    arena_free(arena);
    return rc < 0 ? 1 : 0;
}
