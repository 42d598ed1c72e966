//! Letters to tokens and back, the other strand, one-hot.

mod hot;

pub use hot::{one_hot, one_hot_row, Hot, Layout, F16};

use crate::alphabet::{Alphabet, BAD};
use crate::parallel::for_rows;

/// Token of N in DNA and RNA.
pub const N: u8 = 4;

/// A byte that stands where it must not: 1-based row and column in the text.
#[derive(Debug, PartialEq, Eq)]
pub struct BadByte {
    pub row: usize,
    pub column: usize,
    pub byte: u8,
}

impl BadByte {
    fn at(text: &[u8], offset: usize) -> Self {
        let before = &text[..offset];
        let row = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let line = before
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |end| end + 1);
        BadByte {
            row,
            column: offset - line + 1,
            byte: text[offset],
        }
    }
}

/// Tokens of sequence text; line ends are passed over.
pub fn tokens(alphabet: &Alphabet, text: &[u8]) -> Result<Vec<u8>, BadByte> {
    let mut out = Vec::with_capacity(text.len());
    for (offset, &byte) in text.iter().enumerate() {
        match alphabet.token(byte) {
            BAD if matches!(byte, b'\n' | b'\r') => {}
            BAD => return Err(BadByte::at(text, offset)),
            token => out.push(token),
        }
    }
    Ok(out)
}

/// Where the first value above the unknown letter's stands, if any does.
pub fn first_not_token(alphabet: &Alphabet, tokens: &[u8]) -> Option<usize> {
    tokens.iter().position(|&token| token > alphabet.unknown())
}

/// Upper-case letters of `tokens`.
pub fn decode(alphabet: &Alphabet, tokens: &[u8]) -> Vec<u8> {
    tokens.iter().map(|&token| alphabet.letter(token)).collect()
}

/// Turn a row of tokens to the other strand; `pairs` has the pair of every token.
pub fn turn(row: &mut [u8], pairs: &[u8]) {
    row.reverse();
    row.iter_mut()
        .for_each(|token| *token = pairs[usize::from(*token)]);
}

/// Turn every `width`-long row of `tokens` to the other strand, in place.
pub fn reverse_complement(tokens: &mut [u8], width: usize, pairs: &[u8], threads: usize) {
    for_rows(tokens, width, threads, |_, row| turn(row, pairs));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alphabet::{is_nucleotide, PAIRS};
    use proptest::prelude::*;

    fn dna(text: &[u8]) -> Result<Vec<u8>, BadByte> {
        tokens(&Alphabet::dna(), text)
    }

    #[test]
    fn letters_of_either_case_and_ambiguity_codes() {
        assert_eq!(dna(b"ACGTacgt").unwrap(), [0, 1, 2, 3, 0, 1, 2, 3]);
        assert_eq!(dna(b"NRYSWKMBDHVnryswkmbdhv").unwrap(), [N; 22]);
        assert_eq!(dna(b"AC\r\nGT\n").unwrap(), [0, 1, 2, 3]);
        assert_eq!(dna(b"").unwrap(), Vec::<u8>::new());
    }

    #[test]
    fn a_bad_byte_is_named_by_row_and_column() {
        for (text, row, column, byte) in [
            ("ACGU", 1, 4, b'U'),
            ("AC\nG*T", 2, 2, b'*'),
            ("A\r\n\n5", 3, 1, b'5'),
        ] {
            assert_eq!(dna(text.as_bytes()), Err(BadByte { row, column, byte }));
        }
    }

    proptest! {
        #[test]
        fn decode_undoes_tokens(text in "[ACGTN]{0,200}") {
            let dna = Alphabet::dna();
            prop_assert_eq!(decode(&dna, &tokens(&dna, text.as_bytes()).unwrap()), text.as_bytes());
        }

        #[test]
        fn only_nucleotide_letters_and_line_ends_pass(text in prop::collection::vec(any::<u8>(), 0..50)) {
            let fine = text.iter().all(|&byte| is_nucleotide(byte) || b"\r\n".contains(&byte));
            prop_assert_eq!(dna(&text).is_ok(), fine);
        }

        #[test]
        fn the_other_strand_twice_is_the_same(
            row in prop::collection::vec(0u8..=N, 1..100), threads in 1usize..4,
        ) {
            let mut turned = row.clone();
            reverse_complement(&mut turned, row.len(), &PAIRS, threads);
            for (index, &token) in row.iter().enumerate() {
                prop_assert_eq!(turned[row.len() - 1 - index], PAIRS[usize::from(token)]);
            }
            reverse_complement(&mut turned, row.len(), &PAIRS, threads);
            prop_assert_eq!(turned, row);
        }
    }
}
