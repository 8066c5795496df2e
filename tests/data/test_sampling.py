from __future__ import annotations

import pytest
import torch

from fer_lightning.data.batches import FaceSamples
from fer_lightning.data.sampling import IGNORE_INDEX, BalancedSampling, EvaluationSampler, TrainingSampler
from fer_lightning.errors import FERError


@pytest.mark.parametrize(("size", "devices"), [(20, 1), (21, 2), (23, 3), (3, 2)])
def test_training_shards_are_disjoint_equally_long_and_new_every_epoch(size, devices):
    def epoch(number: int, seed: int = 5) -> list[list[int]]:
        shards = []
        for rank in range(devices):
            sampler = TrainingSampler(range(size), devices, rank, seed)
            sampler.set_epoch(number)
            shards.append(list(sampler))
        return shards

    shards = epoch(0)
    together = [index for shard in shards for index in shard]
    assert len(set(together)) == len(together) == size - size % devices
    assert {len(shard) for shard in shards} == {size // devices}
    assert epoch(0) == shards
    if size > 3:
        assert epoch(1) != shards
        assert epoch(0, seed=6) != shards


@pytest.mark.parametrize(("size", "devices"), [(20, 1), (21, 2), (20, 3), (1, 4)])
def test_evaluation_counts_every_sample_once_and_pads_with_marked_ones(size, devices):
    data = FaceSamples(range(100, 100 + size), lambda numbers: torch.tensor(numbers))
    seen, lengths = [], set()
    for rank in range(devices):
        indices = list(EvaluationSampler(data, devices, rank))
        lengths.add(len(indices))
        images, labels, samples, _ = data.__getitems__(indices)
        assert images.tolist() == samples.tolist() == [index % size for index in indices]
        seen += labels.tolist()
    assert len(lengths) == 1
    assert sorted(label for label in seen if label != IGNORE_INDEX) == list(range(100, 100 + size))


@pytest.mark.parametrize("devices", [1, 2])
def test_a_resumed_epoch_goes_on_where_it_was_left_and_the_next_one_is_whole(devices):
    for rank in range(devices):
        whole, resumed = (TrainingSampler(range(21), devices, rank, seed=3) for _ in range(2))
        resumed.resume(4, 6 * devices)
        for epoch, done in ((4, 6), (5, 0)):
            whole.set_epoch(epoch)
            resumed.set_epoch(epoch)  # as Lightning does at the start of an epoch
            assert list(resumed) == list(whole)[done:]
            assert len(resumed) == len(whole)


@pytest.mark.parametrize("draws", [None, BalancedSampling(1).draws(torch.tensor([129.0, 16.0]))])
@pytest.mark.parametrize(
    "parts", [((2, 3), (1, None)), ((1, 7), (2, None)), ((3, 5), (2, None)), ((2, 4), (3, 2), (4, 1), (1, None))]
)
def test_what_is_left_of_an_epoch_is_divided_anew_among_another_number_of_devices(parts, draws):
    """In batches of 8, on so many devices for so many batches each."""
    draws = draws if draws is None else draws[torch.tensor([0] * 129 + [1] * 16)]
    whole = TrainingSampler(range(145), 1, 0, seed=3, draws=draws)
    whole.set_epoch(4)
    taken: list[int] = []
    for devices, batches in parts:
        shards = []
        for rank in range(devices):
            sampler = TrainingSampler(range(145), devices, rank, 3, draws)
            sampler.resume(4, len(taken))
            shards.append(list(sampler)[: None if batches is None else 8 * batches])
        assert len({len(shard) for shard in shards}) == 1
        taken += [number for shard in shards for number in shard]
    assert len(set(taken)) == len(taken), "none twice"
    assert len(taken) > 145 - parts[-1][0], "all but fewer than there are devices"
    assert set(taken) == set(list(whole)[: len(taken)])


def test_balanced_draws_are_those_of_the_equation():
    counts = torch.tensor([16.0, 4.0, 0.0])
    assert BalancedSampling(0).draws(counts) is None
    assert BalancedSampling(1).draws(counts)[:2].tolist() == [10 / 16, 10 / 4]  # ten draws a class
    half = BalancedSampling(0.5).draws(counts)[:2]  # 16 ** 0.5 to 4 ** 0.5 is 2 to 1
    assert (half * counts[:2]).tolist() == pytest.approx([40 / 3, 20 / 3])
    with pytest.raises(FERError, match=r"--data.sampling.strength. Expected 0 to 1. Received: 2"):
        BalancedSampling(2)


@pytest.mark.parametrize("devices", [1, 2])
def test_a_balanced_epoch_repeats_rare_samples_as_evenly_as_it_can(devices):
    labels = torch.tensor([0] * 16 + [1] * 4)
    draws = BalancedSampling(1).draws(labels.bincount().float())[labels]

    def epoch(number: int, done: int = 0) -> list[list[int]]:
        shards = []
        for rank in range(devices):
            sampler = TrainingSampler(range(20), devices, rank, 5, draws)
            sampler.resume(number, done)
            shards.append(list(sampler))
        return shards

    shards = epoch(0)
    together = [number for shard in shards for number in shard]
    assert {len(shard) for shard in shards} == {20 // devices}
    assert len(set(together)) == 20, "a repetition has a number of its own"
    times = torch.tensor([number % 20 for number in together]).bincount(minlength=20)
    assert set(times[:16].tolist()) == {0, 1}  # expected 0.625 times
    assert set(times[16:].tolist()) == {2, 3}  # expected 2.5 times
    assert times[16:].sum() == 10
    assert sorted(number for number in together if number % 20 == 16) == [16 + 20 * k for k in range(times[16])]
    assert epoch(0) == shards
    assert epoch(1) != shards
    assert epoch(0, done=3 * devices) == [shard[3:] for shard in shards]


def test_a_repetition_is_the_same_face_under_another_number():
    data = FaceSamples([7, 8, 9], lambda numbers: torch.tensor(numbers), torch.eye(3))
    images, labels, samples, targets = data.__getitems__([1, 4, 8])
    assert images.tolist() == [1, 1, 2]
    assert labels.tolist() == [8, 8, 9]
    assert samples.tolist() == [1, 4, 8]  # so that each is augmented in its own way
    assert torch.equal(targets, torch.eye(3)[[1, 1, 2]])


@pytest.mark.parametrize("draws", [None, BalancedSampling(1).draws(torch.tensor([160.0, 40.0]))])
@pytest.mark.parametrize("devices", [1, 2])
def test_samples_are_taken_the_other_way_as_often_as_is_said(devices, draws):
    draws = draws if draws is None else draws[torch.tensor([0] * 160 + [1] * 40)]

    def epoch(number: int, otherwise: float = 0.3, done: int = 0) -> list[int]:
        shards = []
        for rank in range(devices):
            sampler = TrainingSampler(range(200), devices, rank, 5, draws, otherwise)
            sampler.resume(number, done)
            shards.append(list(sampler))
        return [number for together in zip(*shards, strict=True) for number in together]

    numbers = epoch(0)
    assert len(set(numbers)) == 200, "a repetition has a number of its own"
    assert 40 <= sum(number // 200 % 2 for number in numbers) <= 80  # of 200, 60 are expected
    assert [number % 200 + number // 400 * 200 for number in numbers] == epoch(0, otherwise=0.0), "the same otherwise"
    assert sum(number // 200 % 2 for number in epoch(0, otherwise=1.0)) == 200
    ways = [{number % 200: number // 200 % 2 for number in epoch(some)} for some in (0, 1)]
    assert ways[0] != ways[1], "drawn anew"
    assert epoch(0, done=20) == numbers[20:]


def test_a_face_that_is_taken_the_other_way_is_the_same_face():
    data = FaceSamples([7, 8, 9], torch.tensor, torch.eye(3), other=lambda numbers: -10 * torch.tensor(numbers))
    images, labels, samples, targets = data.__getitems__([2, 4, 1, 8, 5, 11])
    assert images.tolist() == [2, -10, 1, 2, -20, -20]
    assert labels.tolist() == [9, 8, 8, 9, 9, 9]
    assert samples.tolist() == [2, 4, 1, 8, 5, 11]
    assert torch.equal(targets, torch.eye(3)[labels - 7])
    assert data.__getitems__([-1, 1]).images.tolist() == [2, 1]
    assert data.__getitems__([3, 4]).images.tolist() == [0, -10]
