/* The second network of methods with a peer: opened, and where it goes if it is wanted. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "model/spec_file.h"
#include "tool.h"
#include "train.h"

const char *train_peer_out(const struct train_session *s)
{
    return s->command.draft.peer_out;
}

/* It would be overwritten by the model. */
int train_peer_check_out(struct train_session *s, struct err *e)
{
    const char *peer_out = train_peer_out(s), *spec = s->command.draft.peer;
    if (spec != NULL && tool_check_output("out", s->command.out, spec, e) < 0) return ERR_USAGE;
    if (peer_out == NULL) return 0;
    if (spec != NULL && tool_check_output("peer-out", peer_out, spec, e) < 0) return ERR_USAGE;
    int rc = train_out_check_writable("--peer-out", peer_out, e);
    if (rc < 0) return rc;
    if (!train_out_is_same(peer_out, s->command.out))
        return train_out_claim(s, "peer-out", peer_out, &s->locks[1], e);
    return err_set(e, ERR_USAGE, "--peer-out %s: that is --out: name another file", peer_out);
}

/* The second network: another spec, or the same one again, of the first one's width unless it has
 * one of its own. That is scaled from the spec, too, since scaling twice would round twice. */
int train_peer_open(struct train_session *s, struct err *e)
{
    const struct train_command *c = &s->command;
    struct spec spec;
    int64_t width =
        c->draft.peer == NULL && c->draft.peer_width == 0 ? c->draft.width : c->draft.peer_width;
    struct shape in = net_input(s->net);
    if (c->draft.recipe.method->source != METHOD_PEER) return 0;
    int rc =
        c->draft.peer != NULL ? spec_read(c->draft.peer, &spec, e) : train_choose_spec(s, &spec, e);
    if (rc == 0) rc = spec_scale(&spec, (int)width, net_classes(s->net), e);
    if (rc < 0) return rc;
    if (spec.width != in.width || spec.height != in.height || spec.channels != in.channels) {
        return err_set(e, ERR_CONFLICT,
                       "--peer %s: it takes images of %dx%d with %d channels, the first network of "
                       "%dx%d with %d",
                       c->draft.peer, spec.width, spec.height, spec.channels, in.width, in.height,
                       in.channels);
    }
    s->peer = net_new(&spec, e);
    return s->peer != NULL ? 0 : e->code;
}

int train_peer_format(const struct train_session *s, bool is_result, char *ret_text, size_t size)
{
    const struct spec *peer = net_spec(s->peer);
    bool other = s->command.draft.peer != NULL;
    return snprintf(ret_text, size, "%s%s%s --peer-width %d%s", other ? " --peer " : "",
                    other ? peer->name : "", other ? ".json" : "", peer->stages[0].channels,
                    is_result ? " --peer-out THIS" : "");
}
