/* A command line that owns its words. One thread at a time. */
#ifndef JOBS_COMMAND_H
#define JOBS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

enum { COMMAND_WORDS_MAX = 256 };

struct command {
    char *words[COMMAND_WORDS_MAX + 1]; /* ends in NULL */
    size_t n;
    bool failed; /* out of memory or room */
};

void command_add(struct command *command, const char *word);
void command_release(struct command *command);

#endif
