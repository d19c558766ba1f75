/* Parsing and help from one table.
 *
 * Not getopt: its messages name neither what a value takes nor what an unknown option was near to,
 * and the help would be a second list that must agree. Short options do not exist. "--" ends the
 * options. */
#include "config.h"

#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

enum { NAMES_MAX = 64, WORD_MAX = 40, HELP_COLUMN = 30, HELP_WIDTH = 100 };

const char *options_nearest(const char *word, const char *const *names, size_t n_names)
{
    const char *nearest = NULL;
    size_t least = 3;
    for (size_t i = 0; i < n_names; i++) {
        size_t d = text_distance(word, names[i]);
        if (d < least && d < strlen(names[i])) {
            least = d;
            nearest = names[i];
        }
    }
    return nearest;
}

static const struct option_row *find_row(const struct command_line *line, const char *name,
                                         size_t length)
{
    for (const struct option_row *r = line->rows; r->help != NULL; r++) {
        if (r->name != NULL && strlen(r->name) == length && strncmp(r->name, name, length) == 0)
            return r;
    }
    return NULL;
}

static int unknown_option(const struct command_line *line, const char *name, size_t length,
                          struct err *e)
{
    const char *names[NAMES_MAX] = {"help"};
    size_t n = 1;
    char word[WORD_MAX + 1];
    for (const struct option_row *r = line->rows; r->help != NULL && n < NAMES_MAX; r++) {
        if (r->name != NULL) names[n++] = r->name;
    }
    snprintf(word, sizeof(word), "%.*s", (int)(length < WORD_MAX ? length : WORD_MAX), name);
    const char *near = options_nearest(word, names, n);
    if (near != NULL)
        return err_set(e, ERR_USAGE, "unknown option --%s: did you mean --%s?", word, near);
    return err_set(e, ERR_USAGE, "unknown option --%s (%s --help lists them)", word, line->program);
}

static int set_value(const struct option_row *row, const char *text, struct err *e)
{
    bool ok = true;
    switch (row->kind) {
    case OPTION_FLAG:
        *(bool *)row->value = true;
        break;
    case OPTION_STRING:
        ok = *text != '\0';
        if (ok) *(const char **)row->value = text;
        break;
    case OPTION_INT:
        ok = text_to_int(text, row->value);
        break;
    case OPTION_SEED:
        ok = text_to_unsigned(text, row->value);
        break;
    case OPTION_REAL:
        ok = text_to_real(text, row->value);
        break;
    case OPTION_OTHER: {
        const struct option_reader *reader = row->value;
        return reader->read(reader->arg, row->name, text, e);
    }
    }
    if (ok) return 0;
    static const char *const kinds[] = {[OPTION_FLAG] = "nothing",
                                        [OPTION_STRING] = "a text that is not empty",
                                        [OPTION_INT] = "a whole number",
                                        [OPTION_SEED] = "a whole number from 0",
                                        [OPTION_REAL] = "a number"};
    return err_set(e, ERR_USAGE, "--%s %s: it takes %s", row->name, text, kinds[row->kind]);
}

/* One option at argv[i]; how many words it took. */
static int parse_option(const struct command_line *line, int argc, char **argv, int i,
                        struct err *e)
{
    const char *name = argv[i] + 2, *equals = strchr(name, '=');
    size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct option_row *row = find_row(line, name, length);
    if (row == NULL) return unknown_option(line, name, length, e);
    const char *text = equals != NULL ? equals + 1 : NULL;
    int words = 1;
    if (row->kind == OPTION_FLAG && text != NULL) {
        return err_set(e, ERR_USAGE, "--%s takes no value", row->name);
    }
    if (row->kind != OPTION_FLAG && text == NULL) {
        if (i + 1 >= argc)
            return err_set(e, ERR_USAGE, "--%s needs a value: %s", row->name, row->takes);
        text = argv[i + 1];
        words = 2;
    }
    int rc = set_value(row, text, e);
    if (rc < 0) return rc;
    if (row->given != NULL) *row->given = true;
    return words;
}

/* From HELP_COLUMN on, in lines of at most HELP_WIDTH where the words allow; its own ends of lines
 * stay. */
static void print_wrapped(const char *text)
{
    const size_t room = HELP_WIDTH - HELP_COLUMN;
    for (size_t n; *text != '\0'; text += n) {
        n = strcspn(text, "\n");
        if (n > room) {
            size_t word = room + 1;
            while (word > 0 && text[word - 1] != ' ') word--;
            n = word > 0 ? word - 1 : strcspn(text, " \n");
        }
        printf("%.*s\n", (int)n, text);
        if (text[n] == '\0') break;
        printf("%*s", HELP_COLUMN, "");
        n++; /* the blank or the end of the line */
    }
}

static void print_help(const struct command_line *line)
{
    printf("Usage: %s %s\n\n%s\n", line->program, line->usage, line->about);
    for (const struct option_row *r = line->rows; r->help != NULL; r++) {
        if (r->name == NULL) {
            printf("\n%s\n", r->help);
            continue;
        }
        char left[80];
        snprintf(left, sizeof(left), "  --%s%s%s", r->name, r->takes != NULL ? " " : "",
                 r->takes != NULL ? r->takes : "");
        if (strlen(left) >= HELP_COLUMN)
            printf("%s\n%*s", left, HELP_COLUMN, "");
        else
            printf("%-*s", HELP_COLUMN, left);
        print_wrapped(r->help);
    }
    printf("%-*s%s\n", HELP_COLUMN, "  --help", "this text");
}

int options_parse(const struct command_line *line, int argc, char **argv,
                  const char **ret_positional, struct err *e)
{
    int n = 0;
    bool options = true;
    memset(ret_positional, 0, ((size_t)line->positional_max + 1) * sizeof(*ret_positional));
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") != 0 && strcmp(argv[i], "-h") != 0) continue;
        print_help(line);
        return 1;
    }
    for (int i = 1; i < argc;) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
            i++;
        } else if (options && argv[i][0] == '-' && argv[i][1] == '-') {
            int words = parse_option(line, argc, argv, i, e);
            if (words < 0) return words;
            i += words;
        } else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
            return err_set(e, ERR_USAGE, "unknown option %s (%s --help lists them)", argv[i],
                           line->program);
        } else if (n == line->positional_max) {
            return err_set(e, ERR_USAGE, "unexpected argument \"%s\": usage: %s %s", argv[i],
                           line->program, line->usage);
        } else {
            ret_positional[n++] = argv[i++];
        }
    }
    if (n >= line->positional_min) return 0;
    return err_set(e, ERR_USAGE, "an argument is missing: usage: %s %s", line->program,
                   line->usage);
}
