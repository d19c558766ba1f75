/* Prices are sums over sizes; what a size is worth in seconds is not known here. */
#include "config.h"

#include "image/probe.h"

#include "exif.h"
#include "header.h"

enum {
    SCANS_USUAL = 10, /* of a progressive JPEG, where they were not counted */
};

int image_probe(const void *bytes, size_t size, struct image_info *ret_info, struct err *e)
{
    const enum image_format format = image_format_of(bytes, size);
    struct image_info info;
    int rc;
    if (format == IMAGE_JPEG) {
        rc = jpeg_header(bytes, size, &info, e);
    } else if (format == IMAGE_PNG) {
        rc = png_header(bytes, size, &info, e);
    } else if (size == 0) {
        rc = err_set(e, ERR_FORMAT, "the image is empty (0 bytes)");
    } else if (format == IMAGE_UNKNOWN) {
        rc = err_set(e, ERR_UNSUPPORTED, "the content is neither a JPEG nor a PNG image");
    } else {
        rc = err_set(e, ERR_UNSUPPORTED, "this is %s (%s); JPEG and PNG are taken",
                     image_format_name(format), image_format_type(format));
    }
    if (rc < 0) return rc;
    info.bytes = size;
    *ret_info = info;
    return 0;
}

int image_shrink(const struct image_info *info, struct image_want want)
{
    if (info->format != IMAGE_JPEG || want.width <= 0 || want.height <= 0) return 1;
    const bool exchanged = info->orientation >= ORIENTATION_TRANSPOSED;
    const int width = exchanged ? info->height : info->width;
    const int height = exchanged ? info->width : info->height;
    int shrink = 8;
    while (shrink > 1 && (width / shrink < want.width || height / shrink < want.height)) {
        shrink /= 2;
    }
    return shrink;
}

/* Samples in all scans. Where the rest was not walked over: as many for each byte as in the part
 * that was, when that had more scans than a whole file usually has; else as usual. */
static uint64_t jpeg_samples(const struct image_info *info)
{
    uint64_t once = 0;
    for (int i = 0; i < info->channels; i++) once += info->component_samples[i];
    if (info->scans_walked) return info->scan_samples;
    const uint64_t usual = info->progressive ? SCANS_USUAL * once : once;
    if (info->scans <= SCANS_USUAL || info->scan_bytes == 0) return usual;
    const double rate = (double)info->scan_samples / (double)info->scan_bytes;
    const double all = rate * (double)info->bytes;
    return all < (double)(UINT64_MAX / 2) ? (uint64_t)all : UINT64_MAX / 2;
}

void image_price(const struct image_info *info, struct image_want want, struct image_price *ret)
{
    const uint64_t shrink = (uint64_t)image_shrink(info, want);
    const uint64_t width = ((uint64_t)info->width + shrink - 1) / shrink;
    const uint64_t height = ((uint64_t)info->height + shrink - 1) / shrink;
    const size_t result = (size_t)(width * height * 3);
    *ret = (struct image_price){.coded_bytes = info->bytes, .pixels = width * height};
    if (info->format == IMAGE_JPEG) {
        ret->samples = jpeg_samples(info);
        ret->memory_bytes = jpeg_heap_bytes(info) + result;
    } else {
        /* The decoder's own result is copied when all else that it took is free again. */
        const size_t heap = png_heap_bytes(info);
        ret->samples = ret->pixels * (uint64_t)info->channels;
        ret->memory_bytes = heap > 2 * result ? heap : 2 * result;
    }
}
