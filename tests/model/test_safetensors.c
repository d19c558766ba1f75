/* Safetensors: what is written is read, by ours and by the format's rules; whatever lies is
 * refused. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "../seeded.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/safetensors.h"

static char directory[] = "/tmp/ad-tensors-XXXXXX";
static char path[64];

/* A file of a header and data_size bytes 0, 1, 2..; for mem_free(). The memory is exactly as large,
 * so that a sanitizer sees a read past its end. */
static unsigned char *make_file(const char *header, size_t data_size, size_t *ret_size)
{
    size_t length = strlen(header);
    unsigned char *bytes = mem_new(8 + length + data_size, 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < 8; i++) bytes[i] = (unsigned char)(length >> (8 * i));
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < data_size; i++) bytes[8 + length + i] = (unsigned char)i;
    *ret_size = 8 + length + data_size;
    return bytes;
}

static void assert_refused(const char *header, size_t data_size, int code, const char *words)
{
    size_t size;
    struct err e = {0};
    struct safetensors *file = NULL;
    unsigned char *bytes = make_file(header, data_size, &size);
    int rc = safetensors_parse(bytes, size, &file, &e);
    if (rc != code || e.code != code || strstr(e.text, words) == NULL) {
        fail_msg("%s\nwanted %d with '%s', got %d: %s", header, code, words, rc, e.text);
    }
    assert_null(file);
    mem_free(bytes);
}

static void test_good(void **state)
{
    (void)state;
    size_t size;
    struct err e = {0};
    struct safetensors *file;
    unsigned char *bytes =
        make_file("{\"b\": {\"dtype\": \"F16\", \"shape\": [2, 3], \"data_offsets\": [4, 16]},"
                  " \"__metadata__\": {\"k\": \"v\", \"empty\": \"\"},"
                  " \"none\": {\"dtype\": \"F32\", \"shape\": [0, 7], \"data_offsets\": [4, 4]},"
                  " \"a\": {\"data_offsets\": [0, 4], \"shape\": [], \"dtype\": \"F32\"},"
                  " \"c.d\": {\"dtype\": \"BF16\", \"shape\": [1], \"data_offsets\": [16, 18]}}   ",
                  18, &size);
    if (safetensors_parse(bytes, size, &file, &e) < 0) fail_msg("%s", e.text);
    assert_int_equal(safetensors_count(file), 4);
    static const char *const order[] = {"a", "none", "b", "c.d"};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(safetensors_at(file, i)->name, order[i]);
        assert_ptr_equal(safetensors_find(file, order[i]), safetensors_at(file, i));
    }
    assert_null(safetensors_at(file, 4));
    assert_null(safetensors_find(file, "__metadata__"));
    assert_null(safetensors_find(file, ""));
    assert_null(safetensors_find(file, "zzz"));
    const struct tensor *b = safetensors_find(file, "b");
    assert_int_equal(b->type, TENSOR_F16);
    assert_int_equal(b->n_dims, 2);
    assert_int_equal(b->dims[0], 2);
    assert_int_equal(b->dims[1], 3);
    assert_int_equal(b->count, 6);
    assert_int_equal(b->data[0], 4);
    assert_int_equal(safetensors_find(file, "a")->count, 1); /* a scalar */
    assert_int_equal(safetensors_find(file, "none")->count, 0);
    assert_string_equal(safetensors_meta(file, "k"), "v");
    assert_string_equal(safetensors_meta(file, "empty"), "");
    assert_null(safetensors_meta(file, "other"));
    float value;
    tensor_to_floats(safetensors_find(file, "none"), NULL);
    tensor_to_floats(safetensors_find(file, "c.d"), &value);
    assert_true(value == 0x1.2p-93f); /* 0x1110 as a bfloat */
    safetensors_free(file);
    mem_free(bytes);

    bytes = make_file("{}", 0, &size); /* nothing at all is a file, too */
    assert_int_equal(safetensors_parse(bytes, size, &file, &e), 0);
    assert_int_equal(safetensors_count(file), 0);
    assert_null(safetensors_meta(file, "k"));
    assert_null(safetensors_find(file, "k"));
    safetensors_free(file);
    mem_free(bytes);
    safetensors_free(NULL);
}

#define ONE(dtype, shape, offsets)                                                                 \
    "{\"t\": {\"dtype\": " dtype ", \"shape\": " shape ", \"data_offsets\": " offsets "}}"
#define TWO(first, second)                                                                         \
    "{\"a\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": " first "},"                   \
    " \"b\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": " second "}}"

static void test_lies(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        int code;
        const char *words;
    } cases[] = {
        {ONE("\"F32\"", "[2]", "[0, 8]"), 7, ERR_FORMAT, "t.data_offsets"},
        {ONE("\"F32\"", "[2]", "[0, 8]"), 9, ERR_FORMAT, "end at byte 8"},
        {ONE("\"F32\"", "[2]", "[1, 9]"), 9, ERR_FORMAT, "no hole"},
        {ONE("\"F32\"", "[2]", "[8, 0]"), 8, ERR_FORMAT, "t.data_offsets"},
        {ONE("\"F32\"", "[2]", "[-8, 0]"), 8, ERR_FORMAT, "t.data_offsets"},
        {ONE("\"F32\"", "[2]", "[0, 9223372036854775807]"), 8, ERR_FORMAT, "t.data_offsets"},
        {ONE("\"F32\"", "[2]", "[9223372036854775800, 9223372036854775807]"), 8, ERR_FORMAT,
         "does not lie"},
        {ONE("\"F32\"", "[2]", "[0, 99999999999999999999]"), 8, ERR_FORMAT, "too big"},
        {ONE("\"F32\"", "[3]", "[0, 8]"), 8, ERR_FORMAT, "shape and dtype make 12"},
        {ONE("\"F16\"", "[2]", "[0, 8]"), 8, ERR_FORMAT, "shape and dtype make 4"},
        {ONE("\"F32\"", "[2]", "[0]"), 8, ERR_RANGE, "must have 2 items, not 1"},
        {ONE("\"F32\"", "[2]", "[0, 4, 8]"), 8, ERR_RANGE, "must have 2 items, not 3"},
        {ONE("\"F32\"", "[2]", "[0, 8.0]"), 8, ERR_FORMAT, "two integers"},
        {ONE("\"F32\"", "[2]", "\"0, 8\""), 8, ERR_FORMAT, "must be an array"},
        {ONE("\"F64\"", "[1]", "[0, 8]"), 8, ERR_UNSUPPORTED, "\"F32\", \"F16\", \"BF16\""},
        {ONE("\"I64\"", "[1]", "[0, 8]"), 8, ERR_UNSUPPORTED, "t.dtype"},
        {ONE("4", "[2]", "[0, 8]"), 8, ERR_FORMAT, "t.dtype"},
        {ONE("\"F32\"", "[-2]", "[0, 8]"), 8, ERR_FORMAT, "t.shape[0]"},
        {ONE("\"F32\"", "[2.0]", "[0, 8]"), 8, ERR_FORMAT, "t.shape[0]"},
        {ONE("\"F32\"", "2", "[0, 8]"), 8, ERR_FORMAT, "t.shape"},
        {ONE("\"F32\"", "[4294967296, 4294967296]", "[0, 0]"), 0, ERR_LIMIT, "t.shape"},
        {ONE("\"F32\"", "[4611686018427387904]", "[0, 0]"), 0, ERR_LIMIT, "t.shape"},
        {ONE("\"F32\"", "[1,1,1,1,1,1,1,1,2]", "[0, 8]"), 8, ERR_LIMIT, "9 dimensions"},
        {TWO("[0, 8]", "[0, 8]"), 8, ERR_FORMAT, "no overlap"},
        {TWO("[0, 8]", "[4, 12]"), 12, ERR_FORMAT, "no overlap"},
        {TWO("[0, 8]", "[12, 20]"), 20, ERR_FORMAT, "no hole"},
        {TWO("[8, 16]", "[16, 24]"), 24, ERR_FORMAT, "no hole"},
        {"{\"t\": {\"dtype\": \"F32\", \"shape\": [2]}}", 8, ERR_FORMAT, "t.data_offsets: missing"},
        {"{\"t\": {\"shape\": [2], \"data_offsets\": [0, 8]}}", 8, ERR_FORMAT, "t.dtype: missing"},
        {"{\"t\": {\"dtype\": \"F32\", \"data_offsets\": [0, 8]}}", 8, ERR_FORMAT,
         "t.shape: missing"},
        {"{\"t\": {\"dtype\": \"F32\", \"shape\": [2], \"data_offsets\": [0, 8], \"x\": 1}}", 8,
         ERR_FORMAT, "t.x: unknown"},
        {"{\"t\": 1}", 0, ERR_FORMAT, "t: must be an object"},
        {"{\"t\": {}, \"t\": {}}", 0, ERR_FORMAT, "duplicate"},
        {"{\"__metadata__\": []}", 0, ERR_FORMAT, "__metadata__"},
        {"{\"__metadata__\": {\"k\": 1}}", 0, ERR_FORMAT, "__metadata__.k"},
        {"[]", 0, ERR_FORMAT, "must be an object"},
        {"", 0, ERR_FORMAT, "line 1"},
        {"{", 0, ERR_FORMAT, "line 1"},
        {"{} {}", 0, ERR_FORMAT, "line 1"},
        {"{\"a\\u0000b\": 1}", 0, ERR_FORMAT, "line 1"},
        {"{\"\xff\": 1}", 0, ERR_FORMAT, "line 1"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_refused(cases[i].header, cases[i].data, cases[i].code, cases[i].words);
    }
}

/* Names and messages of strangers do not reach a terminal as they are. */
static void test_printable(void **state)
{
    (void)state;
    assert_refused("{\"\\u001b[31m\\nname\": 1}", 0, ERR_FORMAT, "?[31m?name: must be an object");
}

static void test_short_files(void **state)
{
    (void)state;
    struct safetensors *file = NULL;
    size_t size;
    unsigned char *bytes = make_file(ONE("\"F32\"", "[2]", "[0, 8]"), 8, &size);
    for (size_t n = 0; n < size; n++) {
        struct err e = {0};
        unsigned char *prefix = mem_new(n, 1);
        memcpy(prefix, bytes, n);
        assert_int_equal(safetensors_parse(prefix, n, &file, &e), ERR_FORMAT);
        assert_true(e.text[0] != '\0');
        mem_free(prefix);
    }
    struct err e = {0};
    for (size_t k = 0; k < 8; k++) { /* lengths that are too long by far */
        unsigned char kept = bytes[k];
        bytes[k] = 0xff;
        int rc = safetensors_parse(bytes, size, &file, &e);
        assert_int_equal(rc, k < 3 ? ERR_FORMAT : ERR_LIMIT);
        bytes[k] = kept;
    }
    mem_free(bytes);
}

/* Texts that are small and would be large memory: refused before they are parsed; deep ones, too.
 */
static void test_hostile_json(void **state)
{
    (void)state;
    enum { MANY = 300000 };
    char *text = mem_new(2 * MANY + 32, 1);
    char *p = text + sprintf(text, "{\"a\": [0");
    for (int i = 0; i < MANY; i++) p += sprintf(p, ",0");
    strcpy(p, "]}");
    assert_refused(text, 0, ERR_FORMAT, "262144 values");
    memset(text, '[', 100000);
    text[100000] = '\0';
    assert_refused(text, 0, ERR_FORMAT, "nested deeper");
    mem_free(text);
}

/* A layout of tensors of 4-byte elements. */
enum { TENSORS_MAX = 4, BYTES_MAX = 64 };
struct layout {
    uint32_t n, data;
    uint32_t count[TENSORS_MAX], begin[TENSORS_MAX], end[TENSORS_MAX];
};

/* The rule in another way than the reader has it: every byte of data in exactly one tensor, nothing
 * past it, and no empty tensor in the midst of another. */
static bool is_cover(const struct layout *l)
{
    int touched[BYTES_MAX] = {0};
    for (uint32_t i = 0; i < l->n; i++) {
        if (l->end[i] < l->begin[i] || l->end[i] - l->begin[i] != 4 * l->count[i]) return false;
        if (l->end[i] > l->data) return false;
        for (uint32_t k = l->begin[i]; k < l->end[i]; k++) touched[k]++;
        for (uint32_t k = 0; k < l->n; k++) {
            if (l->count[i] == 0 && l->begin[k] < l->begin[i] && l->begin[i] < l->end[k])
                return false;
        }
    }
    for (uint32_t k = 0; k < l->data; k++) {
        if (touched[k] != 1) return false;
    }
    return true;
}

/* A good layout in random order, with a fault in every other one or so. */
static struct layout random_layout(struct rng *rng)
{
    struct layout l = {.n = 1 + rng_below(rng, TENSORS_MAX)};
    for (uint32_t i = 0; i < l.n; i++) {
        l.count[i] = rng_below(rng, 3);
        l.begin[i] = l.data;
        l.end[i] = l.data += 4 * l.count[i];
    }
    if (rng_below(rng, 2) == 0) {
        const uint32_t i = rng_below(rng, l.n), step = rng_below(rng, 5);
        switch (rng_below(rng, 5)) {
        case 0:
            l.begin[i] += step;
            break;
        case 1:
            l.end[i] += step;
            break;
        case 2:
            l.begin[i] += step, l.end[i] += step;
            break;
        case 3:
            l.count[i] += step;
            break;
        default:
            l.data += step;
            break;
        }
    }
    return l;
}

static void test_random_layouts(void **state)
{
    (void)state;
    enum { ROUNDS = 5000 };
    struct rng rng = seeded(31);
    int accepted = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const struct layout l = random_layout(&rng);
        char header[1024], *p = header;
        uint32_t first = rng_below(&rng, l.n);
        for (uint32_t k = 0; k < l.n; k++) {
            uint32_t i = (first + k) % l.n;
            p += sprintf(p,
                         "%s\"t%" PRIu32 "\": {\"dtype\": \"F32\", \"shape\": [%" PRIu32
                         "], \"data_offsets\": [%" PRIu32 ", %" PRIu32 "]}",
                         k > 0 ? "," : "{", i, l.count[i], l.begin[i], l.end[i]);
        }
        strcpy(p, "}");
        size_t size;
        struct err e = {0};
        struct safetensors *file = NULL;
        unsigned char *bytes = make_file(header, l.data, &size);
        int rc = safetensors_parse(bytes, size, &file, &e);
        if ((rc == 0) != is_cover(&l))
            fail_msg("%s, %" PRIu32 " bytes: %d %s", header, l.data, rc, e.text);
        if (rc == 0) accepted++;
        safetensors_free(file);
        mem_free(bytes);
    }
    assert_in_range(accepted, ROUNDS / 4, ROUNDS * 9 / 10);
}

/* Any byte of a file changed: an error or a file that is sound. */
static void test_random_bytes(void **state)
{
    (void)state;
    enum { ROUNDS = 20000 };
    struct rng rng = seeded(32);
    size_t size;
    unsigned char *bytes = make_file(TWO("[8, 16]", "[0, 8]"), 16, &size);
    unsigned char *copy = mem_new(size, 1);
    for (int round = 0; round < ROUNDS; round++) {
        memcpy(copy, bytes, size);
        for (uint32_t n = 1 + rng_below(&rng, 3); n > 0; n--) {
            copy[rng_below(&rng, (uint32_t)size)] = (unsigned char)rng_below(&rng, 128);
        }
        struct safetensors *file = NULL;
        if (safetensors_parse(copy, size, &file, NULL) < 0) continue;
        for (size_t i = 0; i < safetensors_count(file); i++) {
            float values[64];
            const struct tensor *t = safetensors_at(file, i);
            assert_true(t->count <= 16);
            tensor_to_floats(t, values);
        }
        safetensors_free(file);
    }
    mem_free(copy);
    mem_free(bytes);
}

/* What the writer is given in the tests below. */
static const int64_t dims_a[] = {2, 3}, dims_c[] = {0};
static const float values_a[] = {1, -2.5f, 1.0f / 3, 65504, 1e-7f, -0.0f};
static const float value_b = 3.14159265f;
static const struct tensor_out all[] = {{"conv.weight", 2, dims_a, values_a, TENSOR_F32},
                                        {"scalar", 0, NULL, &value_b, TENSOR_F32},
                                        {"nothing", 1, dims_c, NULL, TENSOR_F32}};
static const struct meta_out meta[] = {{"key", "line\nquote\" back\\ \xc3\xa9 \x01"},
                                       {"other", ""}};

static void set_type(struct tensor_out tensors[3], enum tensor_type type)
{
    for (int i = 0; i < 3; i++) {
        tensors[i] = all[i];
        tensors[i].type = type;
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    for (int type = TENSOR_F32; type <= TENSOR_BF16; type++) {
        char *bytes;
        size_t size;
        struct err e = {0};
        struct safetensors *file;
        struct tensor_out tensors[3];
        set_type(tensors, (enum tensor_type)type);
        if (safetensors_write(path, tensors, 3, meta, 2, &e) < 0) {
            fail_msg("%s", e.text);
        }
        assert_int_equal(file_read(path, 1 << 20, &bytes, &size, &e), 0);
        uint64_t header;
        memcpy(&header, bytes, sizeof(header));
        assert_int_equal(header % 8, 0);
        assert_int_equal(bytes[8], '{');
        assert_int_equal(size, 8 + header + 7 * (type == TENSOR_F32 ? 4 : 2));
        if (safetensors_parse(bytes, size, &file, &e) < 0) fail_msg("%s", e.text);
        assert_int_equal(safetensors_count(file), 3);
        assert_string_equal(safetensors_meta(file, "key"), meta[0].value);
        assert_string_equal(safetensors_meta(file, "other"), "");
        const struct tensor *a = safetensors_find(file, "conv.weight");
        assert_ptr_equal(a, safetensors_at(file, 0)); /* the order given */
        assert_int_equal(a->type, type);
        assert_int_equal(a->n_dims, 2);
        assert_int_equal(a->dims[1], 3);
        float values[6];
        tensor_to_floats(a, values);
        for (int i = 0; i < 6; i++) {
            static const double relative[] = {0, 0x1p-11, 0x1p-8};
            double error = fabs((double)values[i] - (double)values_a[i]);
            assert_true(error <= relative[type] * fabs((double)values_a[i]) +
                                     (type == TENSOR_F16 ? 0x1p-25 : 0));
        }
        assert_true(signbit(values[5]));
        assert_int_equal(safetensors_find(file, "nothing")->count, 0);
        safetensors_free(file);

        /* The same input, the same bytes; the name of the file is not among them. */
        char *again, second[80];
        size_t again_size;
        snprintf(second, sizeof(second), "%s/second", directory);
        assert_int_equal(safetensors_write(second, tensors, 3, meta, 2, &e), 0);
        assert_int_equal(file_read(second, 1 << 20, &again, &again_size, &e), 0);
        assert_int_equal(size, again_size);
        assert_memory_equal(bytes, again, size);
        mem_free(bytes);
        mem_free(again);
    }
}

static void test_write_errors(void **state)
{
    (void)state;
    static const int64_t one[] = {1}, negative[] = {-1};
    static const float big = 1e5f, largest = 3.4028235e38f, infinite = INFINITY;
    struct err e = {0};
    unlink(path);
    struct tensor_out t = {"layer.weight", 1, one, &big, TENSOR_F16};
    assert_int_equal(safetensors_write(path, &t, 1, NULL, 0, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "layer.weight"));
    assert_non_null(strstr(e.text, path));
    t.values = &largest;
    t.type = TENSOR_BF16;
    assert_int_equal(safetensors_write(path, &t, 1, NULL, 0, &e), ERR_RANGE);
    t.values = &infinite; /* infinite it was: a checkpoint may hold that */
    t.type = TENSOR_F16;
    assert_int_equal(safetensors_write(path, &t, 1, NULL, 0, &e), 0);
    unlink(path);
    t.dims = negative;
    assert_int_equal(safetensors_write(path, &t, 1, NULL, 0, &e), ERR_LIMIT);
    static const struct meta_out latin1 = {"key", "\xe9"};
    assert_int_equal(safetensors_write(path, NULL, 0, &latin1, 1, &e), ERR_FORMAT);
    assert_non_null(strstr(e.text, "UTF-8"));
    assert_false(file_exists(path));
    assert_int_equal(safetensors_write("/does/not/exist/m", all, 3, meta, 2, &e), -ENOENT);
    assert_non_null(strstr(e.text, "/does/not/exist/m"));
}

static void test_no_memory(void **state)
{
    (void)state;
    size_t size;
    unsigned char *bytes = make_file(TWO("[8, 16]", "[0, 8]"), 16, &size);
    for (unsigned n = 1;; n++) {
        struct safetensors *file = NULL;
        struct err e = {0};
        mem_fail_at(n);
        int rc = safetensors_parse(bytes, size, &file, &e);
        bool fired = mem_fail_left() == 0;
        mem_fail_at(0);
        safetensors_free(file);
        if (!fired) {
            assert_int_equal(rc, 0);
            assert_true(n > 3);
            break;
        }
        assert_int_equal(rc, -ENOMEM);
        assert_int_equal(e.code, -ENOMEM);
    }
    mem_free(bytes);
    for (unsigned n = 1;; n++) {
        struct err e = {0};
        struct tensor_out tensors[3];
        set_type(tensors, TENSOR_BF16);
        unlink(path);
        mem_fail_at(n);
        int rc = safetensors_write(path, tensors, 3, meta, 2, &e);
        bool fired = mem_fail_left() == 0;
        mem_fail_at(0);
        if (!fired) {
            assert_int_equal(rc, 0);
            assert_true(n > 3);
            break;
        }
        assert_int_equal(rc, -ENOMEM);
        assert_false(file_exists(path));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),         cmocka_unit_test(test_lies),
        cmocka_unit_test(test_printable),    cmocka_unit_test(test_short_files),
        cmocka_unit_test(test_hostile_json), cmocka_unit_test(test_random_layouts),
        cmocka_unit_test(test_random_bytes), cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_write_errors), cmocka_unit_test(test_no_memory),
    };
    if (mkdtemp(directory) == NULL) return 1;
    snprintf(path, sizeof(path), "%s/t.safetensors", directory);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    file_remove_tree(directory, NULL);
    return failed;
}
