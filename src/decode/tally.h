/* What the decoder counts. */
#ifndef SRC_DECODE_TALLY_H
#define SRC_DECODE_TALLY_H

#include "base/metric.h"
#include "decode/decoder.h"
#include "sandbox.h"

enum { TALLY_FORMATS = 5 };

/* Why a helper was lost: by what it did, by somebody else, by us. */
enum tally_loss {
    TALLY_CRASH,
    TALLY_FORBIDDEN, /* a system call */
    TALLY_KILLED,
    TALLY_STOPPED,
    TALLY_TIMEOUT,
    TALLY_DEADLINE,
    TALLY_CANCELLED,
    TALLY_NONSENSE,
    TALLY_LOSSES
};

struct tally {
    struct metric *seconds[TALLY_FORMATS], *bytes[TALLY_FORMATS], *pixels[TALLY_FORMATS];
    struct metric_family *sandbox;
    struct metric *started, *lost[TALLY_LOSSES], *alive;
};

/* metrics: NULL counts nothing. */
void tally_init(struct tally *tally, struct metrics *metrics);

/* NULL: there is no sandbox. */
void tally_posture(struct tally *tally, const struct sandbox_posture *posture);

/* A job that ran to its end, whatever that was. Any thread, also the others. */
void tally_decoded(struct tally *tally, const struct decode_job *job);

void tally_started(struct tally *tally);
void tally_lost(struct tally *tally, enum tally_loss loss);
const char *tally_loss_text(enum tally_loss loss); /* for people */

#endif
