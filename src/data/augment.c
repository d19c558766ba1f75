/* The words of --augment. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "data/batch.h"

static const struct {
    const char *name;
    unsigned bit;
} words[] = {
    {"crop", AUGMENT_CROP},
    {"flip", AUGMENT_FLIP},
    {"autoaugment", AUGMENT_AUTO},
    {"cutout", AUGMENT_CUTOUT},
    {"fill128", AUGMENT_FILL_GREY},
};

enum { WORDS = sizeof words / sizeof words[0] };

static int unknown_word(const char *word, size_t length, struct err *e)
{
    char known[128] = "";
    size_t used = 0;
    for (size_t i = 0; i < WORDS && used < sizeof known; i++) {
        const char *before = i == 0 ? "" : i + 1 < WORDS ? ", " : " and ";
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", before, words[i].name);
    }
    return err_set(e, ERR_RANGE,
                   "'%.*s' is no augmentation; known are %s, separated by commas, or none",
                   length > 64 ? 64 : (int)length, word, known);
}

int augment_parse(const char *text, unsigned *ret_bits, struct err *e)
{
    unsigned bits = 0;
    if (strcmp(text, "none") == 0) {
        *ret_bits = 0;
        return 0;
    }
    for (const char *word = text;; word++) {
        size_t length = strcspn(word, ","), i = 0;
        while (i < WORDS && (strlen(words[i].name) != length ||
                             memcmp(words[i].name, word, length) != 0)) {
            i++;
        }
        if (i == WORDS) return unknown_word(word, length, e);
        bits |= words[i].bit;
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
    }
}
