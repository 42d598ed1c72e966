//! Alphabets: symbols, their tokens, and what a symbol is in one-hot.
//!
//! The symbols of an alphabet are tokens 0…size-1, in its order; the token after them is the
//! unknown symbol, whose one-hot is all zero. Lower case is the same as upper case.

/// Token of a byte that is not a symbol.
pub const BAD: u8 = 255;
/// Most symbols an alphabet may have.
pub const MOST: usize = 64;
/// IUPAC codes for two or more bases of DNA and RNA.
const AMBIGUOUS: &[u8] = b"NRYSWKMBDHV";
/// The complement of every token of DNA and RNA.
pub const PAIRS: [u8; 5] = [3, 2, 1, 0, 4];

const NUCLEOTIDES: [u8; 256] = byte_table(b"ACGT", AMBIGUOUS);

/// The token of every byte: of `symbols` their place, of `unknown` the token after them.
const fn byte_table(symbols: &[u8], unknown: &[u8]) -> [u8; 256] {
    let mut table = [BAD; 256];
    let mut i = 0;
    while i < unknown.len() {
        table[unknown[i] as usize] = symbols.len() as u8;
        table[unknown[i].to_ascii_lowercase() as usize] = symbols.len() as u8;
        i += 1;
    }
    i = 0;
    while i < symbols.len() {
        table[symbols[i] as usize] = i as u8;
        table[symbols[i].to_ascii_lowercase() as usize] = i as u8;
        i += 1;
    }
    table
}

/// Is `byte` a nucleotide symbol (IUPAC, either case, no U and no gap)?
pub fn is_nucleotide(byte: u8) -> bool {
    NUCLEOTIDES[usize::from(byte)] != BAD
}

/// The symbols of a type of sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alphabet {
    /// The name of one of its symbols, with its article.
    what: &'static str,
    symbols: Vec<u8>,
    unknown: u8,
    bytes: [u8; 256],
    four: Option<[u8; 4]>,
    pairs: Option<Vec<u8>>,
    /// One-hot of every token, the unknown one last: `columns` counts each.
    hot: Vec<u8>,
    columns: usize,
}

impl Alphabet {
    /// Symbols with one column each; `unknown` are upper case, and the first is the one shown.
    fn plain(what: &'static str, symbols: &[u8], unknown: &[u8], pairs: Option<&[u8]>) -> Self {
        let columns = symbols.len();
        let mut hot = vec![0; (columns + 1) * columns];
        (0..columns).for_each(|token| hot[token * columns + token] = 1);
        Alphabet {
            what,
            symbols: symbols.to_vec(),
            unknown: unknown[0],
            bytes: byte_table(symbols, unknown),
            four: symbols
                .try_into()
                .ok()
                .filter(|four: &[u8; 4]| four.iter().all(u8::is_ascii_alphabetic)),
            pairs: pairs.map(<[u8]>::to_vec),
            hot,
            columns,
        }
    }

    /// A, C, G, T. Every IUPAC ambiguity code is the unknown symbol N; U is not a symbol.
    pub fn dna() -> Self {
        Self::plain("a nucleotide symbol", b"ACGT", AMBIGUOUS, Some(&PAIRS))
    }

    /// A, C, G, U. Every IUPAC ambiguity code is the unknown symbol N; T is not a symbol.
    pub fn rna() -> Self {
        Self::plain("an RNA symbol", b"ACGU", AMBIGUOUS, Some(&PAIRS))
    }

    /// The 20 amino acids by their symbol. B, J, O, U and Z are the unknown symbol X; the stop `*`
    /// and the gap `-` are not symbols.
    pub fn protein() -> Self {
        let symbols = b"ACDEFGHIKLMNPQRSTVWY";
        Self::plain("an amino acid symbol", symbols, b"XBJOUZ", None)
    }

    /// Unphased genotypes of a diploid: A, C, G, T homozygous, R, Y, S, W, K, M as IUPAC codes of
    /// the two bases. One-hot counts the bases (two-hot). B, D, H, V are the unknown symbol N.
    pub fn diploid() -> Self {
        let pairs = [3, 2, 1, 0, 5, 4, 6, 7, 9, 8, 10];
        let genotypes = [
            b"AA", b"CC", b"GG", b"TT", b"AG", b"CT", b"CG", b"AT", b"GT", b"AC",
        ];
        let count = |genotype: &[u8; 2], base| genotype.iter().filter(|&&b| b == base).count();
        let mut hot: Vec<u8> = genotypes
            .iter()
            .flat_map(|genotype| b"ACGT".map(|base| count(genotype, base) as u8))
            .collect();
        hot.extend([0; 4]);
        Alphabet {
            hot,
            columns: 4,
            ..Self::plain("a genotype symbol", b"ACGTRYSWKM", b"NBDHV", Some(&pairs))
        }
    }

    /// Custom symbols: 1 to 64 distinct printable ASCII bytes, neither lower case nor
    /// blank nor `?`. The unknown symbol is the first of N, X, ? that is not among them.
    pub fn custom(symbols: &[u8]) -> Option<Self> {
        let fine = |(index, byte): (usize, &u8)| {
            byte.is_ascii_graphic()
                && !byte.is_ascii_lowercase()
                && *byte != b'?'
                && !symbols[..index].contains(byte)
        };
        if !(1..=MOST).contains(&symbols.len()) || !symbols.iter().enumerate().all(fine) {
            return None;
        }
        let unknown = b"NX?".iter().find(|byte| !symbols.contains(byte))?;
        Some(Self::plain(
            "a symbol of the alphabet",
            symbols,
            &[*unknown],
            None,
        ))
    }

    /// "dna", "rna", "protein", "diploid", or "symbols:" and the symbols of a custom alphabet.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "dna" => Some(Self::dna()),
            "rna" => Some(Self::rna()),
            "protein" => Some(Self::protein()),
            "diploid" => Some(Self::diploid()),
            _ => Self::custom(name.strip_prefix("symbols:")?.as_bytes()),
        }
    }

    /// Symbols without the unknown one.
    pub fn size(&self) -> usize {
        self.symbols.len()
    }

    /// Token of the unknown symbol.
    pub fn unknown(&self) -> u8 {
        self.symbols.len() as u8
    }

    /// Length of the base axis of one-hot.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether every symbol has its own column; otherwise the columns are the bases A, C, G, T.
    pub fn is_plain(&self) -> bool {
        self.columns == self.size()
    }

    /// The columns of `token` (at most `unknown`): counts, for most alphabets one 1.
    #[inline]
    pub fn hot(&self, token: u8) -> &[u8] {
        &self.hot[usize::from(token) * self.columns..][..self.columns]
    }

    /// Upper-case symbol of `token`.
    #[inline]
    pub fn symbol(&self, token: u8) -> u8 {
        *self
            .symbols
            .get(usize::from(token))
            .unwrap_or(&self.unknown)
    }

    /// Token of the symbol `byte` in either case, `BAD` for any other byte.
    #[inline]
    pub fn token(&self, byte: u8) -> u8 {
        self.bytes[usize::from(byte)]
    }

    /// The symbols, when they are four of A…Z.
    #[inline]
    pub fn four(&self) -> Option<[u8; 4]> {
        self.four
    }

    /// The token that pairs with each token (the unknown one with itself), where symbols pair.
    pub fn pairs(&self) -> Option<&[u8]> {
        self.pairs.as_deref()
    }

    /// The error message for `byte`, which is not a symbol.
    pub fn refusal(&self, byte: u8) -> String {
        let hint = match (self.symbols.as_slice(), byte.to_ascii_uppercase()) {
            (b"ACGT", b'U') => "; RNA is the alphabet 'rna'",
            (b"ACGU", b'T') => "; DNA is the alphabet 'dna'",
            _ => "",
        };
        format!("'{}' is not {}{hint}", byte.escape_ascii(), self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(alphabet: &Alphabet, text: &[u8]) -> Vec<u8> {
        text.iter().map(|&byte| alphabet.token(byte)).collect()
    }

    fn all() -> Vec<Alphabet> {
        ["dna", "rna", "protein", "diploid", "symbols:01NX-*"]
            .map(|name| Alphabet::named(name).unwrap())
            .to_vec()
    }

    #[test]
    fn symbols_are_tokens_in_order_in_either_case() {
        for alphabet in all() {
            for token in 0..=alphabet.unknown() {
                let symbol = alphabet.symbol(token);
                assert_eq!(alphabet.token(symbol), token);
                assert_eq!(alphabet.token(symbol.to_ascii_lowercase()), token);
            }
        }
    }

    #[test]
    fn codes_for_several_symbols_are_unknown_and_foreign_ones_bad() {
        assert_eq!(tokens(&Alphabet::dna(), b"NRYSWKMBDHVrU*-"), {
            let mut wanted = [4; 15];
            wanted[12..].fill(BAD);
            wanted
        });
        assert_eq!(tokens(&Alphabet::rna(), b"UVT"), [3, 4, BAD]);
        assert_eq!(
            tokens(&Alphabet::protein(), b"YXBJOUZ*-"),
            [19, 20, 20, 20, 20, 20, 20, BAD, BAD]
        );
        assert_eq!(
            tokens(&Alphabet::diploid(), b"MNBDHVU"),
            [9, 10, 10, 10, 10, 10, BAD]
        );
        assert_eq!(tokens(&Alphabet::custom(b"AB-").unwrap(), b"b-NX"), {
            [1, 2, 3, BAD]
        });
    }

    #[test]
    fn genotypes_count_two_bases_and_pair_base_by_base() {
        let diploid = Alphabet::diploid();
        let pairs = diploid.pairs().unwrap();
        for token in 0..10 {
            let hot = diploid.hot(token);
            assert_eq!(hot.iter().sum::<u8>(), 2);
            let turned: Vec<u8> = hot.iter().rev().copied().collect();
            assert_eq!(diploid.hot(pairs[usize::from(token)]), turned);
        }
        assert_eq!(diploid.hot(diploid.token(b'R')), [1, 0, 1, 0]);
        assert_eq!(diploid.hot(diploid.token(b'A')), [2, 0, 0, 0]);
        assert_eq!(diploid.hot(10), [0; 4]);
    }

    #[test]
    fn custom_alphabets_are_checked() {
        for (symbols, unknown) in [("ACGT", b'N'), ("NO", b'X'), ("NX", b'?')] {
            let custom = Alphabet::named(&format!("symbols:{symbols}")).unwrap();
            assert_eq!(custom.symbol(custom.unknown()), unknown);
        }
        let many: String = (b'!'..=b'~')
            .map(char::from)
            .filter(|c| !c.is_lowercase() && *c != '?')
            .collect();
        assert!(many.len() > MOST);
        assert!(Alphabet::custom(&many.as_bytes()[..MOST]).is_some());
        for name in [
            "",
            "DNA",
            "symbols:",
            "symbols:AA",
            "symbols:a",
            "symbols:A B",
        ] {
            assert_eq!(Alphabet::named(name), None);
        }
        for name in [
            "symbols:?",
            "symbols:é",
            "symbols:A\n",
            &format!("symbols:{many}"),
        ] {
            assert_eq!(Alphabet::named(name), None);
        }
    }

    #[test]
    fn a_refusal_tells_dna_from_rna() {
        assert!(Alphabet::dna().refusal(b'u').ends_with("alphabet 'rna'"));
        assert!(Alphabet::rna().refusal(b'T').ends_with("alphabet 'dna'"));
        assert_eq!(
            Alphabet::protein().refusal(b'*'),
            "'*' is not an amino acid symbol"
        );
    }
}
