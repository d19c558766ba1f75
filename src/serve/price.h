/* What decoding an input will take, told by its header. */
#ifndef SRC_SERVE_PRICE_H
#define SRC_SERVE_PRICE_H

#include "decode/work.h"
#include "policy/decode_cost.h"

/* The sizes that the desk plans with, without decoding anything: some microseconds. Errors, for
 * what decode_run() would refuse, too: image_probe()'s and image_check_limits()'s; ERR_LIMIT: more
 * than memory_max bytes. Any thread. */
int price_input(const struct input *input, const struct preprocess *preprocess,
                const struct image_limits *limits, size_t memory_max, struct decode_size *ret_size,
                struct err *e);

/* How much longer this machine takes than the one that policy's prices were measured on: pixels of
 * our own are resized a few times, on this thread. Takes some milliseconds; 1 when memory is too
 * short to try. */
double price_slowness(void);

#endif
