#!/bin/sh
# A training on all GPUs of one or several machines that can be started again and again: it goes on where it was
# stopped, else it starts. On every machine:
#
#   NODES=2 MAIN=10.0.0.1 sh examples/torchrun.sh --name mine --config ferplus
#
# torchrun starts the processes anew, on all machines, when one of them or a machine is lost (RESTARTS times).
set -eu
: "${NODES:=1}"        # machines
: "${PROCESSES:=gpu}"  # on each machine: a number, or gpu for one a GPU
: "${MAIN:=localhost}" # address of one of the machines, at which the others find it
: "${PORT:=29400}"
: "${RESTARTS:=3}"

exec python -m torch.distributed.run --nnodes "$NODES" --nproc_per_node "$PROCESSES" --max_restarts "$RESTARTS" \
    --rdzv_backend c10d --rdzv_endpoint "$MAIN:$PORT" --rdzv_id "${ID:-fer_lightning}" \
    train.py fit --trainer.num_nodes "$NODES" --trainer.strategy ddp --ckpt_path auto "$@"
