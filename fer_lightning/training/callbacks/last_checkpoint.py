"""LastCheckpoint: `last.ckpt` after every epoch, every few minutes, and when the user stops the run."""

import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint

from fer_lightning.checkpoints.atomic_io import put_same
from fer_lightning.errors import check_range
from fer_lightning.screen import say
from fer_lightning.training.callbacks.node_copies import NodeCopies

STOPPING = (signal.SIGINT, *(getattr(signal, name) for name in ("SIGUSR1", "SIGHUP") if hasattr(signal, name)))
"""Signals after which a run is saved and stops; of one process, SIGTERM is Lightning's."""

_MEETING = 5.0
"""Seconds between two steps after which several processes ask each other for signals: schedulers kill after 30."""

_ECHO = 1.0
"""Seconds in which another signal is the first one again: torchrun hands on what its workers were sent as well."""


class LastCheckpoint(Checkpoint):
    """Keeps `last.ckpt`, from which a stopped run goes on as if it had not been stopped.

    It is written at the end of every epoch, between steps every few minutes or steps, and after the step in which
    Ctrl-C, SIGTERM, SIGHUP or SIGUSR1 (which SLURM sends before a job's time is over) arrived; a second one stops at
    once. Of several processes it is enough if one gets the signal: they ask each other every few seconds, and stop
    after the same step. Where gradients are accumulated, the step is over when the optimizer has taken it.

    Args:
        every_n_minutes: Also write this often within an epoch; 0 for never.
        every_n_steps: Also write after this many batches within an epoch; 0 for never.

    Raises:
        FERError: If one of them is negative.
    """

    dirpath: str | None = None
    """Where `last.ckpt` is written; the command line sets it to the run's folder."""

    copies: NodeCopies | None = None
    """Brings it to machines that do not see that folder; the command line sets it."""

    def __init__(self, every_n_minutes: float = 5.0, every_n_steps: int = 0) -> None:
        check_range("--checkpoint_last.every_n_minutes", every_n_minutes, 0)
        check_range("--checkpoint_last.every_n_steps", every_n_steps, 0)
        self.every_n_minutes, self.every_n_steps = every_n_minutes, every_n_steps
        self._saved = 0.0
        self.asked_to_stop = 0
        self._due = False
        self._signal, self._signalled = 0, 0.0  # the one that this process was sent, and when
        self._met, self._met_after, self._next_meeting = 0.0, 0, 0  # a time, and batches
        self._alone = True
        self._earlier_handlers: dict[int, Any] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over the signals; Lightning would answer SLURM's with a checkpoint in the working folder."""
        self._saved = self._met = time.monotonic()
        self.asked_to_stop, self._due, self._signal = 0, False, 0
        self._met_after = self._next_meeting = 0
        self._alone = trainer.world_size == 1
        if threading.current_thread() is not threading.main_thread():
            return
        for number in STOPPING:
            if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:  # nohup
                self._earlier_handlers[number] = signal.signal(number, self._on_signal)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over SIGTERM too: Lightning's handler, in place by now, lets several processes wait for each other."""
        if not self._alone and threading.current_thread() is threading.main_thread():
            earlier = signal.signal(signal.SIGTERM, self._on_signal)
            self._earlier_handlers.setdefault(signal.SIGTERM, earlier)

    on_sanity_check_start = on_train_start

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signals back."""
        for number, handler in self._earlier_handlers.items():
            signal.signal(number, handler)
        self._earlier_handlers = {}

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._signal:
            if self._alone or now - self._signalled > _ECHO:
                raise KeyboardInterrupt
            return
        self._signal, self._signalled = number, now
        if self._alone:
            self.asked_to_stop = number
        again = "Ctrl-C again" if number == signal.SIGINT else "another signal"
        say(f"\nStopping after this step, or after validation; {again} stops at once.", sys.stderr)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Write between steps if it is time. The epoch's last step is left to `on_train_epoch_end`."""
        if trainer.is_last_batch:
            return
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if self._alone:
            self._due |= self._is_time()
        elif batches >= self._next_meeting:
            self._meet(trainer, batches)
        stop = self.asked_to_stop or (self._alone and trainer.received_sigterm)
        self._due |= bool(self.every_n_steps and batches % self.every_n_steps == 0)
        unfinished = trainer.fit_loop._should_accumulate()  # gradients are in no checkpoint
        if (stop or self._due) and not unfinished and not self._validates_now(trainer):
            self._save(trainer)

    @staticmethod
    def _validates_now(trainer: Trainer) -> bool:
        """Whether a validation within the epoch follows this batch: from here, Lightning would go on without it."""
        loop = trainer.fit_loop
        if trainer.val_check_batch == 1 or loop._data_fetcher is None:  # after every batch: there is no better moment
            return False
        return loop.epoch_loop._should_check_val_fx(loop._data_fetcher)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write after the epoch."""
        if not self._alone:
            self._meet(trainer, 0)
        self._save(trainer, trainer.strategy.broadcast(self._written_just_now(trainer)))

    def _written_just_now(self, trainer: Trainer) -> Path | None:
        """A whole checkpoint that another callback wrote at this step: writing it again would take as long."""
        for callback in trainer.checkpoint_callbacks:
            if not isinstance(callback, ModelCheckpoint) or callback.save_weights_only:
                continue
            if callback._save_on_train_epoch_end:  # one written before the epoch's end would lack its row of figures
                path = Path(callback._last_checkpoint_saved)
                if callback._last_global_step_saved == trainer.global_step and path.is_file():
                    return path
        return None

    def _is_time(self) -> bool:
        """Whether the minutes are over."""
        return bool(self.every_n_minutes) and time.monotonic() - self._saved >= self.every_n_minutes * 60

    def _meet(self, trainer: Trainer, batches: int) -> None:
        """Let all processes know of a signal to one of them, go by the first one's clock, and settle the next time."""
        sent = torch.tensor(float(self._signal), device=trainer.strategy.root_device)
        self.asked_to_stop = int(trainer.strategy.reduce(sent, reduce_op="max"))
        now = time.monotonic()
        each = max(now - self._met, 1e-6) / max(1, batches - self._met_after)
        due, wait = trainer.strategy.broadcast((self._is_time(), max(1, min(20, int(_MEETING / each)))))
        self._due |= due
        self._met, self._met_after, self._next_meeting = now, batches, batches + wait

    def _save(self, trainer: Trainer, same: Path | None = None) -> None:
        """Write, or link a file with the same content, which other machines may not see; then stop if asked to."""
        path = Path(self.dirpath or trainer.default_root_dir) / "last.ckpt"
        if same is None and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            trainer.save_checkpoint(path, weights_only=False)
        elif same is not None and trainer.is_global_zero:
            put_same(same, path)
        if self.copies is not None:
            self.copies.share(trainer.strategy)
        self._saved, self._due = time.monotonic(), False
        if self.asked_to_stop:
            raise KeyboardInterrupt
