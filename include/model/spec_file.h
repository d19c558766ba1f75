/* Specs as JSON (models/NAME.json) <-> struct spec. The reader takes any bytes: unknown members,
 * wrong types and values out of range get an error with the member's path ("stages[2].stride:
 * ..."). */
#ifndef MODEL_SPEC_FILE_H
#define MODEL_SPEC_FILE_H

#include <stddef.h>

#include "base/err.h"
#include "nn/spec.h"

int spec_parse(const char *json, size_t size, struct spec *ret_spec, struct err *e);
int spec_read(const char *path, struct spec *ret_spec,
              struct err *e); /* messages begin with the path */
char *
spec_format(const struct spec *spec); /* JSON that spec_parse() reads back; mem_free(); or NULL */

/* The words for heads.kind: "scala", ...; NULL past the last. spec_head_parse(): ERR_USAGE with a
 * list of them. */
const char *spec_head_name(enum spec_head kind);
int spec_head_parse(const char *text, enum spec_head *ret_kind, struct err *e);

#endif
