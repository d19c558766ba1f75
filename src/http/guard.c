/* Framing checks that libmicrohttpd 0.9.75 leaves out. It uses the first of two Content-Length
 * headers, takes Content-Length together with Transfer-Encoding, a blank before the colon, and any
 * number of Host headers; and what follows in the next line of a folded header it puts behind the
 * header's name. Behind a proxy that decides otherwise, each of these lets a client put a request
 * of its own between those of others (request smuggling, CWE-444). RFC 9112 sections 3.2, 5.1, 5.2,
 * 6.1, 6.3. */
#include "config.h"

#include "guard.h"

#include <string.h>
#include <strings.h>

static const char *const names[GUARD_HEADERS] = {[GUARD_LENGTH] = "Content-Length",
                                                 [GUARD_ENCODING] = "Transfer-Encoding",
                                                 [GUARD_HOST] = "Host",
                                                 [GUARD_TYPE] = "Content-Type",
                                                 [GUARD_EXPECT] = "Expect"};

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

static bool is_token(const char *s, size_t size)
{
    return size > 0 && holds_only(s, size, "!#$%&'*+-.^_`|~");
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

static bool is_folded(const char *name)
{
    for (int header = GUARD_LENGTH; header <= GUARD_ENCODING; header++) {
        size_t n = strlen(names[header]);
        if (strncasecmp(name, names[header], n) == 0 && name[n] != '\0') return true;
    }
    return false;
}

void guard_add(struct guard_facts *facts, const char *name, size_t name_size, const char *value,
               size_t value_size)
{
    if (!is_token(name, name_size)) facts->bad_name = name;
    for (size_t i = 0; i < value_size; i++) {
        unsigned char ch = (unsigned char)value[i];
        if ((ch < ' ' && ch != '\t') || ch == 0x7f) facts->bad_value = name;
    }
    if (is_folded(name)) facts->folded = true;
    for (int header = 0; header < GUARD_HEADERS; header++) {
        if (strcasecmp(name, names[header]) != 0) continue;
        facts->headers[header].count++;
        facts->headers[header].value = value;
    }
}

/* ---- the rules ---- */

static bool name_is_bad(const struct guard_facts *f)
{
    return f->bad_name != NULL;
}

static bool value_is_bad(const struct guard_facts *f)
{
    return f->bad_value != NULL;
}

static bool host_is_missing(const struct guard_facts *f)
{
    return f->headers[GUARD_HOST].count == 0 && !f->is_1_0;
}

static bool host_is_duplicate(const struct guard_facts *f)
{
    return f->headers[GUARD_HOST].count > 1;
}

static bool host_is_bad(const struct guard_facts *f)
{
    return f->headers[GUARD_HOST].count > 0 && !is_host(f->headers[GUARD_HOST].value);
}

static bool framing_is_folded(const struct guard_facts *f)
{
    return f->folded;
}

static bool type_is_duplicate(const struct guard_facts *f)
{
    return f->headers[GUARD_TYPE].count > 1;
}

static bool framing_is_double(const struct guard_facts *f)
{
    return f->headers[GUARD_ENCODING].count > 0 && f->headers[GUARD_LENGTH].count > 0;
}

static bool encoding_is_too_new(const struct guard_facts *f)
{
    return f->headers[GUARD_ENCODING].count > 0 && f->is_1_0;
}

static bool encoding_is_duplicate(const struct guard_facts *f)
{
    return f->headers[GUARD_ENCODING].count > 1;
}

static bool encoding_is_unknown(const struct guard_facts *f)
{
    return f->headers[GUARD_ENCODING].count > 0 &&
           strcasecmp(f->headers[GUARD_ENCODING].value, "chunked") != 0;
}

static bool expectation_is_unknown(const struct guard_facts *f)
{
    return f->headers[GUARD_EXPECT].count > 0 &&
           strcasecmp(f->headers[GUARD_EXPECT].value, "100-continue") != 0;
}

static bool length_is_duplicate(const struct guard_facts *f)
{
    return f->headers[GUARD_LENGTH].count > 1;
}

/* -1: no decimal number, or none in range. */
static int64_t parse_length(const char *text)
{
    const char *s = text;
    int64_t value = 0;
    for (; *s >= '0' && *s <= '9' && value < INT64_MAX / 10 - 1; s++)
        value = value * 10 + (*s - '0');
    return *s == '\0' && s != text ? value : -1;
}

static bool length_is_bad(const struct guard_facts *f)
{
    return f->headers[GUARD_LENGTH].count > 0 && parse_length(f->headers[GUARD_LENGTH].value) < 0;
}

/* In the order in which they are looked at; a rule may rely on those before it. */
static const struct rule {
    const char *what; /* that the message is about; NULL: the header that bad_value names */
    bool (*is_broken)(const struct guard_facts *f);
    int status;
    const char *text;
} rules[] = {
    {"a header's name", name_is_bad, 400, "holds a blank or another character that it must not"},
    {NULL, value_is_bad, 400, "the value holds a control character"},
    {"Host", host_is_missing, 400, "the header is missing"},
    {"Host", host_is_duplicate, 400, "duplicate header"},
    {"Host", host_is_bad, 400, "is no host with an optional port"},
    {"a header that frames the body", framing_is_folded, 400, "is folded, or no header at all"},
    {"Content-Type", type_is_duplicate, 400, "duplicate header"},
    {"Transfer-Encoding", framing_is_double, 400, "excludes Content-Length"},
    {"Transfer-Encoding", encoding_is_too_new, 400, "HTTP/1.0 has none"},
    {"Transfer-Encoding", encoding_is_duplicate, 400, "duplicate header"},
    {"Transfer-Encoding", encoding_is_unknown, 501, "only chunked is understood"},
    {"Expect", expectation_is_unknown, 417, "only 100-continue is understood"},
    {"Content-Length", length_is_duplicate, 400, "duplicate header"},
    {"Content-Length", length_is_bad, 400, "is no decimal number in range"},
};

int guard_judge(const struct guard_facts *facts, struct framing *ret_framing, struct err *e)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        const struct rule *rule = &rules[i];
        if (!rule->is_broken(facts)) continue;
        err_set(e, ERR_FORMAT, "%.64s: %s", rule->what != NULL ? rule->what : facts->bad_value,
                rule->text);
        return rule->status;
    }
    ret_framing->chunked = facts->headers[GUARD_ENCODING].count > 0;
    ret_framing->content_length = facts->headers[GUARD_LENGTH].count > 0
                                      ? parse_length(facts->headers[GUARD_LENGTH].value)
                                      : -1;
    return 0;
}

static enum MHD_Result look(void *facts, enum MHD_ValueKind kind, const char *name,
                            size_t name_size, const char *value, size_t value_size)
{
    (void)kind;
    guard_add(facts, name, name_size, value, value_size);
    return MHD_YES;
}

int guard_check(struct MHD_Connection *mhd, const char *version, struct framing *ret_framing,
                struct err *e)
{
    struct guard_facts facts = {.is_1_0 = strcmp(version, "HTTP/1.0") == 0};
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, look, &facts);
    return guard_judge(&facts, ret_framing, e);
}
