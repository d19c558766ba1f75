/* ONNX files of models for other runtimes: the whole network with every classifier and the ensemble
 * as outputs, or what one classifier needs, with its logits alone. The input `image` is
 * [batch][channels][height][width], normalised as the model's preprocessing says; outputs are
 * `logits_1`.. in the order of the exits and `ensemble`, each [batch][classes]. doc/interchange.md
 * says what else is in the file. */
#ifndef ONNX_ONNX_H
#define ONNX_ONNX_H

#include "base/err.h"
#include "model/model.h"

enum { ONNX_OPSET_MIN = 13, ONNX_OPSET_MAX = 21, ONNX_OPSET_DEFAULT = 17, ONNX_BATCH_MAX = 65536 };

struct onnx_options {
    int batch; /* a number that the file fixes; 0: any, chosen when it runs */
    int opset; /* 0: ONNX_OPSET_DEFAULT */
    int exit;  /* 1..: that one alone, without what only others need; 0: every one */
};

/* Writes the model to path, atomically. ERR_RANGE for options out of range, ERR_LIMIT for a model
 * that protobuf's 2 GiB cannot hold, -ENOMEM, or what file_write_atomic() says. Any thread. */
int onnx_write(const char *path, const struct model *model, const struct onnx_options *options,
               struct err *e);

#endif
