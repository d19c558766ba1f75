/* Placement: what lives at the same time never overlaps, and what does not shares memory. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/nn/place.h"
#include "base/rng.h"

enum { ITEMS = 24 };

static bool overlap(const struct place_item *a, const struct place_item *b)
{
    return a->first <= b->last && b->first <= a->last && a->offset < b->offset + b->size &&
           b->offset < a->offset + a->size;
}

/* Random lifetimes: no overlap, nothing past the end, never more than the sum of all sizes and
 * never less than what lives at one time. */
static void test_random(void **state)
{
    (void)state;
    const uint64_t seed = 99;
    for (uint32_t round = 0; round < 500; round++) {
        struct place_item items[ITEMS];
        int order[ITEMS];
        struct rng rng;
        rng_init(&rng, seed, RNG_TEST, round, 0);
        size_t sum = 0, live_max = 0;
        for (int i = 0; i < ITEMS; i++) {
            items[i].size = rng_below(&rng, 50); /* 0 too */
            items[i].first = (int)rng_below(&rng, 30);
            items[i].last = items[i].first + (int)rng_below(&rng, 8) - 1; /* before first too */
            sum += items[i].size;
        }
        for (int time = 0; time < 40; time++) {
            size_t live = 0;
            for (int i = 0; i < ITEMS; i++)
                live += items[i].first <= time && time <= items[i].last ? items[i].size : 0;
            live_max = live > live_max ? live : live_max;
        }
        size_t whole = place_items(items, ITEMS, order);
        if (whole > sum || whole < live_max)
            fail_msg("seed %d, round %u: %zu, not within %zu..%zu", (int)seed, round, whole,
                     live_max, sum);
        for (int i = 0; i < ITEMS; i++) {
            bool placed = items[i].size > 0 && items[i].first <= items[i].last;
            for (int j = 0; placed && j < i; j++) {
                if (items[j].size > 0 && items[j].first <= items[j].last &&
                    overlap(&items[i], &items[j]))
                    fail_msg("seed %d, round %u: items %d and %d overlap", (int)seed, round, i, j);
            }
            if (placed) assert_true(items[i].offset + items[i].size <= whole);
        }
    }
}

/* A chain, in which each value is read by the next operation only, needs two buffers. */
static void test_chain(void **state)
{
    (void)state;
    struct place_item items[ITEMS];
    int order[ITEMS];
    for (int i = 0; i < ITEMS; i++)
        items[i] = (struct place_item){.size = 100, .first = i, .last = i + 1};
    assert_int_equal(place_items(items, ITEMS, order), 200);
    assert_int_equal(place_items(items, 0, order), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_chain),
    };
    return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
