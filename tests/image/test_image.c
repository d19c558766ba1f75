/* Decoding: every kind of PNG and JPEG that is taken gives the pixels it should, everything else an
 * error that says what is wrong, and nothing that a file holds does more harm than that. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <zlib.h>

#include "../seeded.h"
#include "image/image.h"
#include "vectors.h"

/* tolerance: of one byte; only how inks become colours is open, the transforms are the ones that
 * made the vectors. */
static const struct {
    const char *name, *suffix;
    int width, height, tolerance;
} good[] = {
    {"grey1", "png", 11, 5, 0},
    {"grey2", "png", 7, 5, 0},
    {"grey4", "png", 7, 5, 0},
    {"grey8", "png", 7, 6, 0},
    {"grey16", "png", 6, 7, 0},
    {"rgb8", "png", 9, 7, 0},
    {"rgb16", "png", 5, 6, 0},
    {"rgb8_key", "png", 5, 6, 0},
    {"palette1", "png", 9, 5, 0},
    {"palette2", "png", 9, 5, 0},
    {"palette4", "png", 9, 5, 0},
    {"palette8", "png", 9, 8, 0},
    {"palette_alpha", "png", 9, 5, 0},
    {"palette_past", "png", 9, 5, 0},
    {"grey_alpha8", "png", 6, 5, 0},
    {"grey_alpha16", "png", 6, 5, 0},
    {"rgba8", "png", 6, 5, 0},
    {"rgba16", "png", 6, 5, 0},
    {"one", "png", 1, 1, 0},
    {"one_interlaced", "png", 1, 1, 0},
    {"grey1_interlaced", "png", 13, 10, 0},
    {"grey8_interlaced", "png", 13, 10, 0},
    {"rgb8_interlaced", "png", 13, 10, 0},
    {"rgba16_interlaced", "png", 13, 10, 0},
    {"palette4_interlaced", "png", 13, 10, 0},
    {"grey", "jpg", 19, 13, 0},
    {"rgb444", "jpg", 19, 13, 0},
    {"rgb420", "jpg", 34, 21, 0},
    {"rgb422", "jpg", 34, 21, 0},
    {"progressive", "jpg", 34, 21, 0},
    {"progressive_grey", "jpg", 17, 9, 0},
    {"optimised", "jpg", 16, 16, 0},
    {"one_jpeg", "jpg", 1, 1, 0},
    {"cmyk", "jpg", 16, 16, 1},
    {"ycck", "jpg", 16, 16, 1},
    {"arithmetic", "jpg", 34, 21, 0},
    {"arithmetic_progressive", "jpg", 34, 21, 0},
    {"restarts", "jpg", 34, 21, 0},
    {"restart_at_end", "jpg", 34, 21, 0},
    {"restart_at_end_progressive", "jpg", 34, 21, 0},
    {"no_tables", "jpg", 34, 21, 0},
    {"one_by_one", "jpg", 34, 21, 0},
    {"odd_parts", "jpg", 34, 21, 0},
};

enum { N_GOOD = sizeof(good) / sizeof(good[0]), ARENA_MAX = 1 << 20 };

static uint8_t *good_read(size_t i, size_t *ret_size)
{
    char name[64];
    snprintf(name, sizeof(name), "%s.%s", good[i].name, good[i].suffix);
    return vector_read(name, ret_size);
}

static const struct image_decoding whole = {.limits = &image_limits_default};

/* Decodes in an arena of its own; a good result must have the size given. */
static int decode(const void *bytes, size_t size, struct image *ret_image, struct arena **ret_arena,
                  struct err *e)
{
    *e = (struct err){0};
    *ret_arena = arena_new(ARENA_MAX);
    assert_non_null(*ret_arena);
    int rc = image_decode(bytes, size, &whole, *ret_arena, ret_image, e);
    if (rc < 0) {
        assert_int_equal(rc, e->code);
        assert_true(e->text[0] != '\0');
    }
    return rc;
}

static void assert_refused(const void *bytes, size_t size, int code, const char *words)
{
    struct image image;
    struct arena *arena;
    struct err e;
    int rc = decode(bytes, size, &image, &arena, &e);
    if (rc != code || strstr(e.text, words) == NULL) {
        fail_msg("wanted %d with '%s', got %d: %s", code, words, rc, e.text);
    }
    arena_free(arena);
}

static void test_pixels(void **state)
{
    (void)state;
    for (size_t i = 0; i < N_GOOD; i++) {
        char name[64];
        size_t size, expected_size;
        int worst = 0;
        struct image_info info;
        struct image image;
        struct arena *arena;
        struct err e;
        uint8_t *bytes = good_read(i, &size);
        snprintf(name, sizeof(name), "%s.rgb", good[i].name);
        uint8_t *expected = vector_read(name, &expected_size);
        assert_int_equal(image_probe(bytes, size, &info, &e), 0);
        const int width = info.width, height = info.height;
        assert_int_equal(width, good[i].width);
        assert_int_equal(height, good[i].height);
        if (decode(bytes, size, &image, &arena, &e) < 0) fail_msg("%s: %s", good[i].name, e.text);
        assert_int_equal(image.width, width);
        assert_int_equal(image.height, height);
        assert_int_equal(expected_size, (size_t)width * (size_t)height * 3);
        for (size_t k = 0; k < expected_size; k++) {
            int difference = abs(image.pixels[k] - expected[k]);
            if (difference > worst) worst = difference;
        }
        if (worst > good[i].tolerance) fail_msg("%s: a byte is off by %d", good[i].name, worst);
        assert_true(arena_used(arena) <= image_arena_bytes(width, height));
        arena_free(arena);
        mem_free(bytes);
        mem_free(expected);
    }
}

/* All eight orientations in both byte orders, against Pillow's exif_transpose. */
static void test_turned(void **state)
{
    (void)state;
    static const char *const orders[] = {"mm", "ii"}, *const suffixes[] = {"jpg", "png"};
    for (int k = 0; k < 32; k++) {
        const int value = k / 4 + 1;
        const char *order = orders[k / 2 % 2], *suffix = suffixes[k % 2];
        char name[64];
        size_t size, expected_size;
        int32_t sides[2];
        struct image image;
        struct arena *arena;
        struct err e;
        snprintf(name, sizeof(name), "turned_%d_%s%s.%s", value, order, suffix, suffix);
        uint8_t *bytes = vector_read(name, &size);
        snprintf(name, sizeof(name), "turned_%d_%s%s.rgb", value, order, suffix);
        uint8_t *expected = vector_read(name, &expected_size);
        memcpy(sides, expected, sizeof(sides));
        if (decode(bytes, size, &image, &arena, &e) < 0) fail_msg("%s: %s", name, e.text);
        if (image.width != sides[0] || image.height != sides[1]) {
            fail_msg("%s: %dx%d instead of %dx%d", name, image.width, image.height, (int)sides[0],
                     (int)sides[1]);
        }
        const size_t n = (size_t)image.width * (size_t)image.height * 3;
        assert_int_equal(expected_size, sizeof(sides) + n);
        for (size_t i = 0; i < n; i++) {
            int distance = abs(image.pixels[i] - expected[sizeof(sides) + i]);
            if (distance > 0) fail_msg("%s: byte %zu differs", name, i);
        }
        mem_free(bytes);
        mem_free(expected);
        arena_free(arena);
    }
}

/* Every proper prefix of every file is refused, from no byte at all to all but one, or it has all
 * pixels: when only the end marker is cut, and what a coder would have read from the last byte. The
 * copy has the prefix's size, so that a sanitizer sees a read past its end. */
static void test_truncation(void **state)
{
    (void)state;
    enum { HEADER = 33, END_MAX = 16 }; /* of a PNG; inside of it the message is another */
    for (size_t i = 0; i < N_GOOD; i++) {
        size_t size;
        struct image image, part;
        struct arena *arena, *second;
        struct err e;
        uint8_t *bytes = good_read(i, &size);
        assert_int_equal(decode(bytes, size, &image, &arena, &e), 0);
        for (size_t n = 0; n < size; n++) {
            uint8_t *prefix = mem_new(n, 1);
            memcpy(prefix, bytes, n);
            int rc = decode(prefix, n, &part, &second, &e);
            if (rc >= 0) {
                if (size - n > END_MAX) fail_msg("%s: %zu of %zu bytes", good[i].name, n, size);
                assert_memory_equal(part.pixels, image.pixels,
                                    (size_t)image.width * (size_t)image.height * 3);
            } else {
                assert_true(rc == ERR_FORMAT || (n < 4 && rc == ERR_UNSUPPORTED));
                if (n >= HEADER && strstr(e.text, "cut short") == NULL &&
                    strstr(e.text, "damaged") == NULL) {
                    fail_msg("%s, %zu bytes: %s", good[i].name, n, e.text);
                }
            }
            arena_free(second);
            mem_free(prefix);
        }
        arena_free(arena);
        mem_free(bytes);
    }
}

/* A PNG whose end is missing, or cut, behind its pixels. */
static void test_png_without_end(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = vector_read("rgb8.png", &size);
    for (size_t n = size - 12; n < size; n++) {
        struct image image;
        struct arena *arena;
        struct err e;
        assert_int_equal(decode(bytes, n, &image, &arena, &e), 0);
        arena_free(arena);
    }
    assert_refused(bytes, size - 13, ERR_FORMAT, "cut short");
    mem_free(bytes);
}

static void test_png_without_data(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = vector_read("one.png", &size), *data = bytes;
    while (memcmp(data, "IDAT", 4) != 0) data++;
    memcpy(data - 4, "\0\0\0\0IDAT\x35\xaf\x06\x1e", 12);
    memcpy(data + 8, bytes + size - 12, 12);
    assert_refused(bytes, (size_t)(data + 20 - bytes), ERR_FORMAT, "no pixel data");
    memcpy(data - 4, bytes + size - 12, 12);
    assert_refused(bytes, (size_t)(data + 8 - bytes), ERR_FORMAT, "no pixel data");
    mem_free(bytes);
}

/* What stands beside the pixels may be as broken as it likes: a suggested palette of four bytes, a
 * transparent colour of nine, a wrong checksum. */
static void test_png_odd_parts(void **state)
{
    (void)state;
    static const uint8_t odd[] = {0, 0, 0, 4, 'P', 'L', 'T', 'E', 1,   2, 3, 4, 9, 9, 9,
                                  9, 0, 0, 0, 1,   't', 'R', 'N', 'S', 5, 0, 0, 0, 0};
    enum { HEADER = 33 };
    size_t size;
    struct image image, plain;
    struct arena *arena, *second;
    struct err e;
    uint8_t *bytes = vector_read("rgb8.png", &size), *more = mem_new(size + sizeof(odd), 1);
    memcpy(more, bytes, HEADER);
    memcpy(more + HEADER, odd, sizeof(odd));
    memcpy(more + HEADER + sizeof(odd), bytes + HEADER, size - HEADER);
    assert_int_equal(decode(bytes, size, &plain, &arena, &e), 0);
    if (decode(more, size + sizeof(odd), &image, &second, &e) < 0) fail_msg("%s", e.text);
    assert_memory_equal(image.pixels, plain.pixels, (size_t)plain.width * (size_t)plain.height * 3);
    arena_free(arena);
    arena_free(second);
    mem_free(more);
    mem_free(bytes);
}

/* Damage to a PNG is seen, or it changes no pixel (in a text chunk). */
static void test_damaged_png(void **state)
{
    (void)state;
    struct rng rng = seeded(20);
    for (size_t i = 0; i < N_GOOD; i++) {
        if (strcmp(good[i].suffix, "png") != 0) continue;
        size_t size;
        struct image image, again;
        struct arena *arena, *second;
        struct err e;
        uint8_t *bytes = good_read(i, &size);
        assert_int_equal(decode(bytes, size, &image, &arena, &e), 0);
        for (size_t at = 0; at < size; at++) {
            uint8_t bit = (uint8_t)(1 << rng_below(&rng, 8));
            bytes[at] ^= bit;
            if (decode(bytes, size, &again, &second, &e) == 0) {
                assert_int_equal(again.width, image.width);
                assert_int_equal(again.height, image.height);
                assert_memory_equal(again.pixels, image.pixels,
                                    (size_t)image.width * (size_t)image.height * 3);
            }
            arena_free(second);
            bytes[at] ^= bit;
        }
        arena_free(arena);
        mem_free(bytes);
    }
}

/* Damage to a JPEG cannot always be seen; it must do no harm (sanitizers watch), and equal input
 * must give equal pixels: no byte of the result may be what happened to stand in memory. */
static void test_damaged_jpeg(void **state)
{
    (void)state;
    enum { ROUNDS = 400 };
    struct rng rng = seeded(21);
    for (size_t i = 0; i < N_GOOD; i++) {
        if (strcmp(good[i].suffix, "jpg") != 0) continue;
        size_t size;
        uint8_t *bytes = good_read(i, &size);
        for (int round = 0; round < ROUNDS; round++) {
            struct image image, again;
            struct arena *arena, *second;
            struct err e;
            uint8_t *copy = mem_new(size, 1);
            memcpy(copy, bytes, size);
            for (uint32_t n = 1 + rng_below(&rng, 3); n > 0; n--) {
                copy[rng_below(&rng, (uint32_t)size)] = (uint8_t)rng_below(&rng, 256);
            }
            int rc = decode(copy, size, &image, &arena, &e);
            assert_int_equal(decode(copy, size, &again, &second, &e), rc);
            if (rc == 0) {
                assert_int_equal(again.width, image.width);
                assert_memory_equal(again.pixels, image.pixels,
                                    (size_t)image.width * (size_t)image.height * 3);
            }
            arena_free(arena);
            arena_free(second);
            mem_free(copy);
        }
        mem_free(bytes);
    }
}

static void test_broken_png(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int code;
        const char *words;
    } cases[] = {
        {"bad_short.png", ERR_FORMAT, "not enough pixels"},
        {"bad_stream.png", ERR_FORMAT, "damaged"},
        {"bad_filter.png", ERR_FORMAT, "invalid filter"},
        {"bad_zlib.png", ERR_FORMAT, "bad zlib header"},
        {"bomb.png", ERR_LIMIT, "more than its size allows for"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size;
        uint8_t *bytes = vector_read(cases[i].name, &size);
        assert_refused(bytes, size, cases[i].code, cases[i].words);
        mem_free(bytes);
    }
}

static uint32_t crc(const uint8_t *data, size_t size)
{
    uint32_t c = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        c ^= data[i];
        for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
    }
    return ~c;
}

/* Writes a field of the header of a PNG, with a good checksum. */
static void patch_header(uint8_t *png, size_t at, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        png[16 + at + (size_t)i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
    uint32_t sum = crc(png + 12, 17);
    for (int i = 0; i < 4; i++) png[29 + i] = (uint8_t)(sum >> 8 * (3 - i));
}

static void test_png_header(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint32_t value;
        int bytes, code;
        const char *words;
    } cases[] = {
        {0, 0, 4, ERR_FORMAT, "0x7"},
        {4, 0, 4, ERR_FORMAT, "9x0"},
        {0, 0x80000000, 4, ERR_FORMAT, "2147483648x7"},
        {0, 16385, 4, ERR_LIMIT, "16384"},
        {4, 10, 4, ERR_FORMAT, "not enough pixels"},
        {8, 4, 1, ERR_FORMAT, "depth 4"},
        {9, 5, 1, ERR_FORMAT, "colour type 5"},
        {9, 3, 1, ERR_FORMAT, "out of place"}, /* a palette image without a palette */
        {10, 1, 1, ERR_FORMAT, "compression 1"},
        {11, 1, 1, ERR_FORMAT, "filter 1"},
        {12, 2, 1, ERR_FORMAT, "interlace 2"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size;
        uint8_t *bytes = vector_read("rgb8.png", &size);
        patch_header(bytes, cases[i].at, cases[i].value, cases[i].bytes);
        assert_refused(bytes, size, cases[i].code, cases[i].words);
        mem_free(bytes);
    }
    size_t size;
    uint8_t *bytes = vector_read("rgb8.png", &size);
    memcpy(bytes + 12, "CgBI", 4);
    assert_refused(bytes, size, ERR_UNSUPPORTED, "CgBI");
    mem_free(bytes);
}

/* A chunk that a decoder must know and we do not is refused, one that it need not know is skipped.
 */
static void test_png_unknown_chunk(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = vector_read("rgb8.png", &size);
    uint8_t *text = bytes + 33 + 4; /* tEXt, the chunk behind the header */
    assert_memory_equal(text, "tEXt", 4);
    struct image image;
    struct arena *arena;
    struct err e;
    memcpy(text, "zzZz", 4);
    assert_int_equal(decode(bytes, size, &image, &arena, &e), 0);
    arena_free(arena);
    memcpy(text, "ZzZz", 4);
    assert_refused(bytes, size, ERR_UNSUPPORTED, "5a7a5a7a");
    mem_free(bytes);
}

/* Bytes of pixel data, filters included, of a PNG all of whose bytes are 0. */
static size_t raw_bytes(int width, int height, int bits, bool interlaced)
{
    static const int passes[7][4] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                     {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
    if (!interlaced) return ((size_t)width * (size_t)bits / 8 + 1) * (size_t)height;
    size_t sum = 0;
    for (int i = 0; i < 7; i++) {
        const int *p = passes[i];
        const int w = (width - p[0] + p[2] - 1) / p[2], h = (height - p[1] + p[3] - 1) / p[3];
        if (w > 0 && h > 0) sum += (((size_t)w * (size_t)bits + 7) / 8 + 1) * (size_t)h;
    }
    return sum;
}

static uint8_t *append_chunk(uint8_t *to, const char *name, const void *data, size_t size)
{
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(size >> 8 * (3 - i));
    memcpy(to + 4, name, 4);
    memmove(to + 8, data, size);
    const uint32_t sum = crc(to + 4, 4 + size);
    for (int i = 0; i < 4; i++) to[8 + size + (size_t)i] = (uint8_t)(sum >> 8 * (3 - i));
    return to + 12 + size;
}

/* Images so large that nothing is left over in what may be allocated: each kind fits into its
 * price.
 */
static void test_png_memory(void **state)
{
    (void)state;
    static const struct {
        int width, height, depth, colour, channels;
    } kinds[] = {{2400, 2000, 8, 6, 4},
                 {2000, 1600, 16, 2, 3},
                 {4400, 4000, 8, 3, 1},
                 {12000, 4000, 4, 0, 1},
                 {3000, 1600, 16, 4, 2}};
    static const uint8_t palette[3] = {0, 0, 0};
    for (size_t i = 0; i < 2 * sizeof(kinds) / sizeof(kinds[0]); i++) {
        const int width = kinds[i / 2].width, height = kinds[i / 2].height;
        const bool interlaced = i % 2 == 1;
        const size_t raw_size =
            raw_bytes(width, height, kinds[i / 2].depth * kinds[i / 2].channels, interlaced);
        uLongf size = compressBound(raw_size);
        uint8_t *raw = mem_new(raw_size, 1), *png = mem_new(size + 200, 1), *data = png + 100;
        assert_int_equal(compress2(data, &size, raw, raw_size, 1), Z_OK);
        const uint8_t header[13] = {0,
                                    0,
                                    (uint8_t)(width >> 8),
                                    (uint8_t)width,
                                    0,
                                    0,
                                    (uint8_t)(height >> 8),
                                    (uint8_t)height,
                                    (uint8_t)kinds[i / 2].depth,
                                    (uint8_t)kinds[i / 2].colour,
                                    0,
                                    0,
                                    interlaced};
        memcpy(png, "\x89PNG\r\n\x1a\n", 8);
        uint8_t *end = append_chunk(png + 8, "IHDR", header, sizeof(header));
        if (kinds[i / 2].colour == 3) end = append_chunk(end, "PLTE", palette, sizeof(palette));
        end = append_chunk(end, "IDAT", data, size);
        end = append_chunk(end, "IEND", "", 0);
        struct image image;
        struct err e = {0};
        struct arena *arena = arena_new(image_arena_bytes(width, height));
        if (image_decode(png, (size_t)(end - png), &whole, arena, &image, &e) < 0) {
            fail_msg("kind %zu: %s", i, e.text);
        }
        assert_true(image.width == width && image.height == height);
        arena_free(arena);
        mem_free(png);
        mem_free(raw);
    }
}

/* Nothing is allocated for an image whose header says that it is too large. */
static void test_limits(void **state)
{
    (void)state;
    size_t size;
    struct err e = {0};
    struct image image;
    uint8_t *bytes = vector_read("rgb8.png", &size);
    struct arena *arena = arena_new(ARENA_MAX);
    struct image_limits limits = {SIZE_MAX, UINT64_MAX, 1 << 30, SIZE_MAX, UINT64_MAX, 0};
    const struct image_decoding all = {.limits = &limits};

    patch_header(bytes, 0, 16000, 4);
    patch_header(bytes, 4, 16000, 4);
    mem_fail_at(1);
    assert_int_equal(image_decode(bytes, size, &whole, arena, &image, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "16000x16000 = 256000000 pixels"));
    patch_header(bytes, 0, 70000, 4);
    assert_int_equal(image_decode(bytes, size, &all, arena, &image, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "65500")); /* the decoders' own */
    patch_header(bytes, 0, 8000, 4);
    patch_header(bytes, 4, 6000, 4);
    patch_header(bytes, 8, 16, 1);
    patch_header(bytes, 9, 6, 1);
    patch_header(bytes, 12, 1, 1);
    assert_int_equal(image_decode(bytes, size, &whole, arena, &image, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "MiB of memory"));
    assert_int_equal(mem_fail_left(), 1);
    mem_fail_at(0);
    mem_free(bytes);

    bytes = vector_read("rgb8.png", &size);
    struct image_info info;
    struct image_price price;
    assert_int_equal(image_probe(bytes, size, &info, &e), 0);
    image_price(&info, all.want, &price);
    limits = (struct image_limits){size, 63, 9, price.memory_bytes, UINT64_MAX, 0};
    const struct image_limits exact = limits;
    assert_int_equal(image_decode(bytes, size, &all, arena, &image, &e), 0);
    limits.bytes_max--;
    assert_int_equal(image_decode(bytes, size, &all, arena, &image, &e), ERR_LIMIT);
    limits = exact;
    limits.pixels_max--;
    assert_int_equal(image_decode(bytes, size, &all, arena, &image, &e), ERR_LIMIT);
    limits = exact;
    limits.side_max--;
    assert_int_equal(image_decode(bytes, size, &all, arena, &image, &e), ERR_LIMIT);
    limits = exact;
    limits.memory_max--;
    assert_int_equal(image_decode(bytes, size, &all, arena, &image, &e), ERR_LIMIT);
    mem_free(bytes);
    arena_free(arena);
}

/* Where the chunk of a name begins. */
static size_t find_chunk(const uint8_t *bytes, size_t size, const char *name)
{
    for (size_t at = 8; at + 12 <= size;) {
        if (memcmp(bytes + at + 4, name, 4) == 0) return at;
        at += 12 +
              ((size_t)bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3]);
    }
    fail_msg("no chunk %s", name);
    return 0;
}

/* Chunks of pixel data follow each other; something between them was lost or put there. */
static void test_png_data_apart(void **state)
{
    (void)state;
    struct image image;
    struct arena *arena;
    struct err e;
    size_t size;
    uint8_t *bytes = vector_read("rgba8.png", &size), *png = mem_new(size + 64, 1);
    const size_t at = find_chunk(bytes, size, "IDAT");
    const size_t length = find_chunk(bytes, size, "IEND") - at - 12;
    for (int apart = 0; apart < 2; apart++) {
        memcpy(png, bytes, at);
        uint8_t *end = append_chunk(png + at, "IDAT", bytes + at + 8, 9);
        if (apart) end = append_chunk(end, "tEXt", "a", 1);
        end = append_chunk(end, "IDAT", bytes + at + 17, length - 9);
        end = append_chunk(end, "IEND", "", 0);
        if (apart) {
            assert_refused(png, (size_t)(end - png), ERR_FORMAT, "out of place");
        } else {
            assert_int_equal(decode(png, (size_t)(end - png), &image, &arena, &e), 0);
            arena_free(arena);
        }
    }
    mem_free(png);
    mem_free(bytes);
}

/* An orientation with a wrong checksum is none. */
static void test_png_damaged_exif(void **state)
{
    (void)state;
    struct image image;
    struct arena *arena;
    struct err e;
    size_t size;
    uint8_t *bytes = vector_read("turned_6_mmpng.png", &size);
    assert_int_equal(decode(bytes, size, &image, &arena, &e), 0);
    const int width = image.width, height = image.height;
    assert_int_not_equal(width, height);
    arena_free(arena);
    const size_t at = find_chunk(bytes, size, "eXIf");
    const size_t length = bytes[at + 3]; /* it is a short one */
    bytes[at + 8 + length] ^= 1;
    assert_int_equal(decode(bytes, size, &image, &arena, &e), 0);
    assert_int_equal(image.width, height);
    assert_int_equal(image.height, width);
    arena_free(arena);
    mem_free(bytes);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const char *const names[] = {"rgb8_interlaced.png", "palette4.png", "progressive.jpg"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t size;
        uint8_t *bytes = vector_read(names[i], &size);
        for (unsigned n = 1;; n++) {
            struct image image;
            struct err e = {0};
            struct arena *arena = arena_new(ARENA_MAX);
            assert_non_null(arena);
            mem_fail_at(n);
            int rc = image_decode(bytes, size, &whole, arena, &image, &e);
            bool fired = mem_fail_left() == 0;
            mem_fail_at(0);
            arena_free(arena);
            if (!fired) {
                assert_int_equal(rc, 0);
                assert_true(n > (i < 2 ? 3 : 1)); /* libjpeg-turbo has a heap of its own */
                break;
            }
            assert_int_equal(rc, -ENOMEM);
        }
        struct image image;
        struct err e = {0};
        struct arena *small = arena_new(64); /* room for less than the pixels */
        assert_int_equal(image_decode(bytes, size, &whole, small, &image, &e), -ENOMEM);
        arena_free(small);
        mem_free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pixels),
        cmocka_unit_test(test_turned),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_damaged_png),
        cmocka_unit_test(test_damaged_jpeg),
        cmocka_unit_test(test_png_without_end),
        cmocka_unit_test(test_png_odd_parts),
        cmocka_unit_test(test_png_without_data),
        cmocka_unit_test(test_broken_png),
        cmocka_unit_test(test_png_header),
        cmocka_unit_test(test_png_unknown_chunk),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_png_memory),
        cmocka_unit_test(test_png_data_apart),
        cmocka_unit_test(test_png_damaged_exif),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
