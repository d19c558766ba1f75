/* Weights of classes and classifiers: their texts, and the weights that numbers of images give. */
#include "config.h"

#include "recipe/balance.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define WEIGHT_MAX 1e6

static const char *const classes_take =
    "it takes none, inverse, effective:0.999 (any number from 0, below 1), or numbers of classes "
    "with their weights from 0, increasing, like 3=2.5,17=0.5";
static const char *const exits_take =
    "it takes equal, or a number above 0 for each classifier, like 0.5,0.75,1,1";

/* The number that all of text[0..length) is. */
static bool parse_number(const char *text, size_t length, double *ret)
{
    char copy[TEXT_NUMBER_MAX];
    if (length >= sizeof(copy)) return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return text_to_real(copy, ret);
}

static bool parse_weight(const char *text, size_t length, double *ret)
{
    return parse_number(text, length, ret) && *ret >= 0 && *ret <= WEIGHT_MAX;
}

/* --- classes ---------------------------------------------------------------------------------- */

/* "17=0.5" */
static bool parse_given(const char *text, size_t length, struct class_balance *w)
{
    const char *equals = memchr(text, '=', length);
    const size_t digits = equals != NULL ? (size_t)(equals - text) : 0;
    double number;
    if (digits == 0 || strspn(text, "0123456789") != digits ||
        !parse_number(text, digits, &number) || number > INT32_MAX || w->n == BALANCE_CLASSES_MAX)
        return false;
    w->given[w->n].number = (int64_t)number;
    if (w->n > 0 && w->given[w->n].number <= w->given[w->n - 1].number) return false;
    return parse_weight(equals + 1, length - digits - 1, &w->given[w->n++].weight);
}

static bool parse_all_given(const char *text, struct class_balance *w)
{
    char again[BALANCE_TEXT_MAX];
    w->kind = CLASS_BALANCE_GIVEN;
    for (;; text++) {
        const size_t length = strcspn(text, ",");
        if (!parse_given(text, length, w)) return false;
        text += length;
        if (*text == '\0') break;
    }
    class_balance_format(w, again);
    return strlen(again) + 1 < sizeof(again); /* it is kept as a text */
}

int class_balance_parse(const char *text, struct class_balance *ret_balance, struct err *e)
{
    static const char effective[] = "effective:";
    struct class_balance w = {.kind = CLASS_BALANCE_NONE};
    bool good = true;
    if (strcmp(text, "inverse") == 0) {
        w.kind = CLASS_BALANCE_INVERSE;
    } else if (strncmp(text, effective, sizeof(effective) - 1) == 0) {
        const char *base = text + sizeof(effective) - 1;
        w.kind = CLASS_BALANCE_EFFECTIVE;
        good = parse_number(base, strlen(base), &w.base) && w.base >= 0 && w.base < 1;
    } else if (strcmp(text, "none") != 0) {
        good = parse_all_given(text, &w);
    }
    if (!good) return err_set(e, ERR_RANGE, "\"%.100s\": %s", text, classes_take);
    *ret_balance = w;
    return 0;
}

void class_balance_format(const struct class_balance *w, char ret_text[BALANCE_TEXT_MAX])
{
    char number[TEXT_NUMBER_MAX];
    size_t used = 0;
    switch (w->kind) {
    case CLASS_BALANCE_NONE:
        snprintf(ret_text, BALANCE_TEXT_MAX, "none");
        break;
    case CLASS_BALANCE_INVERSE:
        snprintf(ret_text, BALANCE_TEXT_MAX, "inverse");
        break;
    case CLASS_BALANCE_EFFECTIVE:
        snprintf(ret_text, BALANCE_TEXT_MAX, "effective:%s", text_double(w->base, number));
        break;
    case CLASS_BALANCE_GIVEN:
        for (int i = 0; i < w->n && used < BALANCE_TEXT_MAX; i++) {
            used += (size_t)snprintf(ret_text + used, BALANCE_TEXT_MAX - used, "%s%lld=%s",
                                     i > 0 ? "," : "", (long long)w->given[i].number,
                                     text_double(w->given[i].weight, number));
        }
        break;
    }
}

/* Of a class of n images, before scaling. With base 0 all are alike, and near 1 it is 1 / n. */
static double raw_weight(const struct class_balance *w, size_t n)
{
    if (n == 0) return 0.0;
    if (w->kind == CLASS_BALANCE_INVERSE) return 1.0 / (double)n;
    return (1.0 - w->base) / (1.0 - pow(w->base, (double)n));
}

int class_balance_make(const struct class_balance *w, const size_t *images, int classes,
                       float *ret_weights, struct err *e)
{
    double all = 0.0, sum = 0.0;
    for (int i = 0; i < w->n; i++) {
        if (w->given[i].number < classes) continue;
        return err_set(e, ERR_RANGE, "there is no class %lld: they are 0 to %d",
                       (long long)w->given[i].number, classes - 1);
    }
    for (int k = 0; k < classes; k++) ret_weights[k] = 1.0f;
    for (int i = 0; i < w->n; i++) ret_weights[w->given[i].number] = (float)w->given[i].weight;
    if (w->kind == CLASS_BALANCE_NONE || w->kind == CLASS_BALANCE_GIVEN) return 0;
    for (int k = 0; k < classes; k++) {
        all += (double)images[k];
        sum += (double)images[k] * raw_weight(w, images[k]);
    }
    for (int k = 0; k < classes && sum > 0; k++)
        ret_weights[k] = (float)(raw_weight(w, images[k]) * all / sum);
    return 0;
}

/* --- classifiers ------------------------------------------------------------------------------ */

static bool parse_exits(const char *text, struct exit_balance *w)
{
    char again[BALANCE_TEXT_MAX];
    for (;; text++) {
        const size_t length = strcspn(text, ",");
        if (w->n == BALANCE_EXITS_MAX || !parse_weight(text, length, &w->values[w->n]) ||
            w->values[w->n++] == 0)
            return false;
        text += length;
        if (*text == '\0') break;
    }
    exit_balance_format(w, again);
    return strlen(again) + 1 < sizeof(again);
}

int exit_balance_parse(const char *text, struct exit_balance *ret_balance, struct err *e)
{
    struct exit_balance w = {.n = 0};
    if (strcmp(text, "equal") != 0 && !parse_exits(text, &w))
        return err_set(e, ERR_RANGE, "\"%.100s\": %s", text, exits_take);
    *ret_balance = w;
    return 0;
}

void exit_balance_format(const struct exit_balance *w, char ret_text[BALANCE_TEXT_MAX])
{
    char number[TEXT_NUMBER_MAX];
    size_t used = 0;
    snprintf(ret_text, BALANCE_TEXT_MAX, "equal");
    for (int i = 0; i < w->n && used < BALANCE_TEXT_MAX; i++) {
        used += (size_t)snprintf(ret_text + used, BALANCE_TEXT_MAX - used, "%s%s", i > 0 ? "," : "",
                                 text_double(w->values[i], number));
    }
}
