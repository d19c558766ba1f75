/* Ranks by MPI. Everything is asked for without waiting and then waited for with pauses: the
 * library's own waiting computes, at the cost of those that are waited for where ranks share
 * processors. Its errors are fatal, which is its default: it prints them and ends the job. */
#include "config.h"

#include "train/ranks.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <mpi.h>

#include "base/clock.h"
#include "base/mem.h"

struct ranks {
    int count, number;
};

struct ranks_request {
    MPI_Request request;
};

/* What starts processes says so in their environment. Who is started by hand does without
 * MPI_Init(), which would look for the network and start a daemon of its own. */
static bool is_started_by_mpi(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (getenv(names[i]) != NULL) return true;
    }
    return false;
}

int ranks_open(struct ranks **ret_ranks, struct err *e)
{
    int provided, initialized;
    *ret_ranks = NULL;
    if (!is_started_by_mpi()) return 0;
    MPI_Initialized(&initialized);
    if (!initialized) MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    struct ranks r;
    MPI_Comm_size(MPI_COMM_WORLD, &r.count);
    MPI_Comm_rank(MPI_COMM_WORLD, &r.number);
    if (r.count == 1) {
        MPI_Finalize();
        return 0;
    }
    struct ranks *ranks = mem_new(1, sizeof(*ranks));
    if (ranks == NULL) return err_set(e, -ENOMEM, "out of memory");
    *ranks = r;
    *ret_ranks = ranks;
    return 0;
}

void ranks_close(struct ranks *ranks)
{
    if (ranks == NULL) return;
    MPI_Finalize();
    mem_free(ranks);
}

int ranks_count(const struct ranks *ranks)
{
    return ranks != NULL ? ranks->count : 1;
}

int ranks_number(const struct ranks *ranks)
{
    return ranks != NULL ? ranks->number : 0;
}

/* Without pauses for as long as what is asked for in a step takes, since it goes on only in here;
 * whoever else wants the processor has it meanwhile. */
static void wait_for(MPI_Request *request)
{
    static const int64_t hasty_ns = 3 * CLOCK_MS, short_ns = 100 * CLOCK_MS;
    const int64_t begin = clock_now();
    for (int done = 0;;) {
        MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (done) return;
        const int64_t waited = clock_now() - begin;
        const struct timespec pause = {.tv_nsec = waited < short_ns ? 20000 : 1000000};
        if (waited < hasty_ns)
            sched_yield();
        else
            nanosleep(&pause, NULL);
    }
}

void ranks_tell(struct ranks *ranks, void *bytes, size_t size)
{
    char *at = bytes;
    if (ranks == NULL) return;
    for (size_t n; size > 0; at += n, size -= n) {
        MPI_Request request;
        n = size < INT_MAX ? size : INT_MAX;
        MPI_Ibcast(at, (int)n, MPI_BYTE, 0, MPI_COMM_WORLD, &request);
        wait_for(&request);
    }
}

void ranks_sum(struct ranks *ranks, double *values, size_t n)
{
    MPI_Request request;
    if (ranks == NULL) return;
    MPI_Iallreduce(MPI_IN_PLACE, values, (int)n, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD, &request);
    wait_for(&request);
}

void ranks_gather(struct ranks *ranks, const void *own, size_t size, void *all)
{
    MPI_Request request;
    if (ranks == NULL) {
        memcpy(all, own, size);
        return;
    }
    MPI_Iallgather(own, (int)size, MPI_BYTE, all, (int)size, MPI_BYTE, MPI_COMM_WORLD, &request);
    wait_for(&request);
}

int ranks_settle(struct ranks *ranks, int rc, struct err *e)
{
    if (ranks == NULL) return rc < 0 ? rc : 0;
    MPI_Request request;
    int first = rc < 0 ? ranks->number : ranks->count;
    MPI_Iallreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD, &request);
    wait_for(&request);
    if (first == ranks->count) return 0;
    struct {
        int rc;
        struct err e;
    } told = {rc, {0}};
    if (first == ranks->number) {
        if (first > 0) err_prefix(e, "rank %d", first);
        told.e = *e;
    }
    MPI_Ibcast(&told, (int)sizeof(told), MPI_BYTE, first, MPI_COMM_WORLD, &request);
    wait_for(&request);
    *e = told.e;
    return told.rc;
}

struct ranks_request *ranks_request_new(void)
{
    struct ranks_request *request = mem_new(1, sizeof(*request));
    if (request != NULL) request->request = MPI_REQUEST_NULL;
    return request;
}

void ranks_request_free(struct ranks_request *request)
{
    mem_free(request);
}

void ranks_begin_sum(struct ranks *ranks, struct ranks_request *request, float *values, size_t n)
{
    if (ranks == NULL) return;
    MPI_Iallreduce(MPI_IN_PLACE, values, (int)n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD,
                   &request->request);
}

void ranks_wait(struct ranks *ranks, struct ranks_request *request)
{
    if (ranks != NULL) wait_for(&request->request);
}

void ranks_poll(struct ranks *ranks, struct ranks_request *request)
{
    int done;
    if (ranks != NULL) MPI_Test(&request->request, &done, MPI_STATUS_IGNORE);
}
