/* A job's body.
 *
 * One table says for each member what it may be and which option of `autodidact train` it becomes;
 * checking and building the command both walk it, so that a member cannot be accepted and then
 * forgotten. Ranges are those of the tool, which checks again. Nothing of the body reaches a path
 * but through the functions below that check it. */
#include "config.h"

#include "request.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/name.h"
#include "base/text.h"
#include "store/version_table.h"

enum kind {
    KIND_INT,
    KIND_REAL,
    KIND_BOOL,
    KIND_NAME /* letters, digits and . _ - : , + */,
    KIND_OTHER
};

enum { TEXT_MAX = 63, SOURCE_MAX = 1024 };

static const struct member {
    const char *name;
    enum kind kind;
    const char *option; /* NULL: not an option of its own */
    double min, max;
} members[] = {
    {"kind", KIND_OTHER, NULL, 0, 0},
    {"spec", KIND_OTHER, NULL, 0, 0},
    {"init", KIND_OTHER, NULL, 0, 0},
    {"teacher", KIND_OTHER, NULL, 0, 0},
    {"model", KIND_OTHER, NULL, 0, 0},
    {"data", KIND_OTHER, NULL, 0, 0},
    {"promote", KIND_OTHER, NULL, 0, 0},
    {"method", KIND_NAME, "--method", 0, 0},
    {"epochs", KIND_INT, "--epochs", 1, 1000000},
    {"width", KIND_INT, "--width", 1, 16384},
    {"batch", KIND_INT, "--batch", 2, 65536},
    {"lr", KIND_REAL, "--lr", 0, 1e9},
    {"momentum", KIND_REAL, "--momentum", 0, 0.999999},
    {"weight_decay", KIND_REAL, "--weight-decay", 0, 1},
    {"schedule", KIND_NAME, "--schedule", 0, 0},
    {"warmup", KIND_INT, "--warmup", 0, 1000000},
    {"augment", KIND_NAME, "--augment", 0, 0},
    {"label_smoothing", KIND_REAL, "--label-smoothing", 0, 1},
    {"mixup", KIND_REAL, "--mixup", 0, 1000},
    {"preset", KIND_NAME, "--preset", 0, 0},
    {"heads", KIND_NAME, "--heads", 0, 0},
    {"temperature", KIND_REAL, "--temperature", 0.01, 1000},
    {"alpha", KIND_REAL, "--alpha", 0, 1},
    {"lambda", KIND_REAL, "--lambda", 0, 1e6},
    {"beta", KIND_REAL, "--beta", 0, 1e9},
    {"kd_scale", KIND_BOOL, "--kd-scale", 0, 0},
    {"hint", KIND_NAME, "--hint", 0, 0},
    {"hint_exits", KIND_NAME, "--hint-exits", 0, 0},
    {"holdout", KIND_INT, "--holdout", 0, INT32_MAX},
    {"holdout_seed", KIND_INT, "--holdout-seed", 0, (double)(INT64_C(1) << 53)},
    {"seed", KIND_INT, "--seed", 0, (double)(INT64_C(1) << 53)},
    {"threads", KIND_INT, "--threads", 0, 1024},
    {"precision", KIND_NAME, "--precision", 0, 0},
    {"store", KIND_NAME, "--store", 0, 0},
};
enum { MEMBERS = sizeof(members) / sizeof(members[0]) };

static const struct member *find_member(const char *name)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        if (strcmp(members[i].name, name) == 0) return &members[i];
    }
    return NULL;
}

static bool is_word(const char *text)
{
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:,+-");
    return n > 0 && n <= TEXT_MAX && text[n] == '\0' && text[0] != '-';
}

static int unknown_member(const char *name, struct err *e)
{
    char list[ERR_TEXT_MAX] = "";
    size_t used = 0;
    for (size_t i = 0; i < MEMBERS && used < sizeof(list); i++) {
        used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? " " : "",
                                 members[i].name);
    }
    return err_set(e, ERR_RANGE, "\"%.64s\" is not a member of a job, which takes: %s", name, list);
}

static bool is_number(const struct json *value)
{
    return json_is(value, JSON_KIND_INT) || json_is(value, JSON_KIND_REAL);
}

static int check_value(const struct member *m, const struct json *value, struct err *e)
{
    switch (m->kind) {
    case KIND_INT:
        if (json_is(value, JSON_KIND_INT) && (double)json_int(value, 0) >= m->min &&
            (double)json_int(value, 0) <= m->max)
            return 0;
        return err_set(e, ERR_RANGE, "\"%s\" takes a whole number from %.0f to %.0f", m->name,
                       m->min, m->max);
    case KIND_REAL:
        if (is_number(value) && json_number(value, 0) >= m->min && json_number(value, 0) <= m->max)
            return 0;
        return err_set(e, ERR_RANGE, "\"%s\" takes a number from %g to %g", m->name, m->min,
                       m->max);
    case KIND_BOOL:
        return json_is(value, JSON_KIND_BOOL)
                   ? 0
                   : err_set(e, ERR_RANGE, "\"%s\" takes true or false", m->name);
    case KIND_NAME:
        if (json_is(value, JSON_KIND_STRING) && is_word(json_text(value))) return 0;
        return err_set(e, ERR_RANGE,
                       "\"%s\" takes a word of at most %d letters, digits and . _ : , + -", m->name,
                       TEXT_MAX);
    case KIND_OTHER:
        break;
    }
    if (json_is(value, JSON_KIND_STRING)) return 0;
    return err_set(e, ERR_RANGE, "\"%s\" takes a string", m->name);
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
    if (!json_is(body, JSON_KIND_OBJECT)) return err_set(e, ERR_FORMAT, "a job is a JSON object");
    for (struct json_member given = {0}; json_next(body, &given);) {
        const struct member *m = find_member(given.name);
        int rc = m == NULL ? unknown_member(given.name, e) : check_value(m, given.value, e);
        if (rc < 0) return rc;
    }
    return check_strings(body, e);
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
                       n_kind > TEXT_MAX ? TEXT_MAX : (int)n_kind, data);
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

/* ---- the command ---- */

void command_add(struct command *command, const char *word)
{
    char *copy = command->n < COMMAND_WORDS_MAX ? mem_strdup(word) : NULL;
    if (copy == NULL) {
        command->failed = true;
        return;
    }
    command->words[command->n++] = copy;
    command->words[command->n] = NULL;
}

void command_release(struct command *command)
{
    for (size_t i = 0; i < command->n; i++) mem_free(command->words[i]);
    memset(command, 0, sizeof(*command));
}

void request_add_options(const struct json *body, struct command *command)
{
    for (size_t i = 0; i < MEMBERS; i++) {
        const struct json *value = json_get(body, members[i].name);
        char text[64];
        if (members[i].option == NULL || value == NULL) continue;
        command_add(command, members[i].option);
        switch (members[i].kind) {
        case KIND_INT:
            snprintf(text, sizeof(text), "%" PRId64, (int64_t)json_int(value, 0));
            break;
        case KIND_REAL:
            text_double(json_number(value, 0), text);
            break;
        case KIND_BOOL:
            snprintf(text, sizeof(text), "%s", json_bool(value, false) ? "on" : "off");
            break;
        default:
            snprintf(text, sizeof(text), "%.63s", json_text(value));
            break;
        }
        command_add(command, text);
    }
}
