"""Tiny random networks of transformers, saved to a folder and loaded back."""

import json

import pytest
import torch
from tests.networks import contract

from segdistill.networks import Network, Teacher, create_network
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
}  # fmt: skip
UNIVERSAL = ("mask2former", "maskformer", "eomt")
NAMES = [f"thing {i}" for i in (3, 1, 4, 0, 2)]


def make(kind, **changes):
    torch.manual_seed(0)
    return create_network(kind, source="huggingface", num_classes=5, options={**TINY[kind], **changes})


@pytest.fixture
def save(tmp_path):
    def save(kind):
        network = make(kind)
        network.module.config.id2label = dict(enumerate(NAMES))
        network.module.save_pretrained(tmp_path / kind)
        return network, tmp_path / kind

    return save


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
        output, theirs = network(x), ours.module.eval()(network.feed(x))
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


@pytest.mark.parametrize("kind", ["mask2former", "maskformer"])
def test_argmax_is_that_of_the_library(kind):
    import transformers

    cls = {"mask2former": "Mask2FormerImageProcessor", "maskformer": "MaskFormerImageProcessor"}[kind]
    network = make(kind).eval()
    with torch.no_grad():
        raw = network.module(network.feed(torch.rand(2, 3, 64, 64)))
    raw.masks_queries_logits = torch.nn.functional.interpolate(raw.masks_queries_logits, (384, 384))
    theirs = getattr(transformers, cls)().post_process_semantic_segmentation(raw)
    ours = pixel_scores(raw.class_queries_logits, raw.masks_queries_logits)
    assert (ours.logits.argmax(1) == torch.stack(theirs)).float().mean() > 0.999


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
