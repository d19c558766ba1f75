/* What a head must be like as a whole, so that everybody agrees on where its body ends: RFC 9112
 * sections 3.2, 6.1, 6.3. A list of rules over the few headers that they are about. */
#include "config.h"

#include "guard.h"

#include <string.h>
#include <strings.h>

enum header { LENGTH, ENCODING, HOST, TYPE, EXPECT, AUTHORIZATION, HEADERS };

static const char *const names[HEADERS] = {[LENGTH] = "Content-Length",
                                           [ENCODING] = "Transfer-Encoding",
                                           [HOST] = "Host",
                                           [TYPE] = "Content-Type",
                                           [EXPECT] = "Expect",
                                           [AUTHORIZATION] = "Authorization"};

struct facts {
    bool is_1_0;
    struct {
        int count;
        const char *value; /* the last one's */
    } headers[HEADERS];
};

/* Letters, digits and these others. */
static bool holds_only(const char *s, size_t size, const char *others)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char ch = (unsigned char)s[i];
        bool alphanumeric = (ch >= '0' && ch <= '9') || ((ch | 32) >= 'a' && (ch | 32) <= 'z');
        if (!alphanumeric && (ch == '\0' || strchr(others, ch) == NULL)) return false;
    }
    return true;
}

/* The characters of uri-host and port in RFC 3986; empty where a target has no authority. */
static bool is_host(const char *s)
{
    return s == NULL || holds_only(s, strlen(s), "-._~%!$&'()*+,;=:[]");
}

int guard_target(const char *target, size_t *ret_prefix)
{
    size_t scheme = strncasecmp(target, "http://", 7) == 0    ? 7
                    : strncasecmp(target, "https://", 8) == 0 ? 8
                                                              : 0;
    *ret_prefix = 0;
    if (scheme == 0) return 0;
    size_t authority = strcspn(target + scheme, "/?");
    /* Nothing encoded: what is decoded later has the same length. */
    if (authority == 0 || !holds_only(target + scheme, authority, "-._~!$&'()*+,;=:[]"))
        return ERR_FORMAT;
    *ret_prefix = scheme + authority;
    return 0;
}

static struct facts look(const struct head *head)
{
    struct facts facts = {.is_1_0 = head->is_1_0};
    for (size_t i = 0; i < head->n; i++) {
        for (int header = 0; header < HEADERS; header++) {
            if (strcasecmp(head->fields[i].name, names[header]) != 0) continue;
            facts.headers[header].count++;
            facts.headers[header].value = head->fields[i].value;
        }
    }
    return facts;
}

/* ---- the rules ---- */

static bool host_is_missing(const struct facts *f)
{
    return f->headers[HOST].count == 0 && !f->is_1_0;
}

static bool host_is_duplicate(const struct facts *f)
{
    return f->headers[HOST].count > 1;
}

static bool host_is_bad(const struct facts *f)
{
    return f->headers[HOST].count > 0 && !is_host(f->headers[HOST].value);
}

static bool type_is_duplicate(const struct facts *f)
{
    return f->headers[TYPE].count > 1;
}

static bool authorization_is_duplicate(const struct facts *f)
{
    return f->headers[AUTHORIZATION].count > 1;
}

static bool framing_is_double(const struct facts *f)
{
    return f->headers[ENCODING].count > 0 && f->headers[LENGTH].count > 0;
}

static bool encoding_is_too_new(const struct facts *f)
{
    return f->headers[ENCODING].count > 0 && f->is_1_0;
}

static bool encoding_is_duplicate(const struct facts *f)
{
    return f->headers[ENCODING].count > 1;
}

static bool encoding_is_unknown(const struct facts *f)
{
    return f->headers[ENCODING].count > 0 && strcasecmp(f->headers[ENCODING].value, "chunked") != 0;
}

static bool expectation_is_unknown(const struct facts *f)
{
    return f->headers[EXPECT].count > 0 &&
           strcasecmp(f->headers[EXPECT].value, "100-continue") != 0;
}

static bool length_is_duplicate(const struct facts *f)
{
    return f->headers[LENGTH].count > 1;
}

/* -1: no decimal number. One that no int64_t holds is the largest, which no route takes. */
static int64_t parse_length(const char *text)
{
    const char *s = text;
    int64_t value = 0;
    for (; *s >= '0' && *s <= '9'; s++)
        value = value < INT64_MAX / 10 ? value * 10 + (*s - '0') : INT64_MAX;
    return *s == '\0' && s != text ? value : -1;
}

static bool length_is_bad(const struct facts *f)
{
    return f->headers[LENGTH].count > 0 && parse_length(f->headers[LENGTH].value) < 0;
}

/* In the order in which they are looked at; a rule may rely on those before it. */
static const struct rule {
    const char *what; /* that the message is about */
    bool (*is_broken)(const struct facts *f);
    int status;
    const char *text;
} rules[] = {
    {"Host", host_is_missing, 400, "the header is missing"},
    {"Host", host_is_duplicate, 400, "duplicate header"},
    {"Host", host_is_bad, 400, "is no host with an optional port"},
    {"Content-Type", type_is_duplicate, 400, "duplicate header"},
    {"Authorization", authorization_is_duplicate, 400, "duplicate header"},
    {"Transfer-Encoding", framing_is_double, 400, "excludes Content-Length"},
    {"Transfer-Encoding", encoding_is_too_new, 400, "HTTP/1.0 has none"},
    {"Transfer-Encoding", encoding_is_duplicate, 400, "duplicate header"},
    {"Transfer-Encoding", encoding_is_unknown, 501, "only chunked is understood"},
    {"Expect", expectation_is_unknown, 417, "only 100-continue is understood"},
    {"Content-Length", length_is_duplicate, 400, "duplicate header"},
    {"Content-Length", length_is_bad, 400, "is no decimal number"},
};

int guard_check(const struct head *head, struct framing *ret_framing, struct err *e)
{
    struct facts facts = look(head);
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (!rules[i].is_broken(&facts)) continue;
        err_set(e, ERR_FORMAT, "%s: %s", rules[i].what, rules[i].text);
        return rules[i].status;
    }
    ret_framing->chunked = facts.headers[ENCODING].count > 0;
    ret_framing->content_length =
        facts.headers[LENGTH].count > 0 ? parse_length(facts.headers[LENGTH].value) : -1;
    return 0;
}
