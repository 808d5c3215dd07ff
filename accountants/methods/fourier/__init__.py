"""Composition by Fourier inversion on a shifted contour: both ends certified, at a cost that ignores the counts.

The privacy profile of a composition is delta(eps) = 1/(2 pi i) * integral of e^(K(z) - z eps) / (z (1 + z)) dz along
Re z = lambda > 0, where K is the SUM of the cumulant generating functions of the losses. Sampled Gaussians have
analytic integrands throughout, so quadrature converges geometrically and every error has a closed bound; no loss is
rounded to a grid. `lattice` answers the same question by entirely different numerics.
"""
