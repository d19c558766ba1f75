/* A request's head as it comes over the wire, in pieces: refused with a status and a message, or
 * its end is found in the same place whatever the pieces are, and it is framed in one way only. */
#include "config.h"

#include <string.h>
#include <strings.h>

#include "../../src/http/guard.h"
#include "../../src/http/head.h"
#include "base/mem.h"
#include "fuzz.h"

static void check_refused(int status, const struct err *e)
{
    static const int all[] = {400, 414, 417, 431, 501, 505};
    bool known = false;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) known = known || all[i] == status;
    FUZZ_CHECK(known && e->code < 0 && e->text[0] != '\0');
}

static int count(const struct head *head, const char *name)
{
    int n = 0;
    for (size_t i = 0; i < head->n; i++) n += strcasecmp(head->fields[i].name, name) == 0;
    return n;
}

/* Looked for once more, in another way: every LF has its CR, no other control characters. */
static void check_lines(const char *data, size_t size, const struct head *head)
{
    size_t lines = 0;
    for (size_t i = 0; i < size; i++) {
        unsigned char ch = (unsigned char)data[i];
        lines += ch == '\n';
        FUZZ_CHECK((ch == '\n') == (i > 0 && data[i - 1] == '\r'));
        FUZZ_CHECK(ch >= ' ' || ch == '\t' || ch == '\r' || ch == '\n');
    }
    bool blank = data[0] == '\r';
    FUZZ_CHECK(lines == head->n + 2 + blank);
    FUZZ_CHECK(size >= 4 && memcmp(data + size - 4, "\r\n\r\n", 4) == 0);
    for (size_t i = 0; i < head->n; i++) {
        const char *name = head->fields[i].name, *value = head->fields[i].value;
        FUZZ_CHECK(head_is_token(name, strlen(name)) && head_is_value(value, strlen(value)));
        FUZZ_CHECK(value[0] != ' ' && value[0] != '\t');
    }
    FUZZ_CHECK(strpbrk(head->target, " \t") == NULL && head->target[0] != '\0');
}

static void check_framing(const struct head *head, const struct framing *framing)
{
    int length = count(head, "Content-Length"), encoding = count(head, "Transfer-Encoding");
    int host = count(head, "Host");
    FUZZ_CHECK(length + encoding <= 1);
    FUZZ_CHECK(host == 1 || (head->is_1_0 && host == 0));
    FUZZ_CHECK(framing->chunked == (encoding == 1));
    FUZZ_CHECK((framing->content_length >= 0) == (length == 1));
    FUZZ_CHECK(framing->content_length >= -1 && !(framing->chunked && head->is_1_0));
}

/* The first byte says in what pieces it comes. */
static int scan_in_pieces(const char *data, size_t size, size_t piece, size_t *ret_size,
                          struct err *e)
{
    struct head_scan scan = {0};
    int rc = 0;
    for (size_t seen = piece; rc == 0 && seen < size + piece; seen += piece)
        rc = head_scan(&scan, data, seen < size ? seen : size, ret_size, e);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    size_t piece = data[0] % 16 + 1, n = size - 1, found = 0, again = 0;
    char *text = mem_new(2 * n, 1), *copy = text + n;
    static struct head head;
    struct framing framing = {false, -2};
    struct err e = {0};
    if (text == NULL) return 0;
    memcpy(text, data + 1, n);
    memcpy(copy, data + 1, n);
    int rc = scan_in_pieces(text, n, piece, &found, &e);
    FUZZ_CHECK(rc == scan_in_pieces(text, n, n, &again, &e) && found == again);
    if (rc == HEAD_WHOLE) {
        int status = head_parse(&head, text, found, &e);
        if (status == 0) check_lines(copy, found, &head);
        if (status == 0) status = guard_check(&head, &framing, &e);
        if (status == 0)
            check_framing(&head, &framing);
        else
            check_refused(status, &e);
    } else if (rc != 0) {
        check_refused(rc, &e);
    }
    mem_free(text);
    return 0;
}
