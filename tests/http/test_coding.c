/* Content codings: what the two headers mean, and unpacking. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "../../src/http/coding.h"
#include "../../src/http/unpack.h"
#include "../seeded.h"
#include "base/mem.h"

static void content_encoding(void **state)
{
    (void)state;
    static const struct {
        const char *values[3];
        int coding; /* or a code */
        const char *words;
    } rows[] = {
        {{"gzip"}, CODING_GZIP, ""},
        {{"x-gzip"}, CODING_GZIP, ""},
        {{"GZip"}, CODING_GZIP, ""},
        {{"deflate"}, CODING_DEFLATE, ""},
        {{"identity"}, CODING_IDENTITY, ""},
        {{""}, CODING_IDENTITY, ""},
        {{" , ,"}, CODING_IDENTITY, ""},
        {{"identity, gzip"}, CODING_GZIP, ""},
        {{", \tgzip ,identity,"}, CODING_GZIP, ""},
        {{"identity", "deflate"}, CODING_DEFLATE, ""},
        {{"gzip, gzip"}, ERR_UNSUPPORTED, "several"},
        {{"gzip", "gzip"}, ERR_UNSUPPORTED, "several"},
        {{"deflate, gzip"}, ERR_UNSUPPORTED, "several"},
        {{"br"}, ERR_UNSUPPORTED, "\"br\"; taken: gzip, deflate"},
        {{"gzip, zstd"}, ERR_UNSUPPORTED, "\"zstd\""},
        {{"gzip;q=1"}, ERR_UNSUPPORTED, "\"gzip;q=1\""},
        {{"gzip deflate"}, ERR_UNSUPPORTED, "\"gzip deflate\""},
        {{"*"}, ERR_UNSUPPORTED, "\"*\""},
        {{"\xc3\xa4"}, ERR_UNSUPPORTED, "\"??\""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        enum coding coding = CODING_IDENTITY;
        struct err e = {0};
        int rc = 0;
        for (size_t k = 0; rc == 0 && k < 3 && rows[i].values[k] != NULL; k++)
            rc = coding_add(&coding, rows[i].values[k], &e);
        if ((rc < 0 ? rc : (int)coding) != rows[i].coding ||
            (rc < 0 && strstr(e.text, rows[i].words) == NULL))
            fail_msg("row %zu: %d, %s", i, rc < 0 ? rc : (int)coding, e.text);
    }
}

static void accept_encoding(void **state)
{
    (void)state;
    static const struct {
        const char *values[3];
        bool gzip, identity;
    } rows[] = {
        {{NULL}, false, true},
        {{""}, false, true},
        {{"gzip"}, true, true},
        {{"X-GZIP"}, true, true},
        {{"gzip, deflate, br"}, true, true},
        {{"br;q=1.0, gzip;q=0.8, *;q=0.1"}, true, true},
        {{"gzip;q=0"}, false, true},
        {{"gzip; q=0.000"}, false, true},
        {{"gzip;q=0.001"}, true, true},
        {{"gzip ;\tQ=1.000"}, true, true},
        {{"*"}, true, true},
        {{"*;q=0"}, false, false},
        {{"*;q=0, gzip"}, true, false},
        {{"gzip;q=0, *"}, false, true},
        {{"identity"}, false, true},
        {{"identity;q=0"}, false, false},
        {{"identity;q=0, gzip;q=0.1"}, true, false},
        {{"identity;q=0.5, gzip;q=1"}, true, true},
        {{"identity;q=1, gzip;q=0.5"}, false, true},
        {{"identity, gzip"}, true, true},
        {{"identity", "gzip"}, true, true},
        {{"deflate", "", "gzip;q=0"}, false, true},
        {{"deflate"}, false, true},
        /* Malformed members are not there. */
        {{"gzip;q=2"}, false, true},
        {{"gzip;q=1.001"}, false, true},
        {{"gzip;q=0.1234"}, false, true},
        {{"gzip;q=-1"}, false, true},
        {{"gzip;q="}, false, true},
        {{"gzip;q"}, false, true},
        {{"gzip;"}, false, true},
        {{"gzip;level=1"}, false, true},
        {{"gzip;q=.5"}, false, true},
        {{"gzip;q=0x1"}, false, true},
        {{";q=1"}, false, true},
        {{"gzip deflate"}, false, true},
        {{"gzip;q=2, *;q=0.5"}, true, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct coding_wish wish;
        coding_wish_init(&wish);
        for (size_t k = 0; k < 3 && rows[i].values[k] != NULL; k++)
            coding_wish_add(&wish, rows[i].values[k]);
        if (coding_wish_gzip(&wish) != rows[i].gzip ||
            coding_wish_identity(&wish) != rows[i].identity)
            fail_msg("row %zu", i);
    }
}

/* ---- unpacking ---- */

enum { MAX = 300000, GZIP = 31, ZLIB = 15, RAW = -15 };

static unsigned char packed[2 * MAX], plain[MAX];

static size_t pack(int window, const void *data, size_t size, unsigned char *to)
{
    z_stream z = {.next_in = (unsigned char *)data, .avail_in = (unsigned)size};
    z.next_out = to;
    z.avail_out = MAX;
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

/* The whole, in calls of at most `step` bytes; 0, or a code. */
static int unpack(enum coding coding, const void *data, size_t size, size_t step, struct buf *out,
                  struct err *e)
{
    /* A copy without a byte to spare, for AddressSanitizer. */
    void *copy = mem_new(size > 0 ? size : 1, 1);
    assert_non_null(copy);
    memcpy(copy, data, size);
    struct unpacker *u = unpacker_new(coding, copy, size);
    int rc = u == NULL ? -ENOMEM : 1;
    while (rc == 1) {
        const size_t before = out->size;
        rc = unpacker_run(u, step, out, e);
        assert_true(rc <= 1 && out->size - before <= step && out->size <= out->max);
    }
    unpacker_free(u);
    mem_free(copy);
    return rc;
}

static void there_and_back(void **state)
{
    (void)state;
    struct rng rng = seeded(5);
    static const int windows[] = {GZIP, ZLIB, RAW, 16 + 9, 9, -9};
    for (int round = 0; round < 60; round++) {
        const size_t size = round < 6 ? 0 : rng_below(&rng, round < 40 ? 2000 : MAX);
        const unsigned spread = 1 + rng_below(&rng, 255);
        for (size_t i = 0; i < size; i++) plain[i] = (unsigned char)rng_below(&rng, spread);
        const int window = windows[round % 6];
        const enum coding coding = window > ZLIB ? CODING_GZIP : CODING_DEFLATE;
        const size_t n = pack(window, plain, size, packed);
        for (size_t step = 1 + rng_below(&rng, 3000);; step = SIZE_MAX) {
            struct buf out;
            struct err e = {0};
            buf_init(&out, MAX);
            if (unpack(coding, packed, n, step, &out, &e) < 0) fail_msg("%d: %s", round, e.text);
            assert_int_equal(out.size, size);
            if (size > 0) assert_memory_equal(out.data, plain, size);
            buf_release(&out);
            if (step == SIZE_MAX) break;
        }
    }
}

static void refused(enum coding coding, const void *data, size_t size, size_t max, int code,
                    const char *words)
{
    struct buf out;
    struct err e = {0};
    buf_init(&out, max);
    const int rc = unpack(coding, data, size, SIZE_MAX, &out, &e);
    if (rc != code || strstr(e.text, words) == NULL)
        fail_msg("%d instead of %d: \"%s\" without \"%s\"", rc, code, e.text, words);
    buf_release(&out);
}

/* Every shorter body, one with something behind it, one with another byte in its checksum. */
static void broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < 1000; i++) plain[i] = (unsigned char)(i * i >> 3);
    for (int k = 0; k < 3; k++) {
        const int window = k == 0 ? GZIP : k == 1 ? ZLIB : RAW;
        const enum coding coding = k == 0 ? CODING_GZIP : CODING_DEFLATE;
        const size_t n = pack(window, plain, 1000, packed);
        for (size_t cut = 0; cut < n; cut++)
            refused(coding, packed, cut, MAX, ERR_FORMAT, cut > 2 ? "cut short" : "");
        for (int tail = 0; tail < 256; tail += 51) {
            packed[n] = (unsigned char)tail;
            refused(coding, packed, n + 1, MAX, ERR_FORMAT, "behind the end");
        }
        if (k == 2) continue; /* which has no checksum */
        packed[n - 1] ^= 1;
        refused(coding, packed, n, MAX, ERR_FORMAT, "incorrect");
    }
    const size_t n = pack(GZIP, plain, 1000, packed);
    packed[n] = 0x1f;
    refused(CODING_GZIP, packed, n + 1, MAX, ERR_FORMAT, "cut short");
    refused(CODING_DEFLATE, packed, n, MAX, ERR_FORMAT, "not deflate");
    refused(CODING_GZIP, "plain text", 10, MAX, ERR_FORMAT, "not gzip");
    refused(CODING_GZIP, "", 0, MAX, ERR_FORMAT, "cut short");
    refused(CODING_DEFLATE, "\x78\xbb\x01\x02\x03\x04", 6, MAX, ERR_FORMAT, "dictionary");
}

/* RFC 1952, 2.2: members that follow each other. */
static void members(void **state)
{
    (void)state;
    size_t n = 0;
    for (int i = 0; i < 100; i++) n += pack(GZIP, &"abc"[i % 3], i % 4 == 0 ? 0 : 1, packed + n);
    struct buf out;
    struct err e = {0};
    buf_init(&out, 75);
    assert_int_equal(unpack(CODING_GZIP, packed, n, SIZE_MAX, &out, &e), 0);
    assert_int_equal(out.size, 75);
    assert_memory_equal(out.data, "bcacab", 6);
    buf_release(&out);
}

/* What unfolds without end stops at the bound. */
static void bombs(void **state)
{
    (void)state;
    memset(plain, 0, MAX);
    for (int k = 0; k < 3; k++) {
        const int window = k == 0 ? GZIP : k == 1 ? ZLIB : RAW;
        const enum coding coding = k == 0 ? CODING_GZIP : CODING_DEFLATE;
        const size_t n = pack(window, plain, MAX, packed);
        assert_true(n < 1000);
        refused(coding, packed, n, MAX - 1, ERR_LIMIT, "more than the 299999 bytes");
        struct buf out;
        struct err e = {0};
        buf_init(&out, MAX);
        assert_int_equal(unpack(coding, packed, n, 100, &out, &e), 0);
        buf_release(&out);
    }
}

static void memory_fails(void **state)
{
    (void)state;
    const size_t n = pack(GZIP, plain, 1000, packed);
    for (unsigned nth = 1;; nth++) {
        struct buf out;
        struct err e = {0};
        buf_init(&out, MAX);
        struct unpacker *u;
        mem_fail_at(nth);
        u = unpacker_new(CODING_GZIP, packed, n);
        const int rc = u == NULL ? -ENOMEM : unpacker_run(u, SIZE_MAX, &out, &e);
        mem_fail_at(0);
        unpacker_free(u);
        buf_release(&out);
        if (rc == 0) break;
        assert_int_equal(rc, -ENOMEM);
        assert_true(nth < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(content_encoding), cmocka_unit_test(accept_encoding),
        cmocka_unit_test(there_and_back),   cmocka_unit_test(broken),
        cmocka_unit_test(members),          cmocka_unit_test(bombs),
        cmocka_unit_test(memory_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
