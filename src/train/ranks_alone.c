/* Ranks without MPI: there is never more than one. */
#include "config.h"

#include "train/ranks.h"

#include <stdlib.h>
#include <string.h>

/* Open MPI's, and that of others who start processes by PMI. Each would train by itself, and write
 * what the others write. */
int ranks_open(struct ranks **ret_ranks, struct err *e)
{
    static const char *const counts[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        const char *count = getenv(counts[i]);
        if (count != NULL && atoi(count) > 1)
            return err_set(e, ERR_UNSUPPORTED,
                           "mpirun started %.20s of it, but it was built without MPI: install "
                           "libopenmpi-dev and build it with ./configure --with-mpi",
                           count);
    }
    *ret_ranks = NULL;
    return 0;
}

void ranks_close(struct ranks *ranks)
{
    (void)ranks;
}

int ranks_count(const struct ranks *ranks)
{
    (void)ranks;
    return 1;
}

int ranks_number(const struct ranks *ranks)
{
    (void)ranks;
    return 0;
}

int ranks_settle(struct ranks *ranks, int rc, struct err *e)
{
    (void)ranks;
    (void)e;
    return rc < 0 ? rc : 0;
}

void ranks_tell(struct ranks *ranks, void *bytes, size_t size)
{
    (void)ranks;
    (void)bytes;
    (void)size;
}

void ranks_sum(struct ranks *ranks, double *values, size_t n)
{
    (void)ranks;
    (void)values;
    (void)n;
}

void ranks_gather(struct ranks *ranks, const void *own, size_t size, void *all)
{
    (void)ranks;
    memcpy(all, own, size);
}

struct ranks_request *ranks_request_new(void)
{
    return NULL;
}

void ranks_request_free(struct ranks_request *request)
{
    (void)request;
}

void ranks_begin_sum(struct ranks *ranks, struct ranks_request *request, float *values, size_t n)
{
    (void)ranks;
    (void)request;
    (void)values;
    (void)n;
}

void ranks_wait(struct ranks *ranks, struct ranks_request *request)
{
    (void)ranks;
    (void)request;
}

void ranks_poll(struct ranks *ranks, struct ranks_request *request)
{
    (void)ranks;
    (void)request;
}
