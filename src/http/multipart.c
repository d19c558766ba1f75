/* Reading multipart/form-data.
 *
 *   [preamble CRLF] --BOUNDARY [blanks] CRLF  headers  CRLF  data  CRLF --BOUNDARY ..
 *   CRLF --BOUNDARY-- [blanks] [CRLF epilogue]
 *
 * The body is bounded and there as a whole, so that one search for the next delimiter finds a
 * part's end. Left out, and refused: bare line feeds, and lines that begin with the boundary and
 * hold more, which are a delimiter to some readers (RFC 2046, 5.1.1) and data to others. */
#define _GNU_SOURCE /* memmem() */
#include "config.h"

#include "http/multipart.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* A piece of text, not terminated. */
struct span {
    const char *data;
    size_t size;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* In a header that may be folded CR LF and a blank are blanks. */
static bool is_space(char c)
{
    return is_blank(c) || c == '\r' || c == '\n';
}

static struct span trim(struct span s)
{
    while (s.size > 0 && is_space(s.data[0])) s.data++, s.size--;
    while (s.size > 0 && is_space(s.data[s.size - 1])) s.size--;
    return s;
}

static bool is_all_blank(const char *s, const char *end)
{
    while (s < end && is_blank(*s)) s++;
    return s == end;
}

static bool same_word(struct span s, const char *word)
{
    return s.size == strlen(word) && strncasecmp(s.data, word, s.size) == 0;
}

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static struct span take_token(struct span *rest)
{
    struct span token = {rest->data, 0};
    while (rest->size > 0 && is_token_char(*rest->data)) token.size++, rest->data++, rest->size--;
    return token;
}

/* ---- header values with parameters: word *( ";" name "=" (token | quoted-string) ) ---- */

/* Up to the next parameter, if there is one: 1, with its value as it stands between the quotes; 0:
 * none; ERR_FORMAT. */
static int take_parameter(struct span *rest, struct span *ret_name, struct span *ret_value)
{
    *rest = trim(*rest);
    if (rest->size == 0) return 0;
    if (*rest->data != ';') return ERR_FORMAT;
    rest->data++, rest->size--;
    *rest = trim(*rest);
    if (rest->size == 0) return 0; /* a semicolon at the end */
    *ret_name = take_token(rest);
    if (ret_name->size == 0 || rest->size == 0 || *rest->data != '=') return ERR_FORMAT;
    rest->data++, rest->size--;
    if (rest->size == 0 || *rest->data != '"') {
        *ret_value = take_token(rest);
        return ret_value->size > 0 ? 1 : ERR_FORMAT;
    }
    size_t i = 1;
    while (i < rest->size && rest->data[i] != '"') i += rest->data[i] == '\\' ? 2 : 1;
    if (i >= rest->size) return ERR_FORMAT;
    *ret_value = (struct span){rest->data + 1, i - 1};
    rest->data += i + 1, rest->size -= i + 1;
    return 1;
}

/* The one parameter of this name: 1, 0 when it is not there, ERR_FORMAT (also when it is
 * duplicate). The value is copied; one that is longer than max is ERR_LIMIT. */
static int find_parameter(struct span rest, const char *wanted, char *ret_value, size_t max)
{
    int found = 0, rc;
    struct span name, value;
    while ((rc = take_parameter(&rest, &name, &value)) > 0) {
        if (!same_word(name, wanted)) continue;
        if (found) return ERR_FORMAT;
        if (value.size > max) return ERR_LIMIT;
        memcpy(ret_value, value.data, value.size);
        ret_value[value.size] = '\0';
        found = 1;
    }
    return rc < 0 ? rc : found;
}

static bool is_boundary(const char *s)
{
    size_t n = strlen(s);
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && strchr("'()+_,-./:=? ", s[i]) == NULL) return false;
    return n > 0 && s[n - 1] != ' ';
}

int multipart_boundary(const char *content_type, char ret_boundary[MULTIPART_BOUNDARY_MAX + 1],
                       struct err *e)
{
    size_t word = strcspn(content_type, "; \t");
    struct span rest = {content_type + word, strlen(content_type) - word};
    int rc = find_parameter(rest, "boundary", ret_boundary, MULTIPART_BOUNDARY_MAX);
    if (rc == 1 && is_boundary(ret_boundary)) return 0;
    return err_set(e, ERR_FORMAT,
                   rc == 0 ? "Content-Type: boundary= is missing"
                           : "Content-Type: boundary= is taken once, with 1 to %d of the "
                             "characters that RFC 2046 allows",
                   MULTIPART_BOUNDARY_MAX);
}

/* ---- the body ---- */

int multipart_init(struct multipart *m, const char *boundary, const void *body, size_t size,
                   struct err *e)
{
    *m = (struct multipart){.at = body, .end = (const char *)body + size};
    m->delimiter_size = strlen(boundary) + 4;
    memcpy(m->delimiter, "\r\n--", 4);
    memcpy(m->delimiter + 4, boundary, m->delimiter_size - 4 + 1);
    const size_t first = m->delimiter_size - 2; /* no line need be before the first one */
    if (size >= first && memcmp(body, m->delimiter + 2, first) == 0) {
        m->at += first;
        return 0;
    }
    const char *found = memmem(body, size, m->delimiter, m->delimiter_size);
    if (found == NULL)
        return err_set(e, ERR_FORMAT,
                       "multipart: no line of the body is the boundary; lines end with CR LF");
    m->at = found + m->delimiter_size;
    return 0;
}

static int broken(const struct multipart *m, const char *what, struct err *e)
{
    return err_set(e, ERR_FORMAT, "multipart: part %d: %s", m->parts + 1, what);
}

/* The line whose text begins at m->at, which goes behind its CRLF. */
static int take_line(struct multipart *m, const char *end, struct span *ret_line)
{
    const char *cr = memmem(m->at, (size_t)(end - m->at), "\r\n", 2);
    if (cr == NULL) return ERR_FORMAT;
    *ret_line = (struct span){m->at, (size_t)(cr - m->at)};
    m->at = cr + 2;
    return 0;
}

/* The same for a header, which goes on in the lines behind it that begin with a blank. */
static int take_header(struct multipart *m, const char *end, struct span *ret_header)
{
    int rc = take_line(m, end, ret_header);
    while (rc == 0 && ret_header->size > 0 && m->at < end && is_blank(*m->at)) {
        struct span more;
        rc = take_line(m, end, &more);
        if (rc == 0) ret_header->size = (size_t)(more.data + more.size - ret_header->data);
    }
    return rc;
}

/* Behind a delimiter: 1 a part follows, 0 that was the last one. */
static int after_delimiter(struct multipart *m, struct err *e)
{
    struct span line;
    bool last = m->end - m->at >= 2 && memcmp(m->at, "--", 2) == 0;
    if (last) m->at += 2;
    if (last && is_all_blank(m->at, m->end)) return 0;
    if (take_line(m, m->end, &line) < 0)
        return err_set(e, ERR_FORMAT, "multipart: the body is cut short behind a boundary");
    if (!is_all_blank(line.data, line.data + line.size))
        return err_set(e, ERR_FORMAT, "multipart: a boundary's line holds more than the boundary");
    return last ? 0 : 1; /* what follows the last one is nobody's */
}

struct seen {
    bool disposition, type, encoding;
};

static int read_disposition(const struct multipart *m, struct span value,
                            struct multipart_part *part, struct err *e)
{
    if (!same_word(take_token(&value), "form-data"))
        return broken(m, "Content-Disposition is not form-data", e);
    char none[1] = "x";
    int rc = find_parameter(value, "name", part->name, MULTIPART_NAME_MAX);
    part->no_file = find_parameter(value, "filename", none, 0) == 1;
    if (rc == 1 && part->name[0] != '\0') return 0;
    return broken(
        m, rc == ERR_LIMIT ? "its name is too long" : "name= is missing, empty, or broken", e);
}

static int read_type(const struct multipart *m, struct span value, struct multipart_part *part,
                     struct err *e)
{
    size_t n = 0;
    while (n < value.size && value.data[n] != ';' && !is_space(value.data[n])) n++;
    if (n > MULTIPART_TYPE_MAX) return broken(m, "its Content-Type is too long", e);
    for (size_t i = 0; i < n; i++)
        part->content_type[i] = (char)tolower((unsigned char)value.data[i]);
    part->content_type[n] = '\0';
    return 0;
}

static int read_encoding(const struct multipart *m, struct span value, struct err *e)
{
    static const char *const plain[] = {"7bit", "8bit", "binary"};
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
        if (same_word(value, plain[i])) return 0;
    return err_set(
        e, ERR_UNSUPPORTED,
        "multipart: part %d: of Content-Transfer-Encoding only 7bit, 8bit and binary are "
        "taken: send the bytes as they are",
        m->parts + 1);
}

/* Whether CR LF and a blank stand there. */
static bool is_fold(struct span line, size_t i)
{
    return i + 2 < line.size && memcmp(line.data + i, "\r\n", 2) == 0 && is_blank(line.data[i + 2]);
}

static int read_header(const struct multipart *m, struct span line, struct seen *seen,
                       struct multipart_part *part, struct err *e)
{
    for (size_t i = 0; i < line.size; i++) {
        if (is_fold(line, i))
            i += 2;
        else if (((unsigned char)line.data[i] < ' ' && line.data[i] != '\t') ||
                 line.data[i] == 0x7f)
            return broken(m, "a header holds a control character", e);
    }
    struct span value = line, name = take_token(&value);
    if (name.size == 0 || value.size == 0 || *value.data != ':')
        return broken(m, "a header has no name with a colon", e);
    value.data++, value.size--;
    value = trim(value);
    bool *once = same_word(name, "Content-Disposition")         ? &seen->disposition
                 : same_word(name, "Content-Type")              ? &seen->type
                 : same_word(name, "Content-Transfer-Encoding") ? &seen->encoding
                                                                : NULL;
    if (once == NULL) return 0; /* RFC 7578, 4.8: others are ignored */
    if (*once) return broken(m, "duplicate header", e);
    *once = true;
    if (once == &seen->disposition) return read_disposition(m, value, part, e);
    return once == &seen->type ? read_type(m, value, part, e) : read_encoding(m, value, e);
}

/* Up to the empty line, which m->at is behind then. */
static int read_headers(struct multipart *m, struct multipart_part *part, struct err *e)
{
    struct seen seen = {false, false, false};
    const char *end = m->end;
    if (end - m->at > MULTIPART_HEADERS_MAX) end = m->at + MULTIPART_HEADERS_MAX;
    for (;;) {
        struct span line;
        if (take_header(m, end, &line) < 0)
            return broken(
                m, end < m->end ? "its headers are too long" : "its headers are cut short", e);
        if (line.size == 0) break;
        int rc = read_header(m, line, &seen, part, e);
        if (rc < 0) return rc;
    }
    return seen.disposition ? 0 : broken(m, "Content-Disposition is missing", e);
}

int multipart_next(struct multipart *m, struct multipart_part *ret_part, struct err *e)
{
    struct multipart_part part = {.name = ""};
    int rc = after_delimiter(m, e);
    if (rc == 1)
        rc = read_headers(m, &part, e);
    else if (rc == 0 && m->parts == 0)
        return err_set(e, ERR_FORMAT, "multipart: there is no part");
    else
        return rc;
    if (rc < 0) return rc;
    /* Where a part is empty, the empty line's end is the delimiter's beginning (RFC 2046). */
    const char *data = m->at, *from = data - 2;
    const char *delimiter = memmem(from, (size_t)(m->end - from), m->delimiter, m->delimiter_size);
    if (delimiter == NULL) return broken(m, "no boundary follows: the body is cut short", e);
    part.data = data;
    part.size = delimiter < data ? 0 : (size_t)(delimiter - data);
    part.no_file = part.no_file && part.size == 0;
    m->at = delimiter + m->delimiter_size;
    m->parts++;
    *ret_part = part;
    return 1;
}
