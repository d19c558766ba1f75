/* An exchange: the mean over the ranks of an array that each of them makes piece by piece. Pieces
 * are collected in buckets, and a full bucket's sum goes on while more is computed. One caller at a
 * time; all ranks make the same calls. */
#ifndef TRAIN_EXCHANGE_H
#define TRAIN_EXCHANGE_H

#include <stddef.h>

#include "base/err.h"
#include "nn/grad.h"
#include "train/ranks.h"

struct exchange;

/* For an array of `size` numbers that becomes ready in at most `pieces` pieces. With ranks NULL, or
 * without numbers, there is nothing to exchange: *ret_exchange becomes NULL, which the others take.
 * -ENOMEM. */
int exchange_new(struct ranks *ranks, size_t size, size_t pieces, struct exchange **ret_exchange,
                 struct err *e);
void exchange_free(struct exchange *exchange);
size_t exchange_bytes(const struct exchange *exchange);

/* By all ranks: values[size] are going to become ready. */
void exchange_begin(struct exchange *exchange, float *values);

/* These are (a grad_ready_fn): no two times the same. By all ranks, in the same order. */
void exchange_ready(void *exchange, const struct grad_range *ranges, size_t n);

/* By all ranks: what was ready is the mean over the ranks, the same bits everywhere. */
void exchange_end(struct exchange *exchange);

/* By all ranks: all three at once, for values that are ready. */
void exchange_mean(struct exchange *exchange, float *values);

#endif
