/* The recipe in a model's metadata: a member for each option of the table that determines a result.
 *
 * Only the kind of a member is checked, not its range, as it may be another program's. An option
 * that is younger than some files need not be there, and is then what it was before there was it;
 * so is one that says a word of a later program. */
#include "config.h"

#include "metadata_recipe.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "model/model.h"

#define COUNT_MAX INT64_C(1000000000000) /* of images, epochs..: far more than anybody has */

static bool is_member(const struct recipe_option *o)
{
    return o->result && o->kind != RECIPE_METHOD; /* that is a member of the training itself */
}

/* --- reading ---------------------------------------------------------------------------------- */

static int read_seed(const struct json_place *root, const char *member, uint64_t *ret)
{
    const struct json *value = json_get(root->value, member);
    const char *text = json_text(value);
    if (json_is(value, JSON_KIND_INT) && json_int(value, -1) >= 0) {
        *ret = (uint64_t)json_int(value, 0);
        return 0;
    }
    if (text != NULL && *text != '\0' && strlen(text) <= 20 &&
        strspn(text, "0123456789") == strlen(text)) {
        errno = 0;
        unsigned long long seed = strtoull(text, NULL, 10);
        if (errno == 0) {
            *ret = seed;
            return 0;
        }
    }
    return json_read_fail(root, member, ERR_FORMAT, "must be an integer in 0..2^64-1");
}

static int read_text(const struct json_place *root, const struct recipe_option *o,
                     const char *member, char ret_text[RECIPE_TEXT_MAX])
{
    int64_t whole = 0;
    uint64_t seed = 0;
    double number = 0;
    bool on = false;
    int rc = 0;
    switch (recipe_option_json(o)) {
    case RECIPE_JSON_INT:
        rc = json_read_int(root, member, 0, COUNT_MAX, &whole);
        snprintf(ret_text, RECIPE_TEXT_MAX, "%" PRId64, whole);
        break;
    case RECIPE_JSON_SEED:
        rc = read_seed(root, member, &seed);
        snprintf(ret_text, RECIPE_TEXT_MAX, "%" PRIu64, seed);
        break;
    case RECIPE_JSON_NUMBER:
        rc = json_read_number(root, member, -DBL_MAX, DBL_MAX, &number);
        text_double(number, ret_text);
        break;
    case RECIPE_JSON_BOOL:
        rc = json_read_bool(root, member, &on);
        snprintf(ret_text, RECIPE_TEXT_MAX, "%s", on ? "on" : "off");
        break;
    case RECIPE_JSON_STRING:
        rc = json_read_string(root, member, ret_text, RECIPE_TEXT_MAX);
        break;
    }
    return rc;
}

static int read_option(const struct json_place *root, const struct recipe_option *o,
                       struct recipe *recipe)
{
    char member[RECIPE_NAME_MAX], text[RECIPE_TEXT_MAX];
    bool required = o->implied == NULL && (o->always || o->section != RECIPE_DISTILLATION);
    recipe_option_member(o, member);
    if (o->implied != NULL) recipe_option_parse(o, o->implied, RECIPE_JSON_BODY, recipe, NULL);
    if (json_get(root->value, member) == NULL && !required) return 0;
    int rc = read_text(root, o, member, text);
    if (rc == 0) recipe_option_parse(o, text, RECIPE_JSON_BODY, recipe, NULL);
    return rc;
}

int metadata_read_recipe(const struct json_place *root, const char *method, struct recipe *ret)
{
    struct recipe recipe = {.method = method_find(method)};
    int rc = 0;
    for (size_t i = 0; recipe_option_at(i) != NULL && rc == 0; i++) {
        if (is_member(recipe_option_at(i))) rc = read_option(root, recipe_option_at(i), &recipe);
    }
    if (rc == 0) *ret = recipe;
    return rc;
}

/* --- writing ---------------------------------------------------------------------------------- */

static void write_option(struct json_writer *w, const char *member, const struct recipe_option *o,
                         const char *text)
{
    double number;
    switch (recipe_option_json(o)) {
    case RECIPE_JSON_INT:
        json_write_int(w, member, strtoll(text, NULL, 10));
        break;
    case RECIPE_JSON_SEED:
        json_write_seed(w, member, strtoull(text, NULL, 10));
        break;
    case RECIPE_JSON_NUMBER:
        number = strtod(text, NULL);
        json_write_number(w, member, number);
        if (!isfinite(number) && w->status == 0) w->status = ERR_RANGE;
        break;
    case RECIPE_JSON_BOOL:
        json_write_bool(w, member, strcmp(text, "on") == 0);
        break;
    case RECIPE_JSON_STRING:
        json_write_string(w, member, text);
        break;
    }
}

void metadata_write_recipe(struct json_writer *w, const struct recipe *r, bool holdout,
                           enum recipe_json json)
{
    for (size_t i = 0; recipe_option_at(i) != NULL; i++) {
        const struct recipe_option *o = recipe_option_at(i);
        char text[RECIPE_TEXT_MAX], member[RECIPE_NAME_MAX];
        if (!is_member(o) || recipe_option_json(o) != json) continue;
        if ((o->section == RECIPE_HOLDOUT) != holdout) continue;
        recipe_option_format(o, r, text);
        if (o->implied != NULL && strcmp(o->implied, text) == 0) continue;
        if (!o->always && !recipe_option_is_read(o, r->method)) continue;
        bool none = json == RECIPE_JSON_STRING && r->method == NULL; /* nothing was trained */
        write_option(w, recipe_option_member(o, member), o, none ? "" : text);
    }
}

void model_write_recipe(struct json_writer *w, const struct recipe *recipe)
{
    for (size_t i = 0; recipe_option_at(i) != NULL; i++) {
        const struct recipe_option *o = recipe_option_at(i);
        char text[RECIPE_TEXT_MAX], member[RECIPE_NAME_MAX];
        if (!o->result || !recipe_option_is_read(o, recipe->method)) continue;
        recipe_option_format(o, recipe, text);
        write_option(w, recipe_option_member(o, member), o, text);
    }
}
