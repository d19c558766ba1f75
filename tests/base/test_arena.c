/* Arenas: alignment, no overlap, the maximum, what a reset keeps. */
#include "config.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"

enum { MIB = 1 << 20 };

/* Random sizes, each object filled with its own number: afterwards all hold what was put in. */
static void test_objects_do_not_overlap(void **state)
{
    (void)state;
    enum { OBJECTS = 300 };
    static const uint64_t seed = 20260101;
    print_message("# seed %llu\n", (unsigned long long)seed);
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 0, 0);
    struct arena *arena = arena_new(64 * MIB);
    assert_non_null(arena);
    for (int round = 0; round < 4; round++) {
        unsigned char *objects[OBJECTS];
        size_t sizes[OBJECTS], sum = 0;
        for (int i = 0; i < OBJECTS; i++) {
            sizes[i] = rng_below(&r, i % 10 == 0 ? 200000 : 300);
            objects[i] = arena_alloc(arena, sizes[i], 1);
            assert_non_null(objects[i]);
            assert_int_equal((uintptr_t)objects[i] % 64, 0);
            memset(objects[i], i & 255, sizes[i]);
            sum += sizes[i];
            assert_true(arena_used(arena) >= sum);
        }
        for (int i = 0; i < OBJECTS; i++) {
            for (size_t k = 0; k < sizes[i]; k++) assert_int_equal(objects[i][k], i & 255);
        }
        arena_reset(arena);
        assert_int_equal(arena_used(arena), 0);
    }
    arena_free(arena);
}

static void test_maximum_holds(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1000);
    assert_null(arena_alloc(arena, 1001, 1));
    assert_null(arena_alloc(arena, SIZE_MAX, 1));
    assert_null(arena_alloc(arena, SIZE_MAX / 2, 3));
    size_t n = 0;
    while (arena_alloc(arena, 64, 1) != NULL) n++;
    assert_int_equal(n, 1000 / 64);
    assert_null(arena_alloc(arena, 64, 1));
    arena_reset(arena);
    assert_non_null(arena_alloc(arena, 900, 1));
    arena_free(arena);

    arena = arena_new(0);
    assert_null(arena_alloc(arena, 0, 0));
    arena_free(arena);
    arena_free(NULL);
}

static void test_strings(void **state)
{
    (void)state;
    struct arena *arena = arena_new(MIB);
    char *a = arena_strndup(arena, "hello", 3), *b = arena_strndup(arena, "hi", SIZE_MAX);
    assert_string_equal(a, "hel");
    assert_string_equal(b, "hi");
    arena_free(arena);
}

/* A steady stream of equal requests must not touch the heap after the first. */
static void test_reset_keeps_a_block(void **state)
{
    (void)state;
    struct arena *arena = arena_new(MIB);
    assert_non_null(arena_alloc(arena, 500000, 1));
    assert_non_null(arena_alloc(arena, 100, 1)); /* in a second, smaller block */
    for (int i = 0; i < 10; i++) {
        arena_reset(arena);
        mem_fail_at(1);
        assert_non_null(arena_alloc(arena, 500000, 1));
        assert_int_equal(mem_fail_left(), 1);
        mem_fail_at(0);
    }
    arena_free(arena);
}

static void test_out_of_memory(void **state)
{
    (void)state;
    mem_fail_at(1);
    assert_null(arena_new(MIB));
    struct arena *arena = arena_new(MIB);
    mem_fail_at(1);
    assert_null(arena_alloc(arena, 10, 10));
    mem_fail_at(1);
    assert_null(arena_strndup(arena, "x", 1));
    assert_int_equal(arena_used(arena), 0);
    assert_non_null(arena_alloc(arena, 10, 10)); /* usable afterwards */
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects_do_not_overlap),
        cmocka_unit_test(test_maximum_holds),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_reset_keeps_a_block),
        cmocka_unit_test(test_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
