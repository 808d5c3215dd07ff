"""The accountants: exact tools, Fourier inversion, the lattice, Rényi curves and pure epsilons."""
