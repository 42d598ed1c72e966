//! Symbols to tokens and back, the other strand, one-hot.

mod back;
mod four;
mod hot;
mod pack;

pub use back::from_one_hot;
pub use four::Four;
pub use hot::{one_hot, one_hot_rows, Hot, Layout, F16};
pub use pack::{bits, pack, packed_width, unpack, UnpackError};

use crate::alphabet::{Alphabet, BAD};
use crate::parallel::{for_rows, map_parts};

/// Token of N in DNA and RNA.
pub const N: u8 = 4;

/// A byte that is not allowed: its 1-based row and column in the text.
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

/// What the bytes of a sequence are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    Symbols,
    Tokens,
}

impl Code {
    fn four(self, alphabet: &Alphabet) -> Option<Four> {
        let symbols = alphabet.four()?;
        Some(match self {
            Code::Tokens => Four::TOKENS,
            Code::Symbols => Four::either_case(symbols, alphabet.symbol(alphabet.unknown())),
        })
    }

    /// Returns the place of the first byte of `source` that is not in the alphabet.
    pub fn check(self, alphabet: &Alphabet, source: &[u8]) -> Result<(), usize> {
        let unknown = alphabet.unknown();
        let bad = match self {
            Code::Symbols => source.iter().position(|&byte| alphabet.token(byte) == BAD),
            // The largest is found many at a time, the place of one is not.
            Code::Tokens if source.iter().fold(0, |most, &token| most.max(token)) <= unknown => {
                None
            }
            Code::Tokens => source.iter().position(|&token| token > unknown),
        };
        bad.map_or(Ok(()), Err)
    }
}

/// Tokens of sequence text; line breaks are skipped.
pub fn tokens(alphabet: &Alphabet, text: &[u8]) -> Result<Vec<u8>, BadByte> {
    let mut out = vec![0; text.len()];
    let (mut read, mut written) = (0, 0);
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        symbols_row(alphabet, line, &mut out[written..][..line.len()])
            .map_err(|at| BadByte::at(text, read + at))?;
        read += line.len() + 1;
        written += line.len();
    }
    out.truncate(written);
    Ok(out)
}

/// Tokens of `symbols` into `out`, as long; returns the place of the first that is not a symbol.
pub fn symbols(
    alphabet: &Alphabet,
    symbols: &[u8],
    out: &mut [u8],
    threads: usize,
) -> Result<(), usize> {
    const BLOCK: usize = 1 << 14;
    let parts = map_parts(out, 1, threads, |first, part| {
        let source = &symbols[first..][..part.len()];
        for (index, (source, out)) in source.chunks(BLOCK).zip(part.chunks_mut(BLOCK)).enumerate() {
            symbols_row(alphabet, source, out).map_err(|at| first + index * BLOCK + at)?;
        }
        Ok(())
    });
    parts.into_iter().collect()
}

fn symbols_row(alphabet: &Alphabet, symbols: &[u8], out: &mut [u8]) -> Result<(), usize> {
    let known = match Code::Symbols.four(alphabet) {
        Some(four) => four.tokens(symbols, out),
        None => {
            for (token, &symbol) in out.iter_mut().zip(symbols) {
                *token = alphabet.token(symbol);
            }
            out.iter().fold(0, |most, &token| most.max(token)) != BAD
        }
    };
    if known {
        return Ok(());
    }
    Code::Symbols.check(alphabet, symbols)
}

/// Upper-case symbols of `tokens`.
pub fn decode(alphabet: &Alphabet, tokens: &[u8]) -> Vec<u8> {
    tokens.iter().map(|&token| alphabet.symbol(token)).collect()
}

/// Reverse-complement a row of tokens; `pairs` has the complement of every token.
pub fn turn(row: &mut [u8], pairs: &[u8]) {
    row.reverse();
    row.iter_mut()
        .for_each(|token| *token = pairs[usize::from(*token)]);
}

/// Reverse-complement every `width`-long row of `tokens`, in place.
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
    fn symbols_of_either_case_and_ambiguity_codes() {
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
        fn symbols_are_tokens_of_text_whatever_the_threads(
            text in prop::collection::vec(any::<u8>(), 0..200), threads in 1usize..4,
        ) {
            for alphabet in [Alphabet::dna(), Alphabet::protein(), Alphabet::diploid()] {
                let wanted: Vec<u8> = text.iter().map(|&byte| alphabet.token(byte)).collect();
                let mut out = vec![9; text.len()];
                let found = symbols(&alphabet, &text, &mut out, threads);
                match wanted.iter().position(|&token| token == BAD) {
                    Some(place) => prop_assert_eq!(found, Err(place)),
                    None => prop_assert_eq!(out, wanted),
                }
            }
        }

        #[test]
        fn decode_undoes_tokens(text in "[ACGTN]{0,200}") {
            let dna = Alphabet::dna();
            prop_assert_eq!(decode(&dna, &tokens(&dna, text.as_bytes()).unwrap()), text.as_bytes());
        }

        #[test]
        fn only_nucleotide_symbols_and_line_ends_pass(text in prop::collection::vec(any::<u8>(), 0..50)) {
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
