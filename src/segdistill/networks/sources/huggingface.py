"""Networks of transformers by Hub id, folder or model type: those that score pixels, those that answer with queries."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from segdistill.networks.arguments import FEEDING, check_options, feeding_options, require, split_feeding
from segdistill.networks.checkpoints import load_weights
from segdistill.networks.huggingface import (
    FAMILIES,
    NOT_SHAPE,
    config_of,
    feeding_of,
    forbidden,
    labels_of,
    layers_of,
    names_of,
    own_parts,
    plain,
    tell_task,
    tokens_of,
)
from segdistill.networks.mask_classification import queries_of
from segdistill.networks.network import Network
from segdistill.util import ArgumentError, UnavailableError, WeightsError, nearest, quote


def create(
    name: str,
    *,
    num_classes: int | None,
    weights: str | Path | None,
    pretrained: bool | str | Path,
    options: Mapping[str, Any],
) -> Network:
    """Build a network of transformers.

    - A Hub id or folder alone is the network as published: its weights, its classes, in evaluation mode.
    - With ``num_classes`` it is a student of that many classes: untrained, or with ``pretrained`` from the published
      weights. Where the number is another than the published one, the classifier is new and the classes are unknown.
    - A model type (``segformer``, ``mask2former``, ...) is untrained, of the sizes in ``options``.

    Weights are safetensors; code of a repository is never run. Universal networks score pixels by `pixel_scores`.

    Args:
        name: A Hub id (``nvidia/segformer-b0-finetuned-ade-512-512``), a folder, or a model type. Without connection
            set ``HF_HUB_OFFLINE=1``: what was fetched before is used.
        num_classes: Channels of the logits. None: as published.
        weights: A file that `save_network` wrote, of the same network.
        pretrained: True: start from the weights of the id or folder.
        options: ``mean``, ``std``, ``bgr``; of OneFormer ``task``, the token ids of its sentence; of a model type
            also every key of its config class.

    Raises:
        ArgumentError: If a name or option is unknown, or a repository brings code.
        WeightsError: If there are no safetensors, or they do not fill the network.
        UnavailableError: If transformers or the repository cannot be had.
    """
    library = require("transformers", needed_by="the source `huggingface`", extra="huggingface")
    folder = Path(name).expanduser()
    published = name not in FAMILIES
    if published and not folder.is_dir() and (name.count("/") != 1 or name.startswith((".", "/", "~"))):
        raise ArgumentError(
            f"`name` must be a Hub id, a folder or a model type; got {name!r}. {nearest(name, FAMILIES)}"
        )
    if not isinstance(pretrained, bool):
        raise ArgumentError("`pretrained` must be true or false here: give a folder as `name`, a file as `weights`.")
    if pretrained and not published:
        raise ArgumentError(f"`pretrained` must be false for the model type {name!r}; give a Hub id or a folder.")
    where = str(folder) if folder.is_dir() else name
    known = own_parts(config_of(library, where) if published else {**options, "model_type": name})
    kind = str(known.get("model_type"))
    if kind not in FAMILIES:
        raise ArgumentError(f"`name` must be of a known model type; {name} is {kind!r}. {nearest(kind, FAMILIES)}")
    family = FAMILIES[kind]
    if not hasattr(library, family.model):
        raise UnavailableError(
            f"`{kind}` needs a newer transformers than {library.__version__}: pip install -U transformers."
        )
    default = feeding_of(library, where, family.feeding) if published else family.feeding
    preprocessing, rest = split_feeding(options, default)
    keys = {*library.AutoConfig.for_model(kind).to_dict()} - NOT_SHAPE
    task = ["task"] if family.task else []
    check_options(rest, [*FEEDING, *task, *(() if published else keys)], f"`{name}`")
    if found := sorted(forbidden(known)):
        raise ArgumentError(f"`name` must be a network without code or parts of elsewhere; {name} has {quote(found)}.")
    settings = deepcopy({key: value for key, value in known.items() if key in keys})  # the library takes keys out
    if "use_auxiliary_head" in keys:
        settings["use_auxiliary_head"] = False  # its answer does not leave the library's networks
    if family.task:
        settings["is_training"] = False  # which would ask for a text beside every image
    names = names_of(known) if published else []
    count = num_classes or len(names)
    if count < 1:
        raise ArgumentError(f"`num_classes` must be given for {name!r}; got {num_classes}.")
    try:
        config = library.AutoConfig.for_model(kind, **settings, num_labels=count)
        use_weights = published and weights is None and (pretrained or num_classes is None)
        cls = getattr(library, family.model)
        module = _load(cls, where, config, fresh_head=count != len(names)) if use_weights else cls(config)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        if isinstance(error, (ArgumentError, WeightsError)):
            raise
        raise ArgumentError(f"`options` must make a {kind}; transformers says: {error}.") from error
    own = feeding_options(preprocessing)
    if family.task:
        own["task"] = list(rest["task"] if "task" in rest else tokens_of(library, where) if published else ())
        tell_task(module, own["task"])
    if family.fixed:
        size = config.image_size
        preprocessing = preprocessing._replace(size=(size, size) if isinstance(size, int) else tuple(size))
    else:
        preprocessing = preprocessing._replace(multiple=32)
    network = Network(
        module,
        features=layers_of(module, family),
        logits=queries_of if family.queries else None,
        preprocessing=preprocessing,
        labels=labels_of(names, where) if count == len(names) else None,
        spec={
            "source": "huggingface",
            "name": kind,
            "num_classes": count,
            "options": {**plain(config, keys), **own},
        },
        num_classes=count,
    )
    if weights is not None:
        load_weights(network, weights)
    trained = use_weights and num_classes is None
    return network.eval() if trained else network.train()


def _load(cls: Any, where: str, config: Any, *, fresh_head: bool) -> Any:
    """The published weights; with ``fresh_head`` those of another number of classes start anew."""
    if Path(where).is_dir() and not any(Path(where).glob("*.safetensors")):
        raise WeightsError(
            f"{where} must hold safetensors; pickles are not read because they can run code. Convert it once: "
            "safetensors.torch.save_file(torch.load(OLD, weights_only=True), 'model.safetensors')."
        )
    try:
        module, report = cls.from_pretrained(
            where,
            config=config,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=fresh_head,
            output_loading_info=True,
        )
    except OSError as error:
        raise UnavailableError(f"{where} has no safetensors, or they cannot be had from the Hub ({error}).") from error
    except RuntimeError as error:
        raise WeightsError(f"{where} must hold the weights of its config: {error}.") from error
    if missing := sorted(report["missing_keys"]):
        raise WeightsError(f"{where} must hold all weights of {cls.__name__}; it lacks {quote(missing, 3)}.")
    return module.float()
