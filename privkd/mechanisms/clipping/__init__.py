"""Sums of clipped gradients, record by record exact: no noise, no ledger, nothing that may be released as it is."""

from privkd.mechanisms.clipping.clipped import ClippedSum as ClippedSum
from privkd.mechanisms.clipping.clipper import Clipper as Clipper
from privkd.mechanisms.clipping.clipper import clipped_sum as clipped_sum
from privkd.mechanisms.clipping.fixing import fix as fix
from privkd.mechanisms.clipping.rules import Automatic as Automatic
from privkd.mechanisms.clipping.rules import Flat as Flat
from privkd.mechanisms.clipping.rules import PerLayer as PerLayer
from privkd.mechanisms.clipping.rules import Rule as Rule
from privkd.mechanisms.clipping.validation import problems as problems
