/* SHA-256 against the examples of FIPS 180-4 (NIST's "SHA256.pdf"), of blocks and of files. */
#include "config.h"

#include "base/sha256.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

static const struct {
    const char *text;
    size_t repeat;
    const char *hex;
} rows[] = {
    {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
};

static void test_examples(void **state)
{
    (void)state;
    char path[] = "/tmp/test_sha256.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        size_t length = strlen(rows[i].text), size = length * rows[i].repeat;
        char *data = mem_new(size, 1);
        for (size_t k = 0; k < rows[i].repeat; k++) memcpy(data + k * length, rows[i].text, length);
        uint8_t digest[SHA256_SIZE];
        char hex[SHA256_HEX_SIZE], of_file[SHA256_HEX_SIZE];
        sha256(data, size, digest);
        sha256_hex(digest, hex);
        assert_string_equal(hex, rows[i].hex);

        FILE *f = fopen(path, "w");
        assert_int_equal(fwrite(data, 1, size, f), size);
        fclose(f);
        assert_int_equal(sha256_file(path, 1 << 24, of_file, NULL), 0);
        assert_string_equal(of_file, rows[i].hex);
        mem_free(data);
    }
    unlink(path);
    uint8_t digest[SHA256_SIZE];
    sha256(NULL, 0, digest);
    assert_int_equal(digest[0], 0xe3);
}

static void test_errors_name_the_path(void **state)
{
    (void)state;
    char hex[SHA256_HEX_SIZE];
    struct err e = {0};
    assert_int_equal(sha256_file("/nonexistent/x", 1 << 24, hex, &e), -ENOENT);
    assert_non_null(strstr(e.text, "/nonexistent/x"));
    assert_int_equal(sha256_file("/tmp", 1 << 24, hex, &e), -EISDIR);
    assert_non_null(strstr(e.text, "/tmp"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_errors_name_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
