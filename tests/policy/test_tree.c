/* The tree against a sorted array: the same order, the same sums, whatever is done in which order.
 */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../seeded.h"
#include "policy/tree.h"

enum { NODES = 400 };

/* The array: nodes that are in, by target and order. */
struct array {
    struct tree_node *nodes[NODES];
    size_t n;
};

static int compare(const void *a, const void *b)
{
    const struct tree_node *x = *(struct tree_node *const *)a, *y = *(struct tree_node *const *)b;
    if (x->target_ns != y->target_ns) return x->target_ns < y->target_ns ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static bool same(struct tree_weight a, struct tree_weight b)
{
    return a.work_ns == b.work_ns && a.queued_ns == b.queued_ns && a.waiting == b.waiting;
}

static struct tree_weight sum_of(const struct array *array, int64_t target_ns)
{
    struct tree_weight sum = {0};
    for (size_t i = 0; i < array->n && array->nodes[i]->target_ns <= target_ns; i++) {
        sum.work_ns += array->nodes[i]->own.work_ns;
        sum.queued_ns += array->nodes[i]->own.queued_ns;
        sum.waiting += array->nodes[i]->own.waiting;
    }
    return sum;
}

/* Returns the height. */
static int check_below(const struct tree_node *node, const struct tree_node *up)
{
    if (node == NULL) return 0;
    assert_ptr_equal(node->up, up);
    if (up != NULL) assert_true(node->priority <= up->priority);
    struct tree_weight sum = node->own;
    const struct tree_node *below[] = {node->left, node->right};
    for (int i = 0; i < 2; i++) {
        if (below[i] == NULL) continue;
        sum.work_ns += below[i]->all.work_ns;
        sum.queued_ns += below[i]->all.queued_ns;
        sum.waiting += below[i]->all.waiting;
    }
    assert_true(same(sum, node->all));
    int left = check_below(node->left, node), right = check_below(node->right, node);
    return 1 + (left > right ? left : right);
}

static int check(const struct tree *tree, const struct array *array)
{
    size_t i = 0;
    struct tree_node *last = NULL;
    for (struct tree_node *n = tree->first; n != NULL; n = tree_next(n), i++) {
        assert_true(i < array->n);
        assert_ptr_equal(n, array->nodes[i]);
        if (n->own.waiting > 0) last = n;
    }
    assert_int_equal(i, array->n);
    assert_ptr_equal(tree_last_waiting(tree), last);
    for (int64_t target = -1; target <= 50; target += 3)
        assert_true(same(tree_sum(tree, target), sum_of(array, target)));
    assert_true(same(tree_sum(tree, INT64_MAX), sum_of(array, INT64_MAX)));
    return check_below(tree->root, NULL);
}

static struct tree_weight random_weight(struct rng *rng)
{
    int64_t work = (int64_t)rng_below(rng, 1000), waiting = (int64_t)rng_below(rng, 2);
    return (struct tree_weight){work, waiting != 0 ? work : 0, waiting};
}

static void as_a_sorted_array(void **state)
{
    (void)state;
    static struct tree_node nodes[NODES];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rng rng = seeded(seed);
        struct tree tree = {NULL, NULL};
        struct array array = {.n = 0};
        bool in[NODES] = {false};
        uint64_t order = 0;
        memset(nodes, 0, sizeof(nodes));
        for (int step = 0; step < 3000; step++) {
            /* Grows for a while, shrinks for a while. */
            uint32_t insert = step / 1000 % 2 == 0 ? 6 : 3;
            struct tree_node *node = &nodes[rng_below(&rng, NODES)];
            bool *is_in = &in[node - nodes];
            if (*is_in && rng_below(&rng, 4) == 0) {
                tree_weigh(node, random_weight(&rng));
            } else if (*is_in && rng_below(&rng, 10) >= insert) {
                tree_remove(&tree, node);
                *is_in = false;
                for (size_t i = 0; i < array.n; i++)
                    if (array.nodes[i] == node) array.nodes[i] = array.nodes[--array.n];
            } else if (!*is_in && rng_below(&rng, 10) < insert) {
                node->target_ns = (int64_t)rng_below(&rng, 50); /* many are equal */
                node->order = ++order;
                node->own = random_weight(&rng);
                tree_insert(&tree, node);
                *is_in = true;
                array.nodes[array.n++] = node;
            }
            qsort(array.nodes, array.n, sizeof(array.nodes[0]), compare);
            if (step % 10 == 0) check(&tree, &array);
        }
        while (array.n > 0) {
            tree_remove(&tree, array.nodes[--array.n]);
            check(&tree, &array);
        }
        assert_null(tree.root);
    }
}

/* Whatever order they come in, sorted above all: no list. */
static void it_stays_flat(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct tree_node *nodes = calloc(MANY, sizeof(*nodes));
    assert_non_null(nodes);
    for (int way = 0; way < 3; way++) {
        struct tree tree = {NULL, NULL};
        for (int i = 0; i < MANY; i++) {
            nodes[i].target_ns = way == 0 ? i : way == 1 ? -i : 7;
            nodes[i].order = (uint64_t)i + 1;
            tree_insert(&tree, &nodes[i]);
        }
        int height = check_below(tree.root, NULL);
        if (height > 60) fail_msg("height %d", height); /* 17 at least; about 40 is usual */
    }
    free(nodes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_a_sorted_array),
        cmocka_unit_test(it_stays_flat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
