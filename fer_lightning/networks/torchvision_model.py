"""Any classification network of torchvision, with its input and its head adapted."""

from difflib import get_close_matches
from typing import Any, Literal

from torch import Tensor, nn

from fer_lightning.errors import FERError
from fer_lightning.networks.rebuilding import Rebuildable


class TorchvisionModel(Rebuildable, nn.Module):
    """A torchvision classification model by name, such as `resnet18`, `mobilenet_v3_small` or `convnext_tiny`.

    The last layer is replaced by one with `num_classes` outputs, and auxiliary outputs are left away. For gray input
    the first convolution's weights are summed over their channels, which gives what three equal channels would give.

    Input: float `(n, in_channels, image_size, image_size)`. Output: float `(n, num_classes)`, logits.

    Args:
        name: Its name in `torchvision.models`.
        weights: None starts at random; `DEFAULT` downloads torchvision's weights, trained on ImageNet with
            `--data.mean '[0.485, 0.456, 0.406]' --data.std '[0.229, 0.224, 0.225]'` (inception_v3 and googlenet with
            the default, 0.5).
        num_classes: Number of classes.
        in_channels: Channels of the input, 3 for rgb and 1 for gray.
        image_size: Height and width of the input in pixels; vision transformers are made for it.

    Raises:
        FERError: If torchvision has no such model, the weights cannot be had, or the model does not come in this size.
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
        import torchvision  # as heavy as torch itself, and most networks do without it

        known = torchvision.models.list_models(module=torchvision.models)
        if name not in known:
            near = get_close_matches(str(name), known, n=5, cutoff=0.4) or known
            some = f"Expected one of {len(known)}, such as {', '.join(near)}."
            raise FERError(f"torchvision has no classification model '{name}'. {some}")
        if weights not in (None, "DEFAULT"):
            raise FERError(f"Invalid value for weights of {name}. Expected null or DEFAULT. Received: {weights}.")
        options: dict[str, Any] = {"image_size": image_size} if name.startswith("vit") else {}
        if name.startswith("maxvit"):
            options = {"input_size": (image_size, image_size)}
        elif name in ("googlenet", "inception_v3") and not weights:
            options = {"init_weights": True}
        try:
            model = torchvision.models.get_model(name, weights=weights, **options)
        except (ValueError, AssertionError) as error:
            said = str(error).partition("\n")[0].strip().rstrip(".!")
            raise FERError(
                f"Invalid value for --data.image_size. torchvision's {name} cannot be made for {image_size} pixels: "
                f"{said}. Expected another size, such as 224."
            ) from None
        except OSError as error:
            advice = "Load them from a file with --model.fine_tuning.weights."
            raise FERError(f"The weights of {name} cannot be downloaded: {error}. {advice}") from None
        if name in ("googlenet", "inception_v3"):
            model.aux_logits = model.transform_input = False
            model.AuxLogits = model.aux1 = model.aux2 = None
        first = next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
        if in_channels != first.in_channels:
            first.weight, first.in_channels = nn.Parameter(for_channels(first.weight, in_channels)), in_channels
        layers = reversed(list(model.named_modules()))
        last, head = next(item for item in layers if isinstance(item[1], nn.Linear | nn.Conv2d))
        if isinstance(head, nn.Linear):
            model.set_submodule(last, nn.Linear(head.in_features, num_classes))
        else:  # squeezenet averages a map of each class
            model.set_submodule(last, nn.Conv2d(head.in_channels, num_classes, kernel_size=1))
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(n, num_classes)` of normalised images `(n, in_channels, image_size, image_size)`."""
        logits: Tensor = self.model(images)
        return logits


def for_channels(kernel: Tensor, channels: int) -> Tensor:
    """A kernel `(out, in, h, w)` for another number of channels that answers equal channels as before."""
    return (kernel.detach().sum(1, keepdim=True).expand(-1, channels, -1, -1) / channels).contiguous()
