"""What each type of oracle is given, has for bins, and where its files come from.

Nothing here is imported from the oracles, so that listing them takes no time.
"""

from typing import NamedTuple

__all__ = ["CATALOGUE", "OracleType"]

TILED = "tiled, 64 nt apart unless --tile says otherwise"

PROFILES = "a profile placed once on each gene"


class OracleType(NamedTuple):
    """A type of oracle.

    what: what follows ``TYPE:``. bins: how it scores bins; "none" if features cannot be made of it.
    needs: files and formats. source: where they come from.
    """

    what: str
    bins: str
    needs: str
    source: str


CATALOGUE = {
    "motifs": OracleType(
        "core or FILE.meme", "its own", "a motif file in the MEME format; none for core",
        "core is part of geneq; HOCOMOCO, JASPAR and others publish MEME files",
    ),
    "kmers": OracleType("K, 1 to 6", "its own", "nothing", "part of geneq"),
    "deepbind": OracleType(
        "FOLDER or FOLDER:VALUES", "its own, a bin is one window", "db.tsv and params/ID.txt",
        "the archive of the DeepBind program, version 0.11",
    ),
    "sei": OracleType(
        "FOLDER or FOLDER:profiles", TILED,
        "sei.pth, target.names, seqclass.names, projvec_targets.npy, histone_inds.npy",
        "sei_model.tar.gz, doi:10.5281/zenodo.4906996",
    ),
    "enformer": OracleType(
        "FOLDER or FOLDER:TRACKS", PROFILES,
        "config.json, model.safetensors or pytorch_model.bin, targets_human.txt; enformer-pytorch",
        "the authors of enformer-pytorch publish the folder; Basenji's repository the targets",
    ),
    "borzoi": OracleType(
        "FOLDER or FOLDER:TRACKS", PROFILES,
        "config.json, model.safetensors; targets.txt for Borzoi Prime; borzoi-pytorch",
        "the authors of borzoi-pytorch publish the folder",
    ),
    "equation": OracleType("FILE.json", "none", "an equation", "written by geneq distill"),
    "keras": OracleType(
        "FILE.h5 or FILE.keras", TILED, "a convolutional Keras network", "your own"
    ),
    "deepstarr": OracleType(
        "FILE.h5", TILED, "the Keras weights of DeepSTARR",
        "de Almeida et al., Nature Genetics 54:613 (2022)",
    ),
    "xpresso": OracleType(
        "FILE.h5", "none", "the Keras weights of Xpresso",
        "Agarwal and Shendure, Cell Reports 31:107663 (2020)",
    ),
    "torchscript": OracleType(
        "FILE.pt", TILED, "a TorchScript module with geneq.json", "your own"
    ),
    "python": OracleType(
        "MODULE:FUNCTION", "its own with predict_bins, else " + TILED, "a function", "your own"
    ),
}  # fmt: skip
