/* The texts of all that determines a result. */
#include "config.h"

#include "recipe/recipe.h"

#include <string.h>

#include "recipe/option.h"

int64_t recipe_micro_batch(const struct recipe *recipe)
{
    return recipe->batch / recipe->accumulate / recipe->ranks;
}

size_t recipe_texts(const struct recipe *recipe, struct recipe_text ret_texts[RECIPE_TEXTS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; recipe_option_at(i) != NULL; i++) {
        const struct recipe_option *option = recipe_option_at(i);
        if (!option->result || !recipe_option_is_read(option, recipe->method) ||
            !recipe_option_applies(option, recipe))
            continue;
        struct recipe_text *t = &ret_texts[n++];
        t->name = option->name;
        recipe_option_format(option, recipe, t->value);
        t->implied = option->implied != NULL && strcmp(t->value, option->implied) == 0;
    }
    return n;
}
