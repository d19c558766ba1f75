#!/bin/sh
# Stands in for what starts a training in the tool's stead, such as mpirun: takes a word of its own, has the last word
# when something went wrong, and tells by its exit code which signal killed the tool.
launched=$1
export launched
shift
"$@"
code=$?
[ $code = 0 ] || echo "it had the last word" >&2
exit $code
