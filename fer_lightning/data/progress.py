"""How far a training is: in its epochs, and in the images of an epoch, from which it can go on."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

from fer_lightning.errors import FERError

if TYPE_CHECKING:
    from lightning.pytorch import Trainer  # not needed to read data


@dataclass(frozen=True)
class EpochPosition:
    """Where a checkpoint stands in its epoch, and what the order of that epoch's images depends on.

    Attributes:
        done: Images of this epoch that all devices together are done with: the first ones of its order.
        batch_size: Images in a batch, on each device.
        devices: Number of devices.
        seed: Of the order; None where it is not known.
        split: Fingerprint of the images; empty where it is not known.
    """

    done: int
    batch_size: int
    devices: int
    seed: int | None = None
    split: str = ""

    def to_dict(self) -> dict[str, Any]:
        """In plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> Self:
        """What `to_dict` gave, now or when the images of each device were counted.

        Raises:
            FERError: If it is something else.
        """
        kinds = {"done": int, "batch_size": int, "devices": int, "seed": int | None, "split": str}
        given = dict(values) if isinstance(values, Mapping) else {}
        if "done" not in given and isinstance(given.get("images"), int) and isinstance(given.get("devices"), int):
            given["done"] = given["images"] * given["devices"]
        for item in fields(cls):
            value, least = given.get(item.name), int(item.name in ("batch_size", "devices"))
            small = isinstance(value, int) and item.name != "seed" and value < least
            if not isinstance(value, kinds[item.name]) or isinstance(value, bool) or small:
                raise FERError(
                    f"The checkpoint's place in the data is damaged: {item.name} is {str(value)[:40]}. Use another one."
                )
        return cls(**{item.name: given[item.name] for item in fields(cls)})

    def go_on(self, now: Self, images: int, accumulate: int, limit: float = 1.0) -> tuple[int, int]:
        """How many images of the epoch's order are left out, and how many batches of each device count as done.

        What is left of the order is divided anew, so that no image comes twice, on however many devices; as at an
        epoch's end, fewer images than there are devices may be left out.

        Args:
            now: The batch size etc. of the training that goes on; its `done` does not matter.
            images: Training images of a whole epoch, on all devices.
            accumulate: Batches of a step.
            limit: Batches of an epoch that are used, as a number (int) or a fraction (float).

        Raises:
            FERError: If the epoch cannot be gone on with: its order is another one now, or it would be over.
        """
        stands = f"The checkpoint stands within an epoch, {self.done} images into it"
        for name, option in (("seed", "--seed_everything"), ("split", "--data.*")):
            before, after = getattr(self, name), getattr(now, name)
            if before != after and before not in (None, ""):
                values = "" if name == "split" else f" (it was {before}, and is {after})"
                raise FERError(
                    f"{stands}, and with another {option}{values} the order of the images is another one: some would "
                    "come twice and others never. Go on to the end of the epoch first, with a --trainer.max_epochs "
                    "that ends there."
                )
        used = batches_of(images // now.devices, now.batch_size, limit)
        left = (min(images, used * now.batch_size * now.devices) - self.done) // now.devices
        if (self.batch_size, self.devices) == (now.batch_size, now.devices):
            return self.done, -(-self.done // (now.devices * self.batch_size))
        batches = used - -(-left // now.batch_size)
        if left <= 0 or batches % accumulate:
            raise FERError(
                f"{stands}, from where batches of {now.batch_size} on {now.devices} device(s) do not come out even "
                "with the end of the epoch, --trainer.accumulate_grad_batches or limit_train_batches. Go on to the "
                f"end of the epoch first, with --data.batch_size {self.batch_size} on {self.devices} device(s)."
            )
        return self.done, batches


class EpochProgress:
    """Follows a training through its epochs, image by image.

    Lightning counts batches alone, which mean something else once the batch size has changed.
    """

    def __init__(self) -> None:
        self.resumed: EpochPosition | None = None
        self._begun = (0, 0, 0)  # an epoch, and the batches and images of it that earlier processes have done

    def start(self, trainer: "Trainer", here: EpochPosition, images: int) -> tuple[int, int]:
        """The epoch that the next iterator is for, and how many of its images all devices are done with.

        After a resume Lightning tells the sampler too late: workers have drawn from the first iterator by then
        (#21938). And a checkpoint written at an epoch's end counts that epoch as begun, not yet as done.

        Args:
            trainer: Its count of batches is put in terms of this batch size and number of devices.
            here: The start of an epoch in this training.
            images: Training images of an epoch, on all devices.

        Raises:
            FERError: If the epoch cannot be gone on with.
        """
        resumed, self.resumed = self.resumed, None
        batches, limit = trainer.fit_loop.epoch_loop.batch_progress, trainer.limit_train_batches
        if batches.is_last_batch:
            epoch = trainer.fit_loop.epoch_progress.current.ready
            done, count = 0, batches_of(images // here.devices, here.batch_size, limit)
        else:
            epoch, known = trainer.current_epoch, batches.current.ready * here.batch_size * here.devices
            place = resumed or replace(here, done=known)
            accumulate = trainer.accumulate_grad_batches
            done, count = place.go_on(here, images, accumulate, limit) if batches.current.ready else (0, 0)
        if resumed and (resumed.batch_size, resumed.devices) != (here.batch_size, here.devices):
            change = count - batches.current.ready
            for name in ("ready", "started", "processed", "completed"):
                setattr(batches.current, name, max(0, getattr(batches.current, name) + change))
        self._begun = (epoch, batches.current.ready if done else 0, done)
        return epoch, done

    def position(self, trainer: "Trainer", here: EpochPosition) -> EpochPosition:
        """Where the training is."""
        batches = trainer.fit_loop.epoch_loop.batch_progress
        if batches.is_last_batch:
            return here
        _, count, done = self._begun if self._begun[0] == trainer.current_epoch else (0, 0, 0)
        return replace(here, done=done + (batches.current.ready - count) * here.batch_size * here.devices)


def batches_of(images: int, batch_size: int, limit: float) -> int:
    """Batches of an epoch, of which a number (int) or a fraction (float) is used."""
    whole = -(-images // batch_size)
    return min(whole, limit) if isinstance(limit, int) else int(whole * limit)


def fraction_done(trainer: "Trainer") -> float:
    """The fraction of the training that is over, 0 to 1: of its epochs, or of its steps where these end it first."""
    epochs, steps = trainer.max_epochs or 0, trainer.max_steps
    over = trainer.current_epoch / epochs if epochs > 0 else 0.0
    if steps > 0 and (epochs <= 0 or steps < epochs * trainer.num_training_batches // trainer.accumulate_grad_batches):
        return min(trainer.global_step / steps, 1.0)
    return over
