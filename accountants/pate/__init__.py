"""Data-dependent costs of private aggregation of teacher ensembles (PATE), and how one may be published.

They hold where nothing but the noisy ARGMAX of each vote table was released (and, for Confident-GNMax, the outcome of its
test). A released noisy histogram reveals more and costs the data-independent epsilon.

A cost that looks at the votes is a function of private data. It is given either inside a box that shows nothing, or as
a plan of a noisy release that a mechanism carries out; nothing here draws noise.
"""
