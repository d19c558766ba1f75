/* The treap: a node's priority is above those below it. A node comes in as a leaf and is rotated
 * up, and is rotated down to a leaf before it goes. Sums of subtrees are carried along. */
#include "config.h"

#include "policy/tree.h"

#include <stdbool.h>

/* splitmix64's finalizer (Steele, Lea and Flood, OOPSLA 2014). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static bool earlier(const struct tree_node *a, const struct tree_node *b)
{
    return a->target_ns != b->target_ns ? a->target_ns < b->target_ns : a->order < b->order;
}

static void add(struct tree_weight *sum, const struct tree_weight *w)
{
    sum->work_ns += w->work_ns;
    sum->queued_ns += w->queued_ns;
    sum->waiting += w->waiting;
}

static struct tree_weight difference(const struct tree_weight *a, const struct tree_weight *b)
{
    return (struct tree_weight){a->work_ns - b->work_ns, a->queued_ns - b->queued_ns,
                                a->waiting - b->waiting};
}

/* The weight of everything from here to the root grows. */
static void add_up(struct tree_node *from, const struct tree_weight *w)
{
    for (struct tree_node *n = from; n != NULL; n = n->up) add(&n->all, w);
}

static void sum_up(struct tree_node *node)
{
    node->all = node->own;
    if (node->left != NULL) add(&node->all, &node->left->all);
    if (node->right != NULL) add(&node->all, &node->right->all);
}

/* Puts `to` (or nothing) where `from` hangs. */
static void hang(struct tree *tree, const struct tree_node *from, struct tree_node *to)
{
    struct tree_node *up = from->up;
    if (up == NULL) {
        tree->root = to;
    } else if (up->left == from) {
        up->left = to;
    } else {
        up->right = to;
    }
    if (to != NULL) to->up = up;
}

/* A node changes places with the one above it; the order stays. */
static void rotate_up(struct tree *tree, struct tree_node *node)
{
    struct tree_node *above = node->up, *inner;
    hang(tree, above, node);
    if (above->left == node) {
        inner = above->left = node->right;
        node->right = above;
    } else {
        inner = above->right = node->left;
        node->left = above;
    }
    if (inner != NULL) inner->up = above;
    above->up = node;
    node->all = above->all;
    sum_up(above);
}

void tree_insert(struct tree *tree, struct tree_node *node)
{
    node->priority = mix(node->order);
    node->left = node->right = node->up = NULL;
    node->all = node->own;
    struct tree_node **link = &tree->root;
    while (*link != NULL) {
        node->up = *link;
        link = earlier(node, *link) ? &(*link)->left : &(*link)->right;
    }
    *link = node;
    add_up(node->up, &node->own);
    while (node->up != NULL && node->priority > node->up->priority) rotate_up(tree, node);
    if (tree->first == NULL || earlier(node, tree->first)) tree->first = node;
}

void tree_remove(struct tree *tree, struct tree_node *node)
{
    if (tree->first == node) tree->first = tree_next(node);
    while (node->left != NULL && node->right != NULL)
        rotate_up(tree, node->left->priority > node->right->priority ? node->left : node->right);
    hang(tree, node, node->left != NULL ? node->left : node->right);
    struct tree_weight nothing = {0}, less = difference(&nothing, &node->own);
    add_up(node->up, &less);
}

void tree_weigh(struct tree_node *node, struct tree_weight own)
{
    struct tree_weight change = difference(&own, &node->own);
    node->own = own;
    add_up(node, &change);
}

struct tree_weight tree_sum(const struct tree *tree, int64_t target_ns)
{
    struct tree_weight sum = {0};
    for (const struct tree_node *n = tree->root; n != NULL;) {
        if (n->target_ns > target_ns) {
            n = n->left;
            continue;
        }
        add(&sum, &n->own);
        if (n->left != NULL) add(&sum, &n->left->all);
        n = n->right;
    }
    return sum;
}

struct tree_node *tree_next(const struct tree_node *node)
{
    if (node->right != NULL) {
        struct tree_node *next = node->right;
        while (next->left != NULL) next = next->left;
        return next;
    }
    while (node->up != NULL && node->up->right == node) node = node->up;
    return node->up;
}

struct tree_node *tree_last_waiting(const struct tree *tree)
{
    struct tree_node *n = tree->root;
    if (n == NULL || n->all.waiting == 0) return NULL;
    for (;;) {
        if (n->right != NULL && n->right->all.waiting > 0) {
            n = n->right;
        } else if (n->own.waiting > 0) {
            return n;
        } else {
            n = n->left;
        }
    }
}
