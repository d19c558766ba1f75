/* How many decisions a second the desk makes with so many images queued (100, 10,000 and 100,000,
 * or as given). Nothing is computed: for every image that ends, another one arrives, with mixed
 * deadlines and urgencies. A decision is an admission, an image to decode, an image's place in a
 * batch, what it does at a border. Then the queue is full, and every arrival sheds somebody. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "policy/cost.h"
#include "policy/desk.h"

enum { EXITS = 4, BATCH_MAX = 8, ROUNDS = 3 };

struct image {
    struct desk_item item; /* first */
    struct desk_request request;
    struct sla sla;
    struct image *next_free;
};

struct bench {
    struct desk *desk;
    struct desk_version version;
    struct image *images, *free;
    uint64_t state; /* of the random numbers */
    size_t decisions, ended;
};

/* Marsaglia's xorshift: cheap beside what is measured. */
static uint64_t next_random(struct bench *b)
{
    b->state ^= b->state << 13;
    b->state ^= b->state >> 7;
    b->state ^= b->state << 17;
    return b->state;
}

/* Time stands still, and no deadline is near: every image goes all of its way. */
static void arrive(struct bench *b, int urgency)
{
    struct image *image = b->free;
    static const struct decode_size small = {
        DECODE_PNG, 32, 32, .bytes = 2500, .samples = 3072, .pixels = 1024, .memory_bytes = 50000};
    if (image == NULL) abort();
    b->free = image->next_free;
    uint64_t r = next_random(b);
    *image = (struct image){
        .item = {.request = &image->request, .size = small},
        .sla = {.classifier = r % 3 == 0 ? SLA_ENSEMBLE : SLA_DEEPEST,
                .min_confidence = -1,
                .min_accuracy = -1,
                .urgency = urgency,
                .deadline_ns = r % 4 == 0 ? 0 : (int64_t)(10000 + r % 10000) * CLOCK_SECOND}};
    image->request = (struct desk_request){
        .sla = &image->sla, .version = &b->version, .items = &image->item, .n_items = 1};
    if (desk_arrived(b->desk, &image->request, 0) < 0) abort();
    b->decisions++;
}

static void take_ended(struct bench *b)
{
    for (struct desk_item *item; (item = desk_ended(b->desk)) != NULL; b->ended++) {
        struct image *image = (struct image *)item;
        image->next_free = b->free;
        b->free = image;
    }
}

static void decode_all(struct bench *b)
{
    for (struct desk_item *item; (item = desk_decode(b->desk, DESK_FOREGROUND, 0)) != NULL;
         b->decisions++)
        desk_decoded(b->desk, item, 0, 2e-5, 2e-5, 0);
}

static void compute(struct bench *b, struct desk_batch *batch)
{
    if (desk_next(b->desk, batch, 0) != DESK_SECTION) abort();
    b->decisions += 2 * (size_t)batch->n;
    while (desk_section_done(b->desk, batch, batch->section_s, false, true, 0) == DESK_STAYS)
        b->decisions += 2 * (size_t)batch->n;
    for (int i = 0; i < batch->n; i++)
        if (batch->items[i]->needs_head) batch->items[i]->computed |= 1u << batch->section;
    desk_heads_done(batch, 0);
    desk_part(b->desk, batch, 0);
    take_ended(b);
}

static double seconds_since(int64_t start_ns)
{
    return (double)(clock_now() - start_ns) / (double)CLOCK_SECOND;
}

static void measure(size_t queued)
{
    static const double section_s[EXITS] = {.001, .001, .001, .001}, head_s[EXITS] = {1e-4};
    struct bench b = {.state = 88172645463325252u};
    struct desk_options options = {.workers = 2,
                                   .batch_max = BATCH_MAX,
                                   .queue_max = (int)queued + BATCH_MAX,
                                   .default_target_ns = CLOCK_SECOND,
                                   .seats = {2, 2},
                                   .decode_memory_max = 1 << 30,
                                   .decode_slowness = 1};
    struct classifiers c = {.model = "bench",
                            .exits = EXITS,
                            .cost = cost_new_linear(EXITS, BATCH_MAX, section_s, head_s)};
    struct desk_item *items[BATCH_MAX];
    struct desk_batch batch = {.items = items};
    b.desk = desk_new(&options, NULL);
    b.images = mem_new(queued + BATCH_MAX + 1, sizeof(*b.images));
    if (c.cost == NULL || b.desk == NULL || b.images == NULL) abort();
    desk_version_init(&b.version, &c);
    for (size_t i = 0; i < queued + BATCH_MAX + 1; i++) {
        b.images[i].next_free = b.free;
        b.free = &b.images[i];
    }
    for (size_t i = 0; i < queued; i++) arrive(&b, (int)(next_random(&b) % 8));
    decode_all(&b);

    double best = 0, shed_s = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t start = clock_now();
        b.decisions = 0;
        while (seconds_since(start) < .5) {
            for (int i = 0; i < 100; i++) {
                b.ended = 0;
                compute(&b, &batch);
                while (b.ended-- > 0) arrive(&b, (int)(next_random(&b) % 8));
                decode_all(&b);
            }
        }
        double per_s = (double)b.decisions / seconds_since(start);
        if (per_s > best) best = per_s;
    }
    while (desk_in_flight(b.desk) < (size_t)options.queue_max) arrive(&b, 7);
    for (int round = 0; round < ROUNDS; round++) {
        size_t n = 0, most = queued / 10;
        int64_t start = clock_now();
        for (; n < most; n++) {
            arrive(&b, 6 - round);
            take_ended(&b);
        }
        double each_s = seconds_since(start) / (double)n;
        if (each_s < shed_s) shed_s = each_s;
    }
    printf("%zu queued: %.3g decisions/s (%.0f ns each); an arrival that sheds: %.0f ns\n", queued,
           best, 1e9 / best, 1e9 * shed_s);
    desk_free(b.desk);
    mem_free(b.images);
    cost_free(c.cost);
}

int main(int argc, char **argv)
{
    static const size_t usual[] = {100, 10000, 100000};
    for (int i = 1; i < argc; i++) measure(strtoul(argv[i], NULL, 10));
    for (int i = 0; argc == 1 && i < 3; i++) measure(usual[i]);
    return 0;
}
