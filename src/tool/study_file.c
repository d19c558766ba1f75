/* Reading the file of a study. */
#include "config.h"

#include "study_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/text.h"
#include "json/read.h"
#include "recipe/draft.h"

static const struct json_limits file_limits = {STUDY_FILE_BYTES_MAX, 1 << 14};

/* Said by other members. */
static bool is_own(const struct recipe_option *o)
{
    static const char *const own[] = {"data", "method", "width", "seed"};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (strcmp(o->name, own[i]) == 0) return true;
    }
    return false;
}

/* A path from the directory of the file, unless it is absolute. */
static int put_path(const struct json_place *at, const char *name, const char *dir,
                    const char *path, char ret_path[STUDY_TEXT_MAX])
{
    int n = snprintf(ret_path, STUDY_TEXT_MAX, "%s%s", path[0] == '/' ? "" : dir, path);
    if (n >= 0 && n < STUDY_TEXT_MAX) return 0;
    return json_read_fail(at, name, ERR_LIMIT, "the path is too long");
}

/* The text of a JSON value, as on a command line. */
static int value_text(const struct json_place *at, const char *name, const struct json *value,
                      char ret_text[STUDY_TEXT_MAX])
{
    char number[TEXT_NUMBER_MAX];
    if (json_is(value, JSON_KIND_STRING))
        return json_read_string(at, name, ret_text, STUDY_TEXT_MAX);
    const char *text = NULL;
    if (json_is(value, JSON_KIND_INT)) {
        snprintf(ret_text, STUDY_TEXT_MAX, "%lld", (long long)json_int(value, 0));
        return 0;
    }
    if (json_is(value, JSON_KIND_REAL)) text = text_double(json_number(value, 0), number);
    if (json_is(value, JSON_KIND_BOOL)) text = json_bool(value, false) ? "on" : "off";
    if (text == NULL)
        return json_read_fail(at, name, ERR_FORMAT, "must be a number, a string, true or false");
    snprintf(ret_text, STUDY_TEXT_MAX, "%s", text);
    return 0;
}

/* Adds the options of an object, but for members that mean something else. */
static int read_options(const struct json_place *at, const char *dir, struct study_method *m)
{
    for (struct json_member given = {0}; json_next(at->value, &given);) {
        if (strcmp(given.name, "name") == 0 || strcmp(given.name, "method") == 0) continue;
        const struct recipe_option *o = recipe_option_of_member(given.name);
        if (o == NULL || is_own(o) || !o->job) {
            return json_read_fail(at, given.name, ERR_UNSUPPORTED,
                                  o == NULL   ? "no option of training has this name"
                                  : is_own(o) ? "is said by the study as a whole"
                                              : "belongs to a single training");
        }
        size_t k = 0;
        while (k < m->n_options && m->options[k].option != o) k++;
        if (k == STUDY_OPTIONS_MAX)
            return json_read_fail(at, given.name, ERR_LIMIT, "there are too many options");
        struct study_option *mine = &m->options[k];
        int rc = value_text(at, given.name, given.value, mine->value);
        if (rc == 0 && o->kind == RECIPE_PLACE) {
            char path[STUDY_TEXT_MAX];
            snprintf(path, sizeof(path), "%s", mine->value);
            rc = put_path(at, given.name, dir, path, mine->value);
        }
        if (rc < 0) return rc;
        mine->option = o;
        if (k == m->n_options) m->n_options++;
    }
    return 0;
}

/* What `autodidact train` would say. */
static int check_method(const struct json_place *at, const char *name, const struct study *s,
                        const struct study_method *m)
{
    struct recipe_draft draft;
    struct err why = {0};
    recipe_draft_init(&draft, RECIPE_COMMAND_LINE);
    int rc = recipe_give(&draft, recipe_option_find("data"), s->data, &why);
    if (rc == 0) rc = recipe_give(&draft, recipe_option_find("method"), m->method->name, &why);
    for (size_t i = 0; i < m->n_options && rc == 0; i++)
        rc = recipe_give(&draft, m->options[i].option, m->options[i].value, &why);
    if (rc == 0) rc = recipe_finish(&draft, &why);
    return rc == 0 ? 0 : json_read_fail(at, name, rc, "%s", why.text);
}

static int read_method(const struct json_place *methods, size_t i, const struct json_place *root,
                       const char *dir, struct study *s)
{
    const struct json_place at = json_place_item(methods, i);
    struct study_method *m = &s->methods[i];
    struct json_place options;
    char word[64];
    const bool is_object = json_is(at.value, JSON_KIND_OBJECT);
    int rc = json_read_string(&at, is_object ? "method" : NULL, word, sizeof(word));
    if (rc < 0) return rc;
    m->method = method_find(word);
    if (m->method == NULL)
        return json_read_fail(&at, is_object ? "method" : NULL, ERR_UNSUPPORTED,
                              "there is no method of this name");
    snprintf(m->name, sizeof(m->name), "%s", word);
    if (is_object && json_get(at.value, "name") != NULL) {
        rc = json_read_string(&at, "name", m->name, sizeof(m->name));
        if (rc == 0 && !name_is_valid(m->name))
            rc = json_read_fail(&at, "name", ERR_FORMAT, "takes " NAME_RULE);
        if (rc < 0) return rc;
    }
    for (size_t k = 0; k < i; k++) {
        if (strcmp(s->methods[k].name, m->name) == 0)
            return json_read_fail(&at, NULL, ERR_CONFLICT,
                                  "two methods are called %s: give one a \"name\"", m->name);
    }
    if (json_get(root->value, "options") != NULL) {
        rc = json_read_object(root, "options", &options);
        if (rc == 0) rc = read_options(&options, dir, m);
    }
    if (rc == 0 && is_object) rc = read_options(&at, dir, m);
    return rc == 0 ? check_method(&at, NULL, s, m) : rc;
}

static int read_methods(const struct json_place *root, const char *dir, struct study *s)
{
    struct json_place list;
    int rc = json_read_array(root, "methods", 1, STUDY_METHODS_MAX, &list);
    s->n_methods = rc == 0 ? json_count(list.value) : 0;
    for (size_t i = 0; i < s->n_methods && rc == 0; i++) rc = read_method(&list, i, root, dir, s);
    return rc;
}

static int read_networks(const struct json_place *root, const char *dir, struct study *s)
{
    struct json_place list;
    char path[STUDY_TEXT_MAX];
    int rc = json_read_array(root, "networks", 1, STUDY_NETWORKS_MAX, &list);
    s->n_networks = rc == 0 ? json_count(list.value) : 0;
    for (size_t i = 0; i < s->n_networks && rc == 0; i++) {
        const struct json_place at = json_place_item(&list, i);
        rc = json_read_string(&at, NULL, path, sizeof(path));
        if (rc == 0 && path[0] == '\0') rc = json_read_fail(&at, NULL, ERR_FORMAT, "is empty");
        if (rc == 0) rc = put_path(&at, NULL, dir, path, s->networks[i]);
    }
    return rc;
}

static int read_widths(const struct json_place *root, struct study *s)
{
    struct json_place list;
    s->n_widths = 1; /* the spec's own */
    if (json_get(root->value, "widths") == NULL) return 0;
    int rc = json_read_array(root, "widths", 1, STUDY_WIDTHS_MAX, &list);
    s->n_widths = rc == 0 ? json_count(list.value) : 0;
    for (size_t i = 0; i < s->n_widths && rc == 0; i++) {
        const struct json_place at = json_place_item(&list, i);
        rc = json_read_int(&at, NULL, 1, 16384, &s->widths[i]);
    }
    return rc;
}

static int read_seeds(const struct json_place *root, struct study *s)
{
    struct json_place list;
    s->n_seeds = 1;
    if (json_get(root->value, "seeds") == NULL) return 0;
    int rc = json_read_array(root, "seeds", 1, STUDY_SEEDS_MAX, &list);
    s->n_seeds = rc == 0 ? json_count(list.value) : 0;
    for (size_t i = 0; i < s->n_seeds && rc == 0; i++) {
        const struct json_place at = json_place_item(&list, i);
        int64_t seed;
        rc = json_read_int(&at, NULL, 0, INT64_C(1) << 53, &seed);
        if (rc == 0) s->seeds[i] = (uint64_t)seed;
    }
    return rc;
}

/* KIND:DIR, whose directory is a path, too. */
static int read_data(const struct json_place *root, const char *dir, struct study *s)
{
    char text[STUDY_TEXT_MAX], path[STUDY_TEXT_MAX];
    int rc = json_read_string(root, "data", text, sizeof(text));
    if (rc < 0) return rc;
    char *colon = strchr(text, ':');
    if (colon == NULL)
        return json_read_fail(root, "data", ERR_FORMAT,
                              "takes cifar100:DIR, cifar10:DIR or folder:DIR");
    rc = put_path(root, "data", dir, colon + 1, path);
    if (rc < 0) return rc;
    int n = snprintf(s->data, sizeof(s->data), "%.*s:%s", (int)(colon - text), text, path);
    return n >= 0 && n < STUDY_TEXT_MAX
               ? 0
               : json_read_fail(root, "data", ERR_LIMIT, "the path is too long");
}

static int read_document(const struct json_place *root, const char *dir, struct study *s)
{
    static const char *const known[] = {"data",  "split",   "networks", "widths",
                                        "seeds", "methods", "options"};
    static const char *const splits[] = {"test", "holdout"};
    int split = 0;
    int rc = json_read_known(root, known, sizeof(known) / sizeof(known[0]));
    if (rc == 0) rc = read_data(root, dir, s);
    if (rc == 0 && json_get(root->value, "split") != NULL)
        rc = json_read_choice(root, "split", splits, 2, &split);
    snprintf(s->split, sizeof(s->split), "%s", splits[split]);
    if (rc == 0) rc = read_networks(root, dir, s);
    if (rc == 0) rc = read_widths(root, s);
    if (rc == 0) rc = read_seeds(root, s);
    if (rc == 0) rc = read_methods(root, dir, s);
    if (rc < 0) return rc;
    if (s->n_networks * s->n_widths * s->n_seeds * s->n_methods > STUDY_RUNS_MAX)
        return json_read_fail(root, NULL, ERR_LIMIT, "these are more than %d trainings",
                              STUDY_RUNS_MAX);
    return 0;
}

int study_parse(const char *what, const char *text, size_t size, const char *dir,
                struct study **ret_study, struct err *e)
{
    struct json *document = json_parse(what, text, size, &file_limits, JSON_KIND_OBJECT, e);
    if (document == NULL) return e->code;
    struct study *s = mem_new(1, sizeof(*s));
    int rc = s != NULL ? 0 : err_set(e, -ENOMEM, "%s: out of memory", what);
    if (rc == 0) {
        const struct json_place root = json_root(document, what, e);
        rc = read_document(&root, dir, s);
    }
    json_free(document);
    if (rc == 0)
        *ret_study = s;
    else
        mem_free(s);
    return rc;
}

int study_read(const char *path, struct study **ret_study, struct err *e)
{
    char *text, dir[STUDY_TEXT_MAX];
    size_t size;
    const char *slash = strrchr(path, '/');
    int n = snprintf(dir, sizeof(dir), "%.*s", slash != NULL ? (int)(slash - path) + 1 : 0, path);
    if (n >= STUDY_TEXT_MAX) return err_set(e, ERR_LIMIT, "%.200s: the path is too long", path);
    int rc = file_read(path, STUDY_FILE_BYTES_MAX, &text, &size, e);
    if (rc < 0) return rc;
    rc = study_parse(path, text, size, dir, ret_study, e);
    mem_free(text);
    return rc;
}
