"""Networks as exported programs: the same answers as the module, for batches of other sizes, and the same refusals."""

import pytest
import torch

from privkd.networks import LRNet16, SmallNet, TinyViT, UNetSmall, fuse

torch.manual_seed(0)  # of the networks that are parameters of tests
BATCH = torch.export.Dim("batch", min=2, max=64)


@pytest.mark.parametrize(
    ("network", "shapes"),
    [
        (LRNet16(), [(3, 16, 16)]),
        (fuse(LRNet16()), [(3, 16, 16)]),
        (SmallNet(8), [(1, 8, 8)]),
        (TinyViT(), [(2, 1, 24, 36)]),  # positions are interpolated inside the program
        (UNetSmall(timed=True), [(1, 16, 16), ()]),
    ],
)
def test_an_exported_program_answers_as_the_network_does_for_any_batch(network, shapes):
    network = network.eval()

    def rows(count: int) -> tuple[torch.Tensor, ...]:
        generator = torch.Generator().manual_seed(count)
        return tuple(torch.rand(count, *shape, generator=generator) for shape in shapes)

    program = torch.export.export(network, rows(4), dynamic_shapes=({0: BATCH},) * len(shapes)).module()
    with torch.no_grad():
        for count in (2, 7):
            assert torch.allclose(program(*rows(count)), network(*rows(count)), atol=1e-6)
        assert not torch.allclose(program(*rows(7)), network(*(2 * part for part in rows(7))), atol=1e-4)
    with pytest.raises(AssertionError, match="Guard failed"):
        program(rows(2)[0][..., 1:], *rows(2)[1:])
