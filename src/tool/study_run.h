/* One training of a study: the tool itself as a child, followed by its JSON Lines, which become a
 * log beside the model. A study that is stopped stops its child with a checkpoint. */
#ifndef TOOL_STUDY_RUN_H
#define TOOL_STUDY_RUN_H

#include "base/err.h"

/* SIGINT and SIGTERM stop the training in flight, and whatever would come next. */
void study_run_catch_signals(void);

/* Trains with `autodidact train ARGUMENTS --progress json`; the lines are added to the file `log`.
 * label: before the bar on a terminal. ERR_CANCELLED when it was told to stop; ERR_CONFLICT when
 * the training failed, which has said why on stderr. */
int study_run(char *const *arguments, const char *log, const char *label, struct err *e);

#endif
