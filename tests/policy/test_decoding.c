/* Rule 14 of doc/sla.md at the desk: who is decoded where, when and after whom, what that does to
 * admission, and with which words. Sections take nothing here. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "policy/cost.h"
#include "policy/desk.h"

enum { EXITS = 4, IMAGES_MAX = 64, MIB = 1 << 20 };

/* About 30 us, 60 ms and 900 ms. */
static const struct decode_size small = {
    DECODE_PNG, 32, 32, .bytes = 2500, .samples = 3072, .pixels = 1024, .memory_bytes = 50000};
static const struct decode_size photograph = {DECODE_JPEG,
                                              4000,
                                              3000,
                                              .bytes = 9 * MIB,
                                              .samples = 18000000,
                                              .pixels = 187500,
                                              .outputs = 1024,
                                              .memory_bytes = 10 * MIB};
/* 4 ms. */
static const struct decode_size megapixel = {DECODE_JPEG,
                                             1200,
                                             800,
                                             .bytes = 580000,
                                             .samples = 1440000,
                                             .pixels = 60000,
                                             .outputs = 1024,
                                             .memory_bytes = MIB};
static const struct decode_size huge = {
    DECODE_PNG, 10000, 5000, .bytes = 100 * MIB, .samples = 200000000, .memory_bytes = 400 * MIB};

struct asked {
    struct desk_request request; /* first */
    struct sla sla;
    struct desk_item items[IMAGES_MAX];
};

struct fixture {
    struct desk *desk;
    struct desk_version version;
    struct desk_item *items[8];
    struct desk_batch batch;
};

static void start(struct fixture *f, unsigned foreground, unsigned background)
{
    static const double nothing[EXITS];
    struct desk_options options = {.workers = 2,
                                   .batch_max = 8,
                                   .queue_max = 1000,
                                   .default_target_ns = CLOCK_SECOND,
                                   .seats = {foreground, background},
                                   .decode_memory_max = 800 * MIB,
                                   .decode_slowness = 1};
    struct classifiers c = {
        .model = "m", .exits = EXITS, .cost = cost_new_linear(EXITS, 8, nothing, nothing)};
    memset(f, 0, sizeof(*f));
    f->desk = desk_new(&options, NULL);
    assert_true(f->desk != NULL && c.cost != NULL);
    desk_version_init(&f->version, &c);
    f->batch.items = f->items;
}

static void stop(struct fixture *f)
{
    desk_free(f->desk);
    cost_free(f->version.classifiers.cost);
}

static void make(struct fixture *f, struct asked *a, const struct decode_size *size, int n,
                 int64_t now_ns)
{
    memset(a, 0, sizeof(*a));
    a->sla = (struct sla){
        .classifier = SLA_DEEPEST, .min_confidence = -1, .min_accuracy = -1, .urgency = 3};
    a->request = (struct desk_request){.sla = &a->sla,
                                       .arrival_ns = now_ns,
                                       .version = &f->version,
                                       .items = a->items,
                                       .n_items = n};
    for (int i = 0; i < n; i++)
        a->items[i] = (struct desk_item){
            .request = &a->request, .sibling = i + 1 < n ? &a->items[i + 1] : NULL, .size = *size};
}

static void arrive(struct fixture *f, struct asked *a, const struct decode_size *size, int n,
                   int64_t now_ns)
{
    make(f, a, size, n, now_ns);
    assert_int_equal(desk_arrived(f->desk, &a->request, now_ns), 0);
}

static void decoded(struct fixture *f, struct desk_item *item, double s, int64_t now_ns)
{
    desk_decoded(f->desk, item, 0, s, s, now_ns);
}

/* Through all of the network, and out. */
static void compute_all(struct fixture *f, int64_t now_ns)
{
    while (desk_next(f->desk, &f->batch, now_ns) == DESK_SECTION) {
        while (desk_section_done(f->desk, &f->batch, 0, false, true, now_ns) == DESK_STAYS)
            continue;
        for (int i = 0; i < f->batch.n; i++) f->batch.items[i]->computed |= 1u << f->batch.section;
        desk_heads_done(&f->batch, now_ns);
        desk_part(f->desk, &f->batch, now_ns);
    }
    while (desk_ended(f->desk) != NULL) continue;
}

static void assert_says(const struct asked *a, int rc, const char *words)
{
    struct err e = {.code = 0};
    assert_int_equal(desk_explain(&a->request, rc, &e), rc);
    if (strstr(e.text, words) == NULL) fail_msg("%s, wanted %s", e.text, words);
    assert_int_equal(desk_explain(&a->request, rc, NULL), rc);
}

/* A fresh desk decodes one photograph, which takes much longer than was thought; small images with
 * a deadline are let in as before, at once and later. */
static void a_photograph_is_no_reason_to_refuse_small_images(void **state)
{
    (void)state;
    struct fixture f;
    struct asked a;
    start(&f, 1, 1);
    arrive(&f, &a, &photograph, 1, 0);
    decoded(&f, desk_decode(f.desk, DESK_BACKGROUND, 0), 0.5, 500 * CLOCK_MS);
    compute_all(&f, 500 * CLOCK_MS);
    for (int i = 0; i < 200; i++) {
        int64_t now = 500 * CLOCK_MS + i * (i < 100 ? CLOCK_MS : 100 * CLOCK_MS);
        make(&f, &a, &small, 1, now);
        a.sla.deadline_ns = 100 * CLOCK_MS;
        assert_int_equal(desk_arrived(f.desk, &a.request, now), 0);
        assert_null(desk_decode(f.desk, DESK_BACKGROUND, now));
        decoded(&f, desk_decode(f.desk, DESK_FOREGROUND, now), 3e-5, now);
        compute_all(&f, now);
        assert_int_equal(desk_in_flight(f.desk), 0);
    }
    stop(&f);
}

static void what_takes_long_has_seats_of_its_own(void **state)
{
    (void)state;
    struct decode_size unsure = small, fat = small;
    unsure.estimated = true;
    fat.memory_bytes = 60 * MIB; /* the foreground has 50 for each seat */
    const struct {
        const struct decode_size *size;
        enum desk_seat seat;
    } rows[] = {{&small, DESK_FOREGROUND},
                {&photograph, DESK_BACKGROUND},
                {&huge, DESK_BACKGROUND},
                {&unsure, DESK_BACKGROUND},
                {&fat, DESK_BACKGROUND}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        struct asked a;
        start(&f, 2, 2);
        arrive(&f, &a, rows[i].size, 1, 0);
        assert_null(desk_decode(f.desk, DESK_SEATS - 1 - rows[i].seat, 0));
        assert_int_equal(desk_decoding(f.desk, rows[i].seat).waiting, 1);
        assert_ptr_equal(desk_decode(f.desk, rows[i].seat, 0), &a.items[0]);
        struct desk_decoding d = desk_decoding(f.desk, rows[i].seat);
        assert_true(d.waiting == 0 && d.running == 1);
        assert_true(d.memory_bytes == rows[i].size->memory_bytes);
        /* The workers do not decode what takes long, and it does not keep them from what does not.
         */
        struct asked others[2];
        for (int k = 0; k < 2; k++) arrive(&f, &others[k], &small, 1, 0);
        bool quiet = rows[i].seat == DESK_BACKGROUND;
        assert_int_equal(desk_next(f.desk, &f.batch, 0), quiet ? DESK_DECODE : DESK_WAIT);
        stop(&f);
    }
    /* Nobody can teach that a photograph is short. */
    struct fixture f;
    struct asked a;
    start(&f, 1, 1);
    for (int i = 0; i < 100; i++) {
        arrive(&f, &a, &photograph, 1, 0);
        assert_null(desk_decode(f.desk, DESK_FOREGROUND, 0));
        decoded(&f, desk_decode(f.desk, DESK_BACKGROUND, 0), 1e-4, 0);
        compute_all(&f, 0);
    }
    stop(&f);
}

/* Earliest target first: a deadline, or arrival and urgency. */
static void turns_go_by_target(void **state)
{
    (void)state;
    struct fixture f;
    struct asked a[4];
    start(&f, 1, 1);
    for (int i = 0; i < 4; i++) {
        static const int urgencies[] = {3, 4, 3, 0};
        make(&f, &a[i], &photograph, 1, i * CLOCK_MS);
        a[i].sla.urgency = urgencies[i];
        if (i == 2) a[i].sla.deadline_ns = 500 * CLOCK_MS;
        assert_int_equal(desk_arrived(f.desk, &a[i].request, i * CLOCK_MS), 0);
    }
    static const int order[] = {3, 2, 0, 1};
    for (int i = 0; i < 4; i++) {
        struct desk_item *item = desk_decode(f.desk, DESK_BACKGROUND, 4 * CLOCK_MS);
        assert_ptr_equal(item, &a[order[i]].items[0]);
        assert_null(desk_decode(f.desk, DESK_BACKGROUND, 4 * CLOCK_MS)); /* one seat */
        decoded(&f, item, 0.06, 4 * CLOCK_MS);
    }
    stop(&f);
}

/* In the foreground an image that takes some milliseconds lets those pass that take none, but not
 * for ever; a deadline goes by itself. */
static void small_images_pass_those_that_are_not(void **state)
{
    (void)state;
    struct fixture f;
    struct asked first, middle[2], light, late;
    start(&f, 1, 1);
    arrive(&f, &first, &megapixel, 1, 0);
    assert_ptr_equal(desk_decode(f.desk, DESK_FOREGROUND, 0), &first.items[0]);
    for (int i = 0; i < 2; i++) arrive(&f, &middle[i], &megapixel, 1, i * CLOCK_MS);
    arrive(&f, &light, &small, 1, 3 * CLOCK_MS);
    decoded(&f, &first.items[0], 0.004, 4 * CLOCK_MS);
    assert_ptr_equal(desk_decode(f.desk, DESK_FOREGROUND, 4 * CLOCK_MS), &light.items[0]);
    decoded(&f, &light.items[0], 3e-5, 4 * CLOCK_MS);
    assert_ptr_equal(desk_decode(f.desk, DESK_FOREGROUND, 4 * CLOCK_MS), &middle[0].items[0]);
    arrive(&f, &late, &small, 1, 150 * CLOCK_MS);
    decoded(&f, &middle[0].items[0], 0.004, 150 * CLOCK_MS);
    assert_ptr_equal(desk_decode(f.desk, DESK_FOREGROUND, 150 * CLOCK_MS), &middle[1].items[0]);
    make(&f, &first, &megapixel, 1, 150 * CLOCK_MS);
    first.sla.deadline_ns = 900 * CLOCK_MS;
    assert_int_equal(desk_arrived(f.desk, &first.request, 150 * CLOCK_MS), 0);
    decoded(&f, &middle[1].items[0], 0.004, 154 * CLOCK_MS);
    assert_ptr_equal(desk_decode(f.desk, DESK_FOREGROUND, 154 * CLOCK_MS), &first.items[0]);
    stop(&f);
}

/* The next one, which is to be this, in the only seat of the background, for 60 ms. */
static void decode_next(struct fixture *f, struct desk_item *item, int64_t *now_ns)
{
    assert_ptr_equal(desk_decode(f->desk, DESK_BACKGROUND, *now_ns), item);
    *now_ns += 60 * CLOCK_MS;
    decoded(f, item, 0.06, *now_ns);
}

/* A form of 64 photographs: whenever a stranger's one comes, the form's next, which had its turn
 * when the one in work was taken, is all that goes before it. */
static void a_form_takes_turns(void **state)
{
    (void)state;
    struct fixture f;
    struct asked form, stranger;
    int64_t now = 0;
    start(&f, 1, 1);
    arrive(&f, &form, &photograph, 64, 0);
    for (int i = 0; i < 64; i += 2) {
        assert_ptr_equal(desk_decode(f.desk, DESK_BACKGROUND, now), &form.items[i]);
        arrive(&f, &stranger, &photograph, 1, now + CLOCK_MS);
        now += 60 * CLOCK_MS;
        decoded(&f, &form.items[i], 0.06, now);
        decode_next(&f, &form.items[i + 1], &now);
        decode_next(&f, &stranger.items[0], &now);
        compute_all(&f, now);
    }
    assert_int_equal(desk_in_flight(f.desk), 0);
    stop(&f);

    /* With a deadline all of it goes by that, and counts for who comes later. */
    struct asked late;
    start(&f, 1, 1);
    make(&f, &form, &photograph, 20, 0);
    form.sla.deadline_ns = 5 * CLOCK_SECOND;
    assert_int_equal(desk_arrived(f.desk, &form.request, 0), 0);
    arrive(&f, &late, &photograph, 1, 0);
    assert_ptr_equal(desk_decode(f.desk, DESK_BACKGROUND, 0), &late.items[0]);
    decoded(&f, &late.items[0], 0.06, 0);
    make(&f, &late, &photograph, 1, 4 * CLOCK_SECOND);
    late.sla.deadline_ns = 1100 * CLOCK_MS;
    assert_int_equal(desk_arrived(f.desk, &late.request, 4 * CLOCK_SECOND), ERR_BUSY);
    assert_says(&late, ERR_BUSY, "decoding this 4000x3000 JPEG takes about");
    assert_says(&late, ERR_BUSY, "after waiting for 1.");
    make(&f, &late, &photograph, 1, 4 * CLOCK_SECOND);
    late.sla.deadline_ns = 900 * CLOCK_MS;
    assert_int_equal(desk_arrived(f.desk, &late.request, 4 * CLOCK_SECOND), 0);
    stop(&f);
}

/* Half of the seats, while others wait. */
static void a_client_has_its_share(void **state)
{
    (void)state;
    struct fixture f;
    struct asked a[6];
    start(&f, 1, 4);
    for (int i = 0; i < 6; i++) {
        make(&f, &a[i], &photograph, 1, i * CLOCK_MS);
        a[i].request.client = i == 3 || i == 5 ? 8 : 7;
        if (i < 5) assert_int_equal(desk_arrived(f.desk, &a[i].request, i * CLOCK_MS), 0);
    }
    static const int order[] = {0, 1, 3, 2}; /* the last since nobody else is there */
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(desk_decode(f.desk, DESK_BACKGROUND, 0), &a[order[i]].items[0]);
    assert_int_equal(desk_arrived(f.desk, &a[5].request, 5 * CLOCK_MS), 0);
    decoded(&f, &a[0].items[0], 0.06, 0);
    assert_ptr_equal(desk_decode(f.desk, DESK_BACKGROUND, 0), &a[5].items[0]);
    decoded(&f, &a[1].items[0], 0.06, 0);
    assert_ptr_equal(desk_decode(f.desk, DESK_BACKGROUND, 0), &a[4].items[0]);
    stop(&f);

    /* Who is no known client is one by each request. */
    start(&f, 1, 2);
    arrive(&f, &a[0], &photograph, 3, 0);
    assert_ptr_equal(desk_decode(f.desk, DESK_BACKGROUND, 0), &a[0].items[0]);
    arrive(&f, &a[1], &photograph, 1, 100 * CLOCK_MS);
    assert_ptr_equal(desk_decode(f.desk, DESK_BACKGROUND, 0), &a[1].items[0]);
    decoded(&f, &a[1].items[0], 0.06, 0);
    assert_ptr_equal(desk_decode(f.desk, DESK_BACKGROUND, 0), &a[0].items[1]);
    stop(&f);
}

/* Who does not fit waits, and nobody goes before it; the foreground has memory of its own. */
static void memory_is_bounded(void **state)
{
    (void)state;
    struct fixture f;
    struct asked first, second, third, light;
    start(&f, 1, 4);
    assert_true(desk_decode_memory_max(f.desk) == 700 * MIB);
    arrive(&f, &first, &huge, 1, 0);
    arrive(&f, &second, &huge, 1, 1);
    arrive(&f, &third, &photograph, 1, 2);
    arrive(&f, &light, &small, 1, 3);
    assert_ptr_equal(desk_decode(f.desk, DESK_BACKGROUND, 4), &first.items[0]);
    assert_null(desk_decode(f.desk, DESK_BACKGROUND, 4));
    assert_ptr_equal(desk_decode(f.desk, DESK_FOREGROUND, 4), &light.items[0]);
    decoded(&f, &first.items[0], 0.9, 4);
    assert_ptr_equal(desk_decode(f.desk, DESK_BACKGROUND, 4), &second.items[0]);
    assert_ptr_equal(desk_decode(f.desk, DESK_BACKGROUND, 4), &third.items[0]);
    assert_true(desk_decoding(f.desk, DESK_BACKGROUND).memory_bytes == 410 * MIB);
    stop(&f);
}

/* Refusals say when it is decoding that does not fit. */
static void refusals_name_decoding(void **state)
{
    (void)state;
    struct fixture f;
    struct asked a, b;
    start(&f, 1, 1);
    make(&f, &a, &photograph, 1, 0);
    a.sla.deadline_ns = 20 * CLOCK_MS;
    assert_int_equal(desk_arrived(f.desk, &a.request, 0), ERR_DEADLINE);
    assert_says(&a, ERR_DEADLINE,
                "not possible within 20.000 ms of arrival, even on an idle "
                "machine: decoding this 4000x3000 JPEG takes about 61");
    make(&f, &a, &photograph, 10, 0);
    a.items[0].refused = ERR_FORMAT;
    a.sla.deadline_ns = 200 * CLOCK_MS;
    assert_int_equal(desk_arrived(f.desk, &a.request, 0), ERR_DEADLINE);
    assert_says(&a, ERR_DEADLINE, "decoding these 10 images takes about 55");

    /* Behind another one, of which half is done. */
    arrive(&f, &b, &photograph, 1, 0);
    assert_ptr_equal(desk_decode(f.desk, DESK_BACKGROUND, 0), &b.items[0]);
    for (int fail = 0; fail < 2; fail++) {
        int rc = fail ? ERR_DEADLINE : ERR_BUSY;
        make(&f, &a, &photograph, 1, 30 * CLOCK_MS);
        a.sla.deadline_ns = 70 * CLOCK_MS;
        a.sla.fail_on_miss = fail;
        assert_int_equal(desk_arrived(f.desk, &a.request, 30 * CLOCK_MS), rc);
        assert_says(&a, rc, "decoding this 4000x3000 JPEG takes about 61");
        assert_says(&a, rc, "after waiting for 31");
    }

    /* It is not to blame where nothing would be in time. */
    make(&f, &a, &photograph, 1, 0);
    a.sla.deadline_ns = 1;
    assert_int_equal(desk_arrived(f.desk, &a.request, 10), ERR_DEADLINE);
    struct err e;
    desk_explain(&a.request, ERR_DEADLINE, &e);
    assert_null(strstr(e.text, "decoding"));

    /* Nor does small work wait behind long. */
    make(&f, &a, &small, 1, 30 * CLOCK_MS);
    a.sla.deadline_ns = CLOCK_MS;
    assert_int_equal(desk_arrived(f.desk, &a.request, 30 * CLOCK_MS), 0);
    /* Its time passes all the same, and nothing was computed. */
    assert_null(desk_decode(f.desk, DESK_FOREGROUND, 40 * CLOCK_MS));
    assert_ptr_equal(desk_ended(f.desk), &a.items[0]);
    assert_int_equal(desk_conclude(&a.request), ERR_DEADLINE);
    assert_says(&a, ERR_DEADLINE, "before the image was decoded");
    stop(&f);
}

/* What cannot be decoded ends at once, and takes no room; the others go on. */
static void what_cannot_be_decoded_ends_at_once(void **state)
{
    (void)state;
    struct fixture f;
    struct asked a;
    start(&f, 1, 1);
    make(&f, &a, &small, 3, 0);
    a.items[0].refused = ERR_FORMAT;
    a.items[2].refused = ERR_LIMIT;
    assert_int_equal(desk_arrived(f.desk, &a.request, 0), 0);
    assert_ptr_equal(desk_ended(f.desk), &a.items[0]);
    assert_ptr_equal(desk_ended(f.desk), &a.items[2]);
    assert_null(desk_ended(f.desk));
    assert_int_equal(desk_in_flight(f.desk), 1);
    assert_ptr_equal(desk_decode(f.desk, DESK_FOREGROUND, 0), &a.items[1]);
    decoded(&f, &a.items[1], 3e-5, 0);
    compute_all(&f, 0);
    assert_int_equal(desk_conclude(&a.request), 0);

    /* All of them: whatever the deadline, that is what is wrong. */
    make(&f, &a, &small, 2, 0);
    a.items[0].refused = a.items[1].refused = ERR_FORMAT;
    a.sla.deadline_ns = 1;
    assert_int_equal(desk_arrived(f.desk, &a.request, CLOCK_SECOND), 0);
    assert_ptr_equal(desk_ended(f.desk), &a.items[0]);
    assert_ptr_equal(desk_ended(f.desk), &a.items[1]);
    assert_true(a.items[1].last && desk_in_flight(f.desk) == 0);
    assert_int_equal(desk_conclude(&a.request), ERR_FORMAT);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_photograph_is_no_reason_to_refuse_small_images),
        cmocka_unit_test(what_takes_long_has_seats_of_its_own),
        cmocka_unit_test(turns_go_by_target),
        cmocka_unit_test(small_images_pass_those_that_are_not),
        cmocka_unit_test(a_form_takes_turns),
        cmocka_unit_test(a_client_has_its_share),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(refusals_name_decoding),
        cmocka_unit_test(what_cannot_be_decoded_ends_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
