/* What a child says: progress out of its lines, and the verdict. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/jobs/judge.h"
#include "../../src/jobs/progress.h"
#include "../json/parse.h"
#include "base/text.h"

static enum progress_event read_text(struct progress *p, const char *text)
{
    return progress_read(p, text, strlen(text));
}

static void test_progress(void **state)
{
    (void)state;
    struct progress p = {0};
    assert_int_equal(
        read_text(&p, "{\"event\":\"start\",\"epoch\":3,\"epochs\":9,\"step\":20,\"steps\":90}"),
        PROGRESS_START);
    assert_int_equal(p.epoch, 3);
    assert_int_equal(p.steps, 90);
    assert_int_equal(
        read_text(&p, "{\"event\":\"step\",\"step\":21,\"loss\":2.5,\"lr\":0.1,\"img_per_s\":100,"
                      "\"eta_s\":7}"),
        PROGRESS_STEP);
    assert_int_equal(p.epoch, 3);
    assert_int_equal(p.step, 21);
    assert_true(p.loss == 2.5 && p.rate == 0.1 && p.img_per_s == 100 && p.eta_s == 7);
    assert_int_equal(
        read_text(&p,
                  "{\"event\":\"epoch\",\"epoch\":3,\"loss\":1,\"exits\":[{\"name\":\"1\","
                  "\"top1\":0.25},{\"name\":\"2\",\"top1\":0.5}],\"ensemble\":{\"top1\":0.75}}"),
        PROGRESS_EPOCH);
    assert_int_equal(p.n_exits, 2);
    assert_true(p.top1[0] == 0.25 && p.top1[1] == 0.5 && p.ensemble_top1 == 0.75);
    struct buf text;
    struct json_writer w;
    buf_init(&text, 4096);
    json_writer_init(&w, &text);
    progress_write_epoch(&p, &w);
    assert_string_equal(
        buf_text(&text),
        "{\"epoch\":3,\"step\":21,\"loss\":1,\"lr\":0.1,\"img_per_s\":100,\"exits\":[{\"name\":"
        "\"1\",\"top1\":0.25},{\"name\":\"2\",\"top1\":0.5}],\"ensemble\":{\"top1\":0.75}}");
    buf_clear(&text);
    json_writer_init(&w, &text);
    progress_write(&p, &w, NULL);
    assert_string_equal(buf_text(&text),
                        "{\"epoch\":3,\"epochs\":9,\"step\":21,\"steps\":90,\"loss\":1,\"lr\":0.1,"
                        "\"img_per_s\":100,\"eta_s\":0}");
    /* What has not learned has every member, too. */
    assert_int_equal(read_text(&p,
                               "{\"event\":\"epoch\",\"exits\":[{\"name\":\"1\",\"learned\":false,"
                               "\"top1\":null},{\"name\":\"2\",\"top1\":0.5}]}"),
                     PROGRESS_EPOCH);
    buf_clear(&text);
    json_writer_init(&w, &text);
    progress_write_epoch(&p, &w);
    assert_non_null(strstr(buf_text(&text),
                           "[{\"name\":\"1\",\"top1\":null,\"learned\":false},{\"name\":\"2\","));
    buf_release(&text);
    assert_int_equal(read_text(&p, "{\"event\":\"done\"}"), PROGRESS_DONE);
}

static void test_garbage(void **state)
{
    (void)state;
    static const char *const garbage[] = {
        "",
        "{",
        "null",
        "[]",
        "42",
        "\"event\"",
        "hello",
        "{\"event\":7}",
        "{\"event\":\"x\"}",
        "{\"step\":1}",
        "{\"event\":\"step\",\"event\":\"step\"}",
        "\xff\xfe",
        "{\"event\":\"step\"} x",
    };
    struct progress p = {.step = 5}, before = p;
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        assert_int_equal(read_text(&p, garbage[i]), PROGRESS_NOTHING);
        assert_memory_equal(&p, &before, sizeof(p));
    }
    assert_int_equal(progress_read(&p, "{}\0{}", 5), PROGRESS_NOTHING);
    /* The right event with members of the wrong kind: what can be read is. */
    assert_int_equal(
        read_text(&p,
                  "{\"event\":\"epoch\",\"step\":-1,\"steps\":\"x\",\"loss\":\"NaN\",\"lr\":null,"
                  "\"exits\":[1,{},{\"top1\":\"x\"}],\"ensemble\":[]}"),
        PROGRESS_EPOCH);
    assert_int_equal(p.step, 5);
    assert_int_equal(p.steps, 0);
    assert_int_equal(p.n_exits, 3);
    assert_true(p.top1[0] == 0 && p.top1[2] == 0 && p.loss == 0);
    assert_int_equal(read_text(&p, "{\"event\":\"epoch\",\"exits\":[0,1,2,3,4,5,6,7,8,9]}"),
                     PROGRESS_EPOCH);
    assert_int_equal(p.n_exits, 0); /* not those of the epoch before */
}

static struct json *evaluation(double deepest)
{
    char text[100];
    snprintf(text, sizeof(text), "{\"n\":100,\"exits\":[{\"top1\":0.99},{\"top1\":%g}]}", deepest);
    return parse(text, NULL);
}

static void test_judge(void **state)
{
    (void)state;
    enum { NONE = -1 };
    static const struct {
        double result, serving; /* NONE: not evaluated */
        int64_t version;
        bool manual;
        const char *hindrance;
        enum verdict verdict;
        const char *words;
    } rows[] = {
        {0.50, 0.50, 3, false, NULL, VERDICT_PROMOTE, "promoted"},
        {0.60, 0.50, 3, false, NULL, VERDICT_PROMOTE, "0.6000"},
        {0.49, 0.50, 3, false, NULL, VERDICT_PROMOTE, "0.0100 less"}, /* exactly the margin */
        {0.4899, 0.50, 3, false, NULL, VERDICT_REJECT, "version 3"},
        {0.00, 1.00, 3, false, NULL, VERDICT_REJECT, "rejected"},
        {0.00, 1.00, 3, true, NULL, VERDICT_WAIT, "manual"},
        {0.90, 0.10, 3, true, NULL, VERDICT_WAIT, "manual"},
        {0.90, 0.10, 3, false, "it has other labels", VERDICT_WAIT, "other labels"},
        {0.90, NONE, 3, false, "it has other labels", VERDICT_WAIT, "other labels"},
        {NONE, NONE, 3, false, NULL, VERDICT_WAIT, "not compared"},
        {0.10, NONE, 0, false, NULL, VERDICT_PROMOTE, "no version"},
        {NONE, NONE, 0, false, "nothing held out", VERDICT_PROMOTE, "no version"},
        {0.10, NONE, 0, true, NULL, VERDICT_WAIT, "manual"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct json *result = rows[i].result < 0 ? NULL : evaluation(rows[i].result);
        struct json *serving = rows[i].serving < 0 ? NULL : evaluation(rows[i].serving);
        const struct evidence v = {result,         serving,           rows[i].version,
                                   rows[i].manual, rows[i].hindrance, 0.01};
        enum verdict verdict;
        char reason[512];
        assert_int_equal(judge(&v, &verdict, reason, sizeof(reason), NULL), 0);
        if (verdict != rows[i].verdict || strstr(reason, rows[i].words) == NULL)
            fail_msg("row %zu: %d %s", i, verdict, reason);
        json_free(result);
        json_free(serving);
    }
}

/* Two classes of 50 images, one of 4: right of each, before and after. */
static struct json *by_class(double top1, const int right[3])
{
    static const int images[3] = {50, 50, 4};
    char text[512], *at = text;
    at += sprintf(at, "{\"exits\":[{\"top1\":0.1},{\"top1\":%.3f}],\"classes\":[", top1);
    for (int k = 0; k < 3; k++)
        at += sprintf(at, "%s{\"label\":\"class %d\",\"images\":%d,\"top1\":[null,%.9g,0.9]}",
                      k > 0 ? "," : "", k, images[k], (double)right[k] / images[k]);
    strcpy(at, "]}");
    return parse(text, NULL);
}

/* A good figure over all can hide a class that is lost. */
static void test_judge_classes(void **state)
{
    (void)state;
    static const struct {
        int result[3], serving[3];
        enum verdict verdict;
        const char *words;
    } rows[] = {
        {{40, 40, 2}, {40, 40, 2}, VERDICT_PROMOTE, "promoted"},
        {{50, 0, 2},
         {40, 40, 2},
         VERDICT_REJECT,
         "of class \"class 1\" it gets 0 of 50 right, that one 40"},
        {{50, 20, 4}, {5, 40, 0}, VERDICT_PROMOTE, "of class \"class 1\" it gets 20 of 50 right"},
        {{50, 24, 2}, {40, 40, 2}, VERDICT_REJECT, "of class \"class 1\" it gets 24 of 50 right"},
        {{50, 31, 2}, {40, 40, 2}, VERDICT_PROMOTE, "promoted"}, /* less than JUDGE_FALL */
        {{50, 0, 2}, {40, 3, 2}, VERDICT_PROMOTE, "promoted"},
        {{50, 50, 0}, {40, 40, 3}, VERDICT_PROMOTE, "promoted"}, /* of 4 images: chance */
        {{30, 30, 1},
         {36, 36, 4},
         VERDICT_REJECT,
         "balanced accuracy is 0.4833, that one's 0.8133"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct json *result = by_class(0.8, rows[i].result),
                    *serving = by_class(0.7, rows[i].serving);
        const struct evidence v = {result, serving, 3, false, NULL, 0.01};
        enum verdict verdict;
        char reason[512];
        assert_int_equal(judge(&v, &verdict, reason, sizeof(reason), NULL), 0);
        if (verdict != rows[i].verdict || strstr(reason, rows[i].words) == NULL)
            fail_msg("row %zu: %d %s", i, verdict, reason);
        json_free(result);
        json_free(serving);
    }
}

/* Of many classes with long names, in letters of two bytes, some are named, each in whole letters.
 */
static void test_judge_many_classes(void **state)
{
    (void)state;
    static const char *const start = "{\"exits\":[{\"top1\":0.5}],\"classes\":[";
    char texts[2][4096], reason[512];
    for (int side = 0; side < 2; side++) {
        char *at = texts[side] + sprintf(texts[side], "%s", start);
        for (int k = 0; k < 6; k++) {
            at += sprintf(at, "%s{\"label\":\"%d", k > 0 ? "," : "", k);
            for (int i = 0; i < 30; i++) at += sprintf(at, "\xc3\xa9");
            at += sprintf(at, "\",\"images\":1000000000,\"top1\":[%s]}",
                          side == 0 ? "0.0001" : "0.9");
        }
        strcpy(at, "]}");
    }
    struct json *result = parse(texts[0], NULL), *serving = parse(texts[1], NULL);
    const struct evidence v = {result, serving, 3, false, NULL, 0.01};
    enum verdict verdict;
    assert_int_equal(judge(&v, &verdict, reason, sizeof(reason), NULL), 0);
    assert_int_equal(verdict, VERDICT_REJECT);
    assert_non_null(strstr(reason, "\"2\xc3\xa9"));
    for (size_t i = 0, left = strlen(reason); left > 0;) {
        size_t n = text_utf8_length(reason + i, left);
        if (n == 0) fail_msg("%s: byte %zu", reason, i);
        i += n;
        left -= n;
    }
    json_free(result);
    json_free(serving);
}

static void test_judge_nonsense(void **state)
{
    (void)state;
    static const char *const nonsense[] = {"{}",
                                           "[]",
                                           "{\"exits\":[]}",
                                           "{\"exits\":[{\"top1\":\"1\"}]}",
                                           "{\"exits\":[{\"top1\":1.5}]}",
                                           "{\"exits\":[{\"top1\":-0.1}]}",
                                           "{\"exits\":[{\"top1\":0.5},{}]}"};
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        struct json *bad = parse(nonsense[i], NULL), *good = evaluation(0.5);
        enum verdict verdict;
        char reason[512];
        const struct evidence first = {bad, good, 1, false, NULL, 0.01},
                              second = {good, bad, 1, false, NULL, 0.01};
        assert_int_equal(judge(&first, &verdict, reason, sizeof(reason), NULL), ERR_FORMAT);
        assert_int_equal(judge(&second, &verdict, reason, sizeof(reason), NULL), ERR_FORMAT);
        json_free(bad);
        json_free(good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_judge),
        cmocka_unit_test(test_judge_classes),
        cmocka_unit_test(test_judge_many_classes),
        cmocka_unit_test(test_judge_nonsense),
    };
    return cmocka_run_group_tests_name("jobs/follow", tests, NULL, NULL);
}
