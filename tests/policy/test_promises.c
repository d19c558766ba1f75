/* Promises against a list that is gone through one by one. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "policy/promises.h"

enum { N = 300, LEVELS = 5 };

/* Those that are in, by deadline; the order among equals changes neither sums nor needs. */
static int64_t naive_due(const struct promise *all, int level, int64_t after_ns)
{
    int64_t need = INT64_MIN;
    for (int i = 0; i < N; i++) {
        if (!all[i].kept || all[i].deadline_ns <= after_ns) continue;
        int64_t due = 0;
        for (int k = 0; k < N; k++)
            if (all[k].kept && all[k].deadline_ns <= all[i].deadline_ns)
                due += all[k].work_ns[level];
        if (due - all[i].deadline_ns > need) need = due - all[i].deadline_ns;
    }
    return need;
}

static int64_t naive_work(const struct promise *all, int level, int64_t deadline_ns)
{
    int64_t sum = 0;
    for (int i = 0; i < N; i++)
        if (all[i].kept && all[i].deadline_ns <= deadline_ns) sum += all[i].work_ns[level];
    return sum;
}

static void as_if_gone_through_one_by_one(void **state)
{
    (void)state;
    struct promises promises;
    static struct promise all[N];
    struct rng rng;
    memset(all, 0, sizeof(all));
    rng_init(&rng, 9, RNG_TEST, 0, 0);
    promises_init(&promises);
    promises_need_levels(&promises, LEVELS);
    for (int round = 0; round < 20000; round++) {
        struct promise *p = &all[rng_below(&rng, N)];
        if (p->kept) {
            promises_remove(&promises, p);
            promises_remove(&promises, p); /* once more: nothing happens */
        } else {
            p->deadline_ns = (int64_t)rng_below(&rng, 2000);
            for (int i = 0; i < LEVELS; i++)
                p->work_ns[i] = (i > 0 ? p->work_ns[i - 1] : 0) + (int64_t)rng_below(&rng, 9);
            promises_add(&promises, p);
        }
        if (round % 7 != 0) continue;
        int level = (int)rng_below(&rng, LEVELS);
        int64_t at = (int64_t)rng_below(&rng, 2000);
        assert_int_equal(promises_due(&promises, level), naive_due(all, level, -1));
        assert_int_equal(promises_due_after(&promises, level, at), naive_due(all, level, at));
        assert_int_equal(promises_work(&promises, level, at), naive_work(all, level, at));
    }
    for (int i = 0; i < N; i++) promises_remove(&promises, &all[i]);
    assert_null(promises.root);
    assert_true(promises_due(&promises, 0) == INT64_MIN);
    assert_int_equal(promises_work(&promises, 0, 5000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_if_gone_through_one_by_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
