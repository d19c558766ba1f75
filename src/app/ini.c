/* INI text. Strict, since a setting that is silently not read is worse than a start that fails:
 * there are no continued lines and no entries outside of a section. A comment may stand behind a
 * value, after a blank, as people write them; a value in double quotes may hold anything. */
#include "config.h"

#include "ini.h"

#include <stdbool.h>
#include <string.h>

#include "base/text.h"

static bool is_blank(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r';
}

static char *trim(char *text)
{
    while (is_blank(*text)) text++;
    size_t n = strlen(text);
    while (n > 0 && is_blank(text[n - 1])) text[--n] = '\0';
    return text;
}

static bool is_name(const char *s)
{
    size_t n = strlen(s);
    return n > 0 && n <= 64 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

/* Cuts off a comment: # or ; at the beginning or after a blank. */
static char *cut_comment(char *text)
{
    for (char *s = text; *s != '\0'; s++) {
        if ((*s == '#' || *s == ';') && (s == text || is_blank(s[-1]))) {
            *s = '\0';
            break;
        }
    }
    return text;
}

/* Takes the quotes off a text that begins with one, in its place: \" and \\ stand for " and \.
 * false: the second quote is missing, or there is more behind it than a comment. */
static bool unquote(char *text)
{
    char *to = text, *from = text + 1;
    for (; *from != '"'; from++) {
        if (*from == '\\' && (from[1] == '"' || from[1] == '\\')) from++;
        if (*from == '\0') return false;
        *to++ = *from;
    }
    from++;
    if (*from != '\0' && !is_blank(*from)) return false;
    *to = '\0';
    return *trim(cut_comment(from)) == '\0';
}

struct reader {
    char section[65];
    int line;
    ini_entry_fn *entry;
    void *arg;
};

static int read_line(struct reader *r, char *text, struct err *e)
{
    char *s = trim(text);
    if (*s == '\0' || *s == '#' || *s == ';') return 0;
    if (*s == '[') {
        s = trim(cut_comment(s));
        size_t n = strlen(s);
        if (s[n - 1] != ']')
            return err_set(e, ERR_FORMAT, "line %d: the ] of the section is missing", r->line);
        s[n - 1] = '\0';
        s = trim(s + 1);
        if (!is_name(s))
            return err_set(e, ERR_FORMAT, "line %d: [%.64s] is no section's name", r->line, s);
        memcpy(r->section, s, strlen(s) + 1);
        return 0;
    }
    char *equals = strchr(s, '=');
    if (equals == NULL)
        return err_set(e, ERR_FORMAT, "line %d: neither [section] nor key = value: %.64s", r->line,
                       s);
    *equals = '\0';
    char *key = trim(s), *value = trim(equals + 1);
    if (*value == '"') {
        if (!unquote(value))
            return err_set(e, ERR_FORMAT, "line %d: the \" that ends the value is missing",
                           r->line);
    } else {
        value = trim(cut_comment(value));
    }
    if (!is_name(key)) return err_set(e, ERR_FORMAT, "line %d: \"%.64s\" is no key", r->line, key);
    if (r->section[0] == '\0')
        return err_set(e, ERR_FORMAT, "line %d: %s stands before the first [section]", r->line,
                       key);
    return r->entry(r->arg, r->section, key, value, r->line, e);
}

int ini_parse(const char *text, size_t size, ini_entry_fn *entry, void *arg, struct err *e)
{
    struct reader r = {.entry = entry, .arg = arg};
    char line[INI_LINE_MAX + 1];
    size_t at = 0;
    at = text_mark_length(text, size);
    while (at < size) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t n = end == NULL ? size - at : (size_t)(end - (text + at));
        r.line++;
        if (n > INI_LINE_MAX)
            return err_set(e, ERR_FORMAT, "line %d: longer than %d bytes", r.line, INI_LINE_MAX);
        memcpy(line, text + at, n);
        line[n] = '\0';
        if (strlen(line) != n) return err_set(e, ERR_FORMAT, "line %d: holds a NUL byte", r.line);
        int rc = read_line(&r, line, e);
        if (rc < 0) return rc;
        at += n + (end != NULL);
    }
    return 0;
}

static bool needs_quotes(const char *value)
{
    size_t n = strlen(value);
    if (n == 0) return false;
    if (*value == '"' || *value == '#' || *value == ';' || is_blank(*value)) return true;
    if (is_blank(value[n - 1])) return true;
    for (const char *s = value + 1; *s != '\0'; s++)
        if ((*s == '#' || *s == ';') && is_blank(s[-1])) return true;
    return false;
}

int ini_print_value(const char *value, struct buf *out)
{
    if (!needs_quotes(value)) return buf_puts(out, value);
    int rc = buf_puts(out, "\"");
    for (; rc == 0 && *value != '\0'; value++)
        rc = buf_printf(out, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
    return rc == 0 ? buf_puts(out, "\"") : rc;
}
