#!/bin/sh
# Stands in for `autodidact` where the tests of the daemon's side need a child that misbehaves in a given way.
# What it does stands in files of the data set's directory: "train" is sourced by train, "eval_result" and
# "eval_serving" by eval. The real tool is tested with the real daemon in tests/api/test_jobs.py.
command=$1
model=$2
while [ $# -gt 0 ]; do
    case $1 in
    --data) data=${2#*:} ;;
    --out) out=$2 ;;
    esac
    shift
done
case $command:$model in
train:*) . "$data/train" ;;
eval:*/jobs/*) . "$data/eval_result" ;;
eval:*) . "$data/eval_serving" ;;
esac
