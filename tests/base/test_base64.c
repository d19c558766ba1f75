/* Base64: RFC 4648's vectors, every length there and back, and what must be refused. */
#include "config.h"

#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/rng.h"

static int decode(const char *text, unsigned char *ret, size_t *ret_size)
{
    return base64_decode(text, strlen(text), ret, ret_size);
}

static void test_vectors(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"", ""},
        {"Zg==", "f"},
        {"Zm8=", "fo"},
        {"Zm9v", "foo"},
        {"Zm9vYg==", "foob"},
        {"Zm9vYmE=", "fooba"},
        {"Zm9vYmFy", "foobar"},
        {" Zm9v\r\nYm\tFy \n", "foobar"}, /* white space */
        {"Zg", "f"},                      /* without padding */
        {"Zm8\n", "fo"},
        {"Zm9vYg", "foob"},
        {"+/+/", "\xfb\xff\xbf"},
        {"-_-_", "\xfb\xff\xbf"}, /* the alphabet of URLs */
        {"-_-_-w==", "\xfb\xff\xbf\xfb"},
        {"-_-_-w", "\xfb\xff\xbf\xfb"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        unsigned char out[64];
        size_t size = 99;
        assert_true(base64_decoded_max(strlen(rows[i][0])) <= sizeof(out));
        assert_int_equal(decode(rows[i][0], out, &size), 0);
        assert_int_equal(size, strlen(rows[i][1]));
        assert_memory_equal(out, rows[i][1], size);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "Z",
        "Zg=",
        "Zg =",
        "Zm9vY",
        "Zm9vY=",
        "Zh" /* bits after the end */,
        "-_+/" /* both alphabets */,
        "====",
        "=",
        "Z===",
        "Zg==Zg==",
        "Zm9v!",
        "Zm-/",
        "Zm9v====",
        "Zh==" /* bits after the end */,
        "Zm9=",
        "\xc3\xa4mzz",
        "Zm9vYmFy=",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        unsigned char out[64];
        size_t size = 99;
        assert_int_equal(decode(rows[i], out, &size), ERR_FORMAT);
        assert_int_equal(size, 99); /* set on success only */
    }
    unsigned char out[64];
    size_t size;
    assert_int_equal(base64_decode("Zm\0v", 4, out, &size), ERR_FORMAT);
}

static size_t encode(const unsigned char *data, size_t size, char *ret)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t used = 0;
    for (size_t i = 0; i < size; i += 3) {
        size_t n = size - i < 3 ? size - i : 3;
        uint32_t word = 0;
        for (size_t k = 0; k < 3; k++) word = word << 8 | (k < n ? data[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            ret[used++] = k <= n ? digits[word >> (18 - 6 * k) & 63] : '=';
    }
    return used;
}

/* The output block is exactly as large as promised, so that a sanitizer sees one byte too many. */
static void test_there_and_back(void **state)
{
    (void)state;
    enum { MAX = 200 };
    static const uint64_t seed = 11;
    print_message("# seed %llu\n", (unsigned long long)seed);
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 0, 0);
    for (size_t size = 0; size < MAX; size++) {
        unsigned char data[MAX];
        char text[2 * MAX];
        for (size_t i = 0; i < size; i++) data[i] = (unsigned char)rng_u32(&r);
        size_t length = encode(data, size, text), got;
        unsigned char *out = mem_new(base64_decoded_max(length), 1);
        assert_int_equal(base64_decode(text, length, out, &got), 0);
        assert_int_equal(got, size);
        assert_memory_equal(out, data, size);
        /* One character destroyed anywhere is never read past the block. */
        for (size_t i = 0; i < length; i++) {
            char old = text[i];
            text[i] = (char)rng_u32(&r);
            if (base64_decode(text, length, out, &got) == 0) assert_true(got <= size + 2);
            text[i] = old;
        }
        mem_free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
