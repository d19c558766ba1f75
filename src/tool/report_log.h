/* The epochs of a training, from the JSON Lines that `autodidact train --progress json` prints, and
 * that the daemon keeps as a job's log, or from the table that `train --log` writes. */
#ifndef TOOL_REPORT_LOG_H
#define TOOL_REPORT_LOG_H

#include <stddef.h>

#include "base/err.h"
#include "nn/spec.h"

/* Numbers that the line does not say are NaN. */
struct report_epoch {
    double epoch, loss, rate;
    double top1[SPEC_SECTIONS_MAX], ensemble; /* on held-out images */
};

enum { REPORT_EPOCHS_MAX = 100000, REPORT_LOG_BYTES_MAX = 256 << 20 };

struct report_log {
    struct report_epoch *epochs; /* in the order of the lines, an epoch that comes again in the
                                    place of the first: a training was resumed */
    size_t n;
};

/* Takes the epoch events of a text, or the rows of a table; whatever else is in it is passed over.
 * ERR_FORMAT when there is none, ERR_LIMIT. report_log_release() frees. */
int report_log_parse(const char *what, const char *text, size_t size, struct report_log *ret_log,
                     struct err *e);
int report_log_read(const char *path, struct report_log *ret_log, struct err *e);
void report_log_release(struct report_log *log);

#endif
