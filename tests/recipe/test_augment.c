/* The words of --augment: what is good reads back, what is not is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "recipe/augment.h"

static void test_augment_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned bits;
    } good[] = {{"none", 0},
                {"crop", AUGMENT_CROP},
                {"flip", AUGMENT_FLIP},
                {"crop,flip", AUGMENT_CROP | AUGMENT_FLIP},
                {"flip,crop", AUGMENT_CROP | AUGMENT_FLIP},
                {"cutout,autoaugment", AUGMENT_AUTO | AUGMENT_CUTOUT},
                {"crop,flip,autoaugment,cutout,fill128", 31},
                {"flip,resizedcrop", AUGMENT_FLIP | AUGMENT_RESIZED_CROP},
                {"resizedcrop:0.08", AUGMENT_RESIZED_CROP}, /* the default */
                {"resizedcrop:0.25,crop", AUGMENT_RESIZED_CROP | AUGMENT_CROP | 250 << 16},
                {"resizedcrop:1", AUGMENT_RESIZED_CROP | 1000 << 16},
                {"resizedcrop:1,resizedcrop:0.001", AUGMENT_RESIZED_CROP | 1 << 16}};
    static const struct {
        const char *text, *word;
    } bad[] = {{"", "''"},
               {"crop,", "''"},
               {",flip", "''"},
               {"Crop", "'Crop'"},
               {"crop,none", "'none'"},
               {"cropp", "'cropp'"},
               {"crop flip", "'crop flip'"},
               {"crop:0.5", "'crop:0.5'"},
               {"resizedcro:0.5", "'resizedcro:0.5'"}};
    static const char *const bad_scales[] = {"",    "0",   "0.0009", "1.001", "-1",
                                             "nan", "inf", "0.5x",   "x",     "0.5:1"};
    unsigned bits;
    char text[AUGMENT_TEXT_MAX];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        bits = 99;
        assert_int_equal(augment_parse(good[i].text, &bits, NULL), 0);
        assert_int_equal(bits, good[i].bits);
        augment_format(bits, text); /* and back */
        bits = 99;
        assert_int_equal(augment_parse(text, &bits, NULL), 0);
        assert_int_equal(bits, good[i].bits);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err e = {0};
        bits = 99;
        assert_int_equal(augment_parse(bad[i].text, &bits, &e), ERR_RANGE);
        assert_non_null(strstr(e.text, bad[i].word));
        assert_non_null(strstr(e.text, "crop, flip, autoaugment, cutout, fill128 and resizedcrop"));
        assert_int_equal(bits, 99);
    }
    struct err e = {0};
    for (size_t i = 0; i < sizeof(bad_scales) / sizeof(bad_scales[0]); i++) {
        char words[64];
        snprintf(words, sizeof(words), "resizedcrop:%s", bad_scales[i]);
        assert_int_equal(augment_parse(words, &bits, &e), ERR_RANGE);
        assert_non_null(strstr(e.text, words));
    }
    assert_int_equal(augment_parse("flip,fill128", &bits, &e), ERR_RANGE);
    assert_non_null(strstr(e.text, "crop is not in the list"));
    augment_format(AUGMENT_FLIP | AUGMENT_CUTOUT, text);
    assert_string_equal(text, "flip,cutout");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_augment_parse)};
    return cmocka_run_group_tests_name("recipe/augment", tests, NULL, NULL);
}
