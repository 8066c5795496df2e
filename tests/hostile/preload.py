"""What each command needs, imported once; nothing is computed, as a process that has computed cannot be forked."""

import cv2
import jsonargparse
import lightning.pytorch.cli
import matplotlib.figure
import onnxruntime
import torch
import torch.export
import torchvision.transforms.v2

import fer_lightning.audit.audit
import fer_lightning.cli.crossval
import fer_lightning.cli.functions
import fer_lightning.cli.trainer
import fer_lightning.export.export
import fer_lightning.inference.predict
import fer_lightning.reports.compare

MODULES = (cv2, jsonargparse, lightning, matplotlib, onnxruntime, torch, torchvision, fer_lightning)
