"""Reference implementation of pseudobulk for a small file: in memory, dense, one cell type at a
time."""

import anndata
import numpy as np


def profiles(h5ad, cell_type_key, gene_of_name, *, layer=None, donor_key=None, min_cells=10):
    """{(cell type, gene id): (log2cpm, counts, n_cells, se)}, se over cells or donors.

    gene_of_name: {name in var's index: gene id}. For at most 32 donors per type.
    """
    adata = anndata.read_h5ad(h5ad)
    x = dense(adata.X if layer is None else adata.layers[layer])
    types = adata.obs[cell_type_key].to_numpy()
    found = {}
    for cell_type in set(types) - {np.nan}:
        mine = (types == cell_type) & (x.sum(axis=1) > 0)
        if mine.sum() < min_cells:
            continue
        units = x[mine]
        if donor_key is not None:
            donors = adata.obs[donor_key].to_numpy()[mine]
            units = np.array([units[donors == donor].sum(axis=0) for donor in np.unique(donors)])
        for gene in set(gene_of_name.values()):
            columns = [gene_of_name.get(name) == gene for name in adata.var_names]
            if any(columns):
                gene_values = units[:, columns].sum(axis=1)
                figures = ratio(gene_values, units.sum(axis=1))
                found[cell_type, gene] = (figures[0], gene_values.sum(), mine.sum(), figures[1])
    return found


def dense(x):
    return np.asarray(x.toarray() if hasattr(x, "toarray") else x, dtype=np.float64)


def ratio(x, n):
    """log2(CPM + 1) of one gene and its standard error, from units' values and totals."""
    m, share = len(x), x.sum() / n.sum()
    cpm = 1e6 * share
    if m < 2:
        return np.log2(cpm + 1), np.nan
    variance = m / (m - 1) * np.sum((x - share * n) ** 2) / n.sum() ** 2
    return np.log2(cpm + 1), 1e6 * np.sqrt(variance) / ((cpm + 1) * np.log(2))


def reliability(x, genes, group_of_cell, orders):
    """Mean Spearman-Brown reliability of one type.

    x: [n_cells, n_columns]; genes: the columns correlated; orders: one permutation of the groups
    a split, groups of the lower ranks making one half.
    """
    found = []
    for order in orders:
        in_half = np.array([order[group] < len(order) // 2 for group in group_of_cell])
        one, other = (
            np.log2(1e6 * part[:, genes].sum(axis=0) / part.sum() + 1)
            for part in (x[in_half], x[~in_half])
        )
        r = np.corrcoef(one, other)[0, 1]
        found.append(max(0.0, 2 * r / (1 + r)))
    return np.mean(found)
