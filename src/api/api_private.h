/* Inside of the api: what every handler gets as its argument. */
#ifndef API_API_PRIVATE_H
#define API_API_PRIVATE_H

#include "api/api.h"
#include "audit.h"
#include "metrics.h"
#include "service.h"

struct api {
    struct api_below below;
    struct service service;
    struct process_metrics process;
    struct scrapes scrapes;
    struct audit audit;
    bool degraded; /* api_set_degraded() */
};

#endif
