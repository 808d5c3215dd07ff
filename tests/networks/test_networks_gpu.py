"""Networks on an accelerator: every tensor that they make themselves is made there."""

import pytest
import torch

from privkd.networks import (
    CenterHead,
    MiniCLIP,
    SelectiveScan,
    SimplexHead,
    TinyViT,
    UNetSmall,
    Vocabulary,
    Window,
    clamp_box,
)

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")]


def test_answers_on_the_accelerator_are_those_of_the_processor():
    x, time = torch.rand(2, 1, 48, 48), torch.tensor([0.1, 0.9])
    mask = torch.arange(12)[None] < torch.tensor([[3], [12]])
    scenes, texts = torch.rand(2, 3, 64, 64), ["red", "red disc"]
    for network, inputs in [
        (TinyViT(), (x,)),
        (TinyViT(24), (x,)),
        (UNetSmall(timed=True), (x, time)),
        (SimplexHead(6, 4), (torch.rand(2, 6),)),
        (MiniCLIP(Vocabulary(["red", "disc"])), (scenes, texts)),
        (SelectiveScan(6), (torch.rand(2, 12, 6), None, mask)),
    ]:
        network = network.eval()
        moved = [part.cuda() if isinstance(part, torch.Tensor) else part for part in inputs]
        with torch.no_grad():
            here, there = network(*inputs), network.cuda()(*moved)
        here, there = (answer[0] if isinstance(answer, tuple) else answer for answer in (here, there))
        assert torch.allclose(here, there.cpu(), atol=1e-2), type(network).__name__  # convolutions run in TF32


def test_geometry_stays_where_the_boxes_are():
    window, boxes = Window(20.0, 20.0, 16.0, 32), torch.tensor([[18.0, 18.0, 4.0, 4.0]], device="cuda")
    assert window.into_frame(window.into_patch(boxes)).device == clamp_box(boxes, 40, 40).device == boxes.device
    assert window.crop(torch.rand(3, 40, 40, device="cuda")).device == boxes.device
    assert CenterHead(4).cuda()(torch.rand(1, 4, 6, 6, device="cuda")).boxes().device == boxes.device
