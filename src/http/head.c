/* The head of a request. The scan looks at each byte once, however small the pieces are in which
 * they come, and refuses a bare LF where it stands: who ends lines so never sends the empty line
 * that is waited for. */
#include "config.h"

#include "head.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

static int refuse(struct err *e, int status, const char *text)
{
    err_set(e, status == 431 || status == 414 ? ERR_LIMIT : ERR_FORMAT, "%s", text);
    return status;
}

/* ---- where it ends ---- */

int head_scan(struct head_scan *s, const char *data, size_t size, size_t *ret_size, struct err *e)
{
    while (s->seen < size) {
        const char *lf = memchr(data + s->seen, '\n', size - s->seen);
        size_t at = lf == NULL ? size : (size_t)(lf - data);
        if (s->lines == 0 && at - s->line > HEAD_LINE_MAX)
            return refuse(e, 414, "the request line has more than 16384 bytes");
        if (at > HEAD_MAX) return refuse(e, 431, "the headers have more than 65536 bytes");
        s->seen = at;
        if (lf == NULL) return 0;
        s->seen++;
        if (at == s->line || data[at - 1] != '\r')
            return refuse(e, 400, "a line of the headers ends in LF without CR");
        bool empty = at == s->line + 1;
        s->line = s->seen;
        if (empty && s->lines > 0) {
            *ret_size = s->seen;
            return HEAD_WHOLE;
        }
        if (empty && s->blank) return refuse(e, 400, "empty lines stand for the request line");
        s->blank = s->blank || empty;
        if (!empty) s->lines++;
    }
    return 0;
}

/* ---- what it says ---- */

static bool is_alphanumeric(unsigned char ch)
{
    return (ch >= '0' && ch <= '9') || ((ch | 32) >= 'a' && (ch | 32) <= 'z');
}

bool head_is_token(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char ch = (unsigned char)text[i];
        if (!is_alphanumeric(ch) && (ch == '\0' || strchr("!#$%&'*+-.^_`|~", ch) == NULL))
            return false;
    }
    return size > 0;
}

bool head_is_value(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char ch = (unsigned char)text[i];
        if ((ch < ' ' && ch != '\t') || ch == 0x7f) return false;
    }
    return true;
}

static bool is_target(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] <= ' ' || text[i] > '~') return false;
    return size > 0;
}

/* HTTP/1.x, of which 0 and 1 differ (RFC 9110, 2.5). */
static int parse_version(struct head *head, const char *text, size_t size, struct err *e)
{
    bool form = size == 8 && memcmp(text, "HTTP/", 5) == 0 && text[5] >= '0' && text[5] <= '9' &&
                text[6] == '.' && text[7] >= '0' && text[7] <= '9';
    if (!form) return refuse(e, 400, "the request line does not end in HTTP/1.1");
    if (text[5] != '1') return refuse(e, 505, "the protocols here are HTTP/1.1 and HTTP/1.0");
    head->is_1_0 = text[7] == '0';
    return 0;
}

static int parse_request_line(struct head *head, char *line, size_t size, struct err *e)
{
    char *blank = memchr(line, ' ', size);
    char *target = blank == NULL ? NULL : blank + 1;
    char *second = target == NULL ? NULL : memchr(target, ' ', size - (size_t)(target - line));
    if (second == NULL)
        return refuse(e, 400,
                      "the request line is not METHOD TARGET HTTP/1.1, with one blank each");
    if (!head_is_token(line, (size_t)(blank - line)))
        return refuse(e, 400, "the request line does not begin with a method");
    if (!is_target(target, (size_t)(second - target)))
        return refuse(e, 400, "the request target is empty, or holds what must be percent-encoded");
    *blank = *second = '\0';
    head->method = line;
    head->target = target;
    return parse_version(head, second + 1, size - (size_t)(second + 1 - line), e);
}

static bool is_blank(char ch)
{
    return ch == ' ' || ch == '\t';
}

static int parse_field(struct head *head, char *line, size_t size, struct err *e)
{
    if (is_blank(line[0])) return refuse(e, 400, "a header is folded over two lines");
    char *colon = memchr(line, ':', size);
    if (colon == NULL || !head_is_token(line, (size_t)(colon - line)))
        return refuse(e, 400,
                      "a header's name is empty, or holds a blank or another character that it "
                      "must not");
    if (head->n == HEAD_FIELDS_MAX) return refuse(e, 431, "there are more than 128 headers");
    char *value = colon + 1, *end = line + size;
    while (value < end && is_blank(*value)) value++;
    while (end > value && is_blank(end[-1])) end--;
    *colon = '\0';
    if (!head_is_value(value, (size_t)(end - value))) {
        err_set(e, ERR_FORMAT, "%.64s: the value holds a control character", line);
        return 400;
    }
    *end = '\0'; /* at most the line's CR */
    head->fields[head->n++] = (struct head_field){line, value};
    return 0;
}

int head_parse(struct head *head, char *data, size_t size, struct err *e)
{
    char *line = data, *end = data + size;
    *head = (struct head){.method = "", .target = ""};
    if (size >= 2 && line[0] == '\r' && line[1] == '\n') line += 2;
    bool first = true;
    int status = 0;
    while (status == 0 && line < end) {
        char *lf = memchr(line, '\n', (size_t)(end - line));
        if (lf == NULL || lf == line || lf[-1] != '\r')
            return refuse(e, 400, "a line of the headers does not end in CR LF");
        size_t length = (size_t)(lf - 1 - line);
        if (length == 0) break;
        status =
            first ? parse_request_line(head, line, length, e) : parse_field(head, line, length, e);
        first = false;
        line = lf + 1;
    }
    return first ? refuse(e, 400, "there is no request line") : status;
}

/* ---- asked ---- */

const char *head_value(const struct head *head, const char *name)
{
    for (size_t i = 0; i < head->n; i++)
        if (strcasecmp(head->fields[i].name, name) == 0) return head->fields[i].value;
    return NULL;
}

static bool lists(const char *list, const char *word)
{
    size_t size = strlen(word);
    while (*list != '\0') {
        list += strspn(list, ", \t");
        size_t n = strcspn(list, ", \t");
        if (n == size && strncasecmp(list, word, n) == 0) return true;
        list += n;
    }
    return false;
}

bool head_lists(const struct head *head, const char *name, const char *word)
{
    for (size_t i = 0; i < head->n; i++)
        if (strcasecmp(head->fields[i].name, name) == 0 && lists(head->fields[i].value, word))
            return true;
    return false;
}
