/* What content is called, what headers say, and what decoding is said to cost. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../seeded.h"
#include "image/image.h"
#include "image/probe.h"
#include "vectors.h"

#define TEXT(text) text, sizeof(text) - 1

static const struct {
    const char *bytes;
    size_t size;
    enum image_format format;
    const char *words; /* of the refusal */
} contents[] = {
    {TEXT("GIF89a\1\0\1\0\0\0\0;"), IMAGE_GIF, "this is a GIF image (image/gif); JPEG and PNG"},
    {TEXT("BM\x46\0\0\0\0\0\0\0\x36\0\0\0"), IMAGE_BMP, "a BMP image (image/bmp)"},
    {TEXT("BMW owners' club"), IMAGE_UNKNOWN, "neither a JPEG nor a PNG"},
    {TEXT("RIFF\x24\0\0\0WEBPVP8 "), IMAGE_WEBP, "a WebP image (image/webp)"},
    {TEXT("RIFF\x24\0\0\0WAVEfmt "), IMAGE_UNKNOWN, "neither"},
    {TEXT("RIFF\x24\0\0\0AVI LIST"), IMAGE_VIDEO, "a video"},
    {TEXT("II*\0\x08\0\0\0"), IMAGE_TIFF, "a TIFF image (image/tiff)"},
    {TEXT("MM\0*\0\0\0\x08"), IMAGE_TIFF, "a TIFF image"},
    {TEXT("\0\0\0\x1c"
          "ftypavif\0\0\0\0"),
     IMAGE_AVIF, "an AVIF image (image/avif)"},
    {TEXT("\0\0\0\x1c"
          "ftypheic\0\0\0\0"),
     IMAGE_HEIC, "a HEIC image (image/heic)"},
    {TEXT("\0\0\0\x1c"
          "ftypmif1\0\0\0\0"),
     IMAGE_HEIC, "a HEIC image"},
    {TEXT("\0\0\0\x1c"
          "ftypisom\0\0\0\0"),
     IMAGE_VIDEO, "a video (video/mp4)"},
    {TEXT("\xff\x0a\xfa\x1f"), IMAGE_JPEG_XL, "a JPEG XL image"},
    {TEXT("\0\0\0\x0cJXL \r\n\x87\n\0\0"), IMAGE_JPEG_XL, "a JPEG XL image"},
    {TEXT("\0\0\0\x0cjP  \r\n\x87\n\0\0"), IMAGE_JPEG_2000, "a JPEG 2000 image"},
    {TEXT("\0\0\1\0\1\0\x10\x10"), IMAGE_ICO, "an icon"},
    {TEXT("8BPS\0\1"), IMAGE_PSD, "a Photoshop image"},
    {TEXT("P6 1 1 255 abc"), IMAGE_PNM, "a PNM image"},
    {TEXT("qoif\0\0\0\1"), IMAGE_QOI, "a QOI image"},
    {TEXT("%PDF-1.7\n"), IMAGE_PDF, "a PDF document (application/pdf)"},
    {TEXT("<svg xmlns='http://www.w3.org/2000/svg'/>"), IMAGE_SVG, "an SVG drawing"},
    {TEXT("\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a --><svg/>"), IMAGE_SVG, "an SVG drawing"},
    {TEXT("<?xml version='1.0'?><note/>"), IMAGE_XML, "an XML document"},
    {TEXT(" \n<!DOCTYPE html><title>Not found"), IMAGE_HTML, "an HTML page (text/html)"},
    {TEXT("{\"image\": \"\"}"), IMAGE_JSON, "a JSON text"},
    {TEXT("PK\3\4\x14\0"), IMAGE_ZIP, "a ZIP archive"},
    {TEXT("\x1f\x8b\x08\0\0"), IMAGE_GZIP, "gzip-compressed"},
    {TEXT("/9j/4AAQSkZJRg"), IMAGE_BASE64, "base64"},
    {TEXT("iVBORw0KGgo"), IMAGE_BASE64, "base64"},
    {TEXT("data:image/png;base64,iVBO"), IMAGE_BASE64, "base64"},
    {TEXT("\xff"), IMAGE_UNKNOWN, "neither"},
    {TEXT("hello"), IMAGE_UNKNOWN, "neither"},
    {TEXT("   "), IMAGE_UNKNOWN, "neither"},
};

static void test_formats(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        struct image_info info;
        struct err e = {0};
        uint8_t *copy = mem_new(contents[i].size, 1); /* whose end a sanitizer watches */
        memcpy(copy, contents[i].bytes, contents[i].size);
        if (image_format_of(copy, contents[i].size) != contents[i].format) {
            fail_msg("content %zu is %s", i,
                     image_format_name(image_format_of(copy, contents[i].size)));
        }
        assert_int_equal(image_probe(copy, contents[i].size, &info, &e), ERR_UNSUPPORTED);
        if (strstr(e.text, contents[i].words) == NULL) fail_msg("content %zu: %s", i, e.text);
        for (size_t n = 0; n < contents[i].size; n++) image_format_of(copy, n);
        mem_free(copy);
    }
    struct image_info info;
    struct err e = {0};
    assert_int_equal(image_probe("", 0, &info, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "0 bytes"));
    for (int format = 0; format < IMAGE_FORMATS; format++) {
        assert_true(strlen(image_format_name((enum image_format)format)) > 4);
        assert_non_null(strchr(image_format_type((enum image_format)format), '/'));
    }
}

static struct image_info probe(const char *name)
{
    size_t size;
    struct image_info info;
    struct err e = {0};
    uint8_t *bytes = vector_read(name, &size);
    if (image_probe(bytes, size, &info, &e) < 0) fail_msg("%s: %s", name, e.text);
    assert_int_equal(info.bytes, size);
    mem_free(bytes);
    return info;
}

static void test_headers(void **state)
{
    (void)state;
    struct image_info info = probe("rgb420.jpg");
    assert_int_equal(info.format, IMAGE_JPEG);
    assert_true(info.width == 34 && info.height == 21 && info.channels == 3 && info.depth == 8);
    assert_false(info.progressive || info.multiscan || info.arithmetic || info.interlaced);
    assert_int_equal(info.scans, 1);
    assert_int_equal(info.component_samples[0], 5 * 3 * 64); /* 34x21 in blocks */
    assert_int_equal(info.component_samples[1], 3 * 2 * 64);
    assert_int_equal(info.coefficient_bytes, (6 * 4 + 2 * 3 * 2) * 128); /* groups of 2x2 */
    info = probe("progressive.jpg");
    assert_true(info.progressive && info.multiscan && info.scans_walked && info.scans == 10);
    info = probe("one_by_one.jpg");
    assert_true(!info.progressive && info.multiscan && info.scans == 3);
    assert_int_equal(info.scan_samples, info.component_samples[0] + info.component_samples[1] +
                                            info.component_samples[2]);
    info = probe("arithmetic.jpg");
    assert_true(info.arithmetic && !info.progressive);
    info = probe("cmyk.jpg");
    assert_int_equal(info.channels, 4);
    info = probe("turned_6_iijpg.jpg");
    assert_int_equal(info.orientation, 6);
    info = probe("rgba16_interlaced.png");
    assert_int_equal(info.format, IMAGE_PNG);
    assert_true(info.interlaced && !info.palette && info.channels == 4 && info.depth == 16);
    info = probe("palette4.png");
    assert_true(info.palette && info.channels == 1 && info.depth == 4);
}

static void test_prices(void **state)
{
    (void)state;
    struct image_info info = {.format = IMAGE_JPEG,
                              .bytes = 500000,
                              .width = 4000,
                              .height = 3000,
                              .orientation = 1,
                              .channels = 3,
                              .depth = 8,
                              .scans = 1,
                              .scan_samples = 18000000,
                              .scans_walked = true,
                              .coefficient_bytes = 36000000};
    const struct image_want small = {64, 64}, all = {0, 0};
    struct image_price price;
    image_price(&info, small, &price);
    assert_int_equal(price.pixels, 500 * 375);
    assert_int_equal(price.coded_bytes, 500000);
    assert_int_equal(price.samples, 18000000);
    assert_true(price.memory_bytes < 2 << 20); /* rows, and the result */
    image_price(&info, all, &price);
    assert_int_equal(price.pixels, 12000000);
    assert_true(price.memory_bytes > 36000000 && price.memory_bytes < 38000000);
    info.multiscan = true;
    image_price(&info, small, &price);
    assert_true(price.memory_bytes > 36000000 && price.memory_bytes < 38000000);
    info.scans_walked = false;
    info.progressive = true;
    for (int i = 0; i < 3; i++) info.component_samples[i] = i == 0 ? 12000000 : 3000000;
    image_price(&info, small, &price);
    assert_int_equal(price.samples, 180000000); /* as usual */
    info.scans = 100;
    info.scan_samples = 1800000000;
    info.scan_bytes = 250000;
    image_price(&info, small, &price);
    assert_int_equal(price.samples, 3600000000); /* as many more as there are bytes */

    info = (struct image_info){.format = IMAGE_PNG,
                               .bytes = 1 << 20,
                               .width = 8000,
                               .height = 6000,
                               .channels = 3,
                               .depth = 8};
    image_price(&info, small, &price);
    assert_int_equal(price.pixels, 48000000);
    assert_true(price.memory_bytes < image_limits_default.memory_max);
    info.channels = 4;
    info.depth = 16;
    info.interlaced = true;
    image_price(&info, small, &price);
    assert_true(price.memory_bytes > image_limits_default.memory_max);
}

/* Headers of noise: whatever is said is sound. */
static void test_noise(void **state)
{
    (void)state;
    static const char *const names[] = {"progressive.jpg", "cmyk.jpg", "rgba16_interlaced.png"};
    struct rng rng = seeded(22);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t size;
        uint8_t *bytes = vector_read(names[i], &size), *copy = mem_new(size, 1);
        for (int round = 0; round < 2000; round++) {
            memcpy(copy, bytes, size);
            for (uint32_t n = 1 + rng_below(&rng, 4); n > 0; n--) {
                copy[rng_below(&rng, (uint32_t)size)] = (uint8_t)rng_below(&rng, 256);
            }
            struct image_info info;
            struct image_price price;
            struct err e = {0};
            if (image_probe(copy, size, &info, &e) < 0) {
                assert_true(e.text[0] != '\0');
                continue;
            }
            assert_true(info.width > 0 && info.height > 0 && info.channels >= 1);
            image_price(&info, (struct image_want){8, 8}, &price);
            assert_true(price.pixels > 0 && price.memory_bytes > 3 * price.pixels);
        }
        mem_free(copy);
        mem_free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_prices),
        cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
