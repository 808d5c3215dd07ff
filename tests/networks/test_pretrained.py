"""Adapters of published encoders, on tiny real models with random weights: nothing is downloaded."""

import json
import sys
import types

import pytest
import torch
from torch.nn import functional

from privkd.networks import FrameEncoder, ImageTextEncoder, Tap, TextEncoder
from privkd.networks.pretrained import BertHF, ClipHF, MaeHF, OpenClip, TimmEncoder, TorchvisionEncoder, encoder
from privkd.networks.pretrained.hub import optional

WORDS = ["<pad>", "<end>", "<other>", "a", "red", "blue", "disc"]
TEXTS = ["a red disc", "disc"]


@pytest.fixture(scope="module")
def transformers(torchvision):
    return pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def tokenizer(transformers):
    """A real one, of whole words, that ends texts as CLIP's does."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = Tokenizer(models.WordLevel({word: position for position, word in enumerate(WORDS)}, unk_token="<other>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.post_processor = processors.TemplateProcessing("$A <end>", special_tokens=[("<end>", 1)])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<end>")


@pytest.fixture(scope="module")
def clip_hf(transformers, tokenizer):
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = small | {"vocab_size": len(WORDS), "max_position_embeddings": 6, "eos_token_id": 1, "pad_token_id": 0}
    vision = small | {"image_size": 32, "patch_size": 16}
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)
    return ClipHF(config, weights=None, tokenizer=tokenizer)


@pytest.fixture(scope="module")
def open_clip(torchvision, tmp_path_factory):
    library = pytest.importorskip("open_clip")
    vision = {"image_size": 32, "patch_size": 16, "width": 16, "layers": 1, "head_width": 8}
    text = {"context_length": 8, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1}
    path = tmp_path_factory.mktemp("open_clip") / "tiny-for-tests.json"
    path.write_text(json.dumps({"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}))
    library.add_model_config(path)
    return OpenClip("tiny-for-tests")


@pytest.fixture(scope="module")
def timm(torchvision):
    return pytest.importorskip("timm")


@pytest.fixture(scope="module")
def mae(transformers):
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.ViTMAEConfig(**small, image_size=32, patch_size=16, mask_ratio=0.75)
    return MaeHF(config, weights=None)


@pytest.fixture(scope="module")
def bert(transformers, tokenizer):
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.BertConfig(**small, vocab_size=len(WORDS), max_position_embeddings=6)
    return BertHF(config, weights=None, tokenizer=tokenizer)


IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["clip_hf", "open_clip"])
def test_image_text_encoders_keep_the_promise_of_their_protocol(name, request):
    adapter = request.getfixturevalue(name)
    assert isinstance(adapter, ImageTextEncoder)
    assert (adapter.dim, adapter.image_size, adapter.training) == (8, 32, False)
    images, texts = adapter.encode_image(IMAGES), adapter.encode_text(TEXTS)
    for vectors in (images, texts):
        assert vectors.shape == (2, 8)
        assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-5)
    assert not torch.allclose(texts[0], texts[1], atol=1e-4)
    assert adapter.encode_patches(IMAGES).shape == (2, 4, 8)
    assert torch.allclose(adapter.encode_text(["disc"])[0], texts[1], atol=1e-5)  # filling changes nothing


def test_clip_answers_what_its_library_does(clip_hf, tokenizer):
    tokens = tokenizer(TEXTS, padding=True, return_tensors="pt")
    pixels = (IMAGES - clip_hf.mean) / clip_hf.std
    theirs = clip_hf.model(tokens["input_ids"], pixels, tokens["attention_mask"])
    assert torch.allclose(clip_hf.encode_image(IMAGES), theirs.image_embeds, atol=1e-5)
    assert torch.allclose(clip_hf.encode_text(TEXTS), theirs.text_embeds, atol=1e-5)
    pooled = clip_hf.model.vision_model(pixels).last_hidden_state
    by_hand = clip_hf.model.visual_projection(clip_hf.model.vision_model.post_layernorm(pooled))
    assert torch.allclose(clip_hf.encode_patches(IMAGES), by_hand[:, 1:], atol=1e-5)
    assert torch.allclose(functional.normalize(by_hand[:, 0], dim=1), theirs.image_embeds, atol=1e-5)


def test_open_clip_answers_what_its_library_does(open_clip):
    pixels = (IMAGES - open_clip.mean) / open_clip.std
    theirs = functional.normalize(open_clip.model.visual(pixels), dim=1)
    assert torch.allclose(open_clip.encode_image(IMAGES), theirs, atol=1e-5)


@pytest.mark.parametrize(("name", "dim", "fixed"), [("resnet10t", 512, False), ("test_vit", 64, True)])
def test_timm_gives_vectors_and_maps_with_the_pixels_of_its_own_card(timm, name, dim, fixed):
    vectors, maps = TimmEncoder(name, weights=None), TimmEncoder(name, weights=None, maps=True)
    side = vectors.image_size or 64
    images = torch.rand(2, 3, side, side)
    assert isinstance(vectors, FrameEncoder)
    assert (vectors.image_size is not None) == fixed
    assert vectors(images).shape == (2, dim) == (2, vectors.dim)
    assert maps(images).shape[:2] == (2, maps.dim)
    assert maps(images).dim() == 4
    about = timm.create_model(name).pretrained_cfg
    assert torch.allclose(vectors.mean.flatten(), torch.tensor(about["mean"]))
    assert torch.allclose(vectors(images), vectors.model((images - vectors.mean) / vectors.std))


@pytest.mark.parametrize(("name", "dim", "layer"), [("resnet18", 512, "model.layer2"), ("squeezenet1_0", None, None)])
def test_torchvision_gives_vectors_and_taps_give_maps(torchvision, name, dim, layer):
    if dim is None:
        with pytest.raises(ValueError, match="'squeezenet1_0' does not end in a linear classifier"):
            TorchvisionEncoder(name, weights=None)
        return
    adapter = TorchvisionEncoder(name, weights=None)
    assert isinstance(adapter, FrameEncoder)
    vectors, maps = Tap(adapter, [layer])(torch.rand(2, 3, 64, 64))
    assert vectors.shape == (2, dim) == (2, adapter.dim)
    assert maps[layer].shape == (2, 128, 8, 8)


def test_a_masked_autoencoder_sees_every_patch_in_its_place_and_always_answers_the_same(mae):
    tokens = mae.encode_tokens(IMAGES)
    assert isinstance(mae, FrameEncoder)
    assert tokens.shape == (2, 1 + 4, mae.dim)
    assert torch.equal(mae(IMAGES), tokens[:, 0])
    assert torch.equal(mae.encode_tokens(IMAGES), tokens)
    pixels = (IMAGES - mae.mean) / mae.std
    patch = mae.model.embeddings.patch_embeddings(pixels) + mae.model.embeddings.position_embeddings[:, 1:]
    _, maps = Tap(mae, ["model.embeddings"])(IMAGES)
    assert torch.allclose(maps["model.embeddings"][:, 1:], patch, atol=1e-5)


def test_bert_gives_tokens_and_a_mask_and_filling_changes_nothing(bert):
    tokens, mask = bert(TEXTS)
    assert isinstance(bert, TextEncoder)
    assert tokens.shape == (2, 4, 16) == (2, 4, bert.dim)
    assert mask.tolist() == [[True] * 4, [True, True, False, False]]
    assert torch.allclose(bert(["disc"])[0][0], tokens[1, :2], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("clip_hf", "model.vision_model.encoder.layers.0"),
        ("mae", "model.embeddings"),
        ("open_clip", "model.visual.conv1"),
    ],
)
def test_taps_reach_into_adapters(name, part, request):
    adapter = request.getfixturevalue(name)
    see = getattr(adapter, "encode_image", adapter)
    with Tap(adapter, [part]) as tap, torch.no_grad():
        vectors = see(IMAGES)
    assert tap[part].shape[0] == len(vectors) == 2


def test_adapters_move_with_their_pixels_and_keep_them_out_of_files(mae):
    assert mae.double()(IMAGES.double()).dtype == torch.float64
    mae.float()
    assert not {"mean", "std"} & set(mae.state_dict())


@pytest.mark.parametrize("name", ["clip_hf", "open_clip", "mae"])
def test_images_of_another_kind_are_refused(name, request):
    adapter = request.getfixturevalue(name)
    see = getattr(adapter, "encode_image", adapter)
    with pytest.raises(TypeError, match="takes floats in"):
        see((255 * IMAGES).to(torch.uint8))
    for wrong in (torch.zeros(2, 3, 32, 31), torch.zeros(2, 1, 32, 32), torch.zeros(3, 32, 32)):
        with pytest.raises(ValueError, match=r"takes images \(b, 3, 32, 32\): resize them"):
            see(wrong)


@pytest.mark.parametrize("name", ["clip_hf", "open_clip", "bert"])
def test_texts_without_words_are_refused_and_long_ones_are_cut_with_a_warning(name, request):
    adapter = request.getfixturevalue(name)
    read = getattr(adapter, "encode_text", adapter)
    for wrong in ([], ["disc", " "]):
        with pytest.raises(ValueError, match="texts is empty or has one without words"):
            read(wrong)
    with pytest.warns(UserWarning, match="1 of 2 texts"):
        read(["a red disc", "a red disc a blue disc a red disc"])


def test_a_configuration_has_random_weights_only_and_a_network_without_tokenizer_reads_nothing(transformers, bert):
    config = bert.model.config
    with pytest.raises(ValueError, match="a BertConfig describes a network but has no weights"):
        BertHF(config)
    with pytest.raises(TypeError, match="a BertConfig is needed"):
        BertHF(transformers.ViTMAEConfig(), weights=None)
    with pytest.raises(ValueError, match="has no tokenizer"):
        BertHF(config, weights=None)(TEXTS)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: BertHF("no-one/has-this", local_files_only=True),
        lambda: ClipHF("no-one/has-this", weights=None, local_files_only=True),
        lambda: MaeHF("no-one/has-this", local_files_only=True),
        lambda: TimmEncoder("resnet18", local_files_only=True),
        lambda: TorchvisionEncoder("resnet18", local_files_only=True),
        lambda: OpenClip("ViT-B-32", "laion2b_s34b_b79k", local_files_only=True),
    ],
)
def test_weights_that_are_not_here_are_not_fetched_if_that_is_forbidden(ask, transformers, timm, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(FileNotFoundError, match="local_files_only=True forbids a download"):
        ask()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm", "must be ADAPTER:MODEL"),
        ("timm:", "must be ADAPTER:MODEL"),
        ("hub:x", "bert, clip, mae, open-clip, timm, torchvision"),
        ("timm:nonsense", "timm has no model 'nonsense'"),
        ("timm:vit_base_patch16_18x2_224", "timm has no published weights"),
        ("torchvision:nonsense", "torchvision has no classifier 'nonsense'"),
        ("open-clip:nonsense/x", "open_clip has no architecture 'nonsense'"),
        ("open-clip:ViT-B-32", "needs the tag of its weights"),
    ],
)
def test_names_of_nothing_are_refused(timm, name, message):
    with pytest.raises(ValueError, match=message):
        encoder(name)


def test_a_name_gives_the_adapter_with_its_settings(open_clip):
    assert isinstance(encoder("open-clip:tiny-for-tests/x", weights=None), OpenClip)
    timm_encoder = encoder("timm:resnet10t", weights=None, maps=True)
    assert isinstance(timm_encoder, TimmEncoder)
    assert timm_encoder.maps


def test_libraries_that_are_absent_or_do_not_fit_are_named_with_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match=r"timm is needed .* pip install privkd\[pretrained\]"):
        TimmEncoder("resnet18")

    def broken(name: str) -> types.ModuleType:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("privkd.networks.pretrained.hub.import_module", broken)
    with pytest.raises(ImportError, match="torchvision's compiled operators do not match this torch"):
        optional("timm")
