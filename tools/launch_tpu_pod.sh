#!/usr/bin/env bash
# Trains an experiment on a Cloud TPU: one host or a pod slice of several.
#
#   PROJECT=my-project BUCKET=gs://my-bucket tools/launch_tpu_pod.sh
#   gcloud compute tpus tpu-vm delete "$NAME" --zone "$ZONE"    # afterwards
#
# Run it again after a preemption or a crash: it creates what is missing, leaves a running
# training alone, and resumes a stopped one from its last checkpoint. Needs gcloud, logged
# in, and Python with pip. Not tested: no Cloud TPU was available.
set -euo pipefail

PROJECT=${PROJECT:?the Google Cloud project}
BUCKET=${BUCKET:?gs://NAME near the zone, for work folders and data}
DATA=${DATA:-$BUCKET/imagenet}
ZONE=${ZONE:-europe-west4-a}
NAME=${NAME:-efficientnetv2}
ACCELERATOR=${ACCELERATOR:-v3-32}
RUNTIME=${RUNTIME:-tpu-ubuntu2204-base}
EXPERIMENT=${EXPERIMENT:-imagenet-s}
# jax: one process per host, which find each other; for pods and single hosts.
# tensorflow: TPUStrategy with tensorflow-tpu, which ends at 2.20; a single host only.
ROUTE=${ROUTE:-jax}
WORKDIR=$BUCKET/runs/$EXPERIMENT
LOCK=/tmp/keras_effnetv2.lock
LIBTPU=https://storage.googleapis.com/jax-releases/libtpu_releases.html

tpu() {
  local action=$1
  shift
  gcloud compute tpus tpu-vm "$action" "$@" --project "$PROJECT" --zone "$ZONE"
}

on_all_workers() {
  tpu ssh "$NAME" --worker all --command "$1"
}

case $ROUTE in
  jax)
    backend=jax
    strategy="--strategy multiworker"
    framework="jax[tpu] tensorflow-cpu>=2.18,<2.22"
    ;;
  tensorflow)
    backend=tensorflow
    strategy="--strategy tpu --tpu local"
    framework="tensorflow-tpu==2.20.0"
    ;;
  *)
    echo "ROUTE is jax or tensorflow. Received: $ROUTE." >&2
    exit 2
    ;;
esac

state=$(tpu describe "$NAME" --format "value(state)" 2> /dev/null || true)
if [[ $state == PREEMPTED || $state == TERMINATED ]]; then
  tpu delete "$NAME" --quiet
  state=
fi
if [[ -z $state ]]; then
  tpu create "$NAME" --accelerator-type "$ACCELERATOR" --version "$RUNTIME"
fi

# The package and its requirements except TensorFlow, as each route has its own.
cd "$(dirname "$0")/.."
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
python3 -m pip wheel --quiet --no-deps --wheel-dir "$build" .
wheel=$(basename "$build"/*.whl)
python3 - "$build/$wheel" > "$build/requirements.txt" << 'PYTHON'
import email, pathlib, sys, zipfile

with zipfile.ZipFile(sys.argv[1]) as wheel:
    name = next(x for x in wheel.namelist() if x.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(wheel.read(name))
for line in metadata.get_all("Requires-Dist"):
    requirement, _, marker = line.partition(";")
    is_wanted = not marker or "train" in marker
    if is_wanted and not requirement.startswith(("tensorflow<", "tensorflow>")):
        print(requirement.strip())
PYTHON
for word in $framework; do
  echo "$word" >> "$build/requirements.txt"
done

tpu scp "$build/$wheel" "$build/requirements.txt" "$NAME:" --worker all
# The training holds this lock: what it runs on is not replaced.
on_all_workers "
  set -e
  flock --nonblock $LOCK true || exit 0
  python3 -m pip install --quiet --find-links $LIBTPU --requirement requirements.txt
  python3 -m pip install --quiet --no-deps --force-reinstall $wheel
"

on_all_workers "
  KERAS_BACKEND=$backend nohup flock --nonblock $LOCK \
    python3 -m keras_effnetv2 train --experiment $EXPERIMENT --workdir $WORKDIR \
    $strategy --set data.directory=$DATA >> train.log 2>&1 < /dev/null &
"
echo "Training. Follow it with:"
echo "gcloud compute tpus tpu-vm ssh $NAME --project $PROJECT --zone $ZONE" \
  "--worker 0 --command 'tail -f train.log'"
