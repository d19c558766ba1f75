/* What sections and heads of a network cost: counted, and measured on this machine. */
#ifndef TOOL_COST_H
#define TOOL_COST_H

#include "base/err.h"
#include "nn/net.h"
#include "nn/plan.h"
#include "train/early.h"

/* Multiply-accumulates of one image. */
struct early_costs cost_macs(const struct net *net);

/* Milliseconds of one image alone, by one thread: of each part the median of many passes, so that
 * what else the machine does now and then is not in it. Takes about a third of a second. -ENOMEM.
 */
int cost_ms(const struct plan *plan, struct early_costs *ret_costs, struct err *e);

#endif
