/* multipart/form-data: boundaries, parts, and what is refused. */
#define _GNU_SOURCE /* memmem() */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http/multipart.h"
#include "../seeded.h"

#define A71 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A70 (&A71[1])

static void boundaries(void **state)
{
    (void)state;
    char long70[200], long71[200], spaced[] = "multipart/form-data; boundary=\"a b\"";
    snprintf(long70, sizeof(long70), "multipart/form-data; boundary=%s", A70);
    snprintf(long71, sizeof(long71), "multipart/form-data; boundary=%s", A71);
    const struct {
        const char *type, *boundary; /* NULL: refused */
    } rows[] = {
        {"multipart/form-data; boundary=x", "x"},
        {"multipart/form-data;boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW",
         "----WebKitFormBoundary7MA4YWxkTrZu0gW"},
        {"multipart/form-data \t; charset=utf-8; BOUNDARY=\"a:b=?\" ; ", "a:b=?"},
        {"multipart/form-data; a=\"; boundary=y; \\\" boundary=z\"; boundary=x", "x"},
        {spaced, "a b"},
        {long70, A70},
        {long71, NULL},
        {"multipart/form-data", NULL},
        {"multipart/form-data;", NULL},
        {"multipart/form-data; boundary", NULL},
        {"multipart/form-data; boundary=", NULL},
        {"multipart/form-data; boundary=\"\"", NULL},
        {"multipart/form-data; boundary=\"a ", NULL},
        {"multipart/form-data; boundary=\"a\\", NULL},
        {"multipart/form-data; boundary=\"a \"", NULL},
        {"multipart/form-data; boundary=\"a\\\"b\"", NULL},
        {"multipart/form-data; boundary=a b", NULL},
        {"multipart/form-data; boundary=a=b", NULL},
        {"multipart/form-data; boundary=a; boundary=a", NULL},
        {"multipart/form-data; boundary=a; boundary=b", NULL},
        {"multipart/form-data; =a; boundary=b", NULL},
        {"multipart/form-data; boundary=\"\xc3\xa4\"", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char boundary[MULTIPART_BOUNDARY_MAX + 1] = "";
        struct err e = {0};
        int rc = multipart_boundary(rows[i].type, boundary, &e);
        if (rc != (rows[i].boundary != NULL ? 0 : ERR_FORMAT)) fail_msg("row %zu: %d", i, rc);
        if (rc == 0)
            assert_string_equal(boundary, rows[i].boundary);
        else
            assert_true(e.code == rc && strstr(e.text, "boundary=") != NULL);
    }
}

/* "name|type|data;.." of a body, or "! " and the error. */
static void read_all(const char *boundary, const char *body, size_t size, char *out,
                     size_t out_size)
{
    /* A copy without a byte to spare, for AddressSanitizer. */
    char *copy = malloc(size > 0 ? size : 1);
    struct multipart m;
    struct multipart_part part;
    struct err e = {0};
    size_t n = 0;
    assert_non_null(copy);
    memcpy(copy, body, size);
    out[0] = '\0';
    int rc = multipart_init(&m, boundary, copy, size, &e);
    while (rc >= 0 && (rc = multipart_next(&m, &part, &e)) > 0) {
        n += (size_t)snprintf(out + n, out_size - n, "%s|%s|%.*s%s;", part.name, part.content_type,
                              (int)part.size, (const char *)part.data,
                              part.no_file ? "(no file)" : "");
    }
    if (rc < 0) {
        assert_true(e.code == rc && e.text[0] != '\0');
        snprintf(out, out_size, "! %s", e.text);
    }
    free(copy);
}

#define D "Content-Disposition: form-data; name=\"image\"\r\n"

static void parts(void **state)
{
    (void)state;
    static const struct {
        const char *body, *expected; /* "!": refused with these words behind it */
    } rows[] = {
        {"--x\r\n" D "\r\nabc\r\n--x--\r\n", "image||abc;"},
        {"--x\r\n" D "\r\nabc\r\n--x--", "image||abc;"},
        {"--x \t\r\n" D "\r\nabc\r\n--x \r\n" D
         "Content-Type: Image/PNG; q=1\r\n\r\n\r\n\r\n--x-- \r\n",
         "image||abc;image|image/png|\r\n;"},
        {"--x\r\n" D "\r\n\r\n--x\r\n" D "\r\n--x--", "image||;image||;"},
        {"--x\r\ncontent-disposition:form-data;filename=\"C:\\\\a;name=b\\\".png\" ; NAME=sla;\r\n"
         "X-Other: 1\r\nContent-Transfer-Encoding: BINARY\r\n\r\n--y\r\n-x\r\n--x--",
         "sla||--y\r\n-x;"},
        {"--x\r\n" D "\r\n\r\r\n--\r\n\n--x\r\r\n--x--", "image||\r\r\n--\r\n\n--x\r;"},
        /* Around the parts, and folded headers. */
        {"\r\n--x\r\n" D "\r\nabc\r\n--x--", "image||abc;"},
        {"hello\r\nyou --x\r\n\r\n--x\r\n" D "\r\nabc\r\n--x--", "image||abc;"},
        {"--x\r\n" D "\r\nabc\r\n--x--\r\nbye", "image||abc;"},
        {"--x\r\n" D "\r\nabc\r\n--x-- \t\r\n--x\r\n" D "\r\nd\r\n--x--", "image||abc;"},
        {"--x\r\n" D "\r\nabc\r\n--x-- \t", "image||abc;"},
        {"--x\r\nContent-Type:\r\n image/png\r\nContent-Disposition: "
         "form-data;\r\n\tname=\"image\"; "
         "\r\n filename=a\r\n\r\nabc\r\n--x--",
         "image|image/png|abc;"},
        /* RFC 5987 and RFC 2231 in the name of a file. */
        {"--x\r\nContent-Disposition: form-data; filename*=UTF-8''%e2%82%ac.png; name=image; "
         "filename=e.png\r\n\r\nabc\r\n--x--",
         "image||abc;"},
        {"--x\r\nContent-Disposition: form-data; name=image; filename*0=\"a\"; "
         "filename*1*=%20b\r\n\r\nabc\r\n--x--",
         "image||abc;"},
        {"--x\r\nContent-Disposition: form-data; name=image; filename=\"\"\r\n\r\n\r\n--x--",
         "image||(no file);"},
        {"--x\r\nContent-Disposition: form-data; name=image; filename=\"\"\r\n\r\na\r\n--x--",
         "image||a;"},
        {"", "! no line"},
        {"--", "! no line"},
        {"hello--x\r\n" D "\r\nabc", "! no line"},
        {"hello\r\n--xy\r\n--x\r\n" D "\r\nabc\r\n--x--", "! more than the boundary"},
        {"--x\r\r\n" D "\r\nabc\r\n--x--", "! more than the boundary"},
        {"hello\n--x\r\n" D "\r\nabc\n--x--", "! no line"},
        {"--x", "! cut short"},
        {"--x\r", "! cut short"},
        {"--x-", "! cut short"},
        {"--x--", "! no part"},
        {"--x--\r\n", "! no part"},
        {"--xy\r\n" D "\r\nabc\r\n--x--", "! more than the boundary"},
        {"--x\r\n" D "\r\nabc\r\n--xy\r\n--x--", "! more than the boundary"},
        {"--x\r\n" D "\r\nabc\r\n--x--bye\r\n", "! more than the boundary"},
        {"--x\r\n" D "\r\nabc", "! part 1: no boundary follows"},
        {"--x\r\n" D "\r\nabc\r\n--", "! part 1: no boundary follows"},
        {"--x\r\n" D "\r\nabc--x--", "! part 1: no boundary follows"},
        {"--x\r\n" D "\r\nabc\n--x--", "! part 1: no boundary follows"},
        {"--x\r\n" D "\r\nabc\r\n--x", "! cut short"},
        {"--x\r\n" D, "! part 1: its headers are cut short"},
        {"--x\r\n" D "\r\nabc\r\n--x\r\n" D, "! part 2: its headers are cut short"},
        {"--x\r\n" D "\n\nabc\r\n--x--", "! control character"},
        {"--x\r\n\r\nabc\r\n--x--", "! part 1: Content-Disposition is missing"},
        {"--x\r\n" D D "\r\nabc\r\n--x--", "! duplicate"},
        {"--x\r\n" D "Content-Type: a/b\r\nContent-Type: a/b\r\n\r\nabc\r\n--x--", "! duplicate"},
        {"--x\r\n folded: 1\r\n" D "\r\nabc\r\n--x--", "! no name with a colon"},
        {"--x\r\n" D "A: 1\r\n\rb\r\n\r\nabc\r\n--x--", "! control character"},
        {"--x\r\nContent-Disposition: form-data; name=\"a\";\r\n \r\n\r\nabc\r\n--x--", "a||abc;"},
        {"--x\r\n" D " ", "! part 1: its headers are cut short"},
        {"--x\r\n" D "A : 1\r\n\r\nabc\r\n--x--", "! no name with a colon"},
        {"--x\r\n" D "nocolon\r\n\r\nabc\r\n--x--", "! no name with a colon"},
        {"--x\r\n" D "A: \x01\r\n\r\nabc\r\n--x--", "! control character"},
        {"--x\r\nContent-Disposition: attachment; name=\"image\"\r\n\r\nabc\r\n--x--",
         "! not form-data"},
        {"--x\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--x--", "! name="},
        {"--x\r\nContent-Disposition: form-data; name=\"\"\r\n\r\nabc\r\n--x--", "! name="},
        {"--x\r\nContent-Disposition: form-data; name=\"a\r\n\r\nabc\r\n--x--", "! name="},
        {"--x\r\nContent-Disposition: form-data; name=a; name=b\r\n\r\nabc\r\n--x--", "! name="},
        {"--x\r\nContent-Disposition: form-data; name=" A71 "\r\n\r\nabc\r\n--x--",
         "! name is too long"},
        {"--x\r\n" D "Content-Type: " A71 "\r\n\r\nabc\r\n--x--", "! Content-Type is too long"},
        {"--x\r\n" D "Content-Transfer-Encoding: base64\r\n\r\nYWJj\r\n--x--",
         "! Content-Transfer-Encoding"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char got[600];
        read_all("x", rows[i].body, strlen(rows[i].body), got, sizeof(got));
        bool fits = rows[i].expected[0] == '!'
                        ? got[0] == '!' && strstr(got, rows[i].expected + 2) != NULL
                        : strcmp(got, rows[i].expected) == 0;
        if (!fits) fail_msg("row %zu: %s", i, got);
    }
}

static void headers_are_bounded(void **state)
{
    (void)state;
    enum { SIZE = MULTIPART_HEADERS_MAX };
    static char body[2 * SIZE], got[600];
    for (int fits = 0; fits < 2; fits++) {
        size_t head = strlen(D) + strlen("A: \r\n\r\n");
        size_t filler = SIZE - head + (fits ? 0 : 1);
        int n = snprintf(body, sizeof(body), "--x\r\n" D "A: %*s\r\n\r\nabc\r\n--x--", (int)filler,
                         "a");
        read_all("x", body, (size_t)n, got, sizeof(got));
        assert_string_equal(got,
                            fits ? "image||abc;" : "! multipart: part 1: its headers are too long");
    }
}

/* What a writer puts in comes out, whatever bytes it is; every shorter body is refused. */
static void any_bytes(void **state)
{
    (void)state;
    struct rng rng = seeded(11);
    for (int round = 0; round < 300; round++) {
        char body[1200], data[3][100];
        size_t sizes[3], n = 0;
        int count = 1 + (int)rng_below(&rng, 3);
        for (int i = 0; i < count; i++) {
            static const char alphabet[] = "\r\n-bB\0a";
            sizes[i] = rng_below(&rng, 100);
            for (size_t k = 0; k < sizes[i]; k++) data[i][k] = alphabet[rng_below(&rng, 7)];
            n += (size_t)sprintf(body + n, "%s--bBb\r\n" D "\r\n", i > 0 ? "\r\n" : "");
            memcpy(body + n, data[i], sizes[i]);
            n += sizes[i];
        }
        if (memmem(body, n, "\r\n--bBb\r\n\r\n", 11) != NULL) continue;
        n += (size_t)sprintf(body + n, "\r\n--bBb--");
        struct multipart m;
        struct multipart_part part;
        struct err e = {0};
        assert_int_equal(multipart_init(&m, "bBb", body, n, &e), 0);
        for (int i = 0; i < count; i++) {
            assert_int_equal(multipart_next(&m, &part, &e), 1);
            assert_int_equal(part.size, sizes[i]);
            assert_memory_equal(part.data, data[i], sizes[i]);
        }
        assert_int_equal(multipart_next(&m, &part, &e), 0);
        for (size_t cut = 0; cut < n; cut++) {
            char got[600];
            read_all("bBb", body, cut, got, sizeof(got));
            if (got[0] != '!') fail_msg("round %d, cut to %zu: %s", round, cut, got);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(boundaries),
        cmocka_unit_test(parts),
        cmocka_unit_test(headers_are_bounded),
        cmocka_unit_test(any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
