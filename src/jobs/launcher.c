/* Launchers.
 *
 * Words are what white space parts: who needs quotes writes a script. The file of the first one is
 * looked for here, at each job, and not by the child, which between vfork() and execve() can do
 * little. Nothing is found relative to a directory: the child's is the job's, into which it writes.
 */
#include "config.h"

#include "launcher.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "jobs/jobs.h"

#define SPACE " \t"

/* In the directories of PATH; of several errors the one that says most, that it is no program. */
static int find_in_path(const char *name, char ret_path[PATH_MAX])
{
    const char *at = getenv("PATH");
    int rc = -ENOENT;
    if (at == NULL) at = "/usr/local/bin:/usr/bin:/bin";
    for (size_t n; *at != '\0'; at += n + (at[n] == ':')) {
        char directory[PATH_MAX];
        n = strcspn(at, ":");
        if (*at != '/' || n >= sizeof(directory)) continue;
        memcpy(directory, at, n);
        directory[n] = '\0';
        if (file_join(ret_path, PATH_MAX, directory, name) < 0) continue;
        int found = file_check_program(ret_path);
        if (found == 0) return 0;
        if (found != -ENOENT && found != -ENOTDIR) rc = found;
    }
    return rc;
}

int jobs_launcher_find(const char *launcher, char ret_path[PATH_MAX], struct err *e)
{
    char name[PATH_MAX];
    const char *first = launcher + strspn(launcher, SPACE);
    const size_t n = strcspn(first, SPACE);
    ret_path[0] = '\0';
    if (n == 0) return 0;
    if (n >= sizeof(name)) return err_set(e, ERR_LIMIT, "its first word is too long");
    memcpy(name, first, n);
    name[n] = '\0';
    if (strchr(name, '/') == NULL) {
        int rc = find_in_path(name, ret_path);
        return rc < 0 ? err_set(e, rc, "%.200s in PATH: %s", name, err_text(rc)) : 0;
    }
    if (name[0] != '/')
        return err_set(e, ERR_UNSUPPORTED,
                       "%.200s: it takes a path that begins with / or a name to be found in PATH",
                       name);
    int rc = file_check_program(name);
    if (rc < 0) return err_set(e, rc, "%.200s: %s", name, err_text(rc));
    memcpy(ret_path, name, n + 1);
    return 0;
}

int launcher_add(const char *launcher, struct command *command, struct err *e)
{
    char word[PATH_MAX];
    int rc = jobs_launcher_find(launcher, word, e);
    if (rc < 0) return rc;
    const char *at = launcher + strspn(launcher, SPACE);
    for (size_t n; *at != '\0'; at += n + strspn(at + n, SPACE)) {
        const bool is_first = command->n == 0;
        n = strcspn(at, SPACE);
        if (!is_first) {
            if (n >= sizeof(word)) return err_set(e, ERR_LIMIT, "one of its words is too long");
            memcpy(word, at, n);
            word[n] = '\0';
        }
        command_add(command, word);
    }
    return 0;
}

/* As shells do, and Open MPI's mpirun and Slurm's srun of any of the processes they started. The
 * tool itself has no exit codes like these. */
int launcher_signal(int exit_code)
{
    return exit_code > 128 && exit_code < 128 + NSIG ? exit_code - 128 : 0;
}
