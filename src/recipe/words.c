/* What is said about options: their names, what they take, the lines of the help. All of it comes
 * from the tables, so that it cannot be untrue. */
#include "config.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "words.h"

enum { TAKES_MAX = 192, GIVEN_MAX = 64 };

/* A text that is appended to, cut off at its end. */
struct words {
    char *text;
    size_t size, used;
};

static void __attribute__((format(printf, 2, 3))) say(struct words *w, const char *format, ...)
{
    va_list values;
    if (w->used >= w->size) return;
    va_start(values, format);
    int n = vsnprintf(w->text + w->used, w->size - w->used, format, values);
    va_end(values);
    w->used += n > 0 ? (size_t)n : 0;
}

static struct words words_in(char *text, size_t size)
{
    text[0] = '\0';
    return (struct words){text, size, 0};
}

/* "a, b or c" */
static void say_list(struct words *w, const char *const *names, size_t n, const char *last)
{
    for (size_t i = 0; i < n; i++) {
        say(w, "%s%s%s%s",
            i == 0      ? ""
            : i + 1 < n ? ", "
                        : " ",
            i > 0 && i + 1 == n ? last : "", i > 0 && i + 1 == n ? " " : "", names[i]);
    }
}

/* "cosine linear rex" as "cosine, linear and rex". */
static void say_words(struct words *w, const char *names)
{
    for (const char *at = names; *at != '\0';) {
        const size_t n = strcspn(at, " ");
        const char *next = at + n + strspn(at + n, " ");
        const bool first = at == names, last = *next == '\0';
        say(w, "%s%.*s", first ? "" : last ? " and " : ", ", (int)n, at);
        at = next;
    }
}

enum { NAMES_MAX = 32 };

/* What an option chooses from; 0: it does not. */
static size_t choices_of(const struct recipe_option *o, const char *ret_names[NAMES_MAX])
{
    size_t n = 0;
    if (o->kind == RECIPE_CHOICE) {
        for (; n < NAMES_MAX && o->choices[n] != NULL; n++) ret_names[n] = o->choices[n];
    } else if (o->kind == RECIPE_METHOD) {
        for (; n < NAMES_MAX && method_at(n) != NULL; n++) ret_names[n] = method_at(n)->name;
    } else if (o->kind == RECIPE_PRESET) {
        for (; n < NAMES_MAX && preset_at(n) != NULL; n++) ret_names[n] = preset_at(n)->name;
    }
    return n;
}

const char *recipe_option_member(const struct recipe_option *option, char ret_name[RECIPE_NAME_MAX])
{
    snprintf(ret_name, RECIPE_NAME_MAX, "%s", option->name);
    for (char *p = ret_name; *p != '\0'; p++) {
        if (*p == '-') *p = '_';
    }
    return ret_name;
}

const char *recipe_option_name(const struct recipe_option *option, enum recipe_voice voice,
                               char ret_name[RECIPE_NAME_MAX])
{
    char member[RECIPE_NAME_MAX];
    if (voice == RECIPE_COMMAND_LINE)
        snprintf(ret_name, RECIPE_NAME_MAX, "--%.30s", option->name);
    else
        snprintf(ret_name, RECIPE_NAME_MAX, "\"%.30s\"", recipe_option_member(option, member));
    return ret_name;
}

static void say_takes(struct words *w, const struct recipe_option *o, enum recipe_voice voice)
{
    const char *names[NAMES_MAX];
    switch (o->kind) {
    case RECIPE_WHOLE:
        say(w, "%sa whole number from %.0f to %.0f", o->or_zero ? "0, or " : "", o->low, o->high);
        break;
    case RECIPE_AMOUNT:
        say(w, "a whole number from %.0f to %.0f, or a part like 10%%", o->low, o->high);
        break;
    case RECIPE_SEED:
        say(w, "a whole number from 0%s",
            voice == RECIPE_JSON_BODY ? ", past 2^53 as a string of digits" : "");
        break;
    case RECIPE_REAL:
        say(w, "%sa number from %g to %g", o->or_zero ? "0, or " : "", o->low, o->high);
        break;
    case RECIPE_SWITCH:
        say(w, "%s", voice == RECIPE_COMMAND_LINE ? "on or off" : "true or false");
        break;
    case RECIPE_CHOICE:
    case RECIPE_METHOD:
    case RECIPE_PRESET:
        say_list(w, names, choices_of(o, names), "or");
        break;
    case RECIPE_EXITS:
        say(w, "all, or numbers of shallow classifiers like 1,2");
        break;
    case RECIPE_PLACE:
    case RECIPE_SCHEDULE:
    case RECIPE_CLASS_WEIGHTS:
    case RECIPE_EXIT_WEIGHTS:
    case RECIPE_AUGMENT:
        say(w, "a text that is not empty");
        break;
    }
}

/* What strangers gave, fit for a message. */
static void say_given(struct words *w, const char *text)
{
    char given[GIVEN_MAX + 1];
    size_t n = 0;
    for (; n < GIVEN_MAX && text[n] != '\0'; n++)
        given[n] = text[n] >= ' ' && text[n] <= '~' ? text[n] : '?';
    given[n] = '\0';
    say(w, " %s", given);
}

int recipe_option_refuse(const struct recipe_option *option, enum recipe_voice voice,
                         const char *text, struct err *e)
{
    char name[RECIPE_NAME_MAX], given[GIVEN_MAX + 2], takes[TAKES_MAX];
    struct words g = words_in(given, sizeof(given)), t = words_in(takes, sizeof(takes));
    if (text != NULL) say_given(&g, text);
    say_takes(&t, option, voice);
    return err_set(e, ERR_RANGE, "%s%s: it takes %s", recipe_option_name(option, voice, name),
                   given, takes);
}

int refuse_unread(const struct recipe_option *option, enum recipe_voice voice,
                  const struct method *method, struct err *e)
{
    char own[RECIPE_NAME_MAX], of[RECIPE_NAME_MAX], readers[TAKES_MAX];
    const char *names[NAMES_MAX];
    size_t n = 0;
    struct words w = words_in(readers, sizeof(readers));
    for (size_t i = 0; method_at(i) != NULL && n < NAMES_MAX; i++) {
        if (recipe_option_is_read(option, method_at(i))) names[n++] = method_at(i)->name;
    }
    say_list(&w, names, n, "and");
    return err_set(e, ERR_RANGE, "%s: %s %s does not read it: it is of %s",
                   recipe_option_name(option, voice, own),
                   recipe_option_name(recipe_option_find("method"), voice, of), method->name,
                   readers);
}

int refuse_beside(const struct recipe_option *option, enum recipe_voice voice, const void *base,
                  struct err *e)
{
    char own[RECIPE_NAME_MAX], name[RECIPE_NAME_MAX], value[RECIPE_TEXT_MAX], list[TAKES_MAX];
    const struct recipe_option *other = recipe_option_against(option, base);
    recipe_option_name(option, voice, own);
    recipe_option_name(other, voice, name);
    if (option->beside_values == NULL)
        return err_set(e, ERR_RANGE, "%s: without %s nothing reads it", own, name);
    if (strcmp(option->beside_values, "0") == 0)
        return err_set(e, ERR_RANGE, "%s: it does not go with %s", own, name);
    struct words w = words_in(list, sizeof(list));
    say_words(&w, option->beside_values);
    return err_set(e, ERR_RANGE, "%s: %s %s does not read it: it is of %s", own, name,
                   recipe_option_format(other, base, value), list);
}

/* --- the help --------------------------------------------------------------------------------- */

static const char *value_for(const struct method *method, const char *option)
{
    for (const struct setting *s = method->reads; s->option != NULL; s++) {
        if (strcmp(s->option, option) == 0) return s->value;
    }
    return NULL;
}

/* "byot 3; kd, fitnet, at 4; dml 1": methods with the same default together. */
static void say_defaults(struct words *w, const struct recipe_option *o)
{
    bool first = true;
    for (size_t i = 0; method_at(i) != NULL; i++) {
        const char *value = value_for(method_at(i), o->name);
        bool said = value == NULL;
        for (size_t j = 0; j < i && !said; j++) {
            const char *before = value_for(method_at(j), o->name);
            said = before != NULL && strcmp(before, value) == 0;
        }
        if (said) continue;
        for (size_t j = i; method_at(j) != NULL; j++) {
            const char *same = value_for(method_at(j), o->name);
            if (same == NULL || strcmp(same, value) != 0) continue;
            say(w, "%s%s", j > i ? ", " : first ? "" : "; ", method_at(j)->name);
        }
        say(w, " %s", value);
        first = false;
    }
}

/* Which methods read it. */
static void say_readers(struct words *w, const struct recipe_option *o)
{
    size_t n = 0;
    for (size_t i = 0; method_at(i) != NULL; i++) {
        if (recipe_option_is_read(o, method_at(i)))
            say(w, "%s%s", n++ > 0 ? ", " : "", method_at(i)->name);
    }
    say(w, ": ");
}

/* How many different defaults methods have. */
static size_t count_defaults(const struct recipe_option *o, const char **ret_last)
{
    size_t n = 0;
    for (size_t i = 0; method_at(i) != NULL; i++) {
        const char *value = value_for(method_at(i), o->name);
        if (value == NULL) continue;
        if (n == 0 || strcmp(*ret_last, value) != 0) n++;
        *ret_last = value;
    }
    return n;
}

void recipe_option_help(const struct recipe_option *o, char ret_text[RECIPE_HELP_MAX])
{
    const char *names[NAMES_MAX], *standard = o->standard;
    struct words w = words_in(ret_text, RECIPE_HELP_MAX);
    const size_t defaults = count_defaults(o, &standard), n = choices_of(o, names);
    if (o->section == RECIPE_DISTILLATION && defaults < 2) say_readers(&w, o);
    if (o->beside != NULL && o->beside_values != NULL && strcmp(o->beside_values, "0") == 0) {
        say(&w, "without ");
        say_words(&w, o->beside);
        say(&w, ": ");
    } else if (o->beside != NULL) {
        say(&w, "with --%s", o->beside);
        say(&w, "%s", o->beside_values != NULL ? " " : ": ");
        if (o->beside_values != NULL) {
            say_words(&w, o->beside_values);
            say(&w, ": ");
        }
    }
    say(&w, "%s", o->help);
    if (o->kind == RECIPE_PRESET) {
        for (size_t i = 0; preset_at(i) != NULL; i++)
            say(&w, "\n%s: %s", preset_at(i)->name, preset_at(i)->summary);
        return;
    }
    if (n > 0 && defaults == 0) {
        say(&w, ": ");
        say_list(&w, names, n, "or");
    }
    if (defaults > 1) {
        say(&w, " (");
        say_defaults(&w, o);
        say(&w, ")");
    } else if (o->otherwise != NULL || standard != NULL) {
        say(&w, " (%s)", o->otherwise != NULL ? o->otherwise : standard);
    }
}
