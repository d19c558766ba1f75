/* The heap: checked products, alignment, empty blocks, the allocation that is made to fail. */
#include "config.h"

#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_new_is_zeroed(void **state)
{
    (void)state;
    for (size_t size = 1; size < 5000; size = size * 3 + 1) {
        unsigned char *p = mem_new(3, size);
        assert_non_null(p);
        for (size_t i = 0; i < 3 * size; i++) assert_int_equal(p[i], 0);
        memset(p, 0xa5, 3 * size); /* so that the next one meets dirty memory */
        mem_free(p);
    }
}

static void test_aligned(void **state)
{
    (void)state;
    void *p[20];
    for (size_t i = 0; i < 20; i++) {
        p[i] = mem_new_aligned(i, 7);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % MEM_ALIGN, 0);
        memset(p[i], 1, i * 7);
    }
    for (size_t i = 0; i < 20; i++) mem_free(p[i]);
    mem_free(NULL);
}

static void test_empty_blocks_are_blocks(void **state)
{
    (void)state;
    void *a = mem_new(0, 8), *b = mem_new(8, 0), *c = mem_new_aligned(0, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_ptr_not_equal(a, b);
    void *d = mem_grow(a, 0, 4); /* realloc(p, 0) would free */
    assert_non_null(d);
    mem_free(d);
    mem_free(b);
    mem_free(c);
}

static void test_products_that_overflow(void **state)
{
    (void)state;
    assert_null(mem_new(SIZE_MAX / 2 + 1, 2));
    assert_null(mem_new(SIZE_MAX / 4, 5));
    assert_null(mem_new(SIZE_MAX, 1));
    assert_null(mem_new_aligned(SIZE_MAX / 2 + 1, 2));
    assert_null(mem_new_aligned((size_t)PTRDIFF_MAX + 1, 1));
    char *p = mem_new(1, 1);
    *p = 'x';
    assert_null(mem_grow(p, SIZE_MAX, 2));
    assert_int_equal(*p, 'x'); /* the old block stays */
    mem_free(p);
}

static void test_size(void **state)
{
    (void)state;
    size_t n = 99;
    assert_int_equal(mem_size(6, 7, 8, &n), 0);
    assert_int_equal(n, 50);
    assert_int_equal(mem_size(SIZE_MAX, 1, 0, &n), 0);
    assert_int_equal(n == SIZE_MAX, 1);
    assert_int_equal(mem_size(SIZE_MAX, 1, 1, &n), -EOVERFLOW);
    assert_int_equal(mem_size(SIZE_MAX / 2 + 1, 2, 0, &n), -EOVERFLOW);
    assert_int_equal(n == SIZE_MAX, 1); /* set on success only */
    assert_int_equal(mem_size(SIZE_MAX, 0, 5, &n), 0);
    assert_int_equal(n, 5);
}

static void test_strings(void **state)
{
    (void)state;
    char *a = mem_strdup("hello"), *b = mem_strndup("hello", 3), *c = mem_strndup("hi", 99);
    char *d = mem_strdup("");
    const char raw[3] = {'a', 'b', 'c'}; /* not terminated */
    char *f = mem_strndup(raw, 3);
    assert_string_equal(a, "hello");
    assert_string_equal(b, "hel");
    assert_string_equal(c, "hi");
    assert_string_equal(d, "");
    assert_string_equal(f, "abc");
    mem_free(a);
    mem_free(b);
    mem_free(c);
    mem_free(d);
    mem_free(f);
}

static void test_nth_allocation_fails_once(void **state)
{
    (void)state;
    mem_fail_at(3);
    void *a = mem_new(1, 1), *b = mem_new_aligned(1, 1);
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(mem_fail_left(), 1);
    assert_null(mem_strdup("third"));
    assert_int_equal(mem_fail_left(), 0);
    void *c = mem_strdup("fourth");
    assert_non_null(c);
    mem_fail_at(1);
    assert_null(mem_grow(c, 100, 1));
    mem_fail_at(1);
    assert_null(mem_new_aligned(1, 1));
    mem_fail_at(1);
    assert_null(mem_new(1, 1));
    mem_fail_at(5);
    mem_fail_at(0);
    assert_int_equal(mem_fail_left(), 0);
    mem_free(a);
    mem_free(b);
    mem_free(c);
}

enum { THREADS = 4, EACH = 500 };

static void *allocate(void *arg)
{
    atomic_uint *failed = arg;
    for (int i = 0; i < EACH; i++) {
        void *p = mem_new(1, 16);
        if (p == NULL) atomic_fetch_add(failed, 1);
        mem_free(p);
    }
    return NULL;
}

static void test_exactly_one_fails_among_threads(void **state)
{
    (void)state;
    for (unsigned n = 1; n < THREADS * EACH; n += 333) {
        atomic_uint failed = 0;
        pthread_t threads[THREADS];
        mem_fail_at(n);
        for (int i = 0; i < THREADS; i++) {
            assert_int_equal(pthread_create(&threads[i], NULL, allocate, &failed), 0);
        }
        for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
        assert_int_equal(atomic_load(&failed), 1);
        assert_int_equal(mem_fail_left(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_is_zeroed),
        cmocka_unit_test(test_aligned),
        cmocka_unit_test(test_empty_blocks_are_blocks),
        cmocka_unit_test(test_products_that_overflow),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_nth_allocation_fails_once),
        cmocka_unit_test(test_exactly_one_fails_among_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
