/* What values say of each other: what is refused, what is warned of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "draft_of.h"
#include "recipe/draft.h"

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *words, *command_line, *body;
    } rows[] = {
        {"cutmix-prob=0.5", "--cutmix-prob: nothing is cut without --cutmix",
         "\"cutmix_prob\": nothing is cut without \"cutmix\""},
        {"cutmix=1 cutmix-prob=1 mixup=0.2",
         "--mixup: with --cutmix-prob 1 every step is cut, none is left to it", "\"mixup\": with"},
        {"patience=3 holdout=0", "--patience: there is nothing to judge by with --holdout 0",
         "\"patience\": there is nothing to judge by with \"holdout\" 0"},
        {"keep=best holdout=0", "--keep: there is nothing", "\"keep\": there is nothing"},
        {"width=0", "--width 0: it takes a whole number from 1", "\"width\" 0: it takes"},
        {"method=dml peer-width=0", "--peer-width 0: it takes a whole number from 1",
         "\"peer_width\" 0"},
    };
    struct recipe_draft draft;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err e = {0};
        assert_int_equal(draft_of(rows[i].words, RECIPE_COMMAND_LINE, &draft, &e), ERR_RANGE);
        if (strstr(e.text, rows[i].command_line) == NULL) fail_msg("%s", e.text);
        assert_int_equal(draft_of(rows[i].words, RECIPE_JSON_BODY, &draft, &e), ERR_RANGE);
        if (strstr(e.text, rows[i].body) == NULL) fail_msg("%s", e.text);
    }
    struct err e = {0};
    static const char *const good[] = {"cutmix=1",
                                       "cutmix=1 mixup=0.2",
                                       "cutmix=1 cutmix-prob=1",
                                       "cutmix=0 mixup=0.2",
                                       "width=1",
                                       "keep=best patience=3 holdout=10%"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(draft_of(good[i], RECIPE_COMMAND_LINE, &draft, &e), 0);
}

static void test_warnings(void **state)
{
    (void)state;
    static const struct {
        const char *words, *warning; /* NULL: there is none */
        size_t n;
    } rows[] = {
        {"epochs=3", NULL, 0},
        {"epochs=1", "--warmup 2: the whole training is warm-up, since --epochs is 1", 1},
        {"epochs=2", "--warmup 2: the whole training is warm-up, since --epochs is 2", 1},
        {"epochs=1 warmup=0", NULL, 0},
        {"epochs=100 schedule=steps:50,75", NULL, 0},
        {"epochs=75 schedule=steps:50,75,180",
         "--schedule: the step at epoch 75 comes never, since --epochs is 75", 1},
        {"epochs=100 warmup=10 schedule=steps:5,75",
         "--schedule: the step at epoch 5 lies in the warm-up, since --warmup is 10", 1},
        {"lr=0", "--lr 0: no parameter learns; only running statistics move", 1},
        {"label-smoothing=1", "--label-smoothing 1: nothing is left of the labels", 1},
        {"method=kd teacher=x alpha=0", "--alpha 0: nothing is learnt from the teacher", 1},
        {"method=at teacher=x", NULL, 0},
        {"epochs=10 patience=10", "--patience 10: it never ends before the last epoch", 1},
        {"epochs=10 eval-every=11", "--eval-every 11: only the last epoch is looked at", 1},
        {"epochs=10 patience=4 eval-every=2", NULL, 0},
        {"lr=0 epochs=1", "--lr 0", 2},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct recipe_draft draft;
        struct recipe_warning warnings[RECIPE_WARNINGS_MAX];
        struct err e = {0};
        assert_int_equal(draft_of(rows[i].words, RECIPE_COMMAND_LINE, &draft, &e), 0);
        const size_t n = recipe_warnings(&draft, warnings);
        if (n != rows[i].n) fail_msg("%s: %zu warnings", rows[i].words, n);
        if (n > 0 && strstr(warnings[n - 1].text, rows[i].warning) == NULL)
            fail_msg("%s: %s", rows[i].words, warnings[n - 1].text);
    }
    struct recipe_draft draft;
    struct recipe_warning warnings[RECIPE_WARNINGS_MAX];
    assert_int_equal(draft_of("epochs=1 label-smoothing=1", RECIPE_JSON_BODY, &draft, NULL), 0);
    assert_int_equal(recipe_warnings(&draft, warnings), 2);
    assert_non_null(strstr(warnings[0].text, "\"warmup\" 2: "));
    assert_non_null(strstr(warnings[1].text, "\"label_smoothing\" 1: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_warnings)};
    return cmocka_run_group_tests_name("recipe/check", tests, NULL, NULL);
}
