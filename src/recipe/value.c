/* Texts <-> values, by kind, and their ranges. */
#include "config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "recipe/option.h"

enum { EXITS_MAX = 9 }; /* the number of a classifier is a digit */

static void *value_at(const struct recipe_option *option, void *base)
{
    return (char *)base + option->at;
}

static const void *value_of(const struct recipe_option *option, const void *base)
{
    return (const char *)base + option->at;
}

enum recipe_json recipe_option_json(const struct recipe_option *option)
{
    switch (option->kind) {
    case RECIPE_WHOLE:
    case RECIPE_AMOUNT:
        return RECIPE_JSON_INT;
    case RECIPE_SEED:
        return RECIPE_JSON_SEED;
    case RECIPE_REAL:
        return RECIPE_JSON_NUMBER;
    case RECIPE_SWITCH:
        return RECIPE_JSON_BOOL;
    default:
        return RECIPE_JSON_STRING;
    }
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool parse_switch(const char *text, bool *ret_value)
{
    bool on = strcmp(text, "on") == 0;
    if (!on && strcmp(text, "off") != 0) return false;
    *ret_value = on;
    return true;
}

static bool parse_choice(const char *text, const char *const *choices, int *ret_value)
{
    for (int i = 0; choices[i] != NULL; i++) {
        if (strcmp(choices[i], text) != 0) continue;
        *ret_value = i;
        return true;
    }
    return false;
}

/* A number of images, or a part of all of them that leaves some. */
static bool parse_amount(const char *text, struct holdout *ret_value)
{
    char number[TEXT_NUMBER_MAX];
    const size_t n = strlen(text);
    double percent;
    int64_t images;
    if (n == 0 || text[n - 1] != '%') {
        if (!text_to_int(text, &images)) return false;
        ret_value->images = images;
        ret_value->share = 0;
        return true;
    }
    if (n > sizeof(number)) return false;
    memcpy(number, text, n - 1);
    number[n - 1] = '\0';
    if (!text_to_real(number, &percent) || !(percent > 0 && percent < 100)) return false;
    ret_value->images = 0;
    ret_value->share = percent / 100;
    return true;
}

static bool parse_exits(const char *text, unsigned *ret_value)
{
    unsigned exits = 0;
    const char *at = text;
    if (strcmp(text, "all") == 0) {
        *ret_value = 0;
        return true;
    }
    while (*at >= '1' && *at < '0' + EXITS_MAX) {
        exits |= 1u << (*at++ - '1');
        if (*at == ',' && at[1] != '\0')
            at++;
        else
            break;
    }
    if (exits == 0 || *at != '\0') return false;
    *ret_value = exits;
    return true;
}

/* Of parsers that say themselves what they take. */
static int named(const struct recipe_option *option, enum recipe_voice voice, int rc, struct err *e)
{
    char name[RECIPE_NAME_MAX];
    if (rc < 0) err_prefix(e, "%s", recipe_option_name(option, voice, name));
    return rc;
}

int recipe_option_parse(const struct recipe_option *option, const char *text,
                        enum recipe_voice voice, void *base, struct err *e)
{
    void *value = value_at(option, base);
    bool good = false;
    switch (option->kind) {
    case RECIPE_WHOLE:
        good = text_to_int(text, value);
        break;
    case RECIPE_SEED:
        good = text_to_unsigned(text, value);
        break;
    case RECIPE_REAL:
        good = text_to_real(text, value);
        break;
    case RECIPE_AMOUNT:
        good = parse_amount(text, value);
        break;
    case RECIPE_SWITCH:
        good = parse_switch(text, value);
        break;
    case RECIPE_CHOICE:
        good = parse_choice(text, option->choices, value);
        break;
    case RECIPE_EXITS:
        good = parse_exits(text, value);
        break;
    case RECIPE_METHOD: {
        const struct method *method = method_find(text);
        good = method != NULL;
        if (good) *(const struct method **)value = method;
        break;
    }
    case RECIPE_PRESET: {
        const struct preset *preset = preset_find(text);
        good = preset != NULL;
        if (good) *(const struct preset **)value = preset;
        break;
    }
    case RECIPE_PLACE:
        good = *text != '\0';
        if (good) *(const char **)value = text;
        break;
    case RECIPE_SCHEDULE:
        return named(option, voice, schedule_parse(text, value, e), e);
    case RECIPE_CLASS_WEIGHTS:
        return named(option, voice, class_balance_parse(text, value, e), e);
    case RECIPE_EXIT_WEIGHTS:
        return named(option, voice, exit_balance_parse(text, value, e), e);
    case RECIPE_AUGMENT:
        return named(option, voice, augment_parse(text, value, e), e);
    }
    return good ? 0 : recipe_option_refuse(option, voice, text, e);
}

/* --- ranges ----------------------------------------------------------------------------------- */

int recipe_option_check(const struct recipe_option *option, const char *text,
                        enum recipe_voice voice, const void *base, struct err *e)
{
    const void *at = value_of(option, base);
    double value;
    if (option->kind == RECIPE_WHOLE)
        value = (double)*(const int64_t *)at;
    else if (option->kind == RECIPE_AMOUNT)
        value = (double)((const struct holdout *)at)->images;
    else if (option->kind == RECIPE_REAL)
        value = *(const double *)at;
    else
        return 0;
    if (value >= option->low && value <= option->high) return 0;
    return option->or_zero && value == 0 ? 0 : recipe_option_refuse(option, voice, text, e);
}

/* --- writing ---------------------------------------------------------------------------------- */

static void format_exits(unsigned exits, char *ret_text)
{
    size_t used = 0;
    if (exits == 0) memcpy(ret_text, "all", 4);
    for (int i = 0; i < EXITS_MAX; i++) {
        if ((exits >> i & 1) == 0) continue;
        used += (size_t)snprintf(ret_text + used, RECIPE_TEXT_MAX - used, "%s%d",
                                 used > 0 ? "," : "", i + 1);
    }
}

/* What is not finite gets a text that no option takes. */
static void format_real(double value, char *ret_text)
{
    if (isfinite(value))
        text_double(value, ret_text);
    else
        snprintf(ret_text, RECIPE_TEXT_MAX, "%g", value);
}

static void format_amount(const struct holdout *holdout, char *ret_text)
{
    if (holdout->share > 0) {
        text_double(holdout->share * 100, ret_text);
        strcat(ret_text, "%");
    } else {
        snprintf(ret_text, RECIPE_TEXT_MAX, "%" PRId64, holdout->images);
    }
}

/* A text of the storage that lives on, or "" for none. */
static void format_name(const char *name, char *ret_text)
{
    snprintf(ret_text, RECIPE_TEXT_MAX, "%s", name != NULL ? name : "");
}

const char *recipe_option_format(const struct recipe_option *option, const void *base,
                                 char ret_text[RECIPE_TEXT_MAX])
{
    const void *value = value_of(option, base);
    _Static_assert((int)RECIPE_TEXT_MAX >= (int)TEXT_NUMBER_MAX, "a number fits");
    _Static_assert((int)RECIPE_TEXT_MAX >= (int)SCHEDULE_TEXT_MAX, "so does a list of milestones");
    _Static_assert((int)RECIPE_TEXT_MAX >= (int)AUGMENT_TEXT_MAX, "a list fits");
    _Static_assert((int)RECIPE_TEXT_MAX >= (int)BALANCE_TEXT_MAX, "and one of weights");
    switch (option->kind) {
    case RECIPE_WHOLE:
        snprintf(ret_text, RECIPE_TEXT_MAX, "%" PRId64, *(const int64_t *)value);
        break;
    case RECIPE_SEED:
        snprintf(ret_text, RECIPE_TEXT_MAX, "%" PRIu64, *(const uint64_t *)value);
        break;
    case RECIPE_REAL:
        format_real(*(const double *)value, ret_text);
        break;
    case RECIPE_AMOUNT:
        format_amount(value, ret_text);
        break;
    case RECIPE_SWITCH:
        format_name(*(const bool *)value ? "on" : "off", ret_text);
        break;
    case RECIPE_CHOICE: {
        int choice = *(const int *)value;
        format_name(choice >= 0 ? option->choices[choice] : NULL, ret_text);
        break;
    }
    case RECIPE_EXITS:
        format_exits(*(const unsigned *)value, ret_text);
        break;
    case RECIPE_METHOD: {
        const struct method *method = *(const struct method *const *)value;
        format_name(method != NULL ? method->name : NULL, ret_text);
        break;
    }
    case RECIPE_PRESET: {
        const struct preset *preset = *(const struct preset *const *)value;
        format_name(preset != NULL ? preset->name : NULL, ret_text);
        break;
    }
    case RECIPE_PLACE:
        format_name(*(const char *const *)value, ret_text);
        break;
    case RECIPE_SCHEDULE:
        schedule_format(value, ret_text);
        break;
    case RECIPE_CLASS_WEIGHTS:
        class_balance_format(value, ret_text);
        break;
    case RECIPE_EXIT_WEIGHTS:
        exit_balance_format(value, ret_text);
        break;
    case RECIPE_AUGMENT:
        augment_format(value, ret_text);
        break;
    }
    return ret_text;
}
