/* Prices. An encoded image is probed: its header says what it will take (image/probe.h), whatever
 * its data turn out to be. What it takes besides, to be resized and handed over, is known. */
#include "config.h"

#include "price.h"

#include "base/clock.h"
#include "base/mem.h"
#include "image/probe.h"

/* Exif's orientations from this one on exchange the sides. */
enum { EXCHANGED = 5 };

/* An image of that size in memory becomes the network's input. */
static void add_preprocessing(const struct preprocess *p, int width, int height,
                              struct decode_size *size)
{
    uint64_t outputs = (uint64_t)p->width * (uint64_t)p->height;
    if (width != p->width || height != p->height) size->outputs = outputs;
    size->memory_bytes +=
        preprocess_arena_bytes(p, width, height) + (size_t)outputs * 3 * sizeof(float);
}

static int price_encoded(const struct input *input, const struct preprocess *p,
                         const struct image_limits *limits, struct decode_size *size, struct err *e)
{
    struct image_info info;
    struct image_price price;
    const struct image_want want = preprocess_want(p);
    int rc = image_probe(input->data, input->size, &info, e);
    if (rc == 0) rc = image_check_limits(&info, limits, want, e);
    if (rc < 0) return rc;
    image_price(&info, want, &price);
    bool exchanged = info.orientation >= EXCHANGED;
    bool slow = info.multiscan || info.arithmetic;
    *size = (struct decode_size){
        .format = info.format == IMAGE_PNG ? DECODE_PNG
                  : slow                   ? DECODE_JPEG_SCANS
                                           : DECODE_JPEG,
        .width = exchanged ? info.height : info.width,
        .height = exchanged ? info.width : info.height,
        .bytes = price.coded_bytes,
        .samples = price.samples,
        .pixels = price.pixels,
        .memory_bytes = input->size + price.memory_bytes,
        .estimated = info.format == IMAGE_JPEG && info.multiscan && !info.scans_walked,
    };
    int shrink = image_shrink(&info, want);
    add_preprocessing(p, (size->width + shrink - 1) / shrink, (size->height + shrink - 1) / shrink,
                      size);
    return 0;
}

static int price_raw(const struct input *input, const struct preprocess *p,
                     const struct image_limits *limits, struct decode_size *size, struct err *e)
{
    int rc = image_check_size(input->width, input->height, limits, e);
    if (rc < 0) return rc;
    uint64_t pixels = (uint64_t)input->width * (uint64_t)input->height;
    *size = (struct decode_size){.format = DECODE_RAW,
                                 .width = input->width,
                                 .height = input->height,
                                 .samples = 3 * pixels,
                                 .pixels = pixels,
                                 .memory_bytes = input->size};
    add_preprocessing(p, input->width, input->height, size);
    return 0;
}

int price_input(const struct input *input, const struct preprocess *preprocess,
                const struct image_limits *limits, size_t memory_max, struct decode_size *ret_size,
                struct err *e)
{
    int rc = input->kind == INPUT_ENCODED ? price_encoded(input, preprocess, limits, ret_size, e)
                                          : price_raw(input, preprocess, limits, ret_size, e);
    if (rc < 0 || ret_size->memory_bytes <= memory_max) return rc;
    return err_set(e, ERR_LIMIT,
                   "decoding this %dx%d %s takes %zu bytes of memory, and decode.memory_max_bytes "
                   "leaves %zu for one image",
                   ret_size->width, ret_size->height, decode_format_name(ret_size->format),
                   ret_size->memory_bytes, memory_max);
}

/* ---- the machine ---- */

enum { SIDE = 512, OUTPUT = 32, RUNS = 5 };

/* The least processor time of a few runs; 0: it could not be done. */
static double resize_s(const struct input *input, const struct preprocess *p, float *output)
{
    const struct decode_work work = {.kind = input->kind,
                                     .width = input->width,
                                     .height = input->height,
                                     .input_bytes = input->size,
                                     .limits = image_limits_default,
                                     .preprocess = *p};
    struct arena *scratch = NULL;
    double least_s = 0;
    for (int i = 0; i < RUNS; i++) {
        int64_t start = clock_cpu();
        if (decode_run(&work, input->data, output, &scratch, NULL, NULL) < 0) break;
        double s = (double)(clock_cpu() - start) / (double)CLOCK_SECOND;
        if (least_s == 0 || s < least_s) least_s = s;
    }
    arena_free(scratch);
    return least_s;
}

double price_slowness(void)
{
    static const struct preprocess p = {.width = OUTPUT, .height = OUTPUT, .std = {1, 1, 1}};
    float output[OUTPUT * OUTPUT * 3];
    struct input input = {
        .kind = INPUT_U8, .width = SIDE, .height = SIDE, .size = (size_t)3 * SIDE * SIDE};
    struct decode_size size;
    struct decode_cost reference;
    unsigned char *pixels = mem_new(input.size, 1);
    double s = 0;
    input.data = pixels;
    decode_cost_init(&reference, 1);
    if (pixels != NULL && price_raw(&input, &p, &image_limits_default, &size, NULL) == 0) {
        for (size_t i = 0; i < input.size; i++) pixels[i] = (unsigned char)(i % 251);
        s = resize_s(&input, &p, output);
    }
    mem_free(pixels);
    return s > 0 ? s / decode_cost_prior(&reference, &size) : 1;
}
