/* What a worker computes of a batch. Left out: the order of these steps, and the lock (worker.c).
 */
#include "config.h"

#include "batch.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "nn/loss.h"

static struct item *item_at(const struct batch *b, int i)
{
    return item_of(b->desk->items[i]);
}

void batch_gather(const struct batch *b)
{
    int section = b->desk->section;
    size_t size = shape_size(net_section_input(b->version->model->net, section));
    float *input = exec_input(b->own->exec, section);
    for (int i = 0; i < b->desk->n; i++) {
        const struct item *item = item_at(b, i);
        memcpy(input + (size_t)i * size, item->features->values, size * sizeof(float));
        metric_observe(b->version->queue_wait[section], seconds_of(item->desk.wait_ns));
    }
}

const float *batch_section(const struct batch *b, bool from_previous, int64_t *ret_ns)
{
    int s = b->desk->section, n = b->desk->n;
    int64_t start = clock_now();
    const float *output = exec_section(b->own->exec, s, n, from_previous);
    int64_t took = *ret_ns = clock_now() - start;
    for (int i = 0; i < n; i++) {
        struct item *item = item_at(b, i);
        struct result *result = &item->ticket->request->results[item->index];
        item->timing.section_ns[s] = took;
        result->exits_run = s + 1;
        result->batch[s] = n;
    }
    metric_observe(b->version->section_seconds[s], seconds_of(took));
    metric_observe(b->version->batch_size[s], n);
    return output;
}

void batch_scatter(const struct batch *b, const float *output)
{
    size_t size = shape_size(net_section_output(b->version->model->net, b->desk->section));
    for (int i = 0; i < b->desk->n; i++) {
        const struct item *item = item_at(b, i);
        if (item->desk.step != WAY_CONTINUE) continue;
        memcpy(item->features->values, output + (size_t)i * size, size * sizeof(float));
    }
}

static bool all_finite(int n, const float *values)
{
    bool finite = true;
    for (int i = 0; i < n; i++) finite &= isfinite(values[i]) != 0;
    return finite;
}

/* Weights that are finite can overflow: a probability of what came out would say nothing. */
static void note_not_finite(const struct batch *b, struct item *item, int classifier)
{
    if (item->desk.fault != 0) return; /* the first one is named */
    const char *labels[] = {b->version->model->name, model_classifier_name(classifier)};
    metric_add(metric_series(b->version->engine->not_finite, labels), 1);
    item->desk.fault = ERR_DIVERGED;
    item->faulty = classifier;
}

/* One item's logits of this section's head. */
static void take_logits(const struct batch *b, struct item *item, const float *logits)
{
    int classes = b->version->classes, s = b->desk->section;
    const float *p = item->probabilities[s];
    if (!all_finite(classes, logits)) note_not_finite(b, item, s);
    memcpy(item->logits[s], logits, (size_t)classes * sizeof(*logits));
    loss_softmax(classes, logits, model_temperature(b->version->model, s), item->probabilities[s]);
    item->desk.computed |= 1u << s;
    int answerer = way_answerer(&item->desk.request->way, s, item->desk.computed);
    if (answerer != s) p = item_blend(item, answerer);
    float most = 0;
    for (int c = 0; c < classes; c++)
        if (p[c] > most) most = p[c];
    item->desk.confidence = (double)most;
}

void batch_heads(const struct batch *b)
{
    size_t classes = (size_t)b->version->classes;
    int n = b->desk->n;
    int64_t start = clock_now();
    for (int i = 0, end; i < n; i = end + 1) {
        for (end = i; end < n && b->desk->items[end]->needs_head; end++) continue;
        if (end == i) continue;
        exec_head(b->own->exec, b->desk->section, i, end - i, b->own->logits);
        for (int k = i; k < end; k++)
            take_logits(b, item_at(b, k), b->own->logits + (size_t)(k - i) * classes);
    }
    int64_t took = clock_now() - start;
    for (int i = 0; i < n; i++) {
        if (b->desk->items[i]->needs_head) item_at(b, i)->timing.head_ns += took;
    }
}
