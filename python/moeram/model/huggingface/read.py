"""From a ``config.json`` to a model: the architecture's facts, then its dimensions part by part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from moeram.errors import ConfigError, did_you_mean
from moeram.model.huggingface.attention import read_attention, read_heads
from moeram.model.huggingface.experts import read_experts
from moeram.model.huggingface.families import FAMILIES, Family
from moeram.model.huggingface.keys import Keys
from moeram.model.huggingface.quantization import read_precision
from moeram.model.moe_model import MoEModel

_MOST_LAYERS = 10_000


def read_huggingface(path: str | Path) -> MoEModel:
    """Read a Hugging Face ``config.json``; nothing is downloaded.

    Defaults taken and parts left out stand in the model's notes. The name is that of the file's folder.

    Raises:
        ConfigError: no such file, no JSON, an unknown architecture, a key that is missing, wrong or contradicts
            another one; the message names the file and the key.
    """
    path = Path(path).expanduser()
    keys = Keys(path)
    family = _family(keys)
    layers = keys.whole("num_hidden_layers", "n_layers", "num_layers")
    if layers > _MOST_LAYERS:
        raise keys.error("num_hidden_layers", f"given {layers}, allowed: at most {_MOST_LAYERS}")
    hidden = keys.whole("hidden_size", "d_model")
    try:
        experts = read_experts(keys, family, layers)
        values: dict[str, Any] = {
            "layers": layers,
            "hidden_size": hidden,
            **experts,
            **read_heads(keys, family, hidden),
            "vocab_size": keys.whole("vocab_size"),
            "tied_embeddings": _tied(keys, family),
            "attention": read_attention(keys, family, layers),
            "precision": read_precision(keys, layers, experts["moe_layers"]),
        }
        _note_what_is_left_out(keys)
        name = path.resolve().parent.name or path.stem
        return MoEModel(name=name, source=f"{path.name} of {name}", notes=tuple(dict.fromkeys(keys.notes)), **values)
    except ConfigError as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise ConfigError(f"{path}: {error}") from error


def _family(keys: Keys) -> Family:
    name = keys.word("model_type")
    if name is None:
        raise keys.missing("model_type")
    if name not in FAMILIES:
        raise keys.error("model_type", f"no architecture {name!r} is known here{did_you_mean(name, FAMILIES)}")
    return FAMILIES[name]


def _tied(keys: Keys, family: Family) -> bool:
    if not family.ties and keys.find("tie_word_embeddings", outer=True) is None:
        raise keys.missing("tie_word_embeddings")
    return keys.flag_or(False, "tie_word_embeddings", outer=True, note="an own output head, the architecture's default")


def _note_what_is_left_out(keys: Keys) -> None:
    prediction = keys.whole_or(0, "num_nextn_predict_layers", "mtp_num_hidden_layers")
    if prediction:
        keys.notes.append(f"{prediction} layer(s) for multi-token prediction are left out")
    if "vision_config" in keys.outer:
        keys.notes.append("the image tower is left out")
