/* The file around the graph: what goes in and out, the model's own metadata, the writing.
 *
 * The message is packed in memory and then written, so that a file is whole or not there. The same
 * model gives the same bytes. Normalisation is left out of the graph: pixels become floats where
 * images are decoded, and the metadata say how. */
#include "config.h"

#include "onnx/onnx.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "graph.h"
#include "ops.h"

/* A protobuf message ends where a signed 32-bit number does. */
static const size_t PROTOBUF_MAX = INT32_MAX;

enum {
    ARENA_MAX = 64 << 20, /* a node takes about a KiB, the largest net has some ten thousand */
    META_MAX = MODEL_TEXTS + 1
};

/* The texts and structs of one file. */
struct file_parts {
    struct onnx_graph graph;
    Onnx__Model model;
    Onnx__Graph message;
    Onnx__Opset opset, *opsets[1];
    Onnx__Value *inputs[1], *outputs[SPEC_SECTIONS_MAX + 1];
    Onnx__Entry entries[META_MAX], *metadata[META_MAX];
    char *texts[MODEL_TEXTS];
};

/* The oldest version of the format that has the opset (ONNX's table of versions). */
static int ir_version(int opset)
{
    return opset <= 14 ? 7 : opset <= 18 ? 8 : opset <= 20 ? 9 : 10;
}

static int check_options(const struct onnx_options *o, const struct model *model, struct err *e)
{
    const struct net *net = model->net;
    if (o->batch < 0 || o->batch > ONNX_BATCH_MAX) {
        return err_set(e, ERR_RANGE, "a batch of %d: it takes 1 to %d, or 0 for any", o->batch,
                       ONNX_BATCH_MAX);
    }
    if (o->opset != 0 && (o->opset < ONNX_OPSET_MIN || o->opset > ONNX_OPSET_MAX)) {
        return err_set(e, ERR_RANGE, "opset %d: it takes %d to %d", o->opset, ONNX_OPSET_MIN,
                       ONNX_OPSET_MAX);
    }
    if (o->exit < 0 || o->exit > net_sections(net)) {
        return err_set(e, ERR_RANGE, "exit %d: it takes 1 to %d, or 0 for all", o->exit,
                       net_sections(net));
    }
    if (o->exit > 0 && (model->training.untrained >> (o->exit - 1) & 1) != 0) {
        return err_set(e, ERR_UNSUPPORTED, "exit %d: it has not learned, and answers nothing",
                       o->exit);
    }
    return 0;
}

/* Appends the graph: operations, inputs and outputs; with all exits that have learned (exit 0)
 * the mean of their logits. */
static int make_graph(struct file_parts *f, const struct model *model, int batch, int exit)
{
    struct onnx_graph *g = &f->graph;
    const struct shape in = net_input(model->net);
    const int64_t image[3] = {in.channels, in.height, in.width};
    const int64_t classes[1] = {net_classes(model->net)};
    const char *logits[SPEC_SECTIONS_MAX], *members[SPEC_SECTIONS_MAX];
    const int exits = net_sections(model->net), first = exit > 0 ? exit - 1 : 0;
    const int end = exit > 0 ? exit : exits;
    const unsigned learned = ((1u << exits) - 1) & ~model->training.untrained;
    const unsigned mask = exit > 0 ? 1u << first : learned;
    int rc = onnx_ops_append(g, model->net, model->params, mask, logits);
    if (rc < 0) return rc;
    size_t n_members = 0;
    for (int i = 0; exit == 0 && i < exits; i++)
        if ((learned >> i & 1) != 0) members[n_members++] = logits[i];
    if (exit == 0) onnx_graph_node(g, "Mean", "ensemble", members, n_members);

    onnx__graph__init(&f->message);
    f->message.name = onnx_graph_text(g, "%s", model->name);
    f->inputs[0] = onnx_graph_value(g, "image", batch, image, 3);
    size_t n = 0;
    for (int i = first; i < end && g->rc == 0; i++)
        if ((mask >> i & 1) != 0)
            f->outputs[n++] = onnx_graph_value(g, logits[i], batch, classes, 1);
    if (exit == 0) f->outputs[n++] = onnx_graph_value(g, "ensemble", batch, classes, 1);
    if (g->rc < 0) return g->rc;
    f->inputs[0]->doc_string =
        onnx_graph_text(g, "RGB, (value / 255 - mean) / std as in autodidact.preprocess");
    f->message.input = f->inputs;
    f->message.n_input = 1;
    f->message.output = f->outputs;
    f->message.n_output = n;
    f->message.node = g->nodes;
    f->message.n_node = g->n_nodes;
    f->message.initializer = g->tensors;
    f->message.n_initializer = g->n_tensors;
    return g->rc;
}

static void add_entry(struct file_parts *f, char *key, char *value)
{
    Onnx__Entry *entry = &f->entries[f->model.n_metadata_props];
    onnx__entry__init(entry);
    entry->key = key;
    entry->value = value;
    f->metadata[f->model.n_metadata_props++] = entry;
}

static int add_metadata(struct file_parts *f, const struct model *model, struct err *e)
{
    struct onnx_graph *g = &f->graph;
    f->model.metadata_props = f->metadata;
    for (int i = 0; i < MODEL_TEXTS; i++) {
        int rc = model_text(model, i, &f->texts[i], e);
        if (rc < 0) return rc;
        if (f->texts[i] != NULL)
            add_entry(f, onnx_graph_text(g, "%s", model_text_keys[i]), f->texts[i]);
    }
    char *hash = onnx_graph_text(g, "%s", model->sha256);
    add_entry(f, onnx_graph_text(g, "autodidact.sha256"), hash);
    return 0;
}

static int make_model(struct file_parts *f, const struct model *model,
                      const struct onnx_options *options, struct err *e)
{
    struct onnx_graph *g = &f->graph;
    const int opset = options->opset != 0 ? options->opset : ONNX_OPSET_DEFAULT;
    onnx__model__init(&f->model);
    int rc = make_graph(f, model, options->batch, options->exit);
    if (rc == 0) rc = add_metadata(f, model, e);
    f->model.producer_name = onnx_graph_text(g, "%s", PACKAGE_NAME);
    f->model.producer_version = onnx_graph_text(g, "%s", PACKAGE_VERSION);
    if (rc == 0) rc = g->rc;
    if (rc < 0) return rc;

    onnx__opset__init(&f->opset);
    f->opset.domain = onnx_graph_text(g, "%s", "");
    f->opset.has_version = 1;
    f->opset.version = opset;
    f->opsets[0] = &f->opset;
    f->model.opset_import = f->opsets;
    f->model.n_opset_import = 1;
    f->model.has_ir_version = 1;
    f->model.ir_version = ir_version(opset);
    f->model.graph = &f->message;
    return g->rc;
}

static int write_packed(const char *path, const Onnx__Model *message, struct err *e)
{
    size_t size = onnx__model__get_packed_size(message);
    if (size > PROTOBUF_MAX) {
        return err_set(e, ERR_LIMIT,
                       "cannot write %s: the model takes %zu bytes as ONNX, whose files end at %zu",
                       path, size, PROTOBUF_MAX);
    }
    uint8_t *bytes = mem_new_aligned(size, 1);
    if (bytes == NULL) return err_set(e, -ENOMEM, "no memory for %zu bytes of %s", size, path);
    onnx__model__pack(message, bytes);
    const struct file_piece piece = {bytes, size};
    int rc = file_write_atomic(path, &piece, 1, e);
    mem_free(bytes);
    return rc;
}

int onnx_write(const char *path, const struct model *model, const struct onnx_options *options,
               struct err *e)
{
    struct err local = {0};
    int rc = check_options(options, model, e);
    if (rc < 0) return rc;
    struct arena *arena = arena_new(ARENA_MAX);
    struct file_parts *f = mem_new(1, sizeof(*f));
    if (arena == NULL || f == NULL) {
        rc = err_set(e, -ENOMEM, "cannot write %s: out of memory", path);
        goto out;
    }
    onnx_graph_init(&f->graph, arena);
    rc = make_model(f, model, options, &local);
    if (rc < 0) {
        rc = err_set(e, rc, "cannot write %s: %s", path,
                     local.code != 0 ? local.text : err_text(rc));
    } else {
        rc = write_packed(path, &f->model, e);
    }
    for (int i = 0; i < MODEL_TEXTS; i++) mem_free(f->texts[i]);
    onnx_graph_release(&f->graph);
out:
    mem_free(f);
    arena_free(arena);
    return rc;
}
