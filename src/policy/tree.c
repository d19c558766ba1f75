/* The treap: a node's priority is above those below it. A node comes in as a leaf and is rotated
 * up, and is rotated down before it goes. A node knows the sum of what is below on the left only,
 * so that a sum, an insertion and a change touch the nodes of one path and none beside it. */
#include "config.h"

#include "policy/tree.h"

#include <stdbool.h>
#include <stddef.h>

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

/* What a node weighs has changed: those above that are later learn of it. */
static void add_up(const struct tree_node *node, int64_t change_ns)
{
    if (change_ns == 0) return;
    for (; node->up != NULL; node = node->up)
        if (node->up->left == node) node->up->before_ns += change_ns;
}

static int largest_of(const struct tree_node *node)
{
    int largest = node->urgency;
    if (node->left != NULL && node->left->largest > largest) largest = node->left->largest;
    if (node->right != NULL && node->right->largest > largest) largest = node->right->largest;
    return largest;
}

/* An urgency here or below has changed. */
static void largest_up(struct tree_node *node)
{
    for (; node != NULL; node = node->up) {
        int largest = largest_of(node);
        if (largest == node->largest) return;
        node->largest = largest;
    }
}

/* Puts `to` (or nothing) where `from` hangs. */
static void hang(struct tree *tree, const struct tree_node *from, struct tree_node *to)
{
    struct tree_node *up = from->up;
    *(up == NULL ? &tree->root : up->left == from ? &up->left : &up->right) = to;
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
        above->before_ns -= node->before_ns;
    } else {
        inner = above->right = node->left;
        node->left = above;
        node->before_ns += above->before_ns;
    }
    if (inner != NULL) inner->up = above;
    above->up = node;
    node->largest = above->largest;
    above->largest = largest_of(above);
}

void tree_insert(struct tree *tree, struct tree_node *node)
{
    node->priority = mix(node->order);
    node->left = node->right = node->up = NULL;
    node->before_ns = node->own_ns;
    node->largest = node->urgency;
    struct tree_node **link = &tree->root;
    while (*link != NULL) {
        struct tree_node *up = node->up = *link;
        if (up->largest < node->urgency) up->largest = node->urgency;
        if (earlier(node, up)) {
            up->before_ns += node->own_ns;
            link = &up->left;
        } else {
            link = &up->right;
        }
    }
    *link = node;
    while (node->up != NULL && node->priority > node->up->priority) rotate_up(tree, node);
    if (tree->first == NULL || earlier(node, tree->first)) tree->first = node;
}

void tree_remove(struct tree *tree, struct tree_node *node)
{
    if (tree->first == node) tree->first = tree_next(node);
    while (node->left != NULL && node->right != NULL)
        rotate_up(tree, node->left->priority > node->right->priority ? node->left : node->right);
    add_up(node, -node->own_ns);
    hang(tree, node, node->left != NULL ? node->left : node->right);
    largest_up(node->up);
}

void tree_weigh(struct tree_node *node, int64_t own_ns, int urgency)
{
    int64_t change = own_ns - node->own_ns;
    node->own_ns = own_ns;
    node->before_ns += change;
    add_up(node, change);
    node->urgency = urgency;
    largest_up(node);
}

int64_t tree_sum(const struct tree *tree, int64_t target_ns)
{
    int64_t sum = 0;
    for (const struct tree_node *n = tree->root; n != NULL;) {
        if (n->target_ns <= target_ns) {
            sum += n->before_ns;
            n = n->right;
        } else {
            n = n->left;
        }
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

struct tree_node *tree_last(const struct tree *tree)
{
    struct tree_node *last = tree->root;
    while (last != NULL && last->right != NULL) last = last->right;
    return last;
}

struct tree_node *tree_previous(const struct tree_node *node)
{
    if (node->left != NULL) {
        struct tree_node *previous = node->left;
        while (previous->right != NULL) previous = previous->right;
        return previous;
    }
    while (node->up != NULL && node->up->left == node) node = node->up;
    return node->up;
}

struct tree_node *tree_victim(const struct tree *tree)
{
    struct tree_node *n = tree->root;
    if (n == NULL || n->largest == TREE_STAYS) return NULL;
    int largest = n->largest;
    for (;;) {
        if (n->right != NULL && n->right->largest == largest) {
            n = n->right;
        } else if (n->urgency == largest) {
            return n;
        } else {
            n = n->left;
        }
    }
}
