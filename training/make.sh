#!/bin/sh
# From data to models/lite. Usage: training/make.sh CLIPS PHOTOS [CACHE]. Run again to go on where it stopped.
set -eu
cd "$(dirname "$0")/.."
clips=$1 photos=$2 cache=${3:-training/.cache} python=${PYTHON:-/usr/bin/python3}
count=${COUNT:-600} steps=${STEPS:-40000} adapter_steps=${ADAPTER_STEPS:-4000}

$python -m training.data --data "$clips" --data "$photos" --out "$cache/pictures" --count "$count"
$python -m training.train --pictures "$cache/pictures" --out "$cache/run" --steps "$steps"
$python -m training.train_adapter --data "$clips" --data "$photos" --base "$cache/run/base.pt" --out "$cache/adapter" --steps "$adapter_steps"
$python -m training.evaluate --pictures "$cache/pictures" --data "$clips" --data "$photos" \
	--base "$cache/run/base.pt" --adapter "$cache/adapter/adapter.pt" --frames 12 --styles oil-painting,pencil-sketch --out "$cache/evaluation.json"
$python -m training.export --checkpoint "$cache/run/base.pt" --adapter "$cache/adapter/adapter.pt"
$python -m training.quantize models/lite --data "$clips" --data "$photos"
$python -m training.sheet --data "$clips" --data "$photos" --base "$cache/run/base.pt"
