/* The last resort of a stop: whatever a thread still waits for (a mount that does not answer, a
 * computation), the process ends. */
#ifndef APP_HARD_STOP_H
#define APP_HARD_STOP_H

#include <stdint.h>

/* Unless the process has ended within ms, it ends with a message and exit code 1; a later call
 * counts anew. `waits_for`, of static storage, is what the message names. The main thread. */
void hard_stop_after(int64_t ms, const char *waits_for);

#endif
