/* A tree of things in the order of their targets, with sums over any beginning of that order, and
 * the one that goes first when somebody must. The nodes are the caller's, linked in place: nothing
 * is allocated, nothing fails. A treap (Seidel and Aragon, "Randomized search trees", Algorithmica
 * 1996) whose priorities are a hash of the order number, so that the same calls always make the
 * same tree. Each operation takes O(log n) expected. No locks. */
#ifndef POLICY_TREE_H
#define POLICY_TREE_H

#include <stdint.h>

enum { TREE_STAYS = -1 };

struct tree_node {
    /* the tree's */
    struct tree_node *up, *left, *right;

    /* set by the caller before tree_insert(), then left alone */
    int64_t target_ns;
    uint64_t order; /* among equal targets; no two nodes have the same */

    /* What is summed, in integers, so that a sum does not depend on how it came about. */
    int64_t before_ns; /* the tree's: own, and of everything below that is earlier */
    int64_t own_ns;    /* set by the caller, changed by tree_weigh() */
    uint64_t priority; /* the tree's */
    int urgency; /* set by the caller, changed by tree_weigh(): who has the largest goes first;
                    TREE_STAYS: never */
    int largest; /* the tree's: urgency of this one and of everything below */
};

struct tree {
    struct tree_node *root, *first; /* NULL: empty. first: the earliest */
};

void tree_insert(struct tree *tree, struct tree_node *node);
void tree_remove(struct tree *tree, struct tree_node *node); /* node is in it */

/* Changes what a node that is in a tree weighs, and its urgency. */
void tree_weigh(struct tree_node *node, int64_t own_ns, int urgency);

/* The sum over all nodes whose target is not later. */
int64_t tree_sum(const struct tree *tree, int64_t target_ns);

/* The next one in order; NULL: it was the last. */
struct tree_node *tree_next(const struct tree_node *node);

/* From the end: the last one; the one before, NULL: it was the first. */
struct tree_node *tree_last(const struct tree *tree);
struct tree_node *tree_previous(const struct tree_node *node);

/* The latest of those with the largest urgency; NULL: all stay. */
struct tree_node *tree_victim(const struct tree *tree);

#endif
