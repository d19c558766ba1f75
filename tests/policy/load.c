/* See load.h. */
#include "config.h"

#include "load.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "policy/cost.h"

void load_network(struct rng *rng, int exits, int batch_max, struct desk_version *ret_version)
{
    struct cost *cost = cost_new(exits, batch_max);
    if (cost == NULL) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    struct classifiers c = {.model = "random", .exits = exits, .cost = cost};
    for (int s = 0; s < exits; s++) {
        double one_s = 1e-4 * pow(20, rng_uniform(rng)), head_s = one_s * rng_uniform(rng) / 5;
        for (int i = 0; i < cost_sizes(cost); i++) {
            double effort = pow(cost_size(cost, i), .6 + .4 * rng_uniform(rng));
            cost_measured(cost, i, s, one_s * effort, head_s * effort);
        }
        c.accuracy[s] = rng_uniform(rng);
        c.thresholds[s] = s == exits - 1 ? 0 : 1.2 * rng_uniform(rng);
    }
    c.ensemble_accuracy = rng_uniform(rng);
    c.calibrated = rng_below(rng, 4) != 0;
    c.tuned = c.calibrated && rng_below(rng, 2) != 0;
    desk_version_init(ret_version, &c);
}

void load_network_release(struct desk_version *version)
{
    cost_free(version->classifiers.cost);
}

static struct sla random_sla(struct rng *rng, const struct classifiers *c)
{
    uint32_t kind = rng_below(rng, 16);
    struct sla sla = {.classifier = (enum sla_classifier)(kind % 4),
                      .exit = (int)rng_below(rng, (uint32_t)c->exits),
                      .min_confidence = -1,
                      .min_accuracy = -1,
                      .fail_on_miss = (kind & 4) != 0,
                      .urgency = 3};
    if (rng_below(rng, 2) != 0) sla.urgency = (int)rng_below(rng, SCHED_URGENCIES);
    if (rng_below(rng, 4) != 0) {
        double s = 2e-4 * pow(1000, rng_uniform(rng)); /* up to 0.2 s */
        sla.deadline_ns = (int64_t)(s * (double)CLOCK_SECOND);
    }
    if (sla.classifier != SLA_AUTO) return sla;
    if (sla.deadline_ns > 0 && (kind & 8) != 0) {
        sla.deadline_chooses = true;
    } else if (c->calibrated) {
        if (rng_below(rng, 2) != 0) sla.min_confidence = rng_uniform(rng);
        if (rng_below(rng, 2) != 0) sla.min_accuracy = rng_uniform(rng);
    }
    return sla;
}

/* Most are small. */
static struct decode_size random_size(struct rng *rng)
{
    double pixels = 1024 * pow(rng_below(rng, 4) == 0 ? 12000 : 50, rng_uniform(rng));
    double bytes = pixels * (.05 + rng_uniform(rng));
    struct decode_size size = {.format = (enum decode_format)rng_below(rng, DECODE_FORMATS),
                               .width = 32,
                               .height = (int)pixels / 32,
                               .pixels = (uint64_t)pixels,
                               .samples = (uint64_t)(3 * pixels),
                               .estimated = rng_below(rng, 50) == 0};
    if (size.format != DECODE_RAW) size.bytes = (uint64_t)bytes;
    size.memory_bytes = 4096 + (size_t)(8 * pixels);
    if (size.memory_bytes > LOAD_MEMORY_MAX) size.memory_bytes = LOAD_MEMORY_MAX;
    return size;
}

void load_make(struct rng *rng, struct desk_version *version, int64_t now_ns,
               struct load_request *request)
{
    int n = rng_below(rng, 8) == 0 ? 1 + (int)rng_below(rng, LOAD_IMAGES_MAX) : 1;
    request->sla = random_sla(rng, &version->classifiers);
    memset(request->items, 0, (size_t)n * sizeof(request->items[0]));
    for (int i = 0; i < n; i++) {
        request->items[i].request = &request->desk;
        request->items[i].sibling = i + 1 < n ? &request->items[i + 1] : NULL;
        request->items[i].size = random_size(rng);
        if (rng_below(rng, 100) == 0) request->items[i].refused = ERR_UNSUPPORTED;
    }
    request->desk = (struct desk_request){.sla = &request->sla,
                                          .arrival_ns = now_ns,
                                          .version = version,
                                          .items = request->items,
                                          .n_items = n,
                                          .client = rng_below(rng, 4)};
}
