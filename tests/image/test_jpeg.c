/* JPEGs: what is decoded and what is refused with which words; complete data beside odd parts,
 * incomplete data, work that is bounded, sizes that are enough. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../seeded.h"
#include "image/image.h"
#include "vectors.h"

enum { SOF0 = 0xc0, SOF2 = 0xc2, DHT = 0xc4, SOS = 0xda, DQT = 0xdb, ARENA_MAX = 1 << 20 };

static const struct image_decoding whole = {.limits = &image_limits_default};

/* Decodes in an arena of its own. */
static int decode(const void *bytes, size_t size, const struct image_decoding *decoding,
                  struct image *ret_image, struct arena **ret_arena, struct err *e)
{
    *e = (struct err){0};
    *ret_arena = arena_new(ARENA_MAX);
    assert_non_null(*ret_arena);
    int rc = image_decode(bytes, size, decoding, *ret_arena, ret_image, e);
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
    int rc = decode(bytes, size, &whole, &image, &arena, &e);
    if (rc != code || strstr(e.text, words) == NULL) {
        fail_msg("wanted %d with '%s', got %d: %s", code, words, rc, e.text);
    }
    arena_free(arena);
}

static void assert_taken(const void *bytes, size_t size)
{
    struct image image;
    struct arena *arena;
    struct err e;
    if (decode(bytes, size, &whole, &image, &arena, &e) < 0) fail_msg("%s", e.text);
    arena_free(arena);
}

/* Where a segment begins: the 0xff of its marker. */
static size_t find_segment(const uint8_t *bytes, size_t size, uint8_t marker)
{
    for (size_t at = 2; at + 4 <= size;) {
        if (bytes[at + 1] == marker) return at;
        at += 2 + ((size_t)bytes[at + 2] << 8 | bytes[at + 3]);
    }
    fail_msg("no segment %02x", marker);
    return 0;
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        size_t at; /* in the frame header, from its marker */
        uint8_t value;
        int code;
        const char *words;
    } cases[] = {
        {1, 0xc3, ERR_UNSUPPORTED, "lossless"},
        {1, 0xcb, ERR_UNSUPPORTED, "lossless"},
        {1, 0xc5, ERR_UNSUPPORTED, "hierarchical"},
        {4, 12, ERR_UNSUPPORTED, "12 bits"},
        {6, 0, ERR_UNSUPPORTED, "height"},
        {8, 0, ERR_FORMAT, "width of 0"},
        {9, 2, ERR_FORMAT, "frame header"},
        {11, 0x01, ERR_FORMAT, "sampling"},
        {11, 0x15, ERR_FORMAT, "sampling"},
        {12, 4, ERR_FORMAT, "damaged"},
        {12, 3, ERR_FORMAT, "damaged"}, /* a table that is not defined */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size;
        uint8_t *bytes = vector_read("rgb444.jpg", &size);
        bytes[find_segment(bytes, size, SOF0) + cases[i].at] = cases[i].value;
        assert_refused(bytes, size, cases[i].code, cases[i].words);
        mem_free(bytes);
    }
}

/* A header that promises more than the data can hold is refused before any memory is taken for it.
 */
static void test_too_little_data(void **state)
{
    (void)state;
    static const char *const names[] = {"rgb444.jpg", "progressive.jpg"};
    for (size_t i = 0; i < 2; i++) {
        size_t size;
        uint8_t *bytes = vector_read(names[i], &size);
        size_t frame = find_segment(bytes, size, i == 0 ? SOF0 : SOF2);
        bytes[frame + 5] = bytes[frame + 7] = 4000 >> 8;
        mem_fail_at(2); /* the first one is the arena itself */
        assert_refused(bytes, size, ERR_FORMAT, "cannot hold");
        assert_int_equal(mem_fail_left(), 1);
        mem_fail_at(0);
        mem_free(bytes);
    }
}

static void test_tables(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = vector_read("rgb444.jpg", &size);
    const size_t huffman = find_segment(bytes, size, DHT), scan = find_segment(bytes, size, SOS);
    const size_t quantisation = find_segment(bytes, size, DQT);
    const struct {
        size_t at;
        uint8_t value;
    } cases[] = {
        {huffman + 4, 0x20},                        /* neither DC nor AC */
        {huffman + 4, 0x04},                        /* a fifth table */
        {huffman + 5, 3},                           /* three codes of one bit */
        {huffman + 20, 200},                        /* more codes than the segment has symbols */
        {huffman + 20, 255},      {huffman + 3, 3}, /* the segment ends inside the counts */
        {quantisation + 4, 0x05}, {scan + 4, 0},    {scan + 5, 77}, /* no such component */
        {scan + 6, 0x20},                           /* a DC table that is not defined */
        {scan + 6, 0x40},         {scan + 1, 0x02}, /* a marker that does not exist */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t kept = bytes[cases[i].at];
        bytes[cases[i].at] = cases[i].value;
        assert_refused(bytes, size, ERR_FORMAT, "");
        bytes[cases[i].at] = kept;
    }
    mem_free(bytes);
}

/* A scan of one component only: the others would be grey. */
static void test_missing_component(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = vector_read("rgb444.jpg", &size);
    size_t scan = find_segment(bytes, size, SOS);
    bytes[scan + 3] = 8; /* of three components, 12 bytes, make one */
    bytes[scan + 4] = 1;
    memmove(bytes + scan + 7, bytes + scan + 11, size - scan - 11);
    assert_refused(bytes, size - 4, ERR_FORMAT, "cut short");
    mem_free(bytes);
}

/* Pixel data that are cut, with an end marker behind: refused wherever it is cut but for the last
 * bits, which may be only filling; taken when that was asked for. */
static void test_cut(void **state)
{
    (void)state;
    static const char *const names[] = {"rgb420.jpg", "progressive.jpg", "restarts.jpg",
                                        "one_by_one.jpg", "no_tables.jpg"};
    struct image_limits accept = image_limits_default;
    accept.truncated = IMAGE_TRUNCATED_ACCEPT;
    const struct image_decoding accepting = {.limits = &accept};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t size, taken = 0;
        uint8_t *bytes = vector_read(names[i], &size), *cut = mem_new(size + 2, 1);
        struct image full, image;
        struct arena *arena, *second;
        struct err e;
        assert_int_equal(decode(bytes, size, &whole, &full, &second, &e), 0);
        for (size_t n = find_segment(bytes, size, SOS) + 14; n < size - 2; n++) {
            memcpy(cut, bytes, n);
            memcpy(cut + n, "\xff\xd9", 2);
            int rc = decode(cut, n + 2, &whole, &image, &arena, &e);
            if (rc == 0) {
                if (n + 8 < size) fail_msg("%s: cut after %zu of %zu bytes", names[i], n, size);
                const size_t pixels = (size_t)full.width * (size_t)full.height * 3;
                assert_memory_equal(image.pixels, full.pixels, pixels);
            } else {
                assert_int_equal(rc, ERR_FORMAT);
            }
            arena_free(arena);
            taken += decode(cut, n + 2, &accepting, &image, &arena, &e) == 0;
            arena_free(arena);
        }
        assert_true(taken > (size - find_segment(bytes, size, SOS)) / 2);
        arena_free(second);
        mem_free(cut);
        mem_free(bytes);
    }
}

/* Where the data of the scan end whose header begins behind `at`. */
static size_t end_of_scan(const uint8_t *bytes, size_t size, size_t at)
{
    while (at + 1 < size && (bytes[at] != 0xff || bytes[at + 1] != SOS)) at++;
    for (at += 2; at + 1 < size; at++) {
        if (bytes[at] == 0xff && bytes[at + 1] != 0) return at;
    }
    fail_msg("no further scan");
    return 0;
}

/* A progressive grey image with a band of frequencies in each of three scans, all bits of it. */
static void test_bands(void **state)
{
    (void)state;
    size_t size, ends[4];
    uint8_t *bytes = vector_read("bands.jpg", &size), *other = mem_new(size, 1);
    ends[0] = find_segment(bytes, size, SOF2) + 13; /* one component */
    for (int i = 0; i < 3; i++) ends[i + 1] = end_of_scan(bytes, size, ends[i]);
    assert_int_equal(ends[3], size - 2);

    /* It may end behind any scan when it says so; when it just stops, the rest is missing. */
    for (int i = 1; i < 3; i++) {
        memcpy(other, bytes, ends[i]);
        assert_refused(other, ends[i], ERR_FORMAT, "cut short");
        memcpy(other + ends[i], "\xff\xd9", 2);
        assert_taken(other, ends[i] + 2);
    }
    assert_taken(bytes, ends[3]);

    /* Of the first scan alone each block has one colour: nothing is made up. */
    struct image image;
    struct arena *arena;
    struct err e;
    memcpy(other, bytes, ends[1]);
    memcpy(other + ends[1], "\xff\xd9", 2);
    assert_int_equal(decode(other, ends[1] + 2, &whole, &image, &arena, &e), 0);
    for (int y = 0; y < image.height; y++) {
        for (int x = 0; x < image.width; x++) {
            const uint8_t *row = image.pixels + (size_t)(y / 8 * 8 * image.width) * 3;
            assert_int_equal(image.pixels[(y * image.width + x) * 3], row[x / 8 * 8 * 3]);
        }
    }
    arena_free(arena);

    /* Without it, the others are details of nothing. */
    memcpy(other, bytes, ends[0]);
    memcpy(other + ends[0], bytes + ends[1], size - ends[1]);
    assert_refused(other, size - (ends[1] - ends[0]), ERR_FORMAT, "cut short");
    mem_free(other);
    mem_free(bytes);
}

/* A hole in the middle: a restart interval is missing. */
static void test_hole(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = vector_read("restarts.jpg", &size);
    size_t first = find_segment(bytes, size, SOS), begin = 0, end = 0;
    for (size_t at = first; at + 1 < size && end == 0; at++) {
        if (bytes[at] != 0xff || bytes[at + 1] < 0xd0 || bytes[at + 1] > 0xd7) continue;
        if (begin == 0) {
            begin = at;
        } else {
            end = at;
        }
    }
    assert_true(end > begin && begin > 0);
    memmove(bytes + begin, bytes + end, size - end);
    assert_refused(bytes, size - (end - begin), ERR_FORMAT, "cut short");
    mem_free(bytes);
}

/* What follows the pixels is not read. */
static void test_behind_the_end(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = vector_read("rgb420.jpg", &size), *more = mem_new(size + 100, 1);
    memcpy(more, bytes, size);
    memset(more + size - 2, 0x5a, 100); /* no end marker, either */
    assert_taken(more, size + 98);
    memcpy(more + size - 2, "\xff\xd7\xff\xd7\xff\xd9", 6);
    assert_taken(more, size + 4);
    mem_free(more);
    mem_free(bytes);
}

static void test_too_many_scans(void **state)
{
    (void)state;
    enum { COPIES = 60 };
    size_t size;
    uint8_t *bytes = vector_read("progressive_grey.jpg", &size);
    size_t first = find_segment(bytes, size, SOS), end = first + 10;
    while (!(bytes[end] == 0xff && bytes[end + 1] != 0)) end++;
    const size_t scan = end - first, many_size = size + COPIES * scan;
    uint8_t *many = mem_new(many_size, 1);
    memcpy(many, bytes, first);
    for (size_t i = 0; i < COPIES; i++) memcpy(many + first + i * scan, bytes + first, scan);
    memcpy(many + first + COPIES * scan, bytes + first, size - first);

    struct image_info once, info;
    assert_int_equal(image_probe(bytes, size, &once, NULL), 0);
    assert_int_equal(image_probe(many, many_size, &info, NULL), 0);
    assert_true(info.scans_walked);
    assert_int_equal(info.scans, once.scans + COPIES);
    struct image_price price;
    image_price(&info, whole.want, &price);
    assert_int_equal(price.samples, once.scan_samples + COPIES * once.component_samples[0]);

    struct image_limits limits = image_limits_default;
    const struct image_decoding bounded = {.limits = &limits};
    struct image image;
    struct arena *arena;
    struct err e;
    limits.samples_max = info.scan_samples + info.scans * (uint64_t)IMAGE_SCAN_SAMPLES;
    assert_int_equal(decode(many, many_size, &bounded, &image, &arena, &e), 0);
    arena_free(arena);
    limits.samples_max--; /* said by the header */
    assert_int_equal(decode(many, many_size, &bounded, &image, &arena, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "too many scans"));
    arena_free(arena);
    mem_free(many);
    mem_free(bytes);
}

/* Scans behind the part that the header's reader walks over are counted while decoding. */
static void test_hidden_scans(void **state)
{
    (void)state;
    enum { COPIES = 120, COMMENT = 65000, COMMENTS = 5 };
    size_t size;
    uint8_t *bytes = vector_read("progressive_grey.jpg", &size);
    size_t first = find_segment(bytes, size, SOS), end = first + 10;
    while (!(bytes[end] == 0xff && bytes[end + 1] != 0)) end++;
    const size_t scan = end - first, room = COMMENTS * (COMMENT + 2);
    uint8_t *many = mem_new(size + COPIES * scan + room, 1), *to = many;
    memcpy(to, bytes, end);
    to += end;
    for (int i = 0; i < COMMENTS; i++, to += COMMENT + 2) {
        to[0] = 0xff;
        to[1] = 0xfe;
        to[2] = COMMENT >> 8;
        to[3] = COMMENT & 0xff;
    }
    for (size_t i = 0; i < COPIES; i++, to += scan) memcpy(to, bytes + first, scan);
    memcpy(to, bytes + end, size - end);
    to += size - end;

    struct image_info info;
    assert_int_equal(image_probe(many, (size_t)(to - many), &info, NULL), 0);
    assert_false(info.scans_walked);
    assert_true(info.scans < COPIES);
    struct image_limits limits = image_limits_default;
    const struct image_decoding bounded = {.limits = &limits};
    struct image image;
    struct arena *arena;
    struct err e;
    limits.samples_max = (COPIES / 2) * (IMAGE_SCAN_SAMPLES + info.component_samples[0]);
    assert_int_equal(decode(many, (size_t)(to - many), &bounded, &image, &arena, &e), ERR_LIMIT);
    assert_non_null(strstr(e.text, "too many scans"));
    arena_free(arena);
    mem_free(many);
    mem_free(bytes);
}

/* The decoder finds scans behind any amount of garbage, so a walk that does not knows nothing of
 * what the file takes. */
static void test_scans_behind_garbage(void **state)
{
    (void)state;
    enum { GARBAGE = 100000 };
    size_t size;
    uint8_t *bytes = vector_read("progressive_grey.jpg", &size);
    size_t end = find_segment(bytes, size, SOS) + 10;
    while (!(bytes[end] == 0xff && bytes[end + 1] != 0)) end++;
    uint8_t *odd = mem_new(size + GARBAGE, 1);
    memcpy(odd, bytes, end);
    memcpy(odd + end, "\xff\x01", 2); /* ends the scan, and nothing follows */
    memcpy(odd + end + GARBAGE, bytes + end, size - end);
    struct image_info info;
    assert_taken(odd, size + GARBAGE);
    assert_int_equal(image_probe(odd, size + GARBAGE, &info, NULL), 0);
    assert_int_equal(info.scans, 1);
    assert_false(info.scans_walked);
    mem_free(odd);
    mem_free(bytes);
}

static bool count_down(void *arg)
{
    int *left = arg;
    return (*left)-- == 0;
}

/* Decoding ends when it is told to, at any of the times it asks. */
static void test_stop(void **state)
{
    (void)state;
    static const char *const names[] = {"rgb420.jpg", "progressive.jpg"};
    for (size_t i = 0; i < 2; i++) {
        size_t size;
        uint8_t *bytes = vector_read(names[i], &size);
        for (int n = 0;; n++) {
            int left = n;
            const struct image_decoding stopping = {
                .limits = &image_limits_default, .stop = count_down, .stop_arg = &left};
            struct image image;
            struct arena *arena;
            struct err e;
            int rc = decode(bytes, size, &stopping, &image, &arena, &e);
            arena_free(arena);
            if (rc == 0) {
                assert_true(n > 5 && left >= 0);
                break;
            }
            assert_int_equal(rc, ERR_CANCELLED);
            assert_int_equal(left, -1);
        }
        mem_free(bytes);
    }
}

/* The mean of an image, of what is shown of it. */
static double mean_of(const struct image *image)
{
    uint64_t sum = 0;
    const size_t n = (size_t)image->width * (size_t)image->height * 3;
    for (size_t i = 0; i < n; i++) sum += image->pixels[i];
    return (double)sum / (double)n;
}

/* 34x21 pixels: halves, quarters and eighths as long as they are enough; every orientation has
 * them, and the part that is shown lies where the last, incomplete pixel is not. */
static void test_shrink(void **state)
{
    (void)state;
    static const struct {
        int width, height, shrink;
    } cases[] = {{0, 0, 1}, {1, 1, 8},   {4, 2, 8},  {5, 2, 4},  {4, 3, 4},    {8, 5, 4},
                 {8, 6, 2}, {17, 10, 2}, {18, 1, 1}, {1, 11, 1}, {100, 100, 1}};
    size_t size;
    uint8_t *bytes = vector_read("rgb420.jpg", &size);
    struct image full, image;
    struct arena *arena, *second;
    struct err e;
    assert_int_equal(decode(bytes, size, &whole, &full, &second, &e), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct image_decoding smaller = {.limits = &image_limits_default,
                                               .want = {cases[i].width, cases[i].height}};
        const int s = cases[i].shrink;
        assert_int_equal(decode(bytes, size, &smaller, &image, &arena, &e), 0);
        assert_int_equal(image.shrink, s);
        assert_int_equal(image.width, (34 + s - 1) / s);
        assert_int_equal(image.height, (21 + s - 1) / s);
        assert_int_equal(image.full_width, 34);
        assert_int_equal(image.full_height, 21);
        assert_true(image.shown.left == 0 && image.shown.top == 0);
        assert_true(image.shown.width == 34.0 / s && image.shown.height == 21.0 / s);
        const double difference = mean_of(&image) - mean_of(&full);
        if (difference > 8 || difference < -8) fail_msg("1/%d: another image", s);
        arena_free(arena);
    }
    arena_free(second);
    mem_free(bytes);
}

static void test_shrink_turned(void **state)
{
    (void)state;
    for (int value = 1; value <= 8; value++) { /* 19x13 */
        char name[64];
        size_t size;
        struct image image;
        struct arena *arena;
        struct err e;
        snprintf(name, sizeof(name), "turned_%d_mmjpg.jpg", value);
        uint8_t *bytes = vector_read(name, &size);
        const bool exchanged = value >= 5;
        const struct image_decoding smaller = {
            .limits = &image_limits_default,
            .want = {exchanged ? 3 : 4, exchanged ? 4 : 3}}; /* a quarter, however it lies */
        assert_int_equal(decode(bytes, size, &smaller, &image, &arena, &e), 0);
        assert_int_equal(image.shrink, 4);
        assert_int_equal(image.width, exchanged ? 4 : 5);
        assert_int_equal(image.height, exchanged ? 5 : 4);
        assert_int_equal(image.full_width, exchanged ? 13 : 19);
        assert_int_equal(image.full_height, exchanged ? 19 : 13);
        /* Stored 4.75 x 3.25 pixels of 5 x 4; what is missing of the last one lies at the right and
         * at the bottom, and is turned with the rest. */
        const bool left = value == 2 || value == 3 || value == 6 || value == 7;
        const bool top = value == 3 || value == 4 || value == 7 || value == 8;
        const double missing_x = exchanged ? 0.75 : 0.25, missing_y = exchanged ? 0.25 : 0.75;
        assert_true(image.shown.left == (left ? missing_x : 0));
        assert_true(image.shown.top == (top ? missing_y : 0));
        assert_true(image.shown.width == image.width - missing_x);
        assert_true(image.shown.height == image.height - missing_y);
        arena_free(arena);
        mem_free(bytes);
    }
}

/* More garbage between segments than a decoder should bear with. */
static void test_warnings(void **state)
{
    (void)state;
    enum { PLACES = 300 };
    size_t size;
    uint8_t *bytes = vector_read("rgb420.jpg", &size), *more = mem_new(size + 5 * PLACES, 1);
    const size_t first = find_segment(bytes, size, DQT);
    for (int places = 3; places <= PLACES; places += PLACES - 3) {
        uint8_t *to = more;
        memcpy(to, bytes, first);
        to += first;
        for (int i = 0; i < places; i++, to += 5) memcpy(to, "\x55\xff\xfe\0\2", 5);
        memcpy(to, bytes + first, size - first);
        to += size - first;
        if (places == 3) {
            assert_taken(more, (size_t)(to - more));
        } else {
            assert_refused(more, (size_t)(to - more), ERR_FORMAT, "more than 100 places");
        }
    }
    mem_free(more);
    mem_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_too_little_data),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_missing_component),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_bands),
        cmocka_unit_test(test_hole),
        cmocka_unit_test(test_behind_the_end),
        cmocka_unit_test(test_too_many_scans),
        cmocka_unit_test(test_hidden_scans),
        cmocka_unit_test(test_scans_behind_garbage),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_shrink),
        cmocka_unit_test(test_shrink_turned),
        cmocka_unit_test(test_warnings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
