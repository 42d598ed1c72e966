"""Gene ids of different releases in one form."""

import pytest

from geneq.gene_ids import stable_id


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("ENSG00000000003", "ENSG00000000003"),
        ("ENSG00000000003.15", "ENSG00000000003"),
        ("ENSG00000223972.5_2", "ENSG00000223972"),
        ("ENSG00000182378.15_PAR_Y", "ENSG00000182378"),
        ("ENSG00000182378_PAR_Y", "ENSG00000182378"),
        ("ENSG00000182378.14_5_PAR_Y", "ENSG00000182378"),
        ("ENSG00000182378.14_PAR_Y_5", "ENSG00000182378"),
        ("ENSGR0000182378", "ENSG00000182378"),
        ("ENSGR0000182378.10", "ENSG00000182378"),
        ("ENSGR0000182378.10_1", "ENSG00000182378"),
        ("ENSMUSG00000000001.5", "ENSMUSG00000000001"),
        ("ENSDARG00000104632.2", "ENSDARG00000104632"),
        ("ENSGGOG00000012345.1", "ENSGGOG00000012345"),
    ],
)
def test_ensembl_ids_lose_what_differs_between_releases(given, expected):
    assert stable_id(given) == expected


@pytest.mark.parametrize(
    "whole",
    [
        *("Y74C9A.6", "AC012345.1", "YAL026C-A", "FBgn0000490", "HLA-A", "", "ENSG", "ENSG1.2.3"),
        *("ENSG00000000003.x", "ENSGR12", "GENE_2", "WBGene00000001", "AT1G01010"),
    ],
)
def test_other_names_are_left_as_they_are(whole):
    assert stable_id(whole) == whole


def test_the_copy_of_a_pseudoautosomal_gene_without_ensembl_id_loses_its_mark():
    assert stable_id("SHOX_PAR_Y") == "SHOX"
