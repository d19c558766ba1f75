/* The ranks of a job: processes, on one machine or several, that train one network together, each
 * with its part of every batch. They are started by mpirun, which says to each which one it is
 * (MPI: A Message-Passing Interface Standard, 3.1). What is called "by all" must be called by every
 * rank, in the same order; it returns when all have come, and sleeps meanwhile. A rank that dies
 * takes the others with it: mpirun ends them.
 *
 * NULL is a job of one rank, in which nothing is to be done: so are all without MPI. One thread of
 * a process calls, always the same. */
#ifndef TRAIN_RANKS_H
#define TRAIN_RANKS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct ranks;

/* By all, before threads are made: NULL unless mpirun started this process with others.
 * ERR_UNSUPPORTED when it did, and the program was built without MPI. */
int ranks_open(struct ranks **ret_ranks, struct err *e);

/* By all, when the work is done or all have the same error. */
void ranks_close(struct ranks *ranks);

int ranks_count(const struct ranks *ranks);
int ranks_number(const struct ranks *ranks); /* of this process, from 0 */

/* By all: the error of the first rank that has one (rc < 0, with *e filled) becomes that of all,
 * with the rank's number before it when that is not 0. Otherwise 0. */
int ranks_settle(struct ranks *ranks, int rc, struct err *e);

/* By all: the bytes of rank 0 become those of all. */
void ranks_tell(struct ranks *ranks, void *bytes, size_t size);

/* By all: values [n] become the sums over the ranks, the same bits everywhere. */
void ranks_sum(struct ranks *ranks, double *values, size_t n);

/* By all: what the ranks have, in their order, [count][size bytes]. For NULL a copy. */
void ranks_gather(struct ranks *ranks, const void *own, size_t size, void *all);

/* A sum that goes on while its owner computes. NULL when out of memory. */
struct ranks_request;

struct ranks_request *ranks_request_new(void);
void ranks_request_free(struct ranks_request *request);

/* By all, in the same order: begins to make values [n] the sums over the ranks, the same bits
 * everywhere. They stay where they are until ranks_wait(), which is called once. */
void ranks_begin_sum(struct ranks *ranks, struct ranks_request *request, float *values, size_t n);
void ranks_wait(struct ranks *ranks, struct ranks_request *request);

/* Gives a sum that was begun a chance to go on. By any rank, at any time. */
void ranks_poll(struct ranks *ranks, struct ranks_request *request);

#endif
