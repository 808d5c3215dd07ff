"""Words, sentences and images in one space: ids by hand, filling that changes nothing, and a small thing to be learned."""

import pytest
import torch
from networks.measured import parameters
from torch.nn import functional

from privkd.networks import ImageTextEncoder, MiniCLIP, TextEncoder, TinyText, Vocabulary

WORDS = Vocabulary(["red", "green", "blue", "disc", "square"])
FULL = Vocabulary([f"w{position}" for position in range(198)])


def test_words_are_ordered_by_how_common_they_are_and_then_by_the_alphabet():
    vocabulary = Vocabulary.of(["b a", "B c", "a\tb"])
    assert vocabulary.words == ("b", "a", "c")
    assert vocabulary.ids("C  x\nb") == [4, 1, 2]
    assert len(vocabulary) == 5


def test_a_vocabulary_of_many_words_keeps_the_commonest():
    vocabulary = Vocabulary.of([f"w{position:03}" for position in range(300)] + ["w299"])
    assert len(vocabulary) == Vocabulary.largest == 200
    assert vocabulary.words[:2] == ("w299", "w000")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "words=0"),
        ([f"w{n}" for n in range(199)], "words=199"),
        (["a", "a"], "a word twice"),
        (["a b"], "white space or capitals"),
        (["A"], "white space or capitals"),
        ([""], "white space or capitals"),
    ],
)
def test_words_that_no_text_could_contain_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary(words)


def test_a_text_without_words_is_refused_and_not_quoted():
    with pytest.raises(ValueError, match="a text has no words"):
        TinyText(WORDS)(["red disc", " \n"])
    with pytest.raises(ValueError, match="texts is empty"):
        TinyText(WORDS)([])


def test_longer_neighbours_change_nothing_for_a_text():
    network = TinyText(WORDS).eval()
    alone, _ = network(["red disc"])
    together, mask = network(["red disc", "blue square blue square blue"])
    assert mask.tolist() == [[True, True, False, False, False], [True] * 5]
    assert torch.allclose(together[0, :2], alone[0], atol=1e-5)
    assert not torch.allclose(network(["disc red"])[0].mean(1), alone.mean(1), atol=1e-4)  # the order of words counts


def test_texts_that_are_too_long_are_cut_with_a_warning():
    network = TinyText(WORDS, length=2).eval()
    with pytest.warns(UserWarning, match="1 of 2 texts were cut to length=2 words"):
        tokens, _ = network(["red disc blue", "red"])
    assert torch.allclose(tokens[0], network(["red disc"])[0][0], atol=1e-5)


def test_small_encoders_have_the_published_interfaces_and_sizes():
    assert parameters(TinyText(FULL)) == (200 + 40) * 64 + 2 * 33_472 + 128 == 82_432
    convolutions = 9 * (3 * 32 + 32 * 64 + 64 * 96 + 96 * 128) + 2 * (32 + 64 + 96 + 128)
    assert parameters(MiniCLIP(FULL)) == 82_432 + convolutions + 129 * 64 + 65 * 64 + 1 == 280_673
    assert isinstance(TinyText(WORDS), TextEncoder)
    assert isinstance(MiniCLIP(WORDS), ImageTextEncoder)
    assert not isinstance(TinyText(WORDS), ImageTextEncoder)


def test_both_sides_give_unit_vectors_and_patches_average_to_the_image():
    network, x = MiniCLIP(WORDS, dim=16, image_size=32).eval(), torch.rand(3, 3, 32, 32)
    images, texts = network.encode_image(x), network.encode_text(["red", "green disc", "green disc"])
    assert torch.allclose(images.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.allclose(texts.norm(dim=1), torch.ones(3), atol=1e-5)
    assert network.encode_patches(x).shape == (3, 4, 16)
    assert torch.allclose(functional.normalize(network.encode_patches(x).mean(1), dim=1), images, atol=1e-5)
    assert torch.allclose(network(x, ["red", "green disc"]), images @ texts[:2].T / 0.07, atol=1e-4)


def test_a_text_is_the_mean_of_its_words_and_filling_is_no_word():
    network = MiniCLIP(WORDS).eval()
    tokens, _ = network.text(["red green disc"])
    by_hand = functional.normalize(network.project_text(tokens[0].mean(dim=0)), dim=0)
    assert torch.allclose(network.encode_text(["red green disc", "red disc blue square red"])[0], by_hand, atol=1e-5)


def test_the_temperature_never_falls_below_a_hundredth():
    network, x = MiniCLIP(WORDS, image_size=16).eval(), torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        network.log_scale.fill_(50.0)
        assert network(x, ["red"]).abs().max() <= 100.0 + 1e-3


def test_images_of_another_size_are_refused():
    for shape in [(1, 3, 32, 32), (1, 1, 64, 64), (3, 64, 64)]:
        with pytest.raises(ValueError, match=r"takes images \(b, 3, 64, 64\)"):
            MiniCLIP(WORDS).encode_image(torch.zeros(shape))
    with pytest.raises(ValueError, match="image_size=15"):
        MiniCLIP(WORDS, image_size=15)


def test_a_mini_clip_learns_the_names_of_three_colours():
    torch.manual_seed(0)
    names, generator = ["red", "green", "blue"], torch.Generator().manual_seed(0)
    network = MiniCLIP(WORDS, image_size=16)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)

    def images() -> torch.Tensor:
        return 0.3 * torch.rand(3, 3, 16, 16, generator=generator) + 0.6 * torch.eye(3)[:, :, None, None]

    for _ in range(30):
        logits, truth = network(images(), names), torch.arange(3)
        optimizer.zero_grad()
        (functional.cross_entropy(logits, truth) + functional.cross_entropy(logits.T, truth)).backward()
        optimizer.step()
    with torch.no_grad():
        right = [network.eval()(images(), names).argmax(1).tolist() == [0, 1, 2] for _ in range(5)]
        assert all(right)
        assert network(images(), ["green", "red", "blue"]).argmax(1).tolist() == [1, 0, 2]
