/* A team: one thread, the leader, runs short loops whose chunks other threads help with while they
 * are there. They come and leave at any time; a loop waits for none of them to arrive, only for
 * chunks that were begun. No lock, no allocation, no system call but a yield when a wait is long:
 * for loops of some microseconds. Which thread runs a chunk is left to chance, so a chunk's result
 * must not depend on it. */
#ifndef BASE_TEAM_H
#define BASE_TEAM_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/mem.h"

/* mine: what the thread that runs the chunk brought along, see team_run() and team_help(). */
typedef void team_fn(void *arg, unsigned chunk, void *mine);

/* Zeroed: closed. */
struct team {
    alignas(MEM_ALIGN) _Atomic uint64_t ticket; /* loop number, its chunks, the next one to take */
    alignas(MEM_ALIGN) atomic_uint done;        /* chunks of this loop that have ended */
    alignas(MEM_ALIGN) atomic_uint members;     /* helpers, and a bit: whether more may come */
    team_fn *fn;                                /* of this loop; published by the ticket */
    void *arg;
};

enum { TEAM_CHUNKS_MAX = 0xffff };

/* Leader. team_close() returns when every helper has left. */
void team_open(struct team *team);
void team_close(struct team *team);

/* Leader: threads that take part now, itself included. */
unsigned team_size(const struct team *team);

/* Leader: fn(arg, chunk, some thread's mine) for each chunk, all ended on return. What was written
 * before is seen by all, what they write is seen after. 1 to TEAM_CHUNKS_MAX chunks. */
void team_run(struct team *team, team_fn *fn, void *arg, unsigned chunks, void *mine);

/* A helper: whether it has joined; it must then help. The team must exist, the caller sees to that
 * (a lock under which the leader has it found). */
bool team_join(struct team *team);

/* Runs chunks until the team is closed or *calls is no longer `seen`; leaves, and does not touch
 * the team again. */
void team_help(struct team *team, void *mine, const atomic_uint *calls, unsigned seen);

#endif
