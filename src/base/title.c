/* See title.h. The kernel puts the strings of argv and environ one behind the other; it reads on
 * into the latter where the former does not end with a NUL, for just this use. */
#include "config.h"

#include "base/title.h"

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static char *area; /* NULL: not known */
static size_t area_size;

/* The end of the strings that follow one another from `end` on. */
static char *end_of(char *const *strings, char *end)
{
    for (; *strings != NULL; strings++) {
        if (*strings == end) end += strlen(end) + 1;
    }
    return end;
}

void title_init(char **argv)
{
    if (argv[0] == NULL) return;
    area = argv[0];
    area_size = (size_t)(end_of(environ, end_of(argv, argv[0])) - argv[0]);
}

void title_set(const char *name, const char *title)
{
    prctl(PR_SET_NAME, name);
    if (area == NULL) return;
    clearenv();
    size_t n = strnlen(title, area_size - 1);
    memset(area, 0, area_size);
    memcpy(area, title, n);
}
