/* The api as a whole: its beginning and its end. */
#include "config.h"

#include <errno.h>

#include "api_private.h"
#include "base/mem.h"
#include "routes.h"

int api_new(const struct api_below *below, const struct api_options *options, struct api **ret_api,
            struct err *e)
{
    struct api *api = mem_new(1, sizeof(*api));
    if (api == NULL) return err_set(e, -ENOMEM, "out of memory for the api");
    api->below = *below;
    int rc = service_init(&api->service, below->loop, below->engine, below->metrics, options, e);
    if (rc < 0) {
        mem_free(api);
        return rc;
    }
    process_metrics_init(&api->process, below->metrics);
    rc = scrapes_init(&api->scrapes, api, e);
    if (rc == 0) rc = routes_add(below->public_server, LISTENER_PUBLIC, options->body_max, api);
    if (rc == 0) rc = routes_add(below->admin_server, LISTENER_ADMIN, options->body_max, api);
    if (rc == 0) rc = audit_begin(&api->audit, below->admin_server, below->store);
    if (rc < 0) {
        scrapes_release(&api->scrapes);
        service_release(&api->service);
        mem_free(api);
        return err_set(e, rc, "cannot add the routes: %s", err_text(rc));
    }
    *ret_api = api;
    return 0;
}

void api_set_fallback(struct api *api, enum sla_classifier fallback)
{
    api->service.options.fallback = fallback;
}

void api_set_ready(struct api *api, bool ready)
{
    service_set_ready(&api->service, ready);
}

void api_set_degraded(struct api *api, bool degraded)
{
    api->degraded = degraded;
}

void api_cancel(struct api *api)
{
    service_cancel(&api->service);
}

void api_free(struct api *api)
{
    if (api == NULL) return;
    audit_end(&api->audit);
    scrapes_release(&api->scrapes);
    service_release(&api->service);
    mem_free(api);
}
