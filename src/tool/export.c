/* `autodidact export`: a model for other runtimes. */
#include "config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/onnx.h"
#include "options.h"
#include "tool.h"

struct command {
    const char *model, *onnx, *batch, *exits;
    int64_t opset;
};

static int parse_batch(const char *text, int *ret_batch, struct err *e)
{
    char *end;
    if (strcmp(text, "dynamic") == 0) {
        *ret_batch = 0;
        return 0;
    }
    long n = strtol(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end != '\0' || n < 1 || n > ONNX_BATCH_MAX) {
        return err_set(e, ERR_USAGE, "--batch %s: it takes dynamic, or a number from 1 to %d", text,
                       ONNX_BATCH_MAX);
    }
    *ret_batch = (int)n;
    return 0;
}

/* ret_exit: 0 for all. */
static int parse_exits(const char *text, int n, int *ret_exit, struct err *e)
{
    char *end;
    long v = strtol(text, &end, 10);
    if (strcmp(text, "all") == 0)
        *ret_exit = 0;
    else if (strcmp(text, "deepest") == 0)
        *ret_exit = n;
    else if (end != text && *end == '\0' && v >= 1 && v <= n)
        *ret_exit = (int)v;
    else
        return err_set(e, ERR_USAGE, "--exits %s: it takes all, deepest, or 1 to %d", text, n);
    return 0;
}

static int parse(int argc, char **argv, struct command *c, struct onnx_options *o, struct err *e)
{
    *c = (struct command){.batch = "dynamic", .exits = "all", .opset = ONNX_OPSET_DEFAULT};
    const struct option_row rows[] = {
        {"onnx", OPTION_STRING, "FILE", &c->onnx, NULL, "the ONNX file to write"},
        {"batch", OPTION_STRING, "N|dynamic", &c->batch, NULL,
         "images of a run: fixed, or chosen at each run (dynamic)"},
        {"exits", OPTION_STRING, "WHICH", &c->exits, NULL,
         "all, deepest, or 1..N: that classifier alone, without what only others need (all)"},
        {"opset", OPTION_INT, "N", &c->opset, NULL, "version of ONNX's operators, 13 to 21 (17)"},
        {NULL, 0, NULL, NULL, NULL, NULL},
    };
    const struct command_line line = {
        "autodidact export",
        "MODEL --onnx FILE [OPTION]...",
        "Writes a model as an ONNX file with every classifier (or one): input `image`, float\n"
        "[batch][3][height][width], normalised as the metadata say; outputs `logits_1`, "
        "`logits_2`\n"
        "and so on, and `ensemble`, their mean. doc/interchange.md has an example.",
        rows,
        1,
        1};
    const char *positional[POSITIONAL_MAX];
    int rc = options_parse(&line, argc, argv, positional, e);
    if (rc != 0) return rc;
    c->model = positional[0];
    if (c->onnx == NULL) {
        return err_set(e, ERR_USAGE, "--onnx is missing: usage: %s %s", line.program, line.usage);
    }
    if (c->opset < ONNX_OPSET_MIN || c->opset > ONNX_OPSET_MAX) {
        return err_set(e, ERR_USAGE, "--opset %lld: it takes a whole number from %d to %d",
                       (long long)c->opset, ONNX_OPSET_MIN, ONNX_OPSET_MAX);
    }
    o->opset = (int)c->opset;
    rc = parse_batch(c->batch, &o->batch, e);
    return rc == 0 ? tool_check_output("onnx", c->onnx, c->model, e) : rc;
}

int tool_export(int argc, char **argv, struct err *e)
{
    struct command c;
    struct onnx_options options = {0};
    struct model *model;
    int rc = parse(argc, argv, &c, &options, e);
    if (rc != 0) return rc;
    rc = model_load(c.model, &model, e);
    if (rc < 0) return rc;
    rc = parse_exits(c.exits, net_sections(model->net), &options.exit, e);
    if (rc == 0) rc = onnx_write(c.onnx, model, &options, e);
    model_free(model);
    return rc;
}
