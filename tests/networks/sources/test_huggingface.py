"""Tiny random networks of transformers, saved to a folder and loaded back."""

import json

import pytest
import torch
from tests.networks import contract

from segdistill.networks import Network, Teacher, create_network
from segdistill.networks.huggingface import FAMILIES
from segdistill.networks.mask_classification import pixel_scores

torch.set_num_threads(1)

VIT = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 16}
UPER = {**VIT, "image_size": 64, "patch_size": 16, "out_indices": [1, 2, 3, 4], "pool_scales": [1, 2]}
SWIN = {"model_type": "swin", "embed_dim": 8, "depths": [1] * 4, "num_heads": [1, 1, 2, 2], "window_size": 2,
        "drop_path_rate": 0.0, "out_features": ["stage1", "stage2", "stage3", "stage4"]}  # fmt: skip
QUERIES = {"num_queries": 6}
TINY = {
    "segformer": {"depths": [1] * 4, "hidden_sizes": [8, 8, 16, 16], "num_attention_heads": [1, 1, 2, 2],
                  "decoder_hidden_size": 16, "classifier_dropout_prob": 0.0, "drop_path_rate": 0.0},
    "beit": {**UPER, "drop_path_rate": 0.0},
    "data2vec-vision": {**UPER, "drop_path_rate": 0.0},
    "dpt": {**VIT, "image_size": 64, "patch_size": 16, "backbone_out_indices": [0, 1, 2, 3], "is_hybrid": False,
            "neck_hidden_sizes": [8] * 4, "fusion_hidden_size": 8},
    "mobilevit": {"hidden_sizes": [8, 8, 8], "neck_hidden_sizes": [8] * 7, "num_attention_heads": 2,
                  "aspp_out_channels": 8, "atrous_rates": [1, 2, 3], "image_size": 64},
    "mobilenet_v2": {"depth_multiplier": 0.1, "min_depth": 8, "depth_divisible_by": 8},
    "upernet": {"backbone_config": SWIN, "hidden_size": 16, "pool_scales": [1, 2], "auxiliary_channels": 8},
    "mask2former": {"backbone_config": SWIN, **QUERIES, "hidden_dim": 32, "feature_size": 32, "mask_feature_size": 32,
                    "encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 2,
                    "encoder_feedforward_dim": 16, "dim_feedforward": 16},
    "maskformer": {"backbone_config": SWIN, "fpn_feature_size": 32, "mask_feature_size": 32,
                   "decoder_config": {"model_type": "detr", "d_model": 16, "decoder_layers": 1, "encoder_layers": 1,
                                      "decoder_attention_heads": 2, "encoder_attention_heads": 2, **QUERIES,
                                      "decoder_ffn_dim": 16, "encoder_ffn_dim": 16}},
    "eomt": {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, **QUERIES,
             "image_size": 64, "patch_size": 16, "num_blocks": 1, "num_upscale_blocks": 2},
    "eomt_dinov3": {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, **QUERIES,
                    "intermediate_size": 16, "image_size": 64, "patch_size": 16, "num_blocks": 1,
                    "num_upscale_blocks": 2},
    "oneformer": {"backbone_config": SWIN, **QUERIES, "hidden_dim": 32, "conv_dim": 32, "mask_dim": 32,
                  "encoder_layers": 1, "decoder_layers": 2, "num_attention_heads": 2, "text_encoder_width": 16,
                  "encoder_feedforward_dim": 16, "dim_feedforward": 16, "task": [7, 3, 5]},
}  # fmt: skip
UNIVERSAL = ("mask2former", "maskformer", "eomt", "eomt_dinov3", "oneformer")
NAMES = [f"thing {i}" for i in (3, 1, 4, 0, 2)]


def make(kind, **changes):
    torch.manual_seed(0)
    return create_network(kind, source="huggingface", num_classes=5, options={**TINY[kind], **changes})


def write_tokenizer(folder):
    """CLIP's, of letters and one merge."""
    letters = sorted(set("the task is semantic") - {" "})
    words = [*letters, *(f"{letter}</w>" for letter in letters), "th", "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i + 1 for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\nt h\n")


@pytest.fixture
def save(tmp_path):
    def save(kind):
        network = make(kind)
        network.module.config.id2label = dict(enumerate(NAMES))
        network.module.save_pretrained(tmp_path / kind)
        if kind == "oneformer":
            write_tokenizer(tmp_path / kind)
        return network, tmp_path / kind

    return save


def task_of(network):
    """What a OneFormer of the library is called with beside images."""
    task = getattr(network.module, "semantic_task", None)
    return {} if task is None else {"task_inputs": task.expand(2, -1)}


@pytest.mark.parametrize("kind", TINY)
def test_a_folder_is_the_network_as_published(kind, save):
    ours, folder = save(kind)
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7], "do_normalize": True})
    )
    network = create_network(str(folder), source="huggingface")
    assert not network.training
    assert network.labels.names == tuple(NAMES)
    assert network.preprocessing.mean == pytest.approx((0.1, 0.2, 0.3))
    assert {"layer4", "head"} <= set(network.channels)
    assert network.preprocessing.size in (None, (64, 64))
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        output, theirs = network(x), ours.module.eval()(network.feed(x), **task_of(network))
    assert output.features["layer4"].shape[-2:] in ((2, 2), (4, 4))  # the image's aspect
    if kind in UNIVERSAL:
        likely = theirs.class_queries_logits.softmax(-1)[..., :-1]
        scores = torch.einsum("bqc,bqhw->bchw", likely, theirs.masks_queries_logits.sigmoid())
        assert torch.equal(output.logits.argmax(1), scores.argmax(1))
        assert output.certainty.shape == output.logits[:, 0].shape
    else:
        assert torch.equal(output.logits, theirs.logits)


@pytest.mark.parametrize("kind", TINY)
def test_the_spec_builds_it_offline(kind):
    contract.check_spec(make(kind))


@pytest.mark.parametrize("kind", TINY)
def test_output_and_file(kind, tmp_path):
    contract.check_output(make(kind))
    contract.check_no_trace(make(kind))
    contract.check_file(make(kind), tmp_path)


@pytest.mark.parametrize("kind", ["segformer", "mobilevit", "mobilenet_v2", "mask2former"])
def test_a_student_gets_gradients(kind):
    network = make(kind).train()
    network(torch.rand(2, 3, 64, 64)).logits.square().sum().backward()
    silent = {key for key, p in network.named_parameters() if p.grad is None}
    assert all(
        any(part in key for part in ("swin.layernorm.weight", "swin.layernorm.bias", "level_embed", "conv_1x1"))
        for key in silent
    )


@pytest.mark.parametrize("kind", ["mask2former", "maskformer", "oneformer"])
def test_argmax_is_that_of_the_library(kind):
    import transformers

    cls = {
        "mask2former": "Mask2FormerImageProcessor",
        "maskformer": "MaskFormerImageProcessor",
        "oneformer": "OneFormerImageProcessor",
    }[kind]
    network = make(kind).eval()
    with torch.no_grad():
        raw = network.module(network.feed(torch.rand(2, 3, 64, 64)))
    raw.masks_queries_logits = torch.nn.functional.interpolate(raw.masks_queries_logits, (384, 384))
    theirs = getattr(transformers, cls)().post_process_semantic_segmentation(raw)
    ours = pixel_scores(raw.class_queries_logits, raw.masks_queries_logits)
    assert (ours.logits.argmax(1) == torch.stack(theirs)).float().mean() > 0.999


@pytest.mark.parametrize("kind", ["eomt", "eomt_dinov3"])
def test_argmax_of_eomt_is_that_of_the_library_from_the_picture_on(kind, save):
    """A square picture is one window of the library's image processor, so that both see the same."""
    from transformers import EomtImageProcessor

    _, folder = save(kind)
    processor = EomtImageProcessor(size={"shortest_edge": 64, "longest_edge": 64}, do_split_image=True)
    processor.save_pretrained(folder)
    network = create_network(str(folder), source="huggingface")
    picture = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    inputs = processor(images=[picture], return_tensors="pt")
    with torch.no_grad():
        raw = network.module(pixel_values=inputs["pixel_values"])
        raw.patch_offsets = [(0, 0, 16)]
        ours = network(picture[None] / 255).logits
    at_masks = {"shortest_edge": 16, "longest_edge": 16}
    (theirs,) = processor.post_process_semantic_segmentation(raw, target_sizes=[(16, 16)], size=at_masks)
    assert torch.allclose(network.feed(picture[None] / 255), inputs["pixel_values"], atol=1e-5)
    assert torch.equal(ours.argmax(1)[0], theirs)


def test_pixel_scores_are_a_log_posterior():
    torch.manual_seed(0)
    classes, masks = torch.randn(2, 4, 6), torch.randn(2, 4, 5, 7) - 3
    output = pixel_scores(classes, masks)
    scores = torch.zeros(2, 5, 5, 7)
    for query in range(4):
        scores += classes.softmax(-1)[:, query, :5, None, None] * masks[:, query : query + 1].sigmoid()
    assert torch.allclose(output.logits.softmax(1), scores / scores.sum(1, keepdim=True), atol=1e-4)
    assert torch.allclose(output.certainty, scores.sum(1).clamp(max=1))
    assert (output.certainty < 1).any()


def test_oneformer_is_told_its_task_as_the_librarys_processor_tells_it(save):
    from transformers import CLIPTokenizer, OneFormerImageProcessor, OneFormerProcessor

    _, folder = save("oneformer")
    tokenizer = CLIPTokenizer.from_pretrained(folder)
    network = create_network(str(folder), source="huggingface")
    processor = OneFormerProcessor(OneFormerImageProcessor(), tokenizer)
    theirs = processor._preprocess_text(["the task is semantic"], max_length=77)
    assert torch.equal(network.module.semantic_task, theirs)
    assert network.spec["options"]["task"] == theirs[0][theirs[0] > 0].tolist()
    assert "semantic_task" not in network.module.state_dict()


def test_oneformer_answers_otherwise_for_another_task():
    image = torch.rand(1, 3, 64, 64)
    first, second = (make("oneformer", task=task).eval()(image).logits for task in ([7, 3, 5], [7, 3, 9]))
    assert not torch.equal(first, second)
    assert make("oneformer", task=[]).eval()(image).logits.shape == first.shape


def test_oneformer_needs_its_tokenizer_or_its_task(save):
    _, folder = save("oneformer")
    (folder / "vocab.json").unlink()
    with pytest.raises(RuntimeError, match="must bring its tokenizer"):
        create_network(str(folder), source="huggingface")
    network = create_network(str(folder), source="huggingface", options={"task": [4, 2]})
    assert network.module.semantic_task[0, :3].tolist() == [4, 2, 0]
    with pytest.raises(ValueError, match="at most 77 token ids"):
        create_network(str(folder), source="huggingface", options={"task": [1] * 78})


def test_a_family_that_the_library_does_not_have_yet(monkeypatch):
    import transformers

    monkeypatch.setattr(transformers.AutoConfig, "for_model", lambda *_, **__: pytest.fail("too late"))
    monkeypatch.setitem(FAMILIES, "segformer", FAMILIES["segformer"]._replace(model="NotYet"))
    with pytest.raises(RuntimeError, match="pip install -U transformers"):
        make("segformer")


def test_other_classes_need_a_new_head(save):
    ours, folder = save("segformer")
    student = create_network(str(folder), source="huggingface", num_classes=3, pretrained=True)
    assert (student.num_classes, student.labels, student.training) == (3, None, True)
    key = "decode_head.linear_fuse.weight"
    assert torch.equal(student.module.state_dict()[key], ours.module.state_dict()[key])
    fresh = create_network(str(folder), source="huggingface", num_classes=3)
    assert not torch.equal(fresh.module.state_dict()[key], ours.module.state_dict()[key])


def test_a_teacher_of_queries_answers(save):
    teacher = Teacher(create_network(str(save("mask2former")[1]), source="huggingface"))
    output = teacher(torch.rand(1, 3, 65, 97))
    assert output.certainty.shape == output.logits[:, 0].shape
    assert torch.isfinite(output.logits).all()
    assert isinstance(teacher.network, Network)


def test_what_is_refused(save, tmp_path):
    _, folder = save("segformer")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="pickles are not read"):
        create_network(str(folder), source="huggingface")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "evil.Net"}}))
    with pytest.raises(ValueError, match="`auto_map`"):
        create_network(str(folder), source="huggingface")
    with pytest.raises(ValueError, match="hidden_sizes"):
        make("segformer", hidden_size=[8])
    with pytest.raises(RuntimeError, match="cannot be had"):
        create_network("nobody/nothing", source="huggingface")
    with pytest.raises(ValueError, match="segformer"):
        create_network("segfomer", source="huggingface", num_classes=3)
