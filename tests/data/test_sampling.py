from __future__ import annotations

import pytest
import torch

from fer_lightning.data.sampling import PADDING, EvaluationSampler, PaddedDataset, TrainingSampler


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
    data = PaddedDataset([(torch.tensor([index]), index + 100) for index in range(size)])
    seen, lengths = [], set()
    for rank in range(devices):
        indices = list(EvaluationSampler(data, devices, rank))
        lengths.add(len(indices))
        seen += [data[index][1] for index in indices]
    assert len(lengths) == 1
    assert sorted(label for label in seen if label != PADDING) == list(range(100, 100 + size))
