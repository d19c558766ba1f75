/* A loop is published by one atomic store of its ticket: the number of the loop, how many chunks it
 * has, and the next one to take. A chunk is taken by counting that up with compare-and-swap, so
 * that a thread which is late cannot take one of another loop: the number differs. fn and arg are
 * read after a chunk was taken and not written before all chunks have ended.
 *
 * A pool (pool.c) is for loops whose parts are fixed by lane and whose threads are always there. */
#include "config.h"

#include "base/team.h"

#include <assert.h>
#include <sched.h>

enum { SPINS = 2000 /* some 50 microseconds; then the processor is offered to others */ };

#define OPEN 0x80000000U

static void wait_a_little(unsigned *spins)
{
    if (++*spins > SPINS) {
        sched_yield();
        return;
    }
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static unsigned next_of(uint64_t ticket)
{
    return ticket & 0xffff;
}

static unsigned chunks_of(uint64_t ticket)
{
    return ticket >> 16 & 0xffff;
}

/* Takes a chunk of the loop that runs; false: none is left. */
static bool take(struct team *team, unsigned *ret_chunk)
{
    uint64_t ticket = atomic_load_explicit(&team->ticket, memory_order_acquire);
    while (next_of(ticket) < chunks_of(ticket)) {
        if (atomic_compare_exchange_weak_explicit(&team->ticket, &ticket, ticket + 1,
                                                  memory_order_acq_rel, memory_order_acquire)) {
            *ret_chunk = next_of(ticket);
            return true;
        }
    }
    return false;
}

static void run_chunk(struct team *team, unsigned chunk, void *mine)
{
    team->fn(team->arg, chunk, mine);
    atomic_fetch_add_explicit(&team->done, 1, memory_order_release);
}

void team_open(struct team *team)
{
    atomic_fetch_or_explicit(&team->members, OPEN, memory_order_release);
}

void team_close(struct team *team)
{
    unsigned spins = 0;
    atomic_fetch_and_explicit(&team->members, ~OPEN, memory_order_acq_rel);
    while (atomic_load_explicit(&team->members, memory_order_acquire) != 0) wait_a_little(&spins);
}

unsigned team_size(const struct team *team)
{
    return 1 + (atomic_load_explicit(&team->members, memory_order_relaxed) & ~OPEN);
}

void team_run(struct team *team, team_fn *fn, void *arg, unsigned chunks, void *mine)
{
    assert(chunks >= 1 && chunks <= TEAM_CHUNKS_MAX);
    if (team_size(team) == 1 || chunks == 1) {
        for (unsigned chunk = 0; chunk < chunks; chunk++) fn(arg, chunk, mine);
        return;
    }
    uint64_t last = atomic_load_explicit(&team->ticket, memory_order_relaxed);
    team->fn = fn;
    team->arg = arg;
    atomic_store_explicit(&team->done, 0, memory_order_relaxed);
    atomic_store_explicit(&team->ticket, ((last >> 32) + 1) << 32 | (uint64_t)chunks << 16,
                          memory_order_release);
    unsigned chunk, spins = 0;
    while (take(team, &chunk)) run_chunk(team, chunk, mine);
    while (atomic_load_explicit(&team->done, memory_order_acquire) != chunks) wait_a_little(&spins);
}

bool team_join(struct team *team)
{
    unsigned members = atomic_load_explicit(&team->members, memory_order_relaxed);
    while ((members & OPEN) != 0) {
        if (atomic_compare_exchange_weak_explicit(&team->members, &members, members + 1,
                                                  memory_order_acq_rel, memory_order_relaxed))
            return true;
    }
    return false;
}

void team_help(struct team *team, void *mine, const atomic_uint *calls, unsigned seen)
{
    unsigned spins = 0, chunk;
    while ((atomic_load_explicit(&team->members, memory_order_relaxed) & OPEN) != 0 &&
           atomic_load_explicit(calls, memory_order_relaxed) == seen) {
        if (take(team, &chunk)) {
            run_chunk(team, chunk, mine);
            spins = 0;
        } else {
            wait_a_little(&spins);
        }
    }
    atomic_fetch_sub_explicit(&team->members, 1, memory_order_release);
}
