/* The slot: readers keep what they took while a writer exchanges versions; nothing is freed too
 * early (sanitizers watch) or never. */
#include "config.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/slot.h"
#include "tiny_model.h"

static atomic_int alive;

static void count_freed(void *attached)
{
    assert_true(*(int *)attached == 42);
    mem_free(attached);
    atomic_fetch_sub(&alive, 1);
}

static struct model *new_version(int64_t version)
{
    struct model *m = tiny_load();
    int *attached = mem_new(1, sizeof(*attached));
    assert_non_null(attached);
    *attached = 42;
    m->version = version;
    m->attached = attached;
    m->attached_free = count_freed;
    atomic_fetch_add(&alive, 1);
    return m;
}

static void test_references(void **state)
{
    (void)state;
    struct slot *slot = slot_new();
    assert_null(slot_acquire(slot));
    slot_exchange(slot, new_version(1));
    struct model *first = slot_acquire(slot), *also = slot_acquire(slot);
    assert_ptr_equal(first, also);
    slot_exchange(slot, new_version(2));
    assert_int_equal(atomic_load(&alive), 2);
    assert_int_equal(first->version, 1);
    model_unref(first);
    assert_int_equal(atomic_load(&alive), 2);
    model_unref(also);
    assert_int_equal(atomic_load(&alive), 1);
    struct model *second = slot_acquire(slot);
    slot_free(slot);
    assert_int_equal(second->version, 2);
    model_unref(second);
    assert_int_equal(atomic_load(&alive), 0);
    slot_free(NULL);
    slot = slot_new();
    slot_free(slot); /* empty */
}

enum { READERS = 3, VERSIONS = 60 };

struct reading {
    struct slot *slot;
    atomic_bool *stop;
    bool good;
};

static void *read_versions(void *arg)
{
    struct reading *r = arg;
    int64_t last = 0;
    r->good = true;
    while (!atomic_load(r->stop)) {
        struct model *m = slot_acquire(r->slot);
        r->good = r->good && m->version >= last && *(int *)m->attached == 42 &&
                  strcmp(m->name, "tiny") == 0;
        last = m->version;
        model_unref(m);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct slot *slot = slot_new();
    struct reading readings[READERS];
    pthread_t threads[READERS];
    atomic_bool stop = false;
    slot_exchange(slot, new_version(1));
    for (int i = 0; i < READERS; i++) {
        readings[i] = (struct reading){slot, &stop, false};
        assert_int_equal(pthread_create(&threads[i], NULL, read_versions, &readings[i]), 0);
    }
    for (int64_t version = 2; version < VERSIONS; version++)
        slot_exchange(slot, new_version(version));
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(readings[i].good);
    }
    assert_int_equal(atomic_load(&alive), 1);
    slot_free(slot);
    assert_int_equal(atomic_load(&alive), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, tiny_begin, tiny_end);
}
