/* The words of --augment. Some take values behind colons, which have defaults. */
#include "config.h"

#include "recipe/augment.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES_MAX = 2, OPERATIONS_MAX = 10, NUMBER_MAX = 16 };

/* A number behind a colon, kept as a whole one: times `scale`. */
struct value {
    size_t at; /* in struct augment */
    double low, high, scale;
    int standard;
};

static const struct word {
    const char *name;
    unsigned bit;
    const char *takes; /* of what stands behind the colon; NULL: nothing does */
    struct value values[VALUES_MAX];
} words[] = {
    {.name = "crop", .bit = AUGMENT_CROP},
    {.name = "flip", .bit = AUGMENT_FLIP},
    {.name = "autoaugment", .bit = AUGMENT_AUTO},
    {.name = "cutout", .bit = AUGMENT_CUTOUT},
    {.name = "fill128", .bit = AUGMENT_FILL_GREY},
    {"resizedcrop",
     AUGMENT_RESIZED_CROP,
     "the least share of an image's area that is shown, from 0.001 to 1",
     {{offsetof(struct augment, scale), 0.001, 1, 1000, AUGMENT_SCALE_DEFAULT}}},
    {.name = "reflect", .bit = AUGMENT_REFLECT},
    {.name = "altflip", .bit = AUGMENT_ALTERNATING_FLIP},
    {.name = "trivialaugment", .bit = AUGMENT_TRIVIAL},
    {"randaugment",
     AUGMENT_RAND,
     "how many operations, from 1 to 10, and their magnitude, from 0 to 30, like 2:9",
     {{offsetof(struct augment, operations), 1, OPERATIONS_MAX, 1, AUGMENT_OPERATIONS_DEFAULT},
      {offsetof(struct augment, magnitude), 0, AUGMENT_MAGNITUDE_MAX, 1,
       AUGMENT_MAGNITUDE_DEFAULT}}},
    {"erasing",
     AUGMENT_ERASING,
     "its probability, from 0.001 to 1",
     {{offsetof(struct augment, erasing), 0.001, 1, 1000, AUGMENT_ERASING_DEFAULT}}},
};

enum { WORDS = sizeof(words) / sizeof(words[0]) };

/* Words of which each says something else of the same thing. */
static const struct {
    unsigned bits;
    const char *what;
} rivals[] = {
    {AUGMENT_FLIP | AUGMENT_ALTERNATING_FLIP, "when an image is mirrored"},
    {AUGMENT_FILL_GREY | AUGMENT_REFLECT, "what crop pads with"},
    {AUGMENT_AUTO | AUGMENT_TRIVIAL | AUGMENT_RAND, "which operations are drawn"},
};

static int *value_at(struct augment *augment, const struct value *v)
{
    return (int *)(void *)((char *)augment + v->at);
}

static int value_of(const struct augment *augment, const struct value *v)
{
    return *(const int *)(const void *)((const char *)augment + v->at);
}

static int n_values(const struct word *word)
{
    int n = 0;
    while (n < VALUES_MAX && word->values[n].scale > 0) n++;
    return n;
}

static int unknown_word(const char *word, size_t length, struct err *e)
{
    char known[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < WORDS && used < sizeof(known); i++) {
        const char *before = i == 0 ? "" : i + 1 < WORDS ? ", " : " and ";
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", before, words[i].name);
    }
    return err_set(e, ERR_RANGE,
                   "'%.*s' is no augmentation; known are %s, separated by commas, or none",
                   length > 64 ? 64 : (int)length, word, known);
}

/* text[0..length), all of it. */
static bool parse_value(const struct value *v, const char *text, size_t length, int *ret_value)
{
    char copy[NUMBER_MAX + 1], *end;
    if (length == 0 || length > NUMBER_MAX) return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    const double number = strtod(copy, &end);
    if (*end != '\0' || !(number >= v->low && number <= v->high)) return false;
    if (v->scale == 1 && number != floor(number)) return false;
    *ret_value = (int)lround(number * v->scale);
    return true;
}

/* Those of "randaugment:2:14", from the colon on. */
static int parse_values(const struct word *word, const char *text, size_t length,
                        struct augment *augment, struct err *e)
{
    const int n = n_values(word);
    const char *at = text, *end = text + length;
    bool good = true;
    for (int i = 0; i < n && good; i++) {
        good = at < end && *at == ':';
        if (!good) break;
        const char *next = memchr(at + 1, ':', (size_t)(end - at - 1));
        if (next == NULL || i + 1 == n) next = end;
        good = parse_value(&word->values[i], at + 1, (size_t)(next - at - 1),
                           value_at(augment, &word->values[i]));
        at = next;
    }
    if (good) return 0;
    return err_set(e, ERR_RANGE, "'%s%.*s': behind the colon stands %s", word->name,
                   length > 64 ? 64 : (int)length, text, word->takes);
}

/* One word with its values, if it has any: text[0..length). */
static int parse_word(const char *text, size_t length, struct augment *augment, struct err *e)
{
    const char *colon = memchr(text, ':', length);
    const size_t name = colon != NULL ? (size_t)(colon - text) : length;
    size_t i = 0;
    while (i < WORDS && (strlen(words[i].name) != name || memcmp(words[i].name, text, name) != 0)) {
        i++;
    }
    if (i == WORDS || (colon != NULL && words[i].takes == NULL))
        return unknown_word(text, length, e);
    augment->words |= words[i].bit;
    for (int k = 0; k < n_values(&words[i]); k++)
        *value_at(augment, &words[i].values[k]) = words[i].values[k].standard;
    return colon != NULL ? parse_values(&words[i], colon, length - name, augment, e) : 0;
}

static const char *first_name(unsigned bits)
{
    size_t i = 0;
    while ((words[i].bit & bits) == 0) i++;
    return words[i].name;
}

/* Whether the words go together. */
static int check_words(unsigned bits, struct err *e)
{
    const unsigned pads = bits & (AUGMENT_FILL_GREY | AUGMENT_REFLECT);
    if (pads != 0 && (bits & AUGMENT_CROP) == 0) {
        return err_set(e, ERR_RANGE, "%s is what crop pads with, but crop is not in the list",
                       first_name(pads));
    }
    for (size_t i = 0; i < sizeof(rivals) / sizeof(rivals[0]); i++) {
        const unsigned both = bits & rivals[i].bits, others = both & (both - 1);
        if (others == 0) continue;
        return err_set(e, ERR_RANGE, "%s and %s both say %s: take one of them",
                       first_name(both & ~others), first_name(others), rivals[i].what);
    }
    return 0;
}

int augment_parse(const char *text, struct augment *ret_augment, struct err *e)
{
    struct augment augment = {0};
    if (strcmp(text, "none") == 0) {
        *ret_augment = augment;
        return 0;
    }
    for (const char *word = text;; word++) {
        const size_t length = strcspn(word, ",");
        int rc = parse_word(word, length, &augment, e);
        if (rc < 0) return rc;
        word += length;
        if (*word == '\0') break;
    }
    int rc = check_words(augment.words, e);
    if (rc == 0) *ret_augment = augment;
    return rc;
}

static bool is_standard(const struct augment *augment, const struct word *word)
{
    for (int i = 0; i < n_values(word); i++) {
        if (value_of(augment, &word->values[i]) != word->values[i].standard) return false;
    }
    return true;
}

void augment_format(const struct augment *augment, char ret_text[AUGMENT_TEXT_MAX])
{
    size_t used = 0;
    snprintf(ret_text, AUGMENT_TEXT_MAX, "none");
    for (size_t i = 0; i < WORDS; i++) {
        if ((augment->words & words[i].bit) == 0) continue;
        used += (size_t)snprintf(ret_text + used, AUGMENT_TEXT_MAX - used, "%s%s",
                                 used > 0 ? "," : "", words[i].name);
        for (int k = 0; k < n_values(&words[i]) && !is_standard(augment, &words[i]); k++) {
            const struct value *v = &words[i].values[k];
            used += (size_t)snprintf(ret_text + used, AUGMENT_TEXT_MAX - used, ":%g",
                                     value_of(augment, v) / v->scale);
        }
    }
}
