/* How many answers in time and right a load could have at most (tests/policy/bound.h).
 *
 *   bound < LOAD
 *
 * LOAD is text: workers, classes; of each class the answers that it may get: their number, then of
 * each the seconds of work and what it is worth; the number of arrivals, and of each its time and
 * its deadline in seconds (negative: none) and the number of its class. Prints the sum. */
#include "config.h"

#include <math.h>
#include <stdio.h>

#include "../../tests/policy/bound.h"
#include "base/mem.h"

static int fail(const char *what)
{
    fprintf(stderr, "bound: %s\n", what);
    return 1;
}

static int read_class(struct bound_class *c)
{
    if (scanf("%d", &c->n) != 1 || c->n < 0 || c->n > BOUND_ANSWERS_MAX) return -1;
    for (int i = 0; i < c->n; i++)
        if (scanf("%lf %lf", &c->answers[i].work_s, &c->answers[i].worth) != 2) return -1;
    return 0;
}

int main(void)
{
    struct bound_class classes[BOUND_CLASSES_MAX];
    double workers;
    int n_classes;
    size_t n;
    if (scanf("%lf %d", &workers, &n_classes) != 2 || !(workers > 0) || n_classes < 1 ||
        n_classes > BOUND_CLASSES_MAX)
        return fail("the head is wrong");
    for (int c = 0; c < n_classes; c++)
        if (read_class(&classes[c]) < 0) return fail("a class is wrong");
    if (scanf("%zu", &n) != 1 || n > (size_t)1 << 26)
        return fail("the number of arrivals is wrong");
    double *at = mem_new(n + 1, sizeof(*at)), *deadline = mem_new(n + 1, sizeof(*deadline));
    int *class = mem_new(n + 1, sizeof(*class));
    if (at == NULL || deadline == NULL || class == NULL) return fail("out of memory");
    for (size_t i = 0; i < n; i++) {
        if (scanf("%lf %lf %d", &at[i], &deadline[i], &class[i]) != 3 || class[i] < 0 ||
            class[i] >= n_classes || (i > 0 && at[i] < at[i - 1]))
            return fail("an arrival is wrong");
        if (deadline[i] < 0) deadline[i] = INFINITY;
    }
    const struct bound_arrivals arrivals = {at, deadline, class, n};
    double worth = bound_worth(classes, n_classes, &arrivals, workers);
    if (worth < 0) return fail("out of memory");
    printf("%.9g\n", worth);
    mem_free(at);
    mem_free(deadline);
    mem_free(class);
    return 0;
}
