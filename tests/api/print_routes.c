/* Prints the table of routes: as doc/routes.md (no argument), or with --lines a line for each
 * status that a route may answer, "LISTENER METHOD PATTERN STATUS MEDIA", for the tests that watch
 * answers. LISTENER is http or admin. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../../src/api/routes.h"

static const char *scope_name(unsigned scope)
{
    static const struct {
        unsigned scope;
        const char *name;
    } names[] = {{SCOPE_HEALTH, "health"},
                 {SCOPE_CLASSIFY, "classify"},
                 {SCOPE_METRICS, "metrics"},
                 {SCOPE_ADMIN, "admin"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].scope == scope) return names[i].name;
    return "?";
}

static void print_body(const struct route *route)
{
    if (route->body_max == 0) return;
    printf("Body%s: ", route->body_optional ? " (may be left out)" : "");
    for (size_t i = 0; route->media[i] != NULL; i++)
        printf("%s`%s`", i > 0 ? ", " : "", route->media[i]);
    for (size_t i = 0; route->also != NULL && route->also[i] != NULL; i++)
        printf("%s%s%s%s", i > 0 ? ", " : "; by its first bytes also ",
               route->also[i][0] != '\0' ? "`" : "",
               route->also[i][0] != '\0' ? route->also[i] : "no type",
               route->also[i][0] != '\0' ? "`" : "");
    if (route->body_max == BODY_MAX_OPTION)
        printf("; at most `http.body_max_bytes`.\n\n");
    else
        printf("; at most %zu bytes.\n\n", route->body_max);
}

static void print_query(const struct route *route)
{
    if (route->query == NULL) return;
    printf("| query | takes | |\n| --- | --- | --- |\n");
    for (const struct query_member *m = route->query; m->name != NULL; m++) {
        printf("| `%s` | ", m->name);
        if (m->kind == QUERY_NAME)
            printf("a name");
        else if (m->kind == QUERY_NUMBER && m->max == INT64_MAX)
            printf("from %" PRId64, m->min);
        else
            printf("%" PRId64 " to %" PRId64, m->min, m->max);
        printf(" | %s |\n", m->help);
    }
    printf("\n%s\n\n", route->strict_query ? "Another argument, or a duplicate one, is a 400."
                                           : "Other arguments are ignored.");
}

static void print_answers(const struct answer_row *answers)
{
    printf("| status | as | when |\n| --- | --- | --- |\n");
    for (const struct answer_row *a = answers; a->status != 0; a++)
        printf("| %d | `%s` | %s |\n", a->status, a->media, a->when);
    printf("\n");
}

static void print_document(void)
{
    printf("# Routes\n\n"
           "Made from the table in `src/api/routes.c` by `tests/api/print_routes`; a test compares "
           "them.\nThe public listener is open; the admin listener asks for `Authorization: Bearer "
           "TOKEN`, unless it is a UNIX\nsocket, for all but health. `GET` answers `HEAD`, too. "
           "Errors are problem "
           "documents (RFC 9457). What a\nbody may be stands in doc/bodies.md, content codings "
           "of bodies and answers, too. Every route may answer:\n\n");
    print_answers(common_answers);
    for (size_t i = 0; i < route_count; i++) {
        const struct route_row *row = &route_table[i];
        printf("## %s %s\n\n%s Listener: %s%s%s; scope: %s.\n\n", row->route.method,
               row->route.pattern, row->summary,
               (row->listeners & LISTENER_PUBLIC) != 0 ? "public" : "",
               row->listeners == (LISTENER_PUBLIC | LISTENER_ADMIN) ? " and " : "",
               (row->listeners & LISTENER_ADMIN) != 0 ? "admin" : "", scope_name(row->route.scope));
        print_body(&row->route);
        print_query(&row->route);
        print_answers(row->answers);
    }
}

static void print_lines(const struct route_row *row, const struct answer_row *answers)
{
    for (const struct answer_row *a = answers; a->status != 0; a++) {
        for (unsigned listener = LISTENER_PUBLIC; listener <= LISTENER_ADMIN; listener *= 2)
            if ((row->listeners & listener) != 0)
                printf("%s %s %s %d %s\n", listener == LISTENER_PUBLIC ? "http" : "admin",
                       row->route.method, row->route.pattern, a->status, a->media);
    }
}

int main(int argc, char **argv)
{
    if (argc == 1) {
        print_document();
        return 0;
    }
    if (argc != 2 || strcmp(argv[1], "--lines") != 0) return 2;
    for (size_t i = 0; i < route_count; i++) {
        print_lines(&route_table[i], route_table[i].answers);
        print_lines(&route_table[i], common_answers);
    }
    return 0;
}
