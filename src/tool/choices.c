/* Algorithms that were measured on this machine, kept in $XDG_CACHE_HOME/autodidact, or
 * ~/.cache/autodidact, or where somebody says: a service has no home. While one program measures
 * the others wait for what it finds, by a lock on a file beside it: whoever comes later takes the
 * same algorithms, and two trainings of one seed give the same bits. */
#include "config.h"

#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "tool.h"

static bool cache_directory(char *path, size_t size)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int n = 0;
    if (cache != NULL && cache[0] == '/')
        n = snprintf(path, size, "%s/autodidact", cache);
    else if (home != NULL && home[0] == '/')
        n = snprintf(path, size, "%s/.cache/autodidact", home);
    return n > 0 && (size_t)n < size && file_make_dirs(path, NULL) >= 0;
}

/* Those of the user, by instruction set. */
static bool own_path(char *path, size_t size)
{
    char directory[TOOL_CHOICES_PATH - 64];
    if (!cache_directory(directory, sizeof(directory))) return false;
    snprintf(path, size, "%s/choices-%s", directory, cpu_isa_name(kernels_best()->isa));
    return true;
}

static bool given_path(const char *given, char *path, size_t size)
{
    char copy[TOOL_CHOICES_PATH];
    const int n = snprintf(path, size, "%s", given);
    if (n <= 0 || (size_t)n >= sizeof(copy)) return false;
    memcpy(copy, path, (size_t)n + 1);
    return file_make_dirs(dirname(copy), NULL) >= 0;
}

struct choices *tool_choices_open(struct tool_choices *c, const char *given)
{
    char lock[TOOL_CHOICES_PATH + 8];
    *c = (struct tool_choices){.lock = -1, .choices = choices_new(kernels_best())};
    if (c->choices == NULL) return NULL;
    const bool found = given != NULL ? given_path(given, c->path, sizeof(c->path))
                                     : own_path(c->path, sizeof(c->path));
    if (!found) return c->choices;
    snprintf(lock, sizeof(lock), "%s.lock", c->path);
    c->lock = open(lock, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (c->lock < 0 || flock(c->lock, LOCK_EX) < 0) return c->choices;
    c->damaged = choices_load(c->choices, c->path, NULL) < 0;
    c->kept = true;
    c->known = choices_count(c->choices);
    return c->choices;
}

void tool_choices_close(struct tool_choices *c)
{
    if (c->kept && (c->damaged || choices_count(c->choices) > c->known))
        (void)choices_save(c->choices, c->path, NULL);
    if (c->lock >= 0) close(c->lock);
    c->lock = -1;
}
