/* A launcher: what starts the program of a training in its stead, as words before the program's
 * own, like "mpirun -np 2". It has the job's environment, directory, priority and signals, and ends
 * as the program does. */
#ifndef JOBS_LAUNCHER_H
#define JOBS_LAUNCHER_H

#include "base/err.h"
#include "command.h"

/* Adds its words, the first one as the path of its file. Errors as of jobs_launcher_find(). */
int launcher_add(const char *launcher, struct command *command, struct err *e);

/* The signal that killed the program, of a launcher's exit code; 0: none did. */
int launcher_signal(int exit_code);

#endif
