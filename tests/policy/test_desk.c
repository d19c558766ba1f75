/* The rules of doc/sla.md at the desk as tables: what is let in, what is refused and with which
 * words, who goes for whom, and what a border makes of the time. Sections take 10 s, heads 1 s,
 * whatever the clock says. */
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

enum { EXITS = 4, BATCH_MAX = 8, ENS = CLASSIFIER_ENSEMBLE };

static const double section_s[EXITS] = {10, 10, 10, 10}, head_s[EXITS] = {1, 1, 1, 1};

struct fixture {
    struct desk *desk;
    struct desk_version version;
    struct desk_item *items[BATCH_MAX];
    struct desk_batch batch;
};

static void start(struct fixture *f, unsigned workers, int queue_max)
{
    struct desk_options options = {.workers = workers,
                                   .batch_max = BATCH_MAX,
                                   .queue_max = queue_max,
                                   .default_target_ns = CLOCK_SECOND,
                                   .seats = {2, 2},
                                   .decode_memory_max = 1 << 20};
    struct classifiers c = {.model = "m",
                            .exits = EXITS,
                            .calibrated = true,
                            .accuracy = {.5, .6, .7, .8},
                            .ensemble_accuracy = .9,
                            .cost = cost_new_linear(EXITS, BATCH_MAX, section_s, head_s)};
    assert_non_null(c.cost);
    memset(f, 0, sizeof(*f));
    f->desk = desk_new(&options, NULL);
    assert_non_null(f->desk);
    desk_version_init(&f->version, &c);
    f->batch.items = f->items;
}

static void stop(struct fixture *f)
{
    desk_free(f->desk);
    cost_free(f->version.classifiers.cost);
}

struct asked {
    struct desk_request request; /* first */
    struct sla sla;
    struct desk_item items[BATCH_MAX];
};

/* "Name: value" lines, NULL at the end. */
static void ask(struct fixture *f, struct asked *a, const char *const *headers, int n)
{
    struct sla_draft draft;
    memset(a, 0, sizeof(*a));
    sla_draft_init(&draft);
    for (; *headers != NULL; headers++) {
        char name[64];
        const char *colon = strchr(*headers, ':');
        snprintf(name, sizeof(name), "%.*s", (int)(colon - *headers), *headers);
        assert_int_equal(sla_draft_header(&draft, name, colon + 1, NULL), 0);
    }
    assert_int_equal(sla_draft_finish(&draft, SLA_DEEPEST, &a->sla, NULL), 0);
    for (int i = 0; i < n; i++) {
        a->items[i].request = &a->request;
        a->items[i].sibling = i + 1 < n ? &a->items[i + 1] : NULL;
    }
    a->request = (struct desk_request){
        .sla = &a->sla, .version = &f->version, .items = a->items, .n_items = n};
}

static void decode_all(struct fixture *f, int64_t now_ns)
{
    for (struct desk_item *item; (item = desk_decode(f->desk, DESK_FOREGROUND, now_ns)) != NULL;)
        desk_decoded(f->desk, item, 0, 0, 0, now_ns);
}

static const char *const nothing[] = {NULL};

/* What is asked, and what admission makes of it. */
struct row {
    const char *headers[4]; /* ends with NULL */
    int rc, goal;
    enum sla_reason reason;
};

static void check_row(size_t i, const struct row *row, int rc, const struct desk_request *r)
{
    struct err e = {.code = 0};
    if (rc != row->rc) fail_msg("row %zu: %d", i, rc);
    if (rc == 0 && (r->way.goal != row->goal || r->way.reason != row->reason))
        fail_msg("row %zu: %d %s", i, r->way.goal, sla_reason_name(r->way.reason));
    if (rc < 0) assert_int_equal(desk_explain(r, rc, &e), rc);
}

static void when_idle(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* Exit n takes 10n + 1 s, the ensemble 44 s. */
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 41000"}, 0, 3, SLA_REQUESTED},
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 40999"}, 0, 2, SLA_BY_DEADLINE},
        {{"SLA-Classifier: 2", "SLA-Deadline-Ms: 20500"}, 0, 0, SLA_BY_DEADLINE},
        {{"SLA-Classifier: 1", "SLA-Deadline-Ms: 10500"}, ERR_DEADLINE, 0, SLA_REQUESTED},
        {{"SLA-Classifier: ensemble", "SLA-Deadline-Ms: 44000"}, 0, ENS, SLA_REQUESTED},
        {{"SLA-Classifier: ensemble", "SLA-Deadline-Ms: 43000"}, 0, 3, SLA_BY_DEADLINE},
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 40500", "SLA-On-Miss: fail"},
         ERR_DEADLINE,
         0,
         SLA_REQUESTED},
        /* Only a deadline: the best on held-out images that fits. */
        {{"SLA-Deadline-Ms: 44000"}, 0, ENS, SLA_BY_DEADLINE},
        {{"SLA-Deadline-Ms: 12000", "SLA-On-Miss: fail"}, 0, 0, SLA_BY_DEADLINE},
        {{"SLA-Deadline-Ms: 10500"}, ERR_DEADLINE, 0, SLA_REQUESTED},
        {{"grpc-timeout: 35S"}, 0, 2, SLA_BY_DEADLINE},
        {{"SLA-Min-Accuracy: 0.6", "SLA-Deadline-Ms: 25000"}, 0, 1, SLA_ACCURACY},
        {{"SLA-Min-Confidence: 1", "SLA-Deadline-Ms: 25000"}, 0, 1, SLA_BY_DEADLINE},
        {{NULL}, 0, 3, SLA_REQUESTED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        struct asked a;
        start(&f, 1, 10);
        ask(&f, &a, rows[i].headers, 1);
        int rc = desk_arrived(f.desk, &a.request, 0);
        check_row(i, &rows[i], rc, &a.request);
        if (rc < 0) {
            struct err e;
            desk_explain(&a.request, rc, &e);
            assert_non_null(strstr(e.text, "idle"));
            assert_int_equal(a.request.refusal, DESK_IMPOSSIBLE);
        }
        assert_int_equal(desk_in_flight(f.desk), rc == 0 ? 1 : 0);
        stop(&f);
    }
}

/* One request for the deepest, 41 s of work, is before everybody. */
static void behind_a_queue(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 84000"}, 0, 3, SLA_REQUESTED},
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 65000"}, 0, 1, SLA_OVERLOAD},
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 50000"}, ERR_BUSY, 0, SLA_REQUESTED},
        {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 65000", "SLA-On-Miss: fail"},
         ERR_DEADLINE,
         0,
         SLA_REQUESTED},
        {{"SLA-Deadline-Ms: 65000"}, 0, 1, SLA_OVERLOAD},
        {{"SLA-Deadline-Ms: 88000"}, 0, ENS, SLA_BY_DEADLINE},
        {{"SLA-Deadline-Ms: 50000", "SLA-On-Miss: fail"}, ERR_DEADLINE, 0, SLA_REQUESTED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        struct asked first, a;
        start(&f, 1, 10);
        ask(&f, &first, nothing, 1);
        assert_int_equal(desk_arrived(f.desk, &first.request, 0), 0);
        ask(&f, &a, rows[i].headers, 1);
        int rc = desk_arrived(f.desk, &a.request, 0);
        check_row(i, &rows[i], rc, &a.request);
        if (rc < 0) assert_int_equal(a.request.refusal, DESK_OVERLOADED);
        if (rc == ERR_BUSY) assert_int_equal(a.request.retry_after_s, 42);
        stop(&f);
    }
}

/* Rules 5 and 8: a full queue refuses, but sheds the less urgent for the more urgent; whoever runs
 * is not shed. */
static void who_goes_for_whom(void **state)
{
    (void)state;
    struct fixture f;
    struct asked asked[4], more;
    struct err e;
    static const char *const u[] = {"Priority: u=5", "Priority: u=3", "Priority: u=6",
                                    "Priority: u=7"};
    start(&f, 1, 4);
    for (int i = 0; i < 4; i++) {
        const char *const headers[] = {u[i], NULL};
        ask(&f, &asked[i], headers, 1);
        if (i < 3) assert_int_equal(desk_arrived(f.desk, &asked[i].request, 0), 0);
    }
    decode_all(&f, 0);
    assert_int_equal(desk_next(f.desk, &f.batch, 0), DESK_SECTION); /* all three, u=3 first */
    assert_int_equal(f.batch.n, 3);
    assert_ptr_equal(f.batch.items[0], &asked[1].items[0]);
    assert_int_equal(desk_arrived(f.desk, &asked[3].request, 0), 0);

    ask(&f, &more, nothing, 2);
    assert_int_equal(desk_arrived(f.desk, &more.request, 0), ERR_BUSY);
    assert_int_equal(more.request.refusal, DESK_FULL);
    desk_explain(&more.request, ERR_BUSY, &e);
    assert_non_null(strstr(e.text, "the queue is full; try again in"));
    assert_null(desk_ended(f.desk)); /* nobody is shed for nothing */
    ask(&f, &more, nothing, 1);
    assert_int_equal(desk_arrived(f.desk, &more.request, 0), 0);
    assert_ptr_equal(desk_ended(f.desk), &asked[3].items[0]);
    assert_null(desk_ended(f.desk));
    assert_true(asked[3].items[0].last && asked[3].items[0].status == ERR_BUSY);
    assert_int_equal(desk_conclude(&asked[3].request), ERR_BUSY);
    desk_explain(&asked[3].request, ERR_BUSY, &e);
    assert_non_null(strstr(e.text, "more urgent"));
    assert_true(asked[3].request.retry_after_s > 0);
    stop(&f);
}

/* After section 1 of a way to exit 2: 1 s for the present head, 10 s and 1 s for what follows. */
static void the_border_looks_at_the_time(void **state)
{
    (void)state;
    static const struct {
        int64_t now_s; /* of a deadline of 30 s, when section 1 has been computed */
        const char *on_miss;
        enum way_time time;
        bool needs_head;
        enum desk_border border;
        enum way_step step;
    } rows[] = {
        {8, "degrade", WAY_ENOUGH, false, DESK_STAYS, WAY_CONTINUE},
        {9, "degrade", WAY_TIGHT, true, DESK_HEADS, WAY_CONTINUE},
        {9, "fail", WAY_TIGHT, false, DESK_STAYS, WAY_CONTINUE},
        {18, "degrade", WAY_TIGHT, true, DESK_HEADS, WAY_CONTINUE},
        {19, "degrade", WAY_SHORT, true, DESK_HEADS, WAY_STOP},
        {19, "fail", WAY_SHORT, false, DESK_PARTS, WAY_EXPIRED},
        {31, "degrade", WAY_OVER, false, DESK_PARTS, WAY_EXPIRED},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        struct asked a;
        char on_miss[32];
        snprintf(on_miss, sizeof(on_miss), "SLA-On-Miss: %s", rows[i].on_miss);
        const char *const headers[] = {"SLA-Classifier: 2", "SLA-Deadline-Ms: 30000", on_miss,
                                       NULL};
        start(&f, 1, 10);
        ask(&f, &a, headers, 1);
        assert_int_equal(desk_arrived(f.desk, &a.request, 0), 0);
        assert_int_equal(desk_next(f.desk, &f.batch, 0), DESK_DECODE); /* it is quiet */
        desk_decoded(f.desk, f.batch.items[0], 0, 0, 0, 0);
        assert_int_equal(desk_next(f.desk, &f.batch, 0), DESK_SECTION);
        int64_t now = rows[i].now_s * CLOCK_SECOND;
        enum desk_border border = desk_section_done(f.desk, &f.batch, 10, false, true, now);
        struct desk_item *item = &a.items[0];
        if (border != rows[i].border || item->time != rows[i].time ||
            item->needs_head != rows[i].needs_head)
            fail_msg("row %zu: border %d, time %d", i, (int)border, (int)item->time);
        if (border == DESK_HEADS) {
            item->computed |= 1;
            int going_on = desk_heads_done(&f.batch, now);
            assert_int_equal(going_on, item->step == WAY_CONTINUE ? 1 : 0);
        }
        assert_int_equal(item->step, rows[i].step);
        if (item->step != WAY_CONTINUE) {
            desk_part(f.desk, &f.batch, now);
            assert_ptr_equal(desk_ended(f.desk), item);
            assert_int_equal(item->status, item->step == WAY_STOP ? 0 : ERR_DEADLINE);
            assert_int_equal(desk_conclude(&a.request), item->status);
            assert_int_equal(desk_in_flight(f.desk), 0);
        }
        stop(&f);
    }
}

/* A batch stays together only while nobody is there to join it or goes before it, none of it was
 * given up, and the caller has nothing else to do. */
static void who_stays(void **state)
{
    (void)state;
    enum { ALONE, JOINED, OVERTAKEN, GIVEN_UP, BUSY, CASES };
    for (int kind = 0; kind < CASES; kind++) {
        struct fixture f;
        struct asked a, other;
        static const char *const urgent[] = {"Priority: u=0", NULL};
        start(&f, 2, 10);
        ask(&f, &a, nothing, 1);
        ask(&f, &other, kind == OVERTAKEN ? urgent : nothing, 1);
        assert_int_equal(desk_arrived(f.desk, &a.request, 0), 0);
        decode_all(&f, 0);
        assert_int_equal(desk_next(f.desk, &f.batch, 0), DESK_SECTION);
        if (kind == JOINED || kind == OVERTAKEN) {
            assert_int_equal(desk_arrived(f.desk, &other.request, kind == JOINED ? 1 : 0), 0);
            decode_all(&f, 0);
        }
        if (kind == JOINED) { /* brings it to the queue of section 2 */
            struct desk_item *items[BATCH_MAX];
            struct desk_batch second = {.items = items, .worker = 1};
            assert_int_equal(desk_next(f.desk, &second, 1), DESK_SECTION);
            assert_int_equal(desk_section_done(f.desk, &second, 10, false, false, 1), DESK_PARTS);
            desk_part(f.desk, &second, 1);
        }
        if (kind == GIVEN_UP) desk_give_up(f.desk, &a.request, ERR_CANCELLED);
        enum desk_border border = desk_section_done(f.desk, &f.batch, 10, false, kind != BUSY, 2);
        if (border != (kind == ALONE ? DESK_STAYS : DESK_PARTS)) fail_msg("case %d", kind);
        assert_int_equal(f.batch.section, kind == ALONE ? 1 : 0);
        if (kind == GIVEN_UP) {
            desk_part(f.desk, &f.batch, 2);
            assert_int_equal(desk_ended(f.desk)->status, ERR_CANCELLED);
        }
        stop(&f);
    }
}

/* Who has had an answer and asks again finds the worker free, whether that has asked for work or
 * not. */
static void who_is_through_holds_up_nobody(void **state)
{
    (void)state;
    static const char *const tight[] = {"SLA-Classifier: 1", "SLA-Deadline-Ms: 11000", NULL};
    struct fixture f;
    struct asked a;
    start(&f, 1, 10);
    for (int i = 0; i < 2; i++) {
        ask(&f, &a, tight, 1);
        assert_int_equal(desk_arrived(f.desk, &a.request, 0), 0);
        decode_all(&f, 0);
        assert_int_equal(desk_next(f.desk, &f.batch, 0), DESK_SECTION);
        assert_int_equal(desk_section_done(f.desk, &f.batch, 10, false, true, 0), DESK_HEADS);
        a.items[0].computed = 1;
        assert_int_equal(desk_heads_done(&f.batch, 0), 0);
        desk_part(f.desk, &f.batch, 0);
        assert_ptr_equal(desk_ended(f.desk), &a.items[0]);
    }
    desk_occupied(f.desk, 0, CLOCK_SECOND);
    ask(&f, &a, tight, 1);
    assert_int_equal(desk_arrived(f.desk, &a.request, 0), ERR_BUSY);
    desk_occupied(f.desk, 0, 0);
    assert_int_equal(desk_arrived(f.desk, &a.request, 0), 0);
    stop(&f);
}

static void images_of_one_request(void **state)
{
    (void)state;
    struct fixture f;
    struct asked a;
    struct err e;
    /* A bad one ends alone; when all are bad the first one's code is the request's. */
    start(&f, 1, 10);
    ask(&f, &a, nothing, 3);
    assert_int_equal(desk_arrived(f.desk, &a.request, 0), 0);
    struct desk_item *one = desk_decode(f.desk, DESK_FOREGROUND, 0),
                     *two = desk_decode(f.desk, DESK_FOREGROUND, 0);
    desk_decoded(f.desk, two, ERR_FORMAT, 0, 0, 0);
    assert_ptr_equal(desk_ended(f.desk), two);
    assert_null(desk_ended(f.desk));
    desk_decoded(f.desk, one, ERR_LIMIT, 0, 0, 0);
    assert_ptr_equal(desk_ended(f.desk), one);
    assert_ptr_equal(desk_decode(f.desk, DESK_FOREGROUND, 0), &a.items[2]);
    desk_decoded(f.desk, &a.items[2], ERR_RANGE, 0, 0, 0);
    assert_ptr_equal(desk_ended(f.desk), &a.items[2]);
    assert_true(!one->last && !two->last && a.items[2].last);
    assert_int_equal(desk_conclude(&a.request), one == &a.items[0] ? ERR_LIMIT : ERR_FORMAT);
    a.items[2].status = 0;
    assert_int_equal(desk_conclude(&a.request), 0);
    stop(&f);

    /* Given up: those that wait end at once, the one in work when it comes back. */
    start(&f, 1, 10);
    ask(&f, &a, nothing, 2);
    assert_int_equal(desk_arrived(f.desk, &a.request, 0), 0);
    one = desk_decode(f.desk, DESK_FOREGROUND, 0);
    desk_give_up(f.desk, &a.request, ERR_CANCELLED);
    assert_ptr_equal(desk_ended(f.desk), one->sibling);
    assert_null(desk_ended(f.desk));
    desk_decoded(f.desk, one, ERR_FORMAT, 0, 0, 0);
    assert_ptr_equal(desk_ended(f.desk), one);
    assert_int_equal(desk_conclude(&a.request), ERR_CANCELLED);
    stop(&f);

    /* Some late: with `fail` the request is, whatever else was wrong; with `degrade` it is not. */
    for (int fail = 0; fail < 2; fail++) {
        const char *const headers[] = {"SLA-Deadline-Ms: 50000",
                                       fail ? "SLA-On-Miss: fail" : "SLA-On-Miss: degrade", NULL};
        ask(&f, &a, headers, 3);
        a.items[2].status = ERR_DEADLINE;
        assert_int_equal(desk_conclude(&a.request), fail ? ERR_DEADLINE : 0);
        a.items[0].status = ERR_FORMAT;
        assert_int_equal(desk_conclude(&a.request), fail ? ERR_DEADLINE : 0);
        a.items[0].status = a.items[1].status = ERR_DEADLINE;
        assert_int_equal(desk_conclude(&a.request), ERR_DEADLINE);
        desk_explain(&a.request, ERR_DEADLINE, &e);
        assert_non_null(strstr(e.text, "passed"));
    }
}

static void allocations_may_fail(void **state)
{
    (void)state;
    struct desk_options options = {.workers = 2, .batch_max = 4, .queue_max = 4, .seats = {2, 2}};
    for (unsigned n = 1; n <= 6; n++) {
        struct err e = {.code = 0};
        mem_fail_at(n);
        assert_null(desk_new(&options, &e));
        assert_true(e.code < 0);
    }
    mem_fail_at(0);
    desk_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(when_idle),
        cmocka_unit_test(behind_a_queue),
        cmocka_unit_test(who_goes_for_whom),
        cmocka_unit_test(the_border_looks_at_the_time),
        cmocka_unit_test(who_stays),
        cmocka_unit_test(who_is_through_holds_up_nobody),
        cmocka_unit_test(images_of_one_request),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
