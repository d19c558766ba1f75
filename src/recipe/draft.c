/* Drafts: what was given, before the preset's, before the method's values. */
#include "config.h"

#include "recipe/draft.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "check.h"
#include "words.h"

/* The tables' own texts: they are good (tests/recipe/test_options.c). */
static void apply(struct recipe_draft *draft, const struct recipe_option *option, const char *text)
{
    int rc = recipe_option_parse(option, text, draft->voice, draft, NULL);
    assert(rc == 0);
    (void)rc;
}

static size_t index_of(const struct recipe_option *option)
{
    return (size_t)(option - recipe_option_at(0));
}

static bool was_given(const struct recipe_draft *draft, const struct recipe_option *option)
{
    return (draft->given >> index_of(option) & 1) != 0;
}

static void apply_settings(struct recipe_draft *draft, const struct setting *settings)
{
    for (const struct setting *s = settings; s->option != NULL; s++) {
        const struct recipe_option *option = recipe_option_find(s->option);
        if (s->value != NULL && !was_given(draft, option)) apply(draft, option, s->value);
    }
}

void recipe_draft_init(struct recipe_draft *draft, enum recipe_voice voice)
{
    *draft = (struct recipe_draft){.voice = voice, .heads = -1};
    for (size_t i = 0; recipe_option_at(i) != NULL; i++) {
        if (recipe_option_at(i)->standard != NULL)
            apply(draft, recipe_option_at(i), recipe_option_at(i)->standard);
    }
}

int recipe_give(struct recipe_draft *draft, const struct recipe_option *option, const char *text,
                struct err *e)
{
    int rc = recipe_option_parse(option, text, draft->voice, draft, e);
    if (rc == 0) rc = recipe_option_check(option, text, draft->voice, draft, e);
    if (rc == 0) draft->given |= UINT64_C(1) << index_of(option);
    return rc;
}

bool recipe_is_given(const struct recipe_draft *draft, const char *name)
{
    return was_given(draft, recipe_option_find(name));
}

bool recipe_said_by(const struct recipe_draft *draft, const char *name,
                    char ret_text[RECIPE_TEXT_MAX])
{
    char own[RECIPE_NAME_MAX];
    if (recipe_is_given(draft, name)) {
        recipe_option_name(recipe_option_find(name), draft->voice, own);
        snprintf(ret_text, RECIPE_TEXT_MAX, "%s", own);
        return true;
    }
    const struct setting *s = draft->preset != NULL ? draft->preset->settings : NULL;
    while (s != NULL && s->option != NULL && strcmp(s->option, name) != 0) s++;
    if (s == NULL || s->option == NULL) return false;
    recipe_option_name(recipe_option_find("preset"), draft->voice, own);
    snprintf(ret_text, RECIPE_TEXT_MAX, "%s %s", own, draft->preset->name);
    return true;
}

int recipe_finish(struct recipe_draft *draft, struct err *e)
{
    const struct method *method = draft->recipe.method;
    char own[RECIPE_NAME_MAX], needs[RECIPE_NAME_MAX];
    for (size_t i = 0; recipe_option_at(i) != NULL; i++) {
        const struct recipe_option *option = recipe_option_at(i);
        if (was_given(draft, option) && !recipe_option_is_read(option, method))
            return refuse_unread(option, draft->voice, method, e);
        if (was_given(draft, option) && !recipe_option_applies(option, draft))
            return refuse_beside(option, draft->voice, draft, e);
    }
    if (method->source == METHOD_TEACHER && draft->teacher == NULL) {
        return err_set(e, ERR_RANGE, "%s %s needs %s",
                       recipe_option_name(recipe_option_find("method"), draft->voice, own),
                       method->name,
                       recipe_option_name(recipe_option_find("teacher"), draft->voice, needs));
    }
    apply_settings(draft, method->reads);
    if (draft->preset != NULL) apply_settings(draft, draft->preset->settings);
    return check_together(draft, e);
}

const char *recipe_choice(const char *name, int value)
{
    return value >= 0 ? recipe_option_find(name)->choices[value] : NULL;
}

void recipe_default(struct recipe *ret_recipe, const struct method *method)
{
    struct recipe_draft draft;
    recipe_draft_init(&draft, RECIPE_COMMAND_LINE);
    draft.recipe.method = method;
    apply_settings(&draft, method->reads);
    *ret_recipe = draft.recipe;
}
