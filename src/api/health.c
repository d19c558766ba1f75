/* Health, as the Open Inference Protocol names it. Live: the loop turns. Ready: a model is
 * published and warm, images can be decoded, and the server is not about to stop; then it may say
 * that something is less than it should be (autodidact_degraded and the admin listener tell what).
 */
#include "config.h"

#include "api_private.h"
#include "decode/decoder.h"
#include "handlers.h"

static void answer(struct exchange *x, int status, const char *text)
{
    struct buf body;
    buf_init(&body, 4096);
    buf_puts(&body, text);
    exchange_reply(x, status, "application/json", &body);
    buf_release(&body);
}

void health_live(struct exchange *x, void *arg)
{
    (void)arg;
    answer(x, 200, "{\"live\":true}\n");
}

void health_ready(struct exchange *x, void *arg)
{
    struct api *api = arg;
    enum readiness readiness = service_readiness(&api->service);
    bool able = decoder_is_able(api->below.decoder);
    if (readiness == SERVICE_READY && able) {
        answer(x, 200,
               api->degraded ? "{\"ready\":true,\"degraded\":true}\n" : "{\"ready\":true}\n");
        return;
    }
    exchange_add_header(x, "Retry-After", "1");
    exchange_problem(x, 503,
                     !able ? "no process that decodes images is left: start the daemon anew"
                     : readiness == SERVICE_LEAVING ? "the server is shutting down"
                                                    : "the model is still being loaded");
}
