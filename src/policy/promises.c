/* The treap of promises. Like tree.c it is ordered by time and by arrival among equals, with
 * priorities that are a hash of the order number; unlike there a node sums all that is below it, on
 * both sides, since the largest need does not follow from one side alone. */
#include "config.h"

#include "policy/promises.h"

#include <stddef.h>

static const int64_t none = INT64_MIN;

/* splitmix64's finalizer (Steele, Lea and Flood, OOPSLA 2014). */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

void promises_init(struct promises *promises)
{
    *promises = (struct promises){.levels = 1};
}

static void sum_up(struct promise *p, int levels)
{
    const struct promise *l = p->left, *r = p->right;
    p->largest = p->urgency;
    if (l != NULL && l->largest > p->largest) p->largest = l->largest;
    if (r != NULL && r->largest > p->largest) p->largest = r->largest;
    for (int i = 0; i < levels; i++) {
        int64_t due = p->work_ns[i] + (l != NULL ? l->below[i].sum_ns : 0);
        int64_t need = due + p->early_ns[i] - p->deadline_ns;
        if (l != NULL && l->below[i].need_ns > need) need = l->below[i].need_ns;
        if (r != NULL && due + r->below[i].need_ns > need) need = due + r->below[i].need_ns;
        p->below[i].need_ns = need;
        p->below[i].sum_ns = due + (r != NULL ? r->below[i].sum_ns : 0);
    }
}

/* As deep as the treap is, O(log n) expected. */
static void sum_all(struct promise *p, int levels)
{
    if (p == NULL) return;
    sum_all(p->left, levels);
    sum_all(p->right, levels);
    sum_up(p, levels);
}

void promises_need_levels(struct promises *promises, int levels)
{
    if (levels <= promises->levels) return;
    promises->levels = levels;
    sum_all(promises->root, levels);
}

static void hang(struct promises *promises, const struct promise *from, struct promise *to)
{
    struct promise *up = from->up;
    *(up == NULL ? &promises->root : up->left == from ? &up->left : &up->right) = to;
    if (to != NULL) to->up = up;
}

/* Sums are left to the caller. */
static void rotate_up(struct promises *promises, struct promise *p)
{
    struct promise *above = p->up, *inner;
    hang(promises, above, p);
    if (above->left == p) {
        inner = above->left = p->right;
        p->right = above;
    } else {
        inner = above->right = p->left;
        p->left = above;
    }
    if (inner != NULL) inner->up = above;
    above->up = p;
}

static bool earlier(const struct promise *a, const struct promise *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->order < b->order;
}

void promises_add(struct promises *promises, struct promise *promise)
{
    promise->kept = true;
    promise->order = ++promises->order;
    promise->priority = mix(promise->order);
    promise->left = promise->right = promise->up = NULL;
    struct promise **link = &promises->root;
    while (*link != NULL) {
        promise->up = *link;
        link = earlier(promise, promise->up) ? &promise->up->left : &promise->up->right;
    }
    *link = promise;
    sum_up(promise, promises->levels);
    while (promise->up != NULL && promise->priority > promise->up->priority) {
        struct promise *above = promise->up;
        rotate_up(promises, promise);
        sum_up(above, promises->levels);
    }
    for (struct promise *p = promise; p != NULL; p = p->up) sum_up(p, promises->levels);
}

void promises_remove(struct promises *promises, struct promise *promise)
{
    if (!promise->kept) return;
    promise->kept = false;
    while (promise->left != NULL && promise->right != NULL)
        rotate_up(promises, promise->left->priority > promise->right->priority ? promise->left
                                                                               : promise->right);
    hang(promises, promise, promise->left != NULL ? promise->left : promise->right);
    for (struct promise *p = promise->up; p != NULL; p = p->up) sum_up(p, promises->levels);
}

int64_t promises_due(const struct promises *promises, int level)
{
    return promises->root == NULL ? none : promises->root->below[level].need_ns;
}

int64_t promises_due_after(const struct promises *promises, int level, int64_t deadline_ns)
{
    int64_t before = 0, need = none;
    for (const struct promise *p = promises->root; p != NULL;) {
        const struct promise *l = p->left, *r = p->right;
        int64_t due = before + p->work_ns[level] + (l != NULL ? l->below[level].sum_ns : 0);
        if (p->deadline_ns <= deadline_ns) {
            before = due;
            p = r;
            continue;
        }
        int64_t own = due + p->early_ns[level] - p->deadline_ns;
        if (own > need) need = own;
        if (r != NULL && due + r->below[level].need_ns > need) need = due + r->below[level].need_ns;
        p = l;
    }
    return need;
}

int64_t promises_work(const struct promises *promises, int level, int64_t deadline_ns)
{
    int64_t sum = 0;
    for (const struct promise *p = promises->root; p != NULL;) {
        if (p->deadline_ns > deadline_ns) {
            p = p->left;
            continue;
        }
        sum += p->work_ns[level] + (p->left != NULL ? p->left->below[level].sum_ns : 0);
        p = p->right;
    }
    return sum;
}

struct promise *promises_victim(const struct promises *promises, int urgency)
{
    struct promise *p = promises->root;
    if (p == NULL || p->largest <= urgency) return NULL;
    int largest = p->largest;
    for (;;) {
        if (p->right != NULL && p->right->largest == largest) {
            p = p->right;
        } else if (p->urgency == largest) {
            return p;
        } else {
            p = p->left;
        }
    }
}
