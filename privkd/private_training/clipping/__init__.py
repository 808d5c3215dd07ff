"""Sums of clipped gradients, record by record exact: no noise, no ledger, nothing that may be released as it is."""

from privkd.private_training.clipping.clipped_sum import ClippedSum as ClippedSum
from privkd.private_training.clipping.clipper import Clipper as Clipper
from privkd.private_training.clipping.clipper import clipped_sum as clipped_sum
from privkd.private_training.clipping.replacements import fix as fix
from privkd.private_training.clipping.rules import Automatic as Automatic
from privkd.private_training.clipping.rules import Flat as Flat
from privkd.private_training.clipping.rules import PerLayer as PerLayer
from privkd.private_training.clipping.rules import Rule as Rule
from privkd.private_training.clipping.static_checks import problems as problems
