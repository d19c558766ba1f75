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

/* One that has been promised the deepest, 41 s of work, by its deadline. What others get at least
 * has to be possible before or after that; how much more it becomes is decided on the way. */
static void behind_a_queue(void **state)
{
    (void)state;
    static const struct {
        const char *first; /* when it has to be there */
        struct row row;
    } rows[] = {
        {"45000", {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 84000"}, 0, 3, SLA_REQUESTED}},
        {"45000", {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 52000"}, 0, 3, SLA_REQUESTED}},
        {"45000", {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 50000"}, ERR_BUSY, 0, 0}},
        {"45000", {{"SLA-Classifier: 1", "SLA-Deadline-Ms: 52000"}, 0, 0, SLA_REQUESTED}},
        {"45000",
         {{"SLA-Classifier: deepest", "SLA-Deadline-Ms: 65000", "SLA-On-Miss: fail"},
          ERR_DEADLINE,
          0,
          0}},
        {"45000", {{"SLA-Deadline-Ms: 65000"}, 0, ENS, SLA_BY_DEADLINE}},
        {"45000", {{"SLA-Deadline-Ms: 50000", "SLA-On-Miss: fail"}, ERR_DEADLINE, 0, 0}},
        /* It goes before, and that would be too late. */
        {"51000", {{"SLA-Classifier: 1", "SLA-Deadline-Ms: 50000"}, ERR_BUSY, 0, 0}},
        {"52000", {{"SLA-Classifier: 1", "SLA-Deadline-Ms: 50000"}, 0, 0, SLA_REQUESTED}},
        {"52000", {{"SLA-Classifier: 2", "SLA-Deadline-Ms: 50000"}, 0, 1, SLA_REQUESTED}},
        {"52000",
         {{"SLA-Classifier: 2", "SLA-Deadline-Ms: 50000", "SLA-On-Miss: fail"},
          ERR_DEADLINE,
          0,
          0}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        struct asked first, a;
        char deadline[64];
        snprintf(deadline, sizeof(deadline), "SLA-Deadline-Ms: %s", rows[i].first);
        const char *const headers[] = {"SLA-Classifier: deepest", "SLA-On-Miss: fail", deadline,
                                       NULL};
        start(&f, 1, 10);
        ask(&f, &first, headers, 1);
        assert_int_equal(desk_arrived(f.desk, &first.request, 0), 0);
        ask(&f, &a, rows[i].row.headers, 1);
        int rc = desk_arrived(f.desk, &a.request, 0);
        check_row(i, &rows[i].row, rc, &a.request);
        if (rc < 0) assert_int_equal(a.request.refusal, DESK_OVERLOADED);
        if (rc == ERR_BUSY) assert_int_equal(a.request.retry_after_s, 42);
        stop(&f);
    }
}

/* Who has no deadline lets those pass who have one, as far as they need it. */
static void who_has_no_deadline_lets_pass(void **state)
{
    (void)state;
    static const char *const soon[] = {"SLA-Classifier: 1", "SLA-Deadline-Ms: 12000", NULL};
    static const char *const later[] = {"SLA-Classifier: 1", "SLA-Deadline-Ms: 30000", NULL};
    for (int has_time = 0; has_time < 2; has_time++) {
        struct fixture f;
        struct asked patient, a;
        start(&f, 1, 10);
        ask(&f, &patient, nothing, 1); /* due after 1 s */
        assert_int_equal(desk_arrived(f.desk, &patient.request, 0), 0);
        ask(&f, &a, has_time ? later : soon, 1);
        assert_int_equal(desk_arrived(f.desk, &a.request, 0), 0);
        decode_all(&f, 0);
        assert_int_equal(desk_next(f.desk, &f.batch, 0), DESK_SECTION);
        assert_ptr_equal(f.batch.items[0], has_time ? &patient.items[0] : &a.items[0]);
        stop(&f);
    }
}

/* Nobody without a deadline waits for ever: whose time has come has a sixteenth of the machine,
 * whatever others were promised. */
static void who_is_overdue_has_a_turn(void **state)
{
    (void)state;
    static const char *const urgent[] = {"SLA-Classifier: 1", "SLA-Deadline-Ms: 15000",
                                         "SLA-On-Miss: fail", "Priority: u=0", NULL};
    struct fixture f;
    struct asked patient[2], a;
    int taken = 0;
    int64_t now = 0;
    start(&f, 1, 10);
    for (int i = 0; i < 2; i++) {
        ask(&f, &patient[i], nothing, 1);
        assert_int_equal(desk_arrived(f.desk, &patient[i].request, 0), 0);
    }
    for (int round = 0; round < 60; round++) {
        now += 11 * CLOCK_SECOND;
        ask(&f, &a, urgent, 1);
        a.request.arrival_ns = now;
        int rc = desk_arrived(f.desk, &a.request, now);
        decode_all(&f, now);
        assert_int_equal(desk_next(f.desk, &f.batch, now), DESK_SECTION);
        if (f.batch.items[0]->sched.deadline_ns == 0) taken++;
        desk_section_done(f.desk, &f.batch, 10, false, false, now);
        for (int i = 0; i < f.batch.n; i++) f.batch.items[i]->computed |= 1u << f.batch.section;
        desk_heads_done(&f.batch, now);
        desk_part(f.desk, &f.batch, now);
        desk_give_up(f.desk, &a.request, ERR_CANCELLED);
        while (desk_ended(f.desk) != NULL) continue;
        assert_true(rc == 0 || rc == ERR_DEADLINE);
    }
    assert_true(taken >= 3 && taken <= 8);
    stop(&f);
}

/* Two wait. The worker has computed section 1 for one of them: whether that goes on depends on what
 * the other one could still get, and on who is more urgent. */
static void the_border_looks_at_who_waits(void **state)
{
    (void)state;
    static const struct {
        const char *deadline_s;  /* of the one who waits */
        const char *own, *other; /* urgencies */
        enum way_time time;
    } rows[] = {
        {"1000", "3", "3", WAY_ENOUGH},
        {"40", "3", "3", WAY_CROWDED}, /* 10 + 11 for this one, 11 for that, and some in reserve */
        {"32", "3", "3", WAY_CROWDED},
        {"33", "1", "3", WAY_ENOUGH}, /* the least is enough for one who is less urgent */
        {"31", "1", "3", WAY_CROWDED},
        {"60", "6", "3", WAY_CROWDED}, /* one who is not leaves the others more */
        {"100", "6", "3", WAY_ENOUGH},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        struct asked a, other;
        char own_u[32], other_u[32], deadline[64];
        snprintf(own_u, sizeof(own_u), "Priority: u=%s", rows[i].own);
        snprintf(other_u, sizeof(other_u), "Priority: u=%s", rows[i].other);
        snprintf(deadline, sizeof(deadline), "SLA-Deadline-Ms: %s000", rows[i].deadline_s);
        const char *const first[] = {"SLA-Deadline-Ms: 5000000", own_u, NULL};
        const char *const second[] = {"SLA-Deadline-Ms: 5000000", other_u, deadline, NULL};
        start(&f, 1, 10);
        ask(&f, &a, first, 1);
        assert_int_equal(desk_arrived(f.desk, &a.request, 0), 0);
        decode_all(&f, 0);
        assert_int_equal(desk_next(f.desk, &f.batch, 0), DESK_SECTION);
        const char *const late[] = {second[1], second[2], NULL};
        ask(&f, &other, late, 1);
        assert_int_equal(desk_arrived(f.desk, &other.request, 0), 0);
        decode_all(&f, 0);
        desk_section_done(f.desk, &f.batch, 10, false, true, 10 * CLOCK_SECOND);
        if (a.items[0].time != rows[i].time) fail_msg("row %zu: %d", i, (int)a.items[0].time);
        if (rows[i].time == WAY_CROWDED) {
            assert_true(a.items[0].needs_head);
            a.items[0].computed = 1;
            assert_int_equal(desk_heads_done(&f.batch, 10 * CLOCK_SECOND), 0);
            assert_int_equal(a.items[0].answer.reason, SLA_OVERLOAD);
        }
        stop(&f);
    }
}

/* Time is made by those who are less urgent, if enough of them can go; if not, nobody goes. */
static void who_goes_for_time(void **state)
{
    (void)state;
    static const struct {
        const char *urgency;
        int rc, gone;
    } rows[] = {{"Priority: u=3", ERR_BUSY, 0},
                {"Priority: u=4", ERR_BUSY, 0},
                {"Priority: u=2", 0, 1},
                {"Priority: u=1", 0, 1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        struct asked first[3], a;
        struct err e;
        static const char *const waits[] = {"SLA-Classifier: 1", "SLA-Deadline-Ms: 34000", NULL};
        const char *const headers[] = {"SLA-Classifier: 1", "SLA-Deadline-Ms: 33000",
                                       rows[i].urgency, NULL};
        start(&f, 1, 10);
        for (int k = 0; k < 3; k++) {
            ask(&f, &first[k], waits, 1);
            assert_int_equal(desk_arrived(f.desk, &first[k].request, 0), 0);
        }
        ask(&f, &a, headers, 1);
        assert_int_equal(desk_arrived(f.desk, &a.request, 0), rows[i].rc);
        int gone = 0;
        for (struct desk_item *item; (item = desk_ended(f.desk)) != NULL; gone++) {
            assert_ptr_equal(item, &first[2].items[0]);
            assert_int_equal(desk_conclude(item->request), ERR_BUSY);
            desk_explain(item->request, ERR_BUSY, &e);
            assert_non_null(strstr(e.text, "more urgent"));
        }
        assert_int_equal(gone, rows[i].gone);
        assert_int_equal(desk_in_flight(f.desk), 3);
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
        cmocka_unit_test(who_has_no_deadline_lets_pass),
        cmocka_unit_test(who_is_overdue_has_a_turn),
        cmocka_unit_test(the_border_looks_at_who_waits),
        cmocka_unit_test(who_goes_for_time),
        cmocka_unit_test(who_goes_for_whom),
        cmocka_unit_test(the_border_looks_at_the_time),
        cmocka_unit_test(who_stays),
        cmocka_unit_test(who_is_through_holds_up_nobody),
        cmocka_unit_test(images_of_one_request),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
