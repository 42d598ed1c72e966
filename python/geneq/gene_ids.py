"""Gene ids in one form, so that annotations and expression files of different releases can be
compared."""

import re

__all__ = ["stable_id"]

# GENCODE adds to an Ensembl id its version (ENSG00000000003.15), in annotations lifted to GRCh37
# the number of the mapping (.5_2), and for the copies of pseudoautosomal genes on chrY _PAR_Y.
_ENSEMBL_GENE = re.compile(r"(ENS[A-Z]*G\d+)(?:\.\d+)?(?:_\d+|_PAR_Y)*")
# GENCODE up to release 24 marked those copies by an R in place of the first zero.
_OLD_PAR_Y = re.compile(r"ENSGR(\d{10})(?=\D|$)")


def stable_id(gene_id: str) -> str:
    """A gene id without what differs between releases of one annotation.

    Parameters
    ----------
    gene_id : str
        As a GTF or an expression file has it.

    Returns
    -------
    str
        An Ensembl gene id of any species without version, without the mapping number of GENCODE's
        lift37 releases and without the mark of a pseudoautosomal copy on chrY, both as
        `ENSG00000182378.15_PAR_Y` and as `ENSGR0000182378.10`. Other ids as they are, except for
        a final `_PAR_Y`: `Y74C9A.6` (worm) and `AC012345.1` are complete names.

    Examples
    --------
    >>> stable_id("ENSG00000223972.5_2")
    'ENSG00000223972'
    >>> stable_id("ENSGR0000182378.10")
    'ENSG00000182378'
    """
    gene_id = _OLD_PAR_Y.sub(r"ENSG0\1", gene_id, count=1) if gene_id[:5] == "ENSGR" else gene_id
    ensembl = _ENSEMBL_GENE.fullmatch(gene_id)
    return ensembl.group(1) if ensembl else gene_id.removesuffix("_PAR_Y")
