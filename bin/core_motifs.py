#!/usr/bin/env python3
"""Write python/geneq/data/core.meme, the motif file that geneq ships, from consensus sequences.

Usage: bin/core_motifs.py > python/geneq/data/core.meme

A consensus symbol that allows k bases gives each of them (1 - 0.03 (4 - k)) / k and each other
base 0.03. The consensus sequences are the field's common knowledge; surveys that print them:
Xie et al., Nature 434:338 (2005), table 1; FitzGerald et al., Genome Res. 14:1562 (2004), table 1;
Lambert et al., Cell 172:650 (2018), figure 3; Vorontsov et al., NAR 52:D154 (2024).
"""

IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT",
    "K": "GT", "M": "AC", "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip

OTHER = 0.03

CONSENSUS = {
    "SP1": "RGGGGCGGGGC",
    "KLF": "RGGGYGTGGC",
    "EGR": "TGCGTGGGCG",
    "NFY": "RRCCAATSRG",
    "NRF1": "YGCGCATGCGCR",
    "ETS": "NACCGGAAGTG",
    "CREB": "TGACGTCA",
    "AP1": "VTGASTCAB",
    "YY1": "CAAGATGGCGGC",
    "TATA": "STATAAAWR",
    "USF": "GTCACGTGRY",
    "E2F": "TTTSGCGCSN",
    "IRF": "RAAANNGAAAST",
    "STAT": "TTCCNGGAA",
    "NFKB": "GGGRNWYYCC",
    "RUNX": "NTGTGGTTW",
    "GATA": "WGATAAGR",
    "CEBP": "RTTGCGYAAY",
    "POU2F": "WATGCAAATN",
    "MEF2": "YTAWWWWTAR",
    "SRF": "CCWTATAWGG",
    "TEAD": "RCATTCCWR",
    "CTCF": "NCCASYAGRKGGCRS",
    "ZNF143": "ACTACAATTCC",
    "REST": "TTCAGCACCATGGACAG",
    "RFX": "GTNRCCNTGGYAAC",
    "HNF1": "GTTAATNATTAAC",
    "HNF4": "RGGNCAAAGKYCA",
    "FOX": "TRTTTACWTW",
    "SOX": "RRACAAWGR",
    "TCF7": "SCTTTGATS",
    "TP53": "RRRCATGYYYRRRCATGYYY",
    "ESRR": "TCAAGGTCA",
    "EBOX": "RNCAGCTGNY",
    "HOX": "NTAATTAR",
    "MYB": "YAACGGYYN",
    "EBF": "TCCCNNGGGA",
    "TBX": "AGGTGTGARA",
}


def row(symbol: str) -> str:
    allowed = IUPAC[symbol]
    kept = (1 - OTHER * (4 - len(allowed))) / len(allowed)
    return " ".join(f"{kept if base in allowed else OTHER:.6f}" for base in "ACGT")


def main() -> None:
    print("MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n")
    print("Background letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25")
    for name, consensus in CONSENSUS.items():
        print(f"\nMOTIF {name} {consensus}")
        print(f"letter-probability matrix: alength= 4 w= {len(consensus)} nsites= 100 E= 0")
        print("\n".join(row(symbol) for symbol in consensus))


if __name__ == "__main__":
    main()
