/* What the decoder counts. */
#ifndef SRC_DECODE_TALLY_H
#define SRC_DECODE_TALLY_H

#include "base/metric.h"
#include "decode/decoder.h"

enum { TALLY_FORMATS = 5 };

struct tally {
    struct metric *seconds[TALLY_FORMATS], *bytes[TALLY_FORMATS], *pixels[TALLY_FORMATS];
};

/* metrics: NULL counts nothing. */
void tally_init(struct tally *tally, struct metrics *metrics);

/* A job that ran to its end, whatever that was. Any thread. */
void tally_decoded(struct tally *tally, const struct decode_job *job);

#endif
