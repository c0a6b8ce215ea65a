"""Planning: the best sparsity, size and data for a budget, with its uncertainty."""
