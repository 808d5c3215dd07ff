"""The layers that ghost clipping covers: for each kind, how norms and sums of gradients follow from inputs and outputs."""
