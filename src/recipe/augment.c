/* The words of --augment. One of them takes a value behind a colon, which stands in the upper bits.
 */
#include "config.h"

#include "recipe/augment.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned bit;
} words[] = {
    {"crop", AUGMENT_CROP},         {"flip", AUGMENT_FLIP},
    {"autoaugment", AUGMENT_AUTO},  {"cutout", AUGMENT_CUTOUT},
    {"fill128", AUGMENT_FILL_GREY}, {"resizedcrop", AUGMENT_RESIZED_CROP},
};

enum { WORDS = sizeof(words) / sizeof(words[0]) };

static int unknown_word(const char *word, size_t length, struct err *e)
{
    char known[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < WORDS && used < sizeof(known); i++) {
        const char *before = i == 0 ? "" : i + 1 < WORDS ? ", " : " and ";
        used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%s", before, words[i].name);
    }
    return err_set(e, ERR_RANGE,
                   "'%.*s' is no augmentation; known are %s, separated by commas, or none",
                   length > 64 ? 64 : (int)length, word, known);
}

/* The value of "resizedcrop:0.25" in thousandths, shifted to its place. */
static int parse_scale(const char *value, size_t length, unsigned *bits, struct err *e)
{
    char *end;
    const double scale = length > 0 ? strtod(value, &end) : 0;
    if (length == 0 || end != value + length || !(scale >= 0.001 && scale <= 1)) {
        return err_set(e, ERR_RANGE,
                       "'resizedcrop:%.*s': behind the colon stands the least share of an image's "
                       "area that is shown, from 0.001 to 1",
                       length > 64 ? 64 : (int)length, value);
    }
    const unsigned thousandths = (unsigned)lround(scale * 1000);
    if (thousandths != AUGMENT_SCALE_DEFAULT) *bits |= thousandths << AUGMENT_SCALE_SHIFT;
    return 0;
}

double augment_scale(unsigned bits)
{
    const unsigned thousandths = bits >> AUGMENT_SCALE_SHIFT;
    return (thousandths != 0 ? thousandths : AUGMENT_SCALE_DEFAULT) / 1000.0;
}

/* One word with its value, if it has one: text[0..length). */
static int parse_word(const char *text, size_t length, unsigned *bits, struct err *e)
{
    const char *colon = memchr(text, ':', length);
    const size_t name = colon != NULL ? (size_t)(colon - text) : length;
    size_t i = 0;
    while (i < WORDS && (strlen(words[i].name) != name || memcmp(words[i].name, text, name) != 0)) {
        i++;
    }
    if (i == WORDS || (colon != NULL && words[i].bit != AUGMENT_RESIZED_CROP)) {
        return unknown_word(text, length, e);
    }
    *bits |= words[i].bit;
    if (words[i].bit != AUGMENT_RESIZED_CROP) return 0;
    *bits &= (1u << AUGMENT_SCALE_SHIFT) - 1; /* the last one counts */
    return colon != NULL ? parse_scale(colon + 1, length - name - 1, bits, e) : 0;
}

int augment_parse(const char *text, unsigned *ret_bits, struct err *e)
{
    unsigned bits = 0;
    if (strcmp(text, "none") == 0) {
        *ret_bits = 0;
        return 0;
    }
    for (const char *word = text;; word++) {
        const size_t length = strcspn(word, ",");
        int rc = parse_word(word, length, &bits, e);
        if (rc < 0) return rc;
        word += length;
        if (*word == '\0') break;
    }
    if ((bits & AUGMENT_FILL_GREY) != 0 && (bits & AUGMENT_CROP) == 0) {
        return err_set(e, ERR_RANGE, "fill128 is what crop pads with, but crop is not in the list");
    }
    *ret_bits = bits;
    return 0;
}

void augment_format(unsigned bits, char ret_text[AUGMENT_TEXT_MAX])
{
    size_t used = 0;
    snprintf(ret_text, AUGMENT_TEXT_MAX, "none");
    for (size_t i = 0; i < WORDS; i++) {
        if ((bits & words[i].bit) == 0) continue;
        used += (size_t)snprintf(ret_text + used, AUGMENT_TEXT_MAX - used, "%s%s",
                                 used > 0 ? "," : "", words[i].name);
        if (words[i].bit == AUGMENT_RESIZED_CROP && bits >> AUGMENT_SCALE_SHIFT != 0) {
            used += (size_t)snprintf(ret_text + used, AUGMENT_TEXT_MAX - used, ":%g",
                                     augment_scale(bits));
        }
    }
}
