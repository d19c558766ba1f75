/* The options of the jobs: defaults, and a copy whose paths are found and absolute. */
#include "config.h"

#include "jobs/jobs.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "state.h"

void jobs_options_default(struct jobs_options *options)
{
    *options = (struct jobs_options){.margin = 0.01,
                                     .niceness = 10,
                                     .idle = true,
                                     .queue_max = 100,
                                     .attempts_max = 3,
                                     .grace_ns = 10 * CLOCK_SECOND};
}

/* NAME beside this program's own file. */
static char *beside_program(const char *name)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n <= 0) return mem_strdup(name);
    path[n] = '\0';
    *(strrchr(path, '/') + 1) = '\0';
    if (strlen(path) + strlen(name) >= sizeof(path)) return NULL;
    strcat(path, name);
    return mem_strdup(path);
}

static char *copy_or_default(const char *given, char *(*otherwise)(void))
{
    return given != NULL && given[0] != '\0' ? mem_strdup(given) : otherwise();
}

static char *default_program(void)
{
    return beside_program("autodidact");
}

char *jobs_program(const char *given)
{
    return copy_or_default(given, default_program);
}

/* In an installed tree, or in a build directory inside of the source tree. */
static char *default_specs(void)
{
    static const char *const places[] = {"../share/autodidact/models", "models", "../models"};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        char *path = beside_program(places[i]);
        if (path == NULL || file_exists(path)) return path;
        mem_free(path);
    }
    return beside_program(places[0]);
}

static char *no_default(void)
{
    return mem_strdup("");
}

void jobs_options_release(struct jobs_options *options)
{
    mem_free((char *)(uintptr_t)options->directory);
    mem_free((char *)(uintptr_t)options->program);
    mem_free((char *)(uintptr_t)options->launcher);
    mem_free((char *)(uintptr_t)options->data_root);
    mem_free((char *)(uintptr_t)options->spec_directory);
    mem_free((char *)(uintptr_t)options->choices);
}

/* Children work elsewhere. */
static char *absolute(const char *path)
{
    char here[PATH_MAX], joined[PATH_MAX];
    if (path[0] == '/') return mem_strdup(path);
    if (getcwd(here, sizeof(here)) == NULL || file_join(joined, sizeof(joined), here, path) < 0)
        return NULL;
    return mem_strdup(joined);
}

int jobs_options_copy(const struct jobs_options *options, struct jobs_options *ret, struct err *e)
{
    *ret = *options;
    ret->directory = absolute(options->directory);
    ret->choices = options->choices != NULL && options->choices[0] != '\0'
                       ? absolute(options->choices)
                       : mem_strdup("");
    ret->program = jobs_program(options->program);
    ret->launcher = copy_or_default(options->launcher, no_default);
    ret->data_root = copy_or_default(options->data_root, no_default);
    ret->spec_directory = copy_or_default(options->spec_directory, default_specs);
    if (ret->directory != NULL && ret->program != NULL && ret->launcher != NULL &&
        ret->choices != NULL && ret->data_root != NULL && ret->spec_directory != NULL)
        return 0;
    return err_set(e, -ENOMEM, "jobs: out of memory");
}
