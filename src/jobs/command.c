/* Words, copied one by one; the first failure is kept, so that only the end needs a check. */
#include "config.h"

#include "command.h"

#include <string.h>

#include "base/mem.h"

void command_add(struct command *command, const char *word)
{
    char *copy = command->n < COMMAND_WORDS_MAX ? mem_strdup(word) : NULL;
    if (copy == NULL) {
        command->failed = true;
        return;
    }
    command->words[command->n++] = copy;
    command->words[command->n] = NULL;
}

void command_release(struct command *command)
{
    for (size_t i = 0; i < command->n; i++) mem_free(command->words[i]);
    memset(command, 0, sizeof(*command));
}
