/* Reading the options' values. Whatever is not understood is an error that says where it stands: an
 * option that is misspelt must not leave its default in force. Only the environment is not ours
 * alone: Kubernetes sets AUTODIDACT_PORT and others of the kind for a Service of that name, so what
 * is no option there is told and ignored. */
#include "config.h"

#include "settings.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "ini.h"

enum { CONFIG_FILE_MAX = 1 << 20, ENTRY_MAX = 4096 };

/* ---- the command line ---- */

static int need_value(int argc, char **argv, int *i, const char **ret_value, struct err *e)
{
    if (*i + 1 >= argc) return err_set(e, ERR_USAGE, "%s needs a value", argv[*i]);
    *ret_value = argv[++*i];
    return 0;
}

int settings_parse(struct settings *s, int argc, char **argv, struct err *e)
{
    memset(s, 0, sizeof(*s));
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        int rc = 0;
        if (strcmp(a, "--config") == 0) {
            if (s->config_file != NULL) return err_set(e, ERR_USAGE, "duplicate --config");
            rc = need_value(argc, argv, &i, &s->config_file, e);
        } else if (strcmp(a, "--set") == 0) {
            if (s->n_flags == SETTINGS_FLAGS_MAX)
                return err_set(e, ERR_USAGE, "more than %d times --set", SETTINGS_FLAGS_MAX);
            rc = need_value(argc, argv, &i, &s->flags[s->n_flags], e);
            if (rc == 0) s->n_flags++;
        } else if (strcmp(a, "--check-config") == 0) {
            s->check = true;
        } else if (strcmp(a, "--print-config") == 0) {
            s->print = true;
        } else if (strcmp(a, "--version") == 0) {
            s->version = true;
        } else if (strcmp(a, "--help") == 0 || strcmp(a, "-h") == 0) {
            s->help = true;
        } else {
            return err_set(e, ERR_USAGE, "unknown argument %.100s; see autodidactd --help", a);
        }
        if (rc < 0) return rc;
    }
    return 0;
}

/* ---- names ---- */

/* "; did you mean ..?" with the option that a misspelt one is nearest to; "" if none is near. */
static const char *suggest(const char *section, const char *key, char *text, size_t size)
{
    text[0] = '\0';
    const struct option *nearest = NULL;
    size_t least = 4;
    for (size_t i = 0; i < option_count; i++) {
        const struct option *o = &option_table[i];
        size_t d = text_distance(o->section, section) + text_distance(o->key, key);
        if (strcmp(o->key, key) == 0 && d > 3) d = 3; /* the right key in a wrong section */
        if (d < least) {
            least = d;
            nearest = o;
        }
    }
    if (nearest != NULL)
        snprintf(text, size, "; did you mean %s.%s?", nearest->section, nearest->key);
    return text;
}

static int set_named(const char *section, const char *key, const char *value, struct config *config,
                     struct err *e)
{
    char hint[200];
    const struct option *option = option_find(section, key);
    if (option == NULL)
        return err_set(e, ERR_NOT_FOUND, "unknown option %.64s.%.64s%s", section, key,
                       suggest(section, key, hint, sizeof(hint))[0] != '\0'
                           ? hint
                           : " (autodidactd --help lists them)");
    return option_set(option, config, value, e);
}

/* ---- the sources ---- */

struct file_entry {
    struct config *config;
    struct origin *origins;
};

static int set_entry(void *arg, const char *section, const char *key, const char *value, int line,
                     struct err *e)
{
    struct file_entry *f = arg;
    int rc = set_named(section, key, value, f->config, e);
    if (rc < 0) {
        err_prefix(e, "line %d", line);
        return rc;
    }
    struct origin *origin = &f->origins[option_find(section, key) - option_table];
    if (origin->source == ORIGIN_FILE)
        return err_set(e, ERR_CONFLICT, "line %d: duplicate %s.%s, first in line %d", line, section,
                       key, origin->line);
    *origin = (struct origin){ORIGIN_FILE, line};
    return 0;
}

static int read_text(const char *name, const char *text, size_t size, struct config *config,
                     struct origin *origins, struct err *e)
{
    struct file_entry f = {.config = config, .origins = origins};
    int rc = ini_parse(text, size, set_entry, &f, e);
    if (rc < 0 && e != NULL && strncmp(e->text, "line ", 5) == 0) {
        /* "FILE:12: ..", as compilers write it and editors read it. */
        char rest[ERR_TEXT_MAX];
        snprintf(rest, sizeof(rest), "%s", e->text + 5);
        err_set(e, rc, "%s:%s", name, rest);
    }
    return rc;
}

int settings_read(const char *name, const char *text, size_t size, struct config *config,
                  struct err *e)
{
    struct origin origins[OPTIONS_MAX] = {{0}};
    return read_text(name, text, size, config, origins, e);
}

static int read_file(const char *path, struct config *config, struct origin *origins, struct err *e)
{
    char *text;
    size_t size;
    int rc = file_read(path, CONFIG_FILE_MAX, &text, &size, e);
    if (rc < 0) return rc;
    rc = read_text(path, text, size, config, origins, e);
    mem_free(text);
    return rc;
}

/* Names of the program's environment that are no options. */
static bool is_other_variable(const char *name, size_t size)
{
    static const char *const others[] = {"AUTODIDACT_ISA", "AUTODIDACT_DATA"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strlen(others[i]) == size && memcmp(others[i], name, size) == 0) return true;
    return false;
}

/* The option that a variable of the environment, "NAME=VALUE", sets. *ret_option is NULL where none
 * has this name. false: the name is none of the program's. The section and the key that it would
 * have are in text, for a suggestion. */
static bool find_variable(const char *variable, const struct option **ret_option,
                          char text[ENTRY_MAX], const char **ret_key)
{
    static const char prefix[] = "AUTODIDACT_";
    const char *equals = strchr(variable, '=');
    *ret_option = NULL;
    if (equals == NULL || strncmp(variable, prefix, sizeof(prefix) - 1) != 0) return false;
    size_t size = (size_t)(equals - variable);
    if (is_other_variable(variable, size)) return false;
    const char *name = variable + sizeof(prefix) - 1;
    size_t n = (size_t)(equals - name);
    if (n >= ENTRY_MAX) n = ENTRY_MAX - 1; /* no option's name is as long */
    for (size_t i = 0; i < n; i++) text[i] = (char)tolower((unsigned char)name[i]);
    text[n] = '\0';
    char *key = strchr(text, '_');
    if (key != NULL) *key++ = '\0';
    *ret_key = key != NULL ? key : "";
    *ret_option = option_find(text, *ret_key);
    return true;
}

static int read_variable(const char *variable, struct config *config, struct origin *origins,
                         struct err *e)
{
    const struct option *option;
    char text[ENTRY_MAX];
    const char *key;
    if (!find_variable(variable, &option, text, &key) || option == NULL) return 0;
    const char *equals = strchr(variable, '=');
    int rc = option_set(option, config, equals + 1, e);
    origins[option - option_table].source = ORIGIN_ENVIRONMENT;
    if (rc < 0) err_prefix(e, "environment variable %.*s", (int)(equals - variable), variable);
    return rc;
}

void settings_unknown_variables(char *const *environment,
                                void (*tell)(void *arg, const char *message), void *arg)
{
    for (size_t i = 0; environment[i] != NULL; i++) {
        const struct option *option;
        char text[ENTRY_MAX], message[400], hint[200];
        const char *key;
        if (!find_variable(environment[i], &option, text, &key) || option != NULL) continue;
        int n = (int)(strchr(environment[i], '=') - environment[i]);
        snprintf(message, sizeof(message),
                 "environment variable %.*s: no option has this name; it is ignored%s",
                 n < 100 ? n : 100, environment[i], suggest(text, key, hint, sizeof(hint)));
        tell(arg, message);
    }
}

static int read_flag(const char *flag, struct config *config, struct origin *origins, struct err *e)
{
    char name[ENTRY_MAX];
    const char *equals = strchr(flag, '=');
    const char *dot = equals == NULL ? NULL : memchr(flag, '.', (size_t)(equals - flag));
    if (dot == NULL || (size_t)(equals - flag) >= sizeof(name))
        return err_set(e, ERR_USAGE, "--set %.100s: SECTION.KEY=VALUE is expected", flag);
    memcpy(name, flag, (size_t)(equals - flag));
    name[equals - flag] = '\0';
    name[dot - flag] = '\0';
    const char *key = name + (dot - flag) + 1;
    int rc = set_named(name, key, equals + 1, config, e);
    if (rc < 0) return err_prefix(e, "--set %.100s", flag);
    origins[option_find(name, key) - option_table].source = ORIGIN_FLAG;
    return 0;
}

int settings_apply(struct settings *settings, char *const *environment, struct config *config,
                   struct err *e)
{
    int rc = 0;
    struct origin *origins = settings->origins;
    config_init(config);
    memset(origins, 0, sizeof(settings->origins));
    if (settings->config_file != NULL) rc = read_file(settings->config_file, config, origins, e);
    for (size_t i = 0; rc == 0 && environment[i] != NULL; i++)
        rc = read_variable(environment[i], config, origins, e);
    for (size_t i = 0; rc == 0 && i < settings->n_flags; i++)
        rc = read_flag(settings->flags[i], config, origins, e);
    return rc;
}

/* ---- messages ---- */

static void name_origin(const struct settings *settings, size_t i, char *text, size_t size)
{
    const struct origin *origin = &settings->origins[i];
    const struct option *o = &option_table[i];
    if (origin->source == ORIGIN_FILE) {
        snprintf(text, size, "%s:%d", settings->config_file, origin->line);
    } else if (origin->source == ORIGIN_FLAG) {
        snprintf(text, size, "--set");
    } else if (origin->source == ORIGIN_ENVIRONMENT) {
        int n = snprintf(text, size, "AUTODIDACT_%s_%s", o->section, o->key);
        for (int k = 0; k < n && text[k] != '\0'; k++)
            text[k] = (char)toupper((unsigned char)text[k]);
    } else {
        snprintf(text, size, "default");
    }
}

void settings_explain(const struct settings *settings, struct err *e)
{
    for (size_t i = 0; i < option_count; i++) {
        char name[80], origin[200], rest[ERR_TEXT_MAX];
        size_t n = (size_t)snprintf(name, sizeof(name), "%s.%s", option_table[i].section,
                                    option_table[i].key);
        if (strncmp(e->text, name, n) != 0 || (e->text[n] != ':' && e->text[n] != ' ')) continue;
        name_origin(settings, i, origin, sizeof(origin));
        snprintf(rest, sizeof(rest), "%s", e->text + n);
        err_set(e, e->code, "%s (%s)%s", name, origin, rest);
        return;
    }
}

/* ---- printing ---- */

static int print_option(const struct option *o, const char *value, struct buf *out)
{
    int rc = buf_printf(out, "# %s", o->help);
    if (rc == 0 && o->type == OPTION_CHOICE) rc = buf_printf(out, " (%s)", o->choices);
    if (rc == 0 && option_is_integer(o))
        rc = buf_printf(out, " (%.0f..%.0f%s)", o->min, o->max, option_unit(o));
    if (rc == 0 && o->type == OPTION_REAL) rc = buf_printf(out, " (%g..%g)", o->min, o->max);
    if (rc == 0) rc = buf_printf(out, "\n%s = ", o->key);
    if (rc == 0) rc = ini_print_value(value, out);
    return rc == 0 ? buf_puts(out, "\n") : rc;
}

int settings_print(const struct config *config, struct buf *out)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < option_count; i++) {
        char value[CONFIG_TEXT_MAX];
        if (i == 0 || strcmp(option_table[i].section, option_table[i - 1].section) != 0)
            rc = buf_printf(out, "%s[%s]\n", i == 0 ? "" : "\n", option_table[i].section);
        option_text(&option_table[i], config, value, sizeof(value));
        if (rc == 0) rc = print_option(&option_table[i], value, out);
    }
    return rc;
}

int settings_help(struct buf *out)
{
    int rc = buf_puts(
        out, "Usage: autodidactd [--config FILE] [--set SECTION.KEY=VALUE]... [--check-config]"
             " [--print-config] [--version]\n\n"
             "Serves a network section by section over HTTP. Options come from --set, else from"
             " the environment\n(AUTODIDACT_SECTION_KEY), else from the file, else from here:\n\n");
    for (size_t i = 0; rc == 0 && i < option_count; i++) {
        char name[80];
        const struct option *o = &option_table[i];
        snprintf(name, sizeof(name), "%s.%s", o->section, o->key);
        rc = buf_printf(out, "%c %-26s %s%s%s%s [%s]\n", o->live ? '*' : ' ', name, o->help,
                        o->choices != NULL ? " (" : "", o->choices != NULL ? o->choices : "",
                        o->choices != NULL ? ")" : "", o->standard);
    }
    if (rc < 0) return rc;
    return buf_puts(
        out, "\nSignals: SIGTERM drains and stops, SIGINT and SIGQUIT without the delay; a second "
             "one cuts"
             " it short.\nSIGHUP reads the options again and takes those with a *; SIGUSR1 opens"
             " the log's file again.\n");
}
