/* The average of a network's parameters over its steps, and the model that it is: the average with
 * statistics of norms that are made anew, since those of the steps are of other parameters. One
 * caller at a time. */
#ifndef TRAIN_AVERAGE_H
#define TRAIN_AVERAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "nn/net.h"
#include "recipe/recipe.h"

struct average;

/* Whether the recipe asks for it. */
bool average_is_on(const struct recipe *recipe);

/* Everything must outlive it. NULL when out of memory. */
struct average *average_new(const struct net *net, const struct recipe *recipe, struct pool *pool,
                            struct err *e);
void average_free(struct average *average);
size_t average_bytes(const struct average *average);

/* After step t, from 1: average = d average + (1 - d) params with d = min(D, 1 - 1/t), D the
 * recipe's. So it is the mean of all steps (Polyak and Juditsky 1992) until 1/(1-D) are done, and
 * an exponential one behind them (Tarvainen and Valpola, NeurIPS 2017, equation 1; a growing d as
 * in their code). */
void average_take(struct average *average, int64_t t, const float *params);

/* What is averaged, [net_trained_size]. */
float *average_values(struct average *average);

/* The model, [net_block_size]: average_begin() makes it of the average and of statistics from
 * params, which passes over images are then to replace. */
float *average_begin(struct average *average, const float *params);

/* From how many batches of an epoch the statistics are to be made: the recipe's number of images,
 * rounded up to whole ones. */
int64_t average_batches(const struct recipe *recipe, int64_t epoch_steps);

#endif
