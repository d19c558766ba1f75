/* Prices of inputs: told by headers, refused where decoding would refuse, and never less memory
 * than is asked for. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/serve/price.h"
#include "../image/vectors.h"

static const struct preprocess p = {.width = 32, .height = 32, .std = {1, 1, 1}};

static int price(const void *data, size_t size, size_t memory_max, struct decode_size *ret_size,
                 struct err *e)
{
    const struct input input = {.kind = INPUT_ENCODED, .data = data, .size = size};
    return price_input(&input, &p, &image_limits_default, memory_max, ret_size, e);
}

static void formats_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum decode_format format;
    } rows[] = {{"rgb420.jpg", DECODE_JPEG},
                {"grey.jpg", DECODE_JPEG},
                {"progressive.jpg", DECODE_JPEG_SCANS},
                {"arithmetic.jpg", DECODE_JPEG_SCANS},
                {"rgb16.png", DECODE_PNG}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t bytes;
        uint8_t *data = vector_read(rows[i].name, &bytes);
        struct decode_size size;
        struct err e = {.code = 0};
        if (price(data, bytes, SIZE_MAX, &size, &e) < 0) fail_msg("%s: %s", rows[i].name, e.text);
        if (size.format != rows[i].format) fail_msg("%s: %d", rows[i].name, (int)size.format);
        assert_true(size.bytes > 0 && size.samples > 0 && size.pixels > 0 && !size.estimated);
        assert_true(size.outputs == 1024 && size.width > 0 && size.height > 0);
        assert_true(size.memory_bytes > bytes + 1024 * 3 * sizeof(float));

        assert_int_equal(price(data, bytes, size.memory_bytes, &size, &e), 0);
        assert_int_equal(price(data, bytes, size.memory_bytes - 1, &size, &e), ERR_LIMIT);
        assert_non_null(strstr(e.text, "decode.memory_max_bytes"));
        assert_non_null(strstr(e.text, decode_format_name(size.format)));
        mem_free(data);
    }
}

/* Within the first 256 KiB there may be few scans, and many behind. */
static void what_is_not_walked_over_is_an_estimate(void **state)
{
    (void)state;
    size_t bytes, more = 1 << 20;
    uint8_t *data = vector_read("progressive.jpg", &bytes);
    struct decode_size size;
    struct err e = {.code = 0};
    uint8_t *padded = mem_new(bytes + more, 1);
    assert_non_null(padded);
    memcpy(padded, data, bytes - 2); /* entropy-coded zeros instead of the end */
    assert_int_equal(price(padded, bytes + more, SIZE_MAX, &size, &e), 0);
    assert_true(size.estimated);
    mem_free(padded);
    mem_free(data);
}

static void pixels_have_a_price(void **state)
{
    (void)state;
    struct decode_size size;
    struct err e = {.code = 0};
    struct input input = {.kind = INPUT_U8, .width = 100, .height = 50, .size = 15000};
    assert_int_equal(price_input(&input, &p, &image_limits_default, SIZE_MAX, &size, &e), 0);
    assert_int_equal(size.format, DECODE_RAW);
    assert_true(size.samples == 15000 && size.outputs == 1024 && size.bytes == 0);
    input = (struct input){.kind = INPUT_F32, .width = 32, .height = 32, .size = 12288};
    assert_int_equal(price_input(&input, &p, &image_limits_default, SIZE_MAX, &size, &e), 0);
    assert_true(size.outputs == 0);
    input.width = 1 << 30;
    assert_int_equal(price_input(&input, &p, &image_limits_default, SIZE_MAX, &size, &e),
                     ERR_LIMIT);
}

static void what_would_not_be_decoded_has_none(void **state)
{
    (void)state;
    size_t bytes;
    uint8_t *data = vector_read("rgb444.jpg", &bytes);
    struct image_limits limits = image_limits_default;
    struct decode_size size;
    struct err e = {.code = 0};
    assert_int_equal(price("hello", 5, SIZE_MAX, &size, &e), ERR_UNSUPPORTED);
    assert_int_equal(price("", 0, SIZE_MAX, &size, &e), ERR_FORMAT);
    assert_int_equal(price(data, 20, SIZE_MAX, &size, &e), ERR_FORMAT);
    limits.pixels_max = 10;
    const struct input input = {.kind = INPUT_ENCODED, .data = data, .size = bytes};
    assert_int_equal(price_input(&input, &p, &limits, SIZE_MAX, &size, &e), ERR_LIMIT);
    mem_free(data);
}

static void the_machine_has_a_speed(void **state)
{
    (void)state;
    double slowness = price_slowness();
    print_message("# %.3f times as slow as where prices were measured\n", slowness);
    assert_true(slowness > 0.01 && slowness < 1000);
    mem_fail_at(1);
    assert_true(price_slowness() == 1);
    mem_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_told_apart),
        cmocka_unit_test(what_is_not_walked_over_is_an_estimate),
        cmocka_unit_test(pixels_have_a_price),
        cmocka_unit_test(what_would_not_be_decoded_has_none),
        cmocka_unit_test(the_machine_has_a_speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
