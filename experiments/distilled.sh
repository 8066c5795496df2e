#!/bin/sh
# Makes the pretrained weights: four large networks, and the small one that learns from their answers together.
#   sh experiments/distilled.sh FERPLUS
# For a GPU: on one NVIDIA H100 with 16 CPU cores the teachers took three minutes side by side, and so did the small network beside
# two others (docs/experiments.md); here they come one after the other. What stands after the folder is given to every
# training: with --trainer.max_epochs 1 the script can be tried. It needs the timm extra.
set -eu
ferplus=$1
shift
strong="--data.augmentation.contrast 0.4 --data.augmentation.blur 0.04 --data.augmentation.noise 0.1 --data.augmentation.erasing 0.3"

trained() { python train.py fit --config configs/ferplus_large.yaml --data.root "$ferplus" "$@"; }
exported() { python train.py export --name "$1" --ckpt_path best --output "runs/$1/$1.safetensors"; }

# shellcheck disable=SC2086
trained --name t0 --seed_everything 0 $strong "$@"
# shellcheck disable=SC2086
trained --name t1 --seed_everything 1 $strong "$@"
trained --name t2 --seed_everything 2 "$@"
trained --name t3 --seed_everything 3 "$@"
for teacher in t0 t1 t2 t3; do exported $teacher; done

# shellcheck disable=SC2086
trained --name pretrained --seed_everything 1 $strong --trainer.max_epochs 41 --model.network.init_args.widths '[64, 128, 224]' \
    --model.distillation Distillation --model.distillation.weight 0.7 --model.distillation.teacher \
    '[runs/t0/t0.safetensors, runs/t1/t1.safetensors, runs/t2/t2.safetensors, runs/t3/t3.safetensors]' "$@"
python "$(dirname "$0")/temperature.py" "$ferplus" --strong --tta_flip --weights runs/pretrained/checkpoints/best.ckpt \
    --output runs/pretrained/pretrained.safetensors
