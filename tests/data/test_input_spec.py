from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from fer_lightning import FERError, InputSpec
from fer_lightning.data.image_files import UnreadableImageError


def test_nearest_resize_takes_the_pixels_that_keras_takes(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    loaded = InputSpec(10, interpolation="nearest").load(tmp_path / "x.png")
    rows = ((np.arange(10) + 0.5) * 3.7).astype(int)
    columns = ((np.arange(10) + 0.5) * 5.3).astype(int)
    assert loaded.dtype == torch.uint8
    np.testing.assert_array_equal(loaded.permute(1, 2, 0).numpy(), pixels[rows][:, columns])


def test_normalize_is_scale_then_mean_then_std():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    contract = InputSpec(mean=(0.0, 0.1, 0.5), std=(1.0, 0.5, 0.25))
    torch.testing.assert_close(contract.normalize(images).flatten(), torch.tensor([0.0, 0.2, 2.0]))
    plain = InputSpec(mean=(0.0,), std=(1.0,))
    assert plain.normalize(images).flatten().tolist() == pytest.approx([0, 0.2, 1])


def test_gray_is_luma(tmp_path):
    Image.new("RGB", (4, 4), (200, 100, 50)).save(tmp_path / "x.png")
    loaded = InputSpec(4, "gray").load(tmp_path / "x.png")
    assert loaded.shape == (1, 4, 4)
    assert loaded.unique().tolist() == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)]


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    Image.fromarray(np.full((4, 4), 32768, np.uint16)).save(tmp_path / "x.png")
    assert InputSpec(4).load(tmp_path / "x.png").unique().tolist() == [128]


def test_transparent_pixels_are_white(tmp_path):
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "rgba.png")
    palette = Image.new("P", (4, 4), 0)
    palette.save(tmp_path / "palette.png", transparency=0)
    for name in ("rgba.png", "palette.png"):
        assert InputSpec(4).load(tmp_path / name).unique().tolist() == [255]


def test_cmyk_exif_rotation_and_animation(tmp_path):
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg")
    red, green, blue = InputSpec(1).load(tmp_path / "cmyk.jpg").flatten().tolist()
    assert red > 200
    assert green < 60
    assert blue < 60
    upright = Image.new("L", (2, 4), 0)
    upright.putpixel((0, 0), 255)
    exif = upright.getexif()
    exif[0x0112] = 3  # turned by 180 degrees
    upright.save(tmp_path / "turned.png", exif=exif)
    assert InputSpec(4, "gray", "nearest").load(tmp_path / "turned.png")[0, -1, -1] == 255
    frames = [Image.new("L", (4, 4), value) for value in (10, 200)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert InputSpec(4, "gray").load(tmp_path / "moving.gif").unique().tolist() == [10]


def test_damaged_exif_is_ignored(tmp_path):
    image = Image.new("L", (4, 4), 99)
    exif = image.getexif()
    exif[0x0112], exif[271] = 6, "maker"
    image.save(tmp_path / "x.jpg", exif=exif)
    content = bytearray((tmp_path / "x.jpg").read_bytes())
    start = content.index(b"Exif")
    length = int.from_bytes(content[start - 2 : start], "big")
    for offset in range(6, length - 2):
        damaged = content[:]
        damaged[start + offset] = 0
        (tmp_path / "y.jpg").write_bytes(damaged)
        assert InputSpec(4, "gray").load(tmp_path / "y.jpg").float().mean() == pytest.approx(99, abs=2)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff\xe0 broken", b"GIF89a"])
def test_what_is_no_image_is_named(content, tmp_path):
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(UnreadableImageError, match=r"Cannot read the image '.*x.jpg'"):
        InputSpec().load(tmp_path / "x.jpg")


def test_truncated_missing_and_enormous(tmp_path, monkeypatch):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(tmp_path / "x.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "x.jpg").read_bytes()[:1500])
    with pytest.raises(UnreadableImageError, match="truncated"):
        InputSpec().load(tmp_path / "cut.jpg")
    with pytest.raises(UnreadableImageError, match="no such file"):
        InputSpec().load(tmp_path / "none.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnreadableImageError, match="limit"):
        InputSpec().load(tmp_path / "x.jpg")


@pytest.mark.parametrize(
    "option", [{"image_size": 0}, {"mean": (0.1, 0.2)}, {"std": (0.0,)}, {"color": "gray", "std": (1, 1, 1)}]
)
def test_contracts_that_cannot_be(option):
    with pytest.raises(FERError, match=r"Invalid value: --data\."):
        InputSpec(**option)


def test_the_contract_survives_plain_values():
    contract = InputSpec(48, "gray", "bicubic", (0.4,), (0.2,))
    assert InputSpec(**contract.to_dict()) == contract
