#!/bin/sh
# Makes every row of the table in docs/results.md, in its order:
#   sh benchmarks/results.sh FERPLUS DATA
# FERPLUS and DATA are the folders of FER+ and of facial_expressions. Three to four hours on one CPU core. What stands
# after the two folders is given to every training: with FOLDS=2 before it and --trainer.max_epochs 1 the script can be tried.
set -eu
ferplus=$1 data=$2 folds=${FOLDS:-5}
shift 2

row() { printf '\n== %s\n' "$*"; }
tested() { python train.py test --name "$@"; }
estimated() { python train.py estimate_prior --rows "runs/$1/test/predictions.csv" | sed -n "s/^Use .*--class_prior '\(.*\)'/\1/p"; }

row "configs/ferplus_large.yaml, distilled (experiments/distilled.sh): the pretrained weights"
tested ferplus_pretrained --ckpt_path pretrained --data.root "$ferplus" --data.split predefined

row "the same, --model.tta_flip false"
tested ferplus_pretrained_one_look --ckpt_path pretrained --data.root "$ferplus" --data.split predefined --model.tta_flip false

row "configs/ferplus_large.yaml, seed 3: the weights pretrained-large"
tested ferplus_pretrained_large --ckpt_path pretrained-large --data.root "$ferplus" --data.split predefined

row "the same, --model.tta_flip false"
tested ferplus_one_look --ckpt_path pretrained-large --data.root "$ferplus" --data.split predefined --model.tta_flip false

row "configs/ferplus.yaml"
python train.py fit --config configs/ferplus.yaml --data.root "$ferplus" "$@"
tested ferplus --ckpt_path best

row "the same, seed 1"
python train.py fit --config configs/ferplus.yaml --data.root "$ferplus" --seed_everything 1 --name ferplus_1 "$@"
tested ferplus_1 --ckpt_path best

row "configs/ferplus_fast.yaml"
python train.py fit --config configs/ferplus_fast.yaml --data.root "$ferplus" "$@"
tested ferplus_fast --ckpt_path best

row "pretrained, --model.class_prior uniform, FER+"
tested ferplus_uniform --ckpt_path pretrained --data.root "$ferplus" --data.split predefined --model.class_prior uniform

row "pretrained, nothing adapted, facial_expressions"
tested fe_pretrained --ckpt_path pretrained --data.root "$data"

row "the same, --model.class_prior uniform"
tested fe_uniform --ckpt_path pretrained --data.root "$data" --model.class_prior uniform

row "the same, class frequencies estimated by shares"
tested fe_estimated --ckpt_path pretrained --data.root "$data" --model.class_prior "$(estimated fe_pretrained)"

row "pretrained, nothing adapted, facial_expressions, five folds"
python train.py crossval --name fe_pretrained_folds --folds "$folds" --ckpt_path pretrained --data.root "$data"

row "the same, --model.tta_flip false"
python train.py crossval --name fe_one_look_folds --folds "$folds" --ckpt_path pretrained --data.root "$data" --model.tta_flip false

row "pretrained-large, nothing adapted, facial_expressions, five folds"
python train.py crossval --name fe_pretrained_large_folds --folds "$folds" --ckpt_path pretrained-large --data.root "$data"

row "the same, --model.tta_flip false"
python train.py crossval --name fe_large_one_look_folds --folds "$folds" --ckpt_path pretrained-large --data.root "$data" --model.tta_flip false

row "configs/facial_expressions.yaml, five folds"
python train.py crossval --name fe --folds "$folds" --config configs/facial_expressions.yaml --data.root "$data" "$@"

row "the same with configs/overlays/large.yaml over it"
python train.py crossval --name fe_large --folds "$folds" --config configs/facial_expressions.yaml --config configs/overlays/large.yaml \
    --data.root "$data" "$@"

row "configs/ferplus_fast.yaml from scratch on facial_expressions"
python train.py fit --config configs/ferplus_fast.yaml --data.root "$data" --data.split grouped --data.soft_labels false \
    --name fe_scratch "$@"
tested fe_scratch --ckpt_path best

row "the same, nothing adapted, FER+"
python train.py export --name fe_scratch --ckpt_path best --output runs/fe_scratch/fe_scratch.safetensors
tested fe_scratch_ferplus --ckpt_path runs/fe_scratch/fe_scratch.safetensors --data.root "$ferplus" --data.split predefined

row "configs/default.yaml on facial_expressions"
python train.py fit --data.root "$data" --name original "$@"
tested original --ckpt_path best

row "the same, nothing adapted, FER+"
python train.py export --name original --ckpt_path best --output runs/original/original.safetensors
tested original_ferplus --ckpt_path runs/original/original.safetensors --data.root "$ferplus" --data.split predefined

row "pretrained with --data.faces whole, facial_expressions, sequential"
tested sequential --ckpt_path pretrained --data.root "$data" --data.split sequential --data.faces whole

row "the same, class frequencies estimated by shares"
tested sequential_estimated --ckpt_path pretrained --data.root "$data" --data.split sequential --data.faces whole \
    --model.class_prior "$(estimated sequential)"
