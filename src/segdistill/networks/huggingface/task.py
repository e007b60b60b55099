"""OneFormer is one network for three tasks: it is told which by the tokens of a sentence."""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import nn

from segdistill.util import ArgumentError, UnavailableError

SENTENCE: Final = "the task is semantic"
_BUFFER: Final = "semantic_task"


def tokens_of(library: Any, where: str) -> list[int]:
    """The sentence in the words of a folder's or repository's tokenizer.

    Raises:
        UnavailableError: If it brings no tokenizer.
    """
    try:
        tokenizer = library.CLIPTokenizer.from_pretrained(where)
        tokens = [int(token) for token in tokenizer(SENTENCE).input_ids]
        missing = tokenizer.unk_token_id in tokens[1:-1]  # without its files the library makes an empty tokenizer
    except (OSError, TypeError, ValueError):
        missing = True
    if missing:
        raise UnavailableError(
            f"{where} must bring its tokenizer (`vocab.json` and `merges.txt`), which tells OneFormer its task. Add "
            f"them from the repository, or give `options.task`, the token ids of {SENTENCE!r}."
        )
    return tokens


def tell_task(module: nn.Module, tokens: Sequence[int]) -> None:
    """From now on, every call of a OneFormer of transformers is told its task; its tensors keep the library's names.

    Args:
        module: The network.
        tokens: Ids of the sentence; none for a network without a tokenizer, whose task is then constant.

    Raises:
        ArgumentError: If there are more than it takes.
    """
    config: Any = module.config
    if len(tokens) > config.task_seq_len or not all(isinstance(token, int) for token in tokens):
        raise ArgumentError(
            f"`options.task` must be at most {config.task_seq_len} token ids of {SENTENCE!r}; got {list(tokens)}."
        )
    padded = torch.zeros(1, config.task_seq_len, dtype=torch.long)
    padded[0, : len(tokens)] = torch.tensor(tokens, dtype=torch.long)
    module.register_buffer(_BUFFER, padded, persistent=False)
    module.register_forward_pre_hook(_with_task, with_kwargs=True)


def _with_task(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    image = args[0] if args else kwargs["pixel_values"]
    return args, {"task_inputs": getattr(module, _BUFFER).expand(len(image), -1), **kwargs}
