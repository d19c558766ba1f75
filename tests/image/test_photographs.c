/* Photographs as cameras and the web make them, where they are (shared/data or AUTODIDACT_DATA):
 * every one is taken, which shows that the checks before decoding refuse nothing that is good. */
#include "config.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "image/image.h"

static const struct image_decoding decoding = {.limits = &image_limits_default};
static char top[1024];

static void decode_file(const char *path)
{
    char *bytes;
    size_t size;
    struct image image;
    struct err e = {0};
    if (file_read(path, 1 << 24, &bytes, &size, &e) < 0) fail_msg("%s", e.text);
    struct arena *arena = arena_new(1 << 20);
    if (image_decode(bytes, size, &decoding, arena, &image, &e) < 0) {
        fail_msg("%s: %s", path, e.text);
    }
    assert_int_equal(image.width, 64);
    assert_int_equal(image.height, 64);
    uint64_t sum = 0;
    for (size_t i = 0; i < 64 * 64 * 3; i++) sum += image.pixels[i];
    assert_true(sum > 0 && sum < 64 * 64 * 3 * 255);
    arena_free(arena);
    mem_free(bytes);
}

static void test_all(void **state)
{
    (void)state;
    size_t n = 0;
    DIR *classes = opendir(top);
    assert_non_null(classes);
    for (struct dirent *c; (c = readdir(classes)) != NULL;) {
        char folder[1200], path[1400];
        if (c->d_name[0] == '.') continue;
        assert_int_equal(file_join(folder, sizeof(folder), top, c->d_name), 0);
        DIR *images = opendir(folder);
        assert_non_null(images);
        for (struct dirent *i; (i = readdir(images)) != NULL;) {
            if (i->d_name[0] == '.') continue;
            assert_int_equal(file_join(path, sizeof(path), folder, i->d_name), 0);
            decode_file(path);
            n++;
        }
        closedir(images);
    }
    closedir(classes);
    assert_true(n >= 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all)};
    const char *data = getenv("AUTODIDACT_DATA");
    snprintf(top, sizeof(top), "%s/tiny-imagenet-10/val", data != NULL ? data : "../shared/data");
    if (!file_exists(top)) {
        printf("1..0 # SKIP there is no %s\n", top);
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
