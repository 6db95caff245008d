"""Steps of a serving loop as tests write them."""

from __future__ import annotations

import numpy as np

from moeram.serving import Step


def step(contexts=(), chunks=(), starts=None, new=1):
    def column(values):
        return np.array(values, dtype=np.int64)

    count, prompts = len(contexts), len(chunks)
    return Step(
        decode=np.arange(count),
        context_tokens=column(contexts),
        topic=np.zeros(count, dtype=np.int64),
        prefill=np.arange(count, count + prompts),
        chunk_tokens=column(chunks),
        chunk_start=column(starts or [0] * prompts),
        prefill_topic=np.zeros(prompts, dtype=np.int64),
        tokens_per_request=new,
    )
