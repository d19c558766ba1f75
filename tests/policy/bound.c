/* The bound, and why it is one.
 *
 * Take any schedule. An image that is answered in time by exit k has had the sections 0..k and the
 * head k, within its window from arrival to deadline. In a batch of b each section took c(s, b) of
 * a worker for b images: its image's share is c(s, b) / b, and that is at least w(s) = min over b
 * of c(s, b) / b; heads alike. So within its window it got at least W(k) = w(0) + .. + w(k) + h(k)
 * seconds of work, and the shares of all images add up to no more than what the workers have. Let
 * us forget everything else: that sections come one after the other, are not interrupted, need
 * their batch at one time, that nobody works on one image with two workers. What is left is
 * divisible work within windows on a machine as fast as all workers together; an image that got x
 * seconds is worth f(x), where f is the least concave function with f(0) = 0 and f(W(k)) >=
 * accuracy(k). Every schedule is one of these with at most this worth, so the best of these is a
 * bound.
 *
 * The best is found greedily. The vectors of work that can be done within windows are a polymatroid
 * (as flows into the sinks of a network are; Megiddo 1974), and f is concave, so that giving to the
 * steepest piece of f first, as much as any schedule can, is optimal (Federgruen and Groenevelt,
 * "The greedy procedure for resource allocation problems", Operations Research 1986). So with the
 * pieces of all classes in the order of their slopes, and R(p) the most work when each image takes
 * no more than its pieces up to p, the bound is the sum of slope(p) x (R(p) - R(p-1)). And R is
 * what the earliest deadline first does: windows are intervals, in which that order does the most
 * work (Glover, "Maximum matching in a convex bipartite graph", 1967). */
#include "config.h"

#include "bound.h"

#include <math.h>
#include <stdbool.h>

#include "base/mem.h"

/* ---- the most work ---- */

struct heap {
    size_t *jobs, n;
    const double *deadline_s;
};

static void heap_swap(struct heap *heap, size_t a, size_t b)
{
    size_t job = heap->jobs[a];
    heap->jobs[a] = heap->jobs[b];
    heap->jobs[b] = job;
}

static bool heap_before(const struct heap *heap, size_t a, size_t b)
{
    return heap->deadline_s[heap->jobs[a]] < heap->deadline_s[heap->jobs[b]];
}

static void heap_push(struct heap *heap, size_t job)
{
    size_t at = heap->n++;
    heap->jobs[at] = job;
    for (; at > 0 && heap_before(heap, at, (at - 1) / 2); at = (at - 1) / 2)
        heap_swap(heap, at, (at - 1) / 2);
}

static void heap_pop(struct heap *heap)
{
    heap->jobs[0] = heap->jobs[--heap->n];
    for (size_t at = 0, next; (next = 2 * at + 1) < heap->n; at = next) {
        if (next + 1 < heap->n && heap_before(heap, next + 1, next)) next++;
        if (!heap_before(heap, next, at)) break;
        heap_swap(heap, next, at);
    }
}

double bound_work(const double *arrival_s, const double *deadline_s, const double *size_s, size_t n,
                  double speed)
{
    struct heap heap = {.jobs = mem_new(n + 1, sizeof(size_t)), .deadline_s = deadline_s};
    double *left = mem_new(n + 1, sizeof(*left)), done = 0, now = 0;
    if (heap.jobs == NULL || left == NULL) {
        mem_free(heap.jobs);
        mem_free(left);
        return -1;
    }
    for (size_t next = 0; next < n || heap.n > 0;) {
        if (heap.n == 0 && now < arrival_s[next]) now = arrival_s[next];
        for (; next < n && arrival_s[next] <= now; next++) {
            left[next] = size_s[next];
            heap_push(&heap, next);
        }
        size_t job = heap.jobs[0];
        double until = now + left[job] / speed;
        if (until > deadline_s[job]) until = deadline_s[job];
        if (next < n && until > arrival_s[next]) until = arrival_s[next];
        bool moves = until > now; /* or so little is left that it is lost in the clock */
        if (moves) {
            double work = (until - now) * speed;
            if (work > left[job]) work = left[job];
            left[job] -= work;
            done += work;
            now = until;
        }
        if (!moves || left[job] <= 0 || now >= deadline_s[job]) heap_pop(&heap);
    }
    mem_free(heap.jobs);
    mem_free(left);
    return done;
}

/* ---- what an image is worth ---- */

struct piece {
    int class;
    double slope, until_s; /* worth a second, of the work up to until_s */
};

/* The concave function of a class as pieces, the steepest first. Returns how many. */
static int pieces_of(const struct bound_class *c, int class, struct piece *ret)
{
    double at = 0, worth = 0;
    int n = 0;
    for (;;) {
        const struct bound_answer *best = NULL;
        double steepest = 0;
        for (int k = 0; k < c->n; k++) {
            const struct bound_answer *answer = &c->answers[k];
            double slope = (answer->worth - worth) / (answer->work_s - at);
            if (answer->work_s <= at || slope <= steepest) continue;
            steepest = slope;
            best = answer;
        }
        if (best == NULL) return n;
        ret[n++] = (struct piece){class, steepest, best->work_s};
        at = best->work_s;
        worth = best->worth;
    }
}

static int sorted_pieces(const struct bound_class *classes, int n_classes, struct piece *ret)
{
    int n = 0;
    for (int c = 0; c < n_classes; c++) n += pieces_of(&classes[c], c, ret + n);
    for (int i = 1; i < n; i++) {
        struct piece piece = ret[i];
        int at = i;
        for (; at > 0 && ret[at - 1].slope < piece.slope; at--) ret[at] = ret[at - 1];
        ret[at] = piece;
    }
    return n;
}

double bound_worth(const struct bound_class *classes, int n_classes,
                   const struct bound_arrivals *arrivals, double workers)
{
    struct piece pieces[BOUND_CLASSES_MAX * BOUND_ANSWERS_MAX];
    double caps[BOUND_CLASSES_MAX] = {0}, sum = 0, before = 0;
    double *size = mem_new(arrivals->n + 1, sizeof(*size));
    if (size == NULL) return -1;
    int n_pieces = sorted_pieces(classes, n_classes, pieces);
    for (int p = 0; p < n_pieces; p++) {
        caps[pieces[p].class] = pieces[p].until_s;
        for (size_t i = 0; i < arrivals->n; i++) size[i] = caps[arrivals->class[i]];
        double work = bound_work(arrivals->at_s, arrivals->deadline_s, size, arrivals->n, workers);
        if (work < 0) {
            sum = -1;
            break;
        }
        sum += pieces[p].slope * (work - before);
        before = work;
    }
    mem_free(size);
    return sum;
}
