"""Any classification model of timm, with an adapted input and head."""

from typing import Any, Literal

from torch import Tensor, nn

from fer_lightning.errors import FERError, MissingPackageError
from fer_lightning.networks.rebuilding import Rebuildable


class TimmModel(Rebuildable, nn.Module):
    """A model of timm (pip install timm) by name; timm adapts its input and head.

    Input: float `(n, in_channels, image_size, image_size)`. Output: float `(n, num_classes)`, logits.

    Args:
        name: Its name in timm, such as `resnet10t`.
        weights: None starts at random; `DEFAULT` downloads timm's weights. A file goes to --model.fine_tuning.weights.
        num_classes: Number of classes.
        in_channels: Channels of the input, 3 for rgb and 1 for gray.
        image_size: Height and width of the input in pixels; for models that must know it, such as vision transformers.

    Raises:
        FERError: If timm is not installed, has no such model, or the weights cannot be had.
    """

    def __init__(
        self,
        name: str,
        weights: Literal["DEFAULT"] | None = None,
        num_classes: int = 8,
        in_channels: int = 3,
        image_size: int = 224,
    ) -> None:
        super().__init__()
        try:
            import timm
        except ImportError:
            raise MissingPackageError("TimmModel needs timm: pip install timm.") from None
        if not isinstance(name, str) or not timm.is_model(name):
            near = ", ".join(timm.list_models(f"{str(name)[:6]}*")[:20])
            raise FERError(f"timm has no model '{name}'.{f' There are {near}.' if near else ''}")
        options: dict[str, Any] = {"num_classes": num_classes, "in_chans": in_channels, "pretrained": bool(weights)}
        try:
            try:
                self.model = timm.create_model(name, img_size=image_size, **options)
            except TypeError:  # most models take any size
                self.model = timm.create_model(name, **options)
        except (OSError, RuntimeError) as error:
            said, advice = str(error).partition("\n")[0], "Load weights from a file with --model.fine_tuning.weights."
            raise FERError(f"The model {name} cannot be made: {said}. {advice}") from None

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(n, num_classes)` of normalised images `(n, in_channels, image_size, image_size)`."""
        logits: Tensor = self.model(images)
        return logits
