/* The handlers that the table of routes names; each stands in the file of its family. `arg` is the
 * struct api. */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include "http/exchange.h"

/* classify.c */
exchange_fn classify_head, classify_body;

/* models.c, health.c, metrics.c */
exchange_fn models_get, health_live, health_ready, metrics_get;

/* admin_jobs.c, admin_events.c */
exchange_fn admin_jobs_create, admin_jobs_list, admin_jobs_get, admin_jobs_cancel;
exchange_fn admin_events_get;

/* admin_models.c */
exchange_fn admin_models_list, admin_models_get, admin_models_activate, admin_models_rollback;

#endif
