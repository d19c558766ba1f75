/* The tables of options, methods and presets, and drafts: every row is whole, every value reads
 * back from its text, and what is refused names the option, what was given and what it takes. */
#include "config.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../seeded.h"
#include "base/file.h"
#include "base/mem.h"
#include "draft_of.h"
#include "recipe/draft.h"

static const struct recipe_option *option(const char *name)
{
    const struct recipe_option *o = recipe_option_find(name);
    if (o == NULL) fail_msg("there is no option %s", name);
    return o;
}

static void test_table(void **state)
{
    (void)state;
    struct recipe_draft draft;
    struct err e = {0};
    for (size_t i = 0; recipe_option_at(i) != NULL; i++) {
        const struct recipe_option *o = recipe_option_at(i);
        char help[RECIPE_HELP_MAX], name[RECIPE_NAME_MAX];
        assert_ptr_equal(recipe_option_find(o->name), o); /* no duplicate */
        assert_true(strspn(o->name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(o->name));
        assert_ptr_equal(recipe_option_of_member(recipe_option_member(o, name)), o);
        assert_true(o->takes != NULL && o->help != NULL && o->help[0] != '\0');
        recipe_option_help(o, help);
        assert_true(strlen(help) < RECIPE_HELP_MAX - 1);
        /* What determines the result is in the recipe, and the recipe's members are all. */
        assert_true(o->result == (o->at < sizeof(struct recipe)));
        if (o->kind == RECIPE_WHOLE || o->kind == RECIPE_REAL) assert_true(o->low < o->high);
        if (o->kind == RECIPE_CHOICE) assert_non_null(o->choices[0]);
        const char *texts[] = {o->standard, o->implied};
        for (size_t k = 0; k < 2; k++) {
            if (texts[k] == NULL) continue;
            recipe_draft_init(&draft, RECIPE_COMMAND_LINE);
            if (recipe_give(&draft, o, texts[k], &e) < 0) fail_msg("%s", e.text);
        }
    }
    assert_null(recipe_option_find("nonesuch"));
    assert_null(recipe_option_of_member("kd-scale"));
    assert_null(recipe_option_of_member("a_name_that_is_longer_than_any_option_s_name_is"));
}

static void check_settings(const struct setting *settings, const struct method *method)
{
    struct recipe_draft draft;
    struct err e = {0};
    recipe_draft_init(&draft, RECIPE_COMMAND_LINE);
    for (const struct setting *s = settings; s->option != NULL; s++) {
        if (!recipe_option_is_read(option(s->option), method))
            fail_msg("%s does not read %s", method->name, s->option);
        if (s->value != NULL && recipe_give(&draft, option(s->option), s->value, &e) < 0)
            fail_msg("%s", e.text);
    }
}

static void test_methods(void **state)
{
    (void)state;
    size_t n = 0;
    for (; method_at(n) != NULL; n++) {
        const struct method *m = method_at(n);
        assert_ptr_equal(method_find(m->name), m);
        assert_true(m->summary[0] != '\0');
        check_settings(m->reads, m);
        assert_true((m->source == METHOD_TEACHER) == recipe_option_is_read(option("teacher"), m));
        assert_true((m->source == METHOD_PEER) == recipe_option_is_read(option("peer"), m));
    }
    assert_int_equal(n, 7);
    assert_null(method_find("KD"));
    for (size_t i = 0; recipe_option_at(i) != NULL; i++) {
        size_t readers = 0;
        for (size_t m = 0; m < n; m++)
            readers += recipe_option_is_read(recipe_option_at(i), method_at(m));
        assert_true(readers > 0);
        if (recipe_option_at(i)->section != RECIPE_DISTILLATION) assert_int_equal(readers, n);
    }
    for (size_t i = 0; preset_at(i) != NULL; i++) {
        assert_ptr_equal(preset_find(preset_at(i)->name), preset_at(i));
        check_settings(preset_at(i)->settings, method_find("byot"));
    }
    struct recipe r;
    recipe_default(&r, method_find("kd"));
    assert_true(r.temperature == 4 && r.alpha == 0.9 && r.kd_scale && r.lambda == 0);
    recipe_default(&r, method_find("at"));
    assert_true(r.beta == 1000);
}

/* --- values ----------------------------------------------------------------------------------- */

/* A text of the option, in its range. */
static void random_text(const struct recipe_option *o, struct rng *rng, char text[RECIPE_TEXT_MAX])
{
    static const char *const schedules[] = {"cosine", "rex", "one-cycle:0.4", "restarts:5,3",
                                            "steps:75,130,180"};
    static const char *const lists[] = {"none",
                                        "flip",
                                        "crop,flip,autoaugment,cutout,fill128",
                                        "resizedcrop:0.25",
                                        "crop,resizedcrop,altflip,erasing:0.1",
                                        "crop,reflect,randaugment:1:14",
                                        "trivialaugment,erasing"};
    static const char *const exits[] = {"all", "1", "1,2", "2,3,7"};
    uint32_t pick = rng_u32(rng);
    double value;
    size_t n = 0;
    switch (o->kind) {
    case RECIPE_WHOLE:
        value = floor(o->low + rng_uniform(rng) * (o->high - o->low));
        snprintf(text, RECIPE_TEXT_MAX, "%.0f", o->or_zero && pick % 8 == 0 ? 0 : value);
        return;
    case RECIPE_AMOUNT:
        snprintf(text, RECIPE_TEXT_MAX, pick % 2 ? "%u" : "%u.25%%", pick / 2 % 100);
        return;
    case RECIPE_SEED:
        snprintf(text, RECIPE_TEXT_MAX, "%llu",
                 (unsigned long long)pick << (rng_u32(rng) % 33) | rng_u32(rng));
        return;
    case RECIPE_REAL:
        value = o->low + pow(rng_uniform(rng), 1 + pick % 20) * (o->high - o->low);
        snprintf(text, RECIPE_TEXT_MAX, "%.17g", o->or_zero && pick % 8 == 0 ? 0 : value);
        return;
    case RECIPE_SWITCH:
        snprintf(text, RECIPE_TEXT_MAX, "%s", pick % 2 ? "on" : "off");
        return;
    case RECIPE_CHOICE:
        while (o->choices[n] != NULL) n++;
        snprintf(text, RECIPE_TEXT_MAX, "%s", o->choices[pick % n]);
        return;
    case RECIPE_METHOD:
        snprintf(text, RECIPE_TEXT_MAX, "%s", method_at(pick % 7)->name);
        return;
    case RECIPE_PRESET:
        snprintf(text, RECIPE_TEXT_MAX, "%s", preset_at(pick % 3)->name);
        return;
    case RECIPE_SCHEDULE:
        snprintf(text, RECIPE_TEXT_MAX, "%s",
                 schedules[pick % (sizeof(schedules) / sizeof(schedules[0]))]);
        return;
    case RECIPE_AUGMENT:
        snprintf(text, RECIPE_TEXT_MAX, "%s", lists[pick % 5]);
        return;
    case RECIPE_EXITS:
        snprintf(text, RECIPE_TEXT_MAX, "%s", exits[pick % 4]);
        return;
    case RECIPE_CLASS_WEIGHTS:
        snprintf(text, RECIPE_TEXT_MAX, "%s", pick % 2 ? "effective:0.99" : "3=2.5,17=0.5");
        return;
    case RECIPE_EXIT_WEIGHTS:
        snprintf(text, RECIPE_TEXT_MAX, "%s", pick % 2 ? "equal" : "0.5,2,1");
        return;
    case RECIPE_PLACE:
        snprintf(text, RECIPE_TEXT_MAX, "some/place");
        return;
    }
}

static size_t value_size(enum recipe_kind kind)
{
    static const size_t sizes[] = {[RECIPE_WHOLE] = sizeof(int64_t),
                                   [RECIPE_SEED] = sizeof(uint64_t),
                                   [RECIPE_REAL] = sizeof(double),
                                   [RECIPE_AMOUNT] = sizeof(struct holdout),
                                   [RECIPE_SWITCH] = sizeof(bool),
                                   [RECIPE_CHOICE] = sizeof(int),
                                   [RECIPE_METHOD] = sizeof(const struct method *),
                                   [RECIPE_PRESET] = sizeof(const struct preset *),
                                   [RECIPE_SCHEDULE] = sizeof(struct schedule),
                                   [RECIPE_AUGMENT] = sizeof(unsigned),
                                   [RECIPE_EXITS] = sizeof(unsigned),
                                   [RECIPE_CLASS_WEIGHTS] = sizeof(struct class_balance),
                                   [RECIPE_EXIT_WEIGHTS] = sizeof(struct exit_balance),
                                   [RECIPE_PLACE] = sizeof(const char *)};
    return sizes[kind];
}

/* Text -> value -> text -> value: the same value. Other options stay as they are. */
static void test_round_trip(void **state)
{
    (void)state;
    struct rng rng = seeded(1);
    for (size_t round = 0; round < 500; round++) {
        for (size_t i = 0; recipe_option_at(i) != NULL; i++) {
            const struct recipe_option *o = recipe_option_at(i);
            struct recipe_draft a, b;
            struct err e = {0};
            char text[RECIPE_TEXT_MAX], again[RECIPE_TEXT_MAX], third[RECIPE_TEXT_MAX];
            recipe_draft_init(&a, RECIPE_COMMAND_LINE);
            recipe_draft_init(&b, RECIPE_COMMAND_LINE);
            random_text(o, &rng, text);
            if (recipe_give(&a, o, text, &e) < 0) fail_msg("%s", e.text);
            recipe_option_format(o, &a, again);
            if (recipe_give(&b, o, again, &e) < 0) fail_msg("%s", e.text);
            assert_string_equal(recipe_option_format(o, &b, third), again);
            if (o->kind != RECIPE_PLACE) {
                assert_memory_equal((char *)&a + o->at, (char *)&b + o->at, value_size(o->kind));
            }
            assert_true(recipe_is_given(&a, o->name));
            assert_true(a.given == UINT64_C(1) << i);
        }
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *option, *text, *command_line, *body;
    } rows[] = {
        {"epochs", "0", "--epochs 0: it takes a whole number from 1 to 1000000",
         "\"epochs\" 0: it takes a whole number from 1 to 1000000"},
        {"epochs", "", "--epochs : it takes a whole number", "\"epochs\" : it takes"},
        {"epochs", " 1", "--epochs", "epochs"},
        {"epochs", "3x", "--epochs 3x: it", "3x"},
        {"epochs", "99999999999999999999", "--epochs 999", "epochs"},
        {"label-smoothing", "1.5", "--label-smoothing 1.5: it takes a number from 0 to 1",
         "\"label_smoothing\" 1.5: it takes a number from 0 to 1"},
        {"lr", "nan", "--lr nan: it takes a number from 0 to 1e+09", "\"lr\" nan"},
        {"lr", "inf", "--lr inf", "inf"},
        {"mixup", "1e-7", "--mixup 1e-7: it takes 0, or a number from 1e-06 to 1000",
         "\"mixup\" 1e-7: it takes 0, or a number from 1e-06 to 1000"},
        {"mixup", "-1", "--mixup -1: it takes 0, or", "mixup"},
        {"seed", "-1", "--seed -1: it takes a whole number from 0", "\"seed\""},
        {"kd-scale", "yes", "--kd-scale yes: it takes on or off",
         "\"kd_scale\" yes: it takes true or false"},
        {"method", "magic", "--method magic: it takes baseline, dsn, byot, kd, fitnet, at or dml",
         "\"method\" magic"},
        {"preset", "luan", "--preset luan: it takes byot, scan or sdf", "\"preset\" luan"},
        {"hint", "l2", "--hint l2: it takes mean, sum or norm", "\"hint\" l2"},
        {"hint-exits", "1,", "--hint-exits 1,: it takes all, or numbers of", "\"hint_exits\" 1,"},
        {"hint-exits", "9", "--hint-exits 9", "hint_exits"},
        {"hint-exits", "12", "--hint-exits 12", "hint_exits"},
        {"hint-exits", "8,x", "--hint-exits 8,x", "hint_exits"},
        {"schedule", "steps:9,5", "--schedule: ", "\"schedule\": "},
        {"augment", "crop,spin", "--augment: ", "\"augment\": "},
        {"precision", "int8", "--precision int8: it takes fp32 or bf16", "\"precision\" int8"},
        {"data", "", "--data : it takes a text that is not empty", "\"data\""},
        {"method", "\x1b[31m\xff", "--method ?[31m?: it takes", "\"method\" ?[31m?"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int voice = 0; voice < 2; voice++) {
            struct recipe_draft draft, before;
            struct err e = {0};
            const char *wanted = voice == 0 ? rows[i].command_line : rows[i].body;
            recipe_draft_init(&draft, voice == 0 ? RECIPE_COMMAND_LINE : RECIPE_JSON_BODY);
            before = draft;
            assert_int_equal(recipe_give(&draft, option(rows[i].option), rows[i].text, &e),
                             ERR_RANGE);
            if (strstr(e.text, wanted) == NULL) fail_msg("%s is not in %s", wanted, e.text);
            assert_true(draft.given == before.given);
        }
    }
}

/* --- drafts ----------------------------------------------------------------------------------- */

static void test_unread(void **state)
{
    (void)state;
    static const struct {
        const char *words, *command_line, *body;
    } rows[] = {
        {"method=dsn alpha=0",
         "--alpha: --method dsn does not read it: it is of byot, kd, fitnet, at and dml",
         "\"alpha\": \"method\" dsn does not read it: it is of byot, kd, fitnet, at and dml"},
        {"preset=scan method=dsn", "--preset: --method dsn does not read it: it is of byot",
         "\"preset\": \"method\" dsn"},
        {"method=kd hint=sum teacher=x", "--hint: --method kd does not read it", "\"hint\""},
        {"beta=0", "--beta: --method byot does not read it: it is of at", "\"beta\""},
        {"peer-width=1", "--peer-width: --method byot does not read it: it is of dml",
         "\"peer_width\""},
        {"method=byot teacher=x", "--teacher: --method byot does not read it", "\"teacher\""},
        {"optimizer=adamw momentum=0.9",
         "--momentum: --optimizer adamw does not read it: it is of sgd",
         "\"momentum\": \"optimizer\" adamw does not read it: it is of sgd"},
        {"nesterov=off optimizer=adamw", "--nesterov: --optimizer adamw", "\"nesterov\""},
        {"adam-beta2=0.99", "--adam-beta2: --optimizer sgd does not read it: it is of adamw",
         "\"adam_beta2\""},
        {"warmup=0 schedule=one-cycle:0.2",
         "--warmup: --schedule one-cycle:0.2 does not read it: it is of cosine, linear, rex, "
         "restarts and steps",
         "\"warmup\": \"schedule\" one-cycle:0.2"},
        {"ema-images=9", "--ema-images: without --ema nothing reads it",
         "\"ema_images\": without \"ema\" nothing reads it"},
        {"method=kd teacher=x exit-weights=1,1",
         "--exit-weights: --method kd does not read it: it is of dsn and byot", "\"exit_weights\""},
        {"method=dsn distill-from=ensemble", "--distill-from: --method dsn does not",
         "distill_from"},
        {"method=dml ps-kd=0.8", "--ps-kd: --method dml does not read it: it is of baseline, dsn,",
         "\"ps_kd\""},
        {"mixup=0.2 ps-kd=0.8", "--ps-kd: it does not go with --mixup",
         "\"ps_kd\": it does not go with \"mixup\""},
        {"cutmix=1 cutmix-prob=0.5 ps-kd=0.8", "--ps-kd: it does not go with --cutmix",
         "\"cutmix\""},
        {"freeze=trunk", "--freeze: it needs --init, whose trunk is kept", "\"freeze\": it needs"},
        {"freeze=trunk init=x exit-rescale=on", "--exit-rescale: --freeze trunk does not read it",
         "\"exit_rescale\""},
        {"method=baseline freeze=trunk",
         "--freeze: --method baseline does not read it: it is of dsn", "\"freeze\""},
        {"method=at", "--method at needs --teacher", "\"method\" at needs \"teacher\""},
    };
    struct recipe_draft draft;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct err e = {0};
        assert_int_equal(draft_of(rows[i].words, RECIPE_COMMAND_LINE, &draft, &e), ERR_RANGE);
        if (strstr(e.text, rows[i].command_line) == NULL) fail_msg("%s", e.text);
        assert_int_equal(draft_of(rows[i].words, RECIPE_JSON_BODY, &draft, &e), ERR_RANGE);
        if (strstr(e.text, rows[i].body) == NULL) fail_msg("%s", e.text);
    }
}

/* The columns of the published codes: SCAN's train.py, the journal version's train.py. */
static void test_presets(void **state)
{
    (void)state;
    struct recipe_draft a, d;
    struct err e = {0};
    struct recipe_text texts[2][RECIPE_TEXTS_MAX];
    assert_int_equal(draft_of("method=byot", RECIPE_COMMAND_LINE, &a, &e), 0);
    assert_int_equal(draft_of("preset=byot method=byot", RECIPE_COMMAND_LINE, &d, &e), 0);
    size_t n = recipe_texts(&a.recipe, texts[0]);
    assert_int_equal(n, recipe_texts(&d.recipe, texts[1]));
    for (size_t i = 0; i < n; i++) assert_string_equal(texts[0][i].value, texts[1][i].value);
    assert_null(recipe_choice("heads", d.heads));

    assert_int_equal(draft_of("preset=scan", RECIPE_COMMAND_LINE, &d, &e), 0);
    const struct recipe *r = &d.recipe;
    assert_true(r->alpha * r->temperature * r->temperature == 4.5 && r->kd_scale);
    assert_true(1 - r->alpha == 0.5 && r->lambda == 5e-7 && r->hint == HINT_SUM);
    assert_string_equal(recipe_choice("heads", d.heads), "scala+attention");
    assert_int_equal(draft_of("preset=sdf", RECIPE_COMMAND_LINE, &d, &e), 0);
    assert_true(r->alpha == 0.3 && !r->kd_scale && r->hint == HINT_NORM && r->hint_exits == 3);
    assert_string_equal(recipe_choice("heads", d.heads), "sepconv+attention");

    /* What is given goes before it, on either side. */
    const char *const words[] = {"preset=sdf alpha=0.7 heads=scala",
                                 "heads=scala alpha=0.7 preset=sdf"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(draft_of(words[i], RECIPE_COMMAND_LINE, &d, &e), 0);
        assert_true(r->alpha == 0.7 && r->hint == HINT_NORM);
        assert_string_equal(recipe_choice("heads", d.heads), "scala");
    }
}

/* What a method does not read is zero, and not among its texts. */
static void test_texts(void **state)
{
    (void)state;
    struct recipe r;
    struct recipe_text texts[RECIPE_TEXTS_MAX];
    recipe_default(&r, method_find("byot"));
    size_t all = recipe_texts(&r, texts);
    for (size_t i = 0; i < all; i++) { /* by default an option that files need not say is implied */
        assert_true(texts[i].implied == (option(texts[i].name)->implied != NULL));
    }
    assert_string_equal(texts[0].name, "method");
    recipe_default(&r, method_find("dsn"));
    assert_int_equal(recipe_texts(&r, texts), all - 7);
    assert_true(r.temperature == 0 && r.alpha == 0 && !r.kd_scale && r.beta == 0);
}

/* doc/training.md has every option and every method. */
static void test_documented(void **state)
{
    (void)state;
    char path[4096], *text;
    size_t size;
    struct err e = {0};
    const char *top = getenv("top_srcdir");
    snprintf(path, sizeof(path), "%s/doc/training.md", top != NULL ? top : ".");
    if (file_read(path, 1 << 20, &text, &size, &e) < 0) fail_msg("%s", e.text);
    for (size_t i = 0; recipe_option_at(i) != NULL; i++) {
        const struct recipe_option *o = recipe_option_at(i);
        char cell[64];
        snprintf(cell, sizeof(cell), "| `--%s` |", o->name);
        if (strstr(text, cell) == NULL) fail_msg("%s has no row %s", path, cell);
    }
    for (size_t i = 0; method_at(i) != NULL; i++) {
        char word[64];
        snprintf(word, sizeof(word), "`%s`", method_at(i)->name);
        if (strstr(text, word) == NULL) fail_msg("%s does not know %s", path, word);
    }
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),      cmocka_unit_test(test_methods),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unread),     cmocka_unit_test(test_presets),
        cmocka_unit_test(test_texts),      cmocka_unit_test(test_documented),
    };
    return cmocka_run_group_tests_name("recipe/options", tests, NULL, NULL);
}
