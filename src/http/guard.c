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

struct count {
    int content_length, transfer_encoding, host, expect, content_type, folded;
    const char *length, *encoding, *expectation, *host_value, *bad_name, *bad_value;
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

/* A header of the framing with more behind its name. */
static bool is_folded(const char *name)
{
    static const char *const framing[] = {"Content-Length", "Transfer-Encoding"};
    for (size_t i = 0; i < sizeof(framing) / sizeof(framing[0]); i++) {
        size_t n = strlen(framing[i]);
        if (strncasecmp(name, framing[i], n) == 0 && name[n] != '\0') return true;
    }
    return false;
}

static enum MHD_Result look(void *arg, enum MHD_ValueKind kind, const char *name, size_t name_size,
                            const char *value, size_t value_size)
{
    (void)kind;
    struct count *count = arg;
    if (!is_token(name, name_size)) count->bad_name = name;
    for (size_t i = 0; i < value_size; i++) {
        unsigned char ch = (unsigned char)value[i];
        if ((ch < ' ' && ch != '\t') || ch == 0x7f) count->bad_value = name;
    }
    if (strcasecmp(name, "Content-Length") == 0) {
        count->content_length++;
        count->length = value;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        count->transfer_encoding++;
        count->encoding = value;
    } else if (strcasecmp(name, "Host") == 0) {
        count->host++;
        count->host_value = value;
    } else if (strcasecmp(name, "Content-Type") == 0) {
        count->content_type++;
    } else if (is_folded(name)) {
        count->folded++;
    } else if (strcasecmp(name, "Expect") == 0) {
        count->expect++;
        count->expectation = value;
    }
    return MHD_YES;
}

static int check_length(const struct count *count, struct guard *guard, struct err *e)
{
    guard->content_length = -1;
    if (count->content_length == 0) return 0;
    if (count->content_length > 1) {
        err_set(e, ERR_FORMAT, "Content-Length stands there %d times", count->content_length);
        return 400;
    }
    const char *s = count->length;
    int64_t value = 0;
    for (; *s >= '0' && *s <= '9' && value < INT64_MAX / 10 - 1; s++)
        value = value * 10 + (*s - '0');
    if (*s != '\0' || s == count->length) {
        err_set(e, ERR_FORMAT, "Content-Length is no decimal number in range");
        return 400;
    }
    guard->content_length = value;
    return 0;
}

int guard_check(struct MHD_Connection *mhd, const char *version, struct guard *ret_guard,
                struct err *e)
{
    bool is_1_0 = strcmp(version, "HTTP/1.0") == 0;
    struct count count = {0};
    MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, look, &count);
    memset(ret_guard, 0, sizeof(*ret_guard));
    if (count.bad_name != NULL) {
        err_set(e, ERR_FORMAT,
                "a header's name holds a blank or another character that it must not");
        return 400;
    }
    if (count.bad_value != NULL) {
        err_set(e, ERR_FORMAT, "the value of header %.64s holds a control character",
                count.bad_value);
        return 400;
    }
    if (count.host > 1 || (count.host == 0 && !is_1_0)) {
        err_set(e, ERR_FORMAT,
                count.host == 0 ? "the Host header is missing"
                                : "the Host header stands there more than once");
        return 400;
    }
    if (count.host == 1 && !is_host(count.host_value)) {
        err_set(e, ERR_FORMAT, "the Host header is no host with an optional port");
        return 400;
    }
    if (count.folded > 0) {
        err_set(e, ERR_FORMAT, "a header that frames the body is folded, or no header at all");
        return 400;
    }
    if (count.content_type > 1) {
        err_set(e, ERR_FORMAT, "Content-Type stands there %d times", count.content_type);
        return 400;
    }
    if (count.transfer_encoding > 0 && count.content_length > 0) {
        err_set(e, ERR_FORMAT, "Content-Length and Transfer-Encoding exclude each other");
        return 400;
    }
    if (count.transfer_encoding > 0 && is_1_0) {
        err_set(e, ERR_FORMAT, "HTTP/1.0 has no Transfer-Encoding");
        return 400;
    }
    if (count.transfer_encoding > 1) {
        err_set(e, ERR_FORMAT, "Transfer-Encoding stands there more than once");
        return 400;
    }
    if (count.transfer_encoding == 1 && strcasecmp(count.encoding, "chunked") != 0) {
        err_set(e, ERR_UNSUPPORTED, "of transfer encodings only chunked is understood");
        return 501;
    }
    if (count.expect > 0 && strcasecmp(count.expectation, "100-continue") != 0) {
        err_set(e, ERR_UNSUPPORTED, "of expectations only 100-continue is understood");
        return 417;
    }
    ret_guard->chunked = count.transfer_encoding == 1;
    return check_length(&count, ret_guard, e);
}
