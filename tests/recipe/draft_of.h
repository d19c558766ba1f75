/* A draft from words, for the tests of options and of what they say of each other. */
#ifndef TESTS_RECIPE_DRAFT_OF_H
#define TESTS_RECIPE_DRAFT_OF_H

#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "recipe/draft.h"

/* "NAME=VALUE NAME=VALUE", finished; what recipe_give() and recipe_finish() return. */
static inline int draft_of(const char *words, enum recipe_voice voice, struct recipe_draft *draft,
                           struct err *e)
{
    static char text[512]; /* places of the draft point into it */
    char *rest = text;
    snprintf(text, sizeof(text), "%s", words);
    recipe_draft_init(draft, voice);
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        char *equals = strchr(word, '=');
        *equals = '\0';
        const struct recipe_option *option = recipe_option_find(word);
        if (option == NULL) fail_msg("there is no option %s", word);
        int rc = recipe_give(draft, option, equals + 1, e);
        if (rc < 0) return rc;
    }
    return recipe_finish(draft, e);
}

#endif
