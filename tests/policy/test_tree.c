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

static int64_t sum_of(const struct array *array, int64_t target_ns)
{
    int64_t sum = 0;
    for (size_t i = 0; i < array->n && array->nodes[i]->target_ns <= target_ns; i++)
        sum += array->nodes[i]->own_ns;
    return sum;
}

/* Returns the height. */
static int check_below(const struct tree_node *node, const struct tree_node *up, int64_t *ret_sum)
{
    *ret_sum = 0;
    if (node == NULL) return 0;
    assert_ptr_equal(node->up, up);
    if (up != NULL) assert_true(node->priority <= up->priority);
    int64_t left_sum, right_sum;
    int left = check_below(node->left, node, &left_sum);
    int right = check_below(node->right, node, &right_sum);
    assert_true(node->before_ns == left_sum + node->own_ns);
    *ret_sum = node->before_ns + right_sum;
    int largest = node->urgency;
    if (node->left != NULL && node->left->largest > largest) largest = node->left->largest;
    if (node->right != NULL && node->right->largest > largest) largest = node->right->largest;
    assert_int_equal(node->largest, largest);
    return 1 + (left > right ? left : right);
}

static void check(const struct tree *tree, const struct array *array)
{
    size_t i = 0;
    const struct tree_node *victim = NULL;
    for (struct tree_node *n = tree->first; n != NULL; n = tree_next(n), i++) {
        assert_true(i < array->n);
        assert_ptr_equal(n, array->nodes[i]);
        if (n->urgency != TREE_STAYS && (victim == NULL || n->urgency >= victim->urgency))
            victim = n;
    }
    assert_int_equal(i, array->n);
    for (struct tree_node *n = tree_last(tree); n != NULL; n = tree_previous(n))
        assert_ptr_equal(n, array->nodes[--i]);
    assert_int_equal(i, 0);
    assert_ptr_equal(tree_victim(tree), victim);
    for (int64_t target = -1; target <= 50; target += 3)
        assert_true(tree_sum(tree, target) == sum_of(array, target));
    int64_t all;
    check_below(tree->root, NULL, &all);
    assert_true(all == sum_of(array, INT64_MAX));
    assert_true(all == tree_sum(tree, INT64_MAX));
}

static int64_t random_weight(struct rng *rng)
{
    return (int64_t)rng_below(rng, 1000);
}

static int random_urgency(struct rng *rng)
{
    return (int)rng_below(rng, 9) + TREE_STAYS;
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
                tree_weigh(node, random_weight(&rng), random_urgency(&rng));
            } else if (*is_in && rng_below(&rng, 10) >= insert) {
                tree_remove(&tree, node);
                *is_in = false;
                for (size_t i = 0; i < array.n; i++)
                    if (array.nodes[i] == node) array.nodes[i] = array.nodes[--array.n];
            } else if (!*is_in && rng_below(&rng, 10) < insert) {
                node->target_ns = (int64_t)rng_below(&rng, 50); /* many are equal */
                node->order = ++order;
                node->own_ns = random_weight(&rng);
                node->urgency = random_urgency(&rng);
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
        int64_t all;
        int height = check_below(tree.root, NULL, &all);
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
