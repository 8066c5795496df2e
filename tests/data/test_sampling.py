from __future__ import annotations

import pytest
import torch

from fer_lightning.data.batches import FaceSamples
from fer_lightning.data.sampling import PADDING, EvaluationSampler, TrainingSampler


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
    assert sorted(label for label in seen if label != PADDING) == list(range(100, 100 + size))


@pytest.mark.parametrize("devices", [1, 2])
def test_a_resumed_epoch_goes_on_where_it_was_left_and_the_next_one_is_whole(devices):
    for rank in range(devices):
        whole, resumed = (TrainingSampler(range(21), devices, rank, seed=3) for _ in range(2))
        resumed.resume(4, 6)
        for epoch, done in ((4, 6), (5, 0)):
            whole.set_epoch(epoch)
            resumed.set_epoch(epoch)  # as Lightning does at the start of an epoch
            assert list(resumed) == list(whole)[done:]
            assert len(resumed) == len(whole)
