/* A helper: a process in the sandbox that decodes one job after the other. */
#ifndef SRC_DECODE_HELPER_H
#define SRC_DECODE_HELPER_H

#include <stdbool.h>
#include <stddef.h>

struct helper_options {
    size_t input_max, output_max; /* of its region */
    size_t memory_max;            /* that decoding may take, see struct image_limits */
};

/* The rest of a process that was forked for it. region, socket: what it has of the daemon; all
 * other descriptors are closed. Each byte from the socket is a job in the region, each byte back
 * says that it is done, the first one that the sandbox was entered. Ends when the socket does. */
void helper_main(const struct helper_options *options, unsigned number, bool background, int region,
                 int socket) __attribute__((noreturn));

#endif
