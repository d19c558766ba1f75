/* Any bytes as JSON: refused with a message, or a document that is written as text which reads as
 * the same document: written again it gives the same bytes, sorted too. */
#include "config.h"

#include <string.h>

#include "fuzz.h"
#include "json/read.h"
#include "json/write.h"

static const struct json_limits limits = {1 << 20, 1 << 12};

/* The document's text into *out. */
static void write_text(const struct json *json, bool sorted, bool spaced, struct buf *out)
{
    struct json_writer w;
    buf_init(out, 16 << 20);
    json_writer_init(&w, out);
    w.spaced = spaced;
    (sorted ? json_write_sorted : json_write_value)(&w, NULL, json);
    FUZZ_CHECK(w.status == 0 && !w.replaced);
}

static void check_round(const struct json *json, bool sorted, bool spaced)
{
    struct buf first, second;
    write_text(json, sorted, spaced, &first);
    struct json *again = json_parse("again", buf_text(&first), first.size,
                                    &(struct json_limits){16 << 20, 1 << 12}, JSON_KIND_ANY, NULL);
    FUZZ_CHECK(again != NULL);
    write_text(again, sorted, spaced, &second);
    FUZZ_CHECK(first.size == second.size &&
               memcmp(buf_text(&first), buf_text(&second), first.size) == 0);
    json_free(again);
    buf_release(&first);
    buf_release(&second);
}

/* Every getter at every place: a value, or a message. */
static void check_places(const struct json_place *at)
{
    static const char *const choices[] = {"a", "b"};
    struct json_place inner;
    char text[32];
    int64_t whole;
    double number;
    bool yes;
    int index;
    int rc[] = {json_read_int(at, NULL, -5, 5, &whole),
                json_read_number(at, NULL, -1, 1, &number),
                json_read_bool(at, NULL, &yes),
                json_read_string(at, NULL, text, sizeof(text)),
                json_read_choice(at, NULL, choices, 2, &index),
                json_read_known(at, choices, 2),
                json_read_int(at, "a", 0, 1, &whole),
                json_read_array(at, NULL, 0, 1000, &inner),
                json_read_object(at, NULL, &inner)};
    for (size_t i = 0; i < sizeof(rc) / sizeof(rc[0]); i++) {
        FUZZ_CHECK(rc[i] <= 0 && (rc[i] == 0 || at->e->text[0] != '\0'));
    }
    for (size_t i = 0; json_is(at->value, JSON_KIND_ARRAY) && i < json_count(at->value); i++) {
        inner = json_place_item(at, i);
        check_places(&inner);
    }
    for (struct json_member m = {0}; json_next(at->value, &m);) {
        inner = json_place_member(at, m.name);
        check_places(&inner);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct json *json = json_parse("fuzz", (const char *)data, size, &limits, JSON_KIND_ANY, &e);
    if (json == NULL) {
        FUZZ_CHECK(e.code < 0 && e.text[0] != '\0');
        return 0;
    }
    const struct json_place root = json_root(json, "fuzz", &e);
    check_places(&root);
    check_round(json, false, false);
    check_round(json, true, true);
    json_free(json);
    return 0;
}
