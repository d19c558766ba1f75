/* A job's body: options of the recipe, by its table, and members of the job's own. Checking it and
 * building the command both walk that table, so that a member cannot be accepted and then
 * forgotten. Nothing of the body reaches a path but through the functions below that check it. */
#include "config.h"

#include "request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/name.h"
#include "base/text.h"
#include "recipe/draft.h"
#include "store/version_table.h"

enum { KIND_TEXT_MAX = 63, SOURCE_MAX = 1024 };

#define SEED_INT_MAX (INT64_C(1) << 53) /* past it many readers round */

static const char *const own_members[] = {"kind", "spec", "model", "promote"};
enum { OWN_MEMBERS = sizeof(own_members) / sizeof(own_members[0]) };

static bool is_own(const char *name)
{
    for (size_t i = 0; i < OWN_MEMBERS; i++) {
        if (strcmp(own_members[i], name) == 0) return true;
    }
    return false;
}

static int unknown_member(const char *name, struct err *e)
{
    char list[ERR_TEXT_MAX] = "", member[RECIPE_NAME_MAX];
    size_t used = 0;
    for (size_t i = 0; i < OWN_MEMBERS; i++)
        used += (size_t)snprintf(list + used, sizeof(list) - used, " %s", own_members[i]);
    for (size_t i = 0; recipe_option_at(i) != NULL && used < sizeof(list); i++) {
        if (!recipe_option_at(i)->job) continue;
        used += (size_t)snprintf(list + used, sizeof(list) - used, " %s",
                                 recipe_option_member(recipe_option_at(i), member));
    }
    return err_set(e, ERR_RANGE, "\"%.64s\" is not a member of a job, which takes:%s", name, list);
}

/* The text of a value, in ret_text or the body's own; NULL when JSON says such options otherwise.
 */
static const char *text_of(const struct recipe_option *option, const struct json *value,
                           char ret_text[RECIPE_TEXT_MAX])
{
    const int64_t whole = json_int(value, -1);
    switch (recipe_option_json(option)) {
    case RECIPE_JSON_INT:
        if (option->kind == RECIPE_AMOUNT && json_is(value, JSON_KIND_STRING))
            return json_text(value);
        if (!json_is(value, JSON_KIND_INT)) return NULL;
        snprintf(ret_text, RECIPE_TEXT_MAX, "%" PRId64, whole);
        return ret_text;
    case RECIPE_JSON_SEED:
        if (!json_is(value, JSON_KIND_INT)) return json_text(value);
        if (whole < 0 || whole > SEED_INT_MAX) return NULL;
        snprintf(ret_text, RECIPE_TEXT_MAX, "%" PRId64, whole);
        return ret_text;
    case RECIPE_JSON_NUMBER:
        if (!json_is(value, JSON_KIND_INT) && !json_is(value, JSON_KIND_REAL)) return NULL;
        return text_double(json_number(value, 0), ret_text);
    case RECIPE_JSON_BOOL:
        if (!json_is(value, JSON_KIND_BOOL)) return NULL;
        return json_bool(value, false) ? "on" : "off";
    case RECIPE_JSON_STRING:
        break;
    }
    return json_text(value);
}

static int give(struct recipe_draft *draft, const char *member, const struct json *value,
                struct err *e)
{
    const struct recipe_option *option = recipe_option_of_member(member);
    char buffer[RECIPE_TEXT_MAX];
    if (json_is(value, JSON_KIND_NULL) && (is_own(member) || (option != NULL && option->job)))
        return 0; /* as if it were not there */
    if (is_own(member)) {
        if (json_is(value, JSON_KIND_STRING)) return 0;
        return err_set(e, ERR_RANGE, "\"%s\" takes a string", member);
    }
    if (option == NULL || !option->job) return unknown_member(member, e);
    const char *text = text_of(option, value, buffer);
    if (text == NULL) return recipe_option_refuse(option, RECIPE_JSON_BODY, NULL, e);
    return recipe_give(draft, option, text, e);
}

/* What the body says of the recipe; places stay the body's strings. */
static int read_draft(const struct json *body, struct recipe_draft *ret_draft, struct err *e)
{
    recipe_draft_init(ret_draft, RECIPE_JSON_BODY);
    for (struct json_member given = {0}; json_next(body, &given);) {
        int rc = give(ret_draft, given.name, given.value, e);
        if (rc < 0) return rc;
    }
    return recipe_finish(ret_draft, e);
}

static const char *string_of(const struct json *body, const char *name)
{
    return json_text(json_get(body, name));
}

/* NAME or NAME/VERSION. */
static int split_version(const char *text, char *ret_name, int64_t *ret_version)
{
    const char *slash = strchr(text, '/');
    size_t n = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (n > VERSION_MODEL_MAX) return ERR_RANGE;
    memcpy(ret_name, text, n);
    ret_name[n] = '\0';
    *ret_version = 0;
    if (!name_is_valid(ret_name)) return ERR_RANGE;
    if (slash == NULL) return 0;
    char *end;
    errno = 0;
    if (slash[1] < '1' || slash[1] > '9') return ERR_RANGE;
    *ret_version = strtoll(slash + 1, &end, 10);
    return *end == '\0' && errno == 0 ? 0 : ERR_RANGE;
}

/* "resnet18" and "resnet18.json" are the same spec. */
static int spec_name(const char *spec, char *ret_name)
{
    size_t n = strlen(spec);
    if (n > 5 && strcmp(spec + n - 5, ".json") == 0) n -= 5;
    if (n > VERSION_MODEL_MAX) return ERR_RANGE;
    memcpy(ret_name, spec, n);
    ret_name[n] = '\0';
    return name_is_valid(ret_name) ? 0 : ERR_RANGE;
}

static int check_strings(const struct json *body, struct err *e)
{
    const char *kind = string_of(body, "kind"), *promote = string_of(body, "promote");
    const char *spec = string_of(body, "spec"), *init = string_of(body, "init");
    const char *model = string_of(body, "model"), *data = string_of(body, "data");
    const char *teacher = string_of(body, "teacher");
    char name[VERSION_MODEL_MAX + 1];
    int64_t version;
    if (kind == NULL || strcmp(kind, "train") != 0)
        return err_set(e, ERR_RANGE, "\"kind\" must be given and takes \"train\"");
    if (promote != NULL && strcmp(promote, "auto") != 0 && strcmp(promote, "manual") != 0)
        return err_set(e, ERR_RANGE, "\"promote\" takes \"auto\" or \"manual\"");
    if (spec == NULL && init == NULL) {
        return err_set(e, ERR_RANGE,
                       "\"spec\" (an architecture, to begin anew) or \"init\" (a model, to "
                       "train on) must be given");
    }
    if (spec != NULL && spec_name(spec, name) < 0)
        return err_set(e, ERR_RANGE,
                       "\"spec\" takes the name of an architecture, like \"resnet18\"");
    if (init != NULL && split_version(init, name, &version) < 0)
        return err_set(e, ERR_RANGE, "\"init\" takes a model's name, or NAME/VERSION");
    if (teacher != NULL && split_version(teacher, name, &version) < 0)
        return err_set(e, ERR_RANGE, "\"teacher\" takes a model's name, or NAME/VERSION");
    if (model != NULL && !name_is_valid(model))
        return err_set(e, ERR_RANGE, "\"model\" takes " NAME_RULE);
    if (data == NULL || strchr(data, ':') == NULL || strlen(data) > SOURCE_MAX) {
        return err_set(e, ERR_RANGE,
                       "\"data\" must be given and takes KIND:DIRECTORY, like "
                       "\"cifar100:cifar-100-binary\"");
    }
    return 0;
}

int request_check(const struct json *body, struct err *e)
{
    struct recipe_draft draft;
    if (!json_is(body, JSON_KIND_OBJECT)) return err_set(e, ERR_FORMAT, "a job is a JSON object");
    int rc = read_draft(body, &draft, e);
    return rc < 0 ? rc : check_strings(body, e);
}

size_t request_warnings(const struct json *body,
                        struct recipe_warning ret_warnings[RECIPE_WARNINGS_MAX])
{
    struct recipe_draft draft;
    if (read_draft(body, &draft, NULL) < 0) return 0; /* an older program's, which took it */
    return recipe_warnings(&draft, ret_warnings);
}

void request_model(const struct json *body, char *ret_name)
{
    const char *model = string_of(body, "model"), *init = string_of(body, "init");
    int64_t version;
    if (model != NULL)
        snprintf(ret_name, VERSION_MODEL_MAX + 1, "%s", model);
    else if (init != NULL)
        split_version(init, ret_name, &version);
    else
        spec_name(string_of(body, "spec"), ret_name);
}

bool request_is_manual(const struct json *body)
{
    const char *promote = string_of(body, "promote");
    return promote != NULL && strcmp(promote, "manual") == 0;
}

void request_version(const struct json *body, const char *member, char *ret_name,
                     int64_t *ret_version)
{
    const char *text = string_of(body, member);
    ret_name[0] = '\0';
    *ret_version = 0;
    if (text != NULL) split_version(text, ret_name, ret_version);
}

int request_data(const struct json *body, const char *data_root, char *ret_source, size_t size,
                 struct err *e)
{
    static const char *const kinds[] = {"cifar100", "cifar10", "folder"};
    const char *data = string_of(body, "data"), *colon = strchr(data, ':'), *path = colon + 1;
    size_t n_kind = (size_t)(colon - data), i = 0, n_kinds = sizeof(kinds) / sizeof(kinds[0]);
    char joined[PATH_MAX], root[PATH_MAX], real[PATH_MAX];
    while (i < n_kinds && (strlen(kinds[i]) != n_kind || memcmp(kinds[i], data, n_kind) != 0)) i++;
    if (i == n_kinds) {
        return err_set(e, ERR_RANGE,
                       "\"data\": \"%.*s\" is no kind of data set: cifar100, cifar10 or folder",
                       n_kind > KIND_TEXT_MAX ? KIND_TEXT_MAX : (int)n_kind, data);
    }
    if (data_root == NULL || data_root[0] == '\0') {
        return err_set(e, ERR_UNSUPPORTED,
                       "this daemon takes no training jobs: the option train.data_root "
                       "(the directory that data must lie in) is not set");
    }
    if (realpath(data_root, root) == NULL)
        return err_set(e, ERR_UNSUPPORTED, "train.data_root %s: %s", data_root, err_text(-errno));
    if (path[0] == '/' ? strlen(path) >= sizeof(joined)
                       : file_join(joined, sizeof(joined), root, path) < 0)
        return err_set(e, ERR_RANGE, "\"data\": the path is too long");
    if (path[0] == '/') memcpy(joined, path, strlen(path) + 1);
    /* What does not exist and what lies elsewhere are told apart only inside of the root: the
     * answers say nothing about the rest of the machine. */
    size_t n_root = strcmp(root, "/") == 0 ? 0 : strlen(root);
    bool found = realpath(joined, real) != NULL;
    if (found &&
        (strncmp(real, root, n_root) != 0 || (real[n_root] != '/' && real[n_root] != '\0')))
        found = false;
    if (!found) {
        return err_set(e, ERR_RANGE, "\"data\": there is no \"%.200s\" below train.data_root",
                       path);
    }
    int n = snprintf(ret_source, size, "%s:%s", kinds[i], real);
    return n < 0 || (size_t)n >= size ? err_set(e, ERR_RANGE, "\"data\": the path is too long") : 0;
}

int request_spec(const struct json *body, const char *spec_directory, char *ret_path, size_t size,
                 struct err *e)
{
    const char *spec = string_of(body, "spec");
    char name[VERSION_MODEL_MAX + 1];
    ret_path[0] = '\0';
    if (spec == NULL) return 0;
    spec_name(spec, name);
    int n = snprintf(ret_path, size, "%s/%s.json", spec_directory, name);
    if (n < 0 || (size_t)n >= size) return err_set(e, ERR_RANGE, "\"spec\": the path is too long");
    if (file_exists(ret_path)) return 0;
    return err_set(e, ERR_NOT_FOUND, "\"spec\": there is no %s.json in %s (model.specs)", name,
                   spec_directory);
}

void request_add_options(const struct json *body, struct command *command)
{
    struct recipe_draft draft;
    char name[RECIPE_NAME_MAX], text[RECIPE_TEXT_MAX];
    (void)read_draft(body, &draft, NULL); /* it was good */
    for (size_t i = 0; recipe_option_at(i) != NULL; i++) {
        const struct recipe_option *o = recipe_option_at(i);
        bool said = o->kind == RECIPE_METHOD || recipe_is_given(&draft, o->name);
        if (!o->job || o->kind == RECIPE_PLACE || !said) continue;
        command_add(command, recipe_option_name(o, RECIPE_COMMAND_LINE, name));
        command_add(command, recipe_option_format(o, &draft, text));
    }
}
