/* The margin is an order statistic of a short window, not a mean with some deviations: the times of
 * replies have two humps, one of those that were taken at once and one of those that waited for the
 * processor. Found again with each sample, by a pass over the window with the few longest kept. */
#include "config.h"

#include "policy/margin.h"

static int64_t few_longest(const struct margin *margin)
{
    int64_t longest[MARGIN_LONGER] = {0}; /* the longest first */
    for (unsigned i = 0; i < margin->n; i++) {
        int64_t ns = margin->samples[i];
        if (ns <= longest[MARGIN_LONGER - 1]) continue;
        int at = MARGIN_LONGER - 1;
        for (; at > 0 && ns > longest[at - 1]; at--) longest[at] = longest[at - 1];
        longest[at] = ns;
    }
    return longest[MARGIN_LONGER - 1];
}

static void add(struct margin *margin, int64_t took_ns)
{
    margin->samples[margin->next] = took_ns > 0 ? took_ns : 0;
    margin->next = (margin->next + 1) % MARGIN_SAMPLES;
    if (margin->n < MARGIN_SAMPLES) margin->n++;
}

void margin_init(struct margin *margin, int64_t first_ns)
{
    *margin = (struct margin){.n = 0};
    for (int i = 0; i < MARGIN_LONGER; i++) add(margin, first_ns);
    margin->margin_ns = few_longest(margin);
}

void margin_learn(struct margin *margin, int64_t took_ns, int64_t now_ns)
{
    margin->at_ns = now_ns;
    add(margin, took_ns);
    margin->margin_ns = few_longest(margin);
}

void margin_age(struct margin *margin, int64_t now_ns)
{
    int64_t halves = (now_ns - margin->at_ns) / MARGIN_FORGET_NS;
    if (halves < 1) return;
    if (halves > 62) halves = 62;
    for (unsigned i = 0; i < margin->n; i++) margin->samples[i] >>= halves;
    margin->at_ns = now_ns;
    margin->margin_ns = few_longest(margin);
}
