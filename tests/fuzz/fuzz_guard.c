/* Lines as the headers of a request ("Name: value"), of HTTP/1.0 when the first byte is 0: refused
 * with a status and a message, or framed in one way only. */
#include "config.h"

#include <string.h>
#include <strings.h>

#include "../../src/http/guard.h"
#include "base/mem.h"
#include "fuzz.h"

/* What must not be there twice, counted here once more. */
struct seen {
    int length, encoding, host;
};

static void add_line(struct guard_facts *facts, struct seen *seen, char *line, size_t size)
{
    char *colon = memchr(line, ':', size);
    if (colon == NULL) colon = line + size;
    char *value = colon < line + size ? colon + 1 : colon;
    *colon = '\0';
    while (*value == ' ') value++;
    guard_add(facts, line, (size_t)(colon - line), value, (size_t)(line + size - value));
    seen->length += strcasecmp(line, "Content-Length") == 0;
    seen->encoding += strcasecmp(line, "Transfer-Encoding") == 0;
    seen->host += strcasecmp(line, "Host") == 0;
}

static void check_accepted(const struct guard_facts *facts, const struct framing *framing,
                           const struct seen *seen)
{
    FUZZ_CHECK(seen->length + seen->encoding <= 1);
    FUZZ_CHECK(seen->host == 1 || (facts->is_1_0 && seen->host == 0));
    FUZZ_CHECK(framing->chunked == (seen->encoding == 1));
    FUZZ_CHECK((framing->content_length >= 0) == (seen->length == 1));
    FUZZ_CHECK(framing->content_length >= -1 && !(framing->chunked && facts->is_1_0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    char *text = mem_new(size, 1);
    if (text == NULL) return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';

    struct guard_facts facts = {.is_1_0 = data[0] == '0'};
    struct seen seen = {0};
    char *end = text + size - 1;
    for (char *line = text; line < end;) {
        char *stop = memchr(line, '\n', (size_t)(end - line));
        if (stop == NULL) stop = end;
        *stop = '\0';
        if (stop > line) add_line(&facts, &seen, line, (size_t)(stop - line));
        line = stop + 1;
    }
    struct framing framing = {false, -2};
    struct err e = {0};
    int status = guard_judge(&facts, &framing, &e);
    if (status == 0) {
        check_accepted(&facts, &framing, &seen);
    } else {
        FUZZ_CHECK(status == 400 || status == 417 || status == 501);
        FUZZ_CHECK(e.code < 0 && e.text[0] != '\0');
    }
    mem_free(text);
    return 0;
}
