//! Symbols and tokens to one-hot.

use super::{symbols_row, Code, Four};
use crate::alphabet::Alphabet;
use crate::parallel::map_parts;
use std::mem::size_of_val;

/// Symbols that are worked on at a time.
const BLOCK: usize = 1 << 14;
/// Bytes of output that no cache keeps until they are read.
const LARGE: usize = 1 << 25;

/// The place of the base axis in a one-hot array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// sequence, position, base
    Nlc,
    /// sequence, base, position
    Ncl,
}

impl Layout {
    /// The shape of one-hot.
    pub fn shape(self, rows: usize, length: usize, columns: usize) -> [usize; 3] {
        match self {
            Layout::Nlc => [rows, length, columns],
            Layout::Ncl => [rows, columns, length],
        }
    }
}

/// Numbers of half precision, as their bits: Rust has no stable type for them.
pub type F16 = u16;

/// What one-hot arrays are made of.
pub trait Hot: Copy + Send + Sync + 'static {
    /// The counts 0, 1 and 2.
    const COUNTS: [Self; 3];

    /// The count 1 or 0.
    #[inline(always)]
    fn one_if(yes: bool) -> Self {
        if yes {
            Self::COUNTS[1]
        } else {
            Self::COUNTS[0]
        }
    }

    /// The count that this is; 3 for any other value.
    fn count(self) -> u8;

    /// `Four::by_symbol`, past the caches when `large`.
    #[inline]
    fn by_symbol(four: Four, source: &[u8], out: &mut [Self], _large: bool) -> bool {
        four.by_symbol(source, out)
    }
}

impl Hot for u8 {
    const COUNTS: [u8; 3] = [0, 1, 2];

    #[inline(always)]
    fn count(self) -> u8 {
        self.min(3)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn by_symbol(four: Four, source: &[u8], out: &mut [u8], large: bool) -> bool {
        crate::simd::by_symbol(four, source, out, large)
    }
}

impl Hot for F16 {
    const COUNTS: [F16; 3] = [0, 0x3C00, 0x4000];

    #[inline(always)]
    fn count(self) -> u8 {
        let is = |value: F16| u8::from(self == value);
        3 - 3 * (is(0) | is(0x8000)) - 2 * is(0x3C00) - is(0x4000)
    }
}

impl Hot for f32 {
    const COUNTS: [f32; 3] = [0.0, 1.0, 2.0];

    #[inline(always)]
    fn count(self) -> u8 {
        let is = |bits: u32| u8::from(self.to_bits() == bits);
        3 - 3 * (is(0) | is(1 << 31)) - 2 * is(0x3F80_0000) - is(0x4000_0000)
    }
}

/// One-hot of rows of `length` (above 0) tokens, at most the unknown one, into `out`.
#[inline]
pub fn one_hot_rows<T: Hot>(
    alphabet: &Alphabet,
    tokens: &[u8],
    length: usize,
    layout: Layout,
    out: &mut [T],
) {
    let step = symbols_together(layout, length, tokens.len().max(1));
    let blocks = out.chunks_mut(step * alphabet.columns());
    for (tokens, out) in tokens.chunks(step).zip(blocks) {
        if alphabet.four().is_some() {
            four_symbols(Four::TOKENS, tokens, layout, out, false);
        } else {
            any_symbols(alphabet, tokens, layout, out);
        }
    }
}

/// A row, or up to `most` symbols: contiguous rows are one long row.
fn symbols_together(layout: Layout, length: usize, most: usize) -> usize {
    match layout {
        Layout::Nlc => most,
        Layout::Ncl => length,
    }
}

/// One-hot of rows of `length` (above 0) symbols or tokens into `out`; the unknown is all zero.
///
/// Returns the place of the first byte that is neither, if any; `out` is then incomplete.
pub fn one_hot<T: Hot>(
    alphabet: &Alphabet,
    (code, source): (Code, &[u8]),
    length: usize,
    layout: Layout,
    out: &mut [T],
    threads: usize,
) -> Result<(), usize> {
    let columns = alphabet.columns();
    let large = size_of_val(out) >= LARGE;
    let step = symbols_together(layout, length, BLOCK);
    let parts = map_parts(out, length * columns, threads, |row, part| {
        let first = row * length;
        let source = &source[first..][..part.len() / columns];
        let mut scratch = Vec::new();
        let blocks = source.chunks(step).zip(part.chunks_mut(step * columns));
        for (index, (source, out)) in blocks.enumerate() {
            let block = Block {
                alphabet,
                code,
                layout,
                large,
            };
            let place = |at| first + index * step + at;
            block.run(source, out, &mut scratch).map_err(place)?;
        }
        Ok(())
    });
    parts.into_iter().collect()
}

/// How a block of bytes becomes one-hot.
struct Block<'a> {
    alphabet: &'a Alphabet,
    code: Code,
    layout: Layout,
    large: bool,
}

impl Block<'_> {
    fn run<T: Hot>(
        &self,
        source: &[u8],
        out: &mut [T],
        scratch: &mut Vec<u8>,
    ) -> Result<(), usize> {
        if let Some(four) = self.code.four(self.alphabet) {
            if four_symbols(four, source, self.layout, out, self.large) {
                return Ok(());
            }
            return self.code.check(self.alphabet, source);
        }
        let tokens = match self.code {
            Code::Tokens => {
                self.code.check(self.alphabet, source)?;
                source
            }
            Code::Symbols => {
                scratch.resize(source.len(), 0);
                symbols_row(self.alphabet, source, scratch)?;
                scratch
            }
        };
        any_symbols(self.alphabet, tokens, self.layout, out);
        Ok(())
    }
}

#[inline]
fn four_symbols<T: Hot>(
    four: Four,
    source: &[u8],
    layout: Layout,
    out: &mut [T],
    large: bool,
) -> bool {
    match layout {
        Layout::Nlc => T::by_symbol(four, source, out, large),
        Layout::Ncl => four.by_column(source, out),
    }
}

fn any_symbols<T: Hot>(alphabet: &Alphabet, tokens: &[u8], layout: Layout, out: &mut [T]) {
    if !alphabet.is_plain() {
        return genotypes(alphabet, tokens, layout, out);
    }
    match layout {
        Layout::Nlc => scatter(tokens, alphabet.columns(), out),
        Layout::Ncl => {
            for (column, values) in (0u8..).zip(out.chunks_exact_mut(tokens.len())) {
                for (value, &token) in values.iter_mut().zip(tokens) {
                    *value = T::one_if(token == column);
                }
            }
        }
    }
}

/// Symbols that have a column each: zeros, then the ones, a cacheful at a time.
fn scatter<T: Hot>(tokens: &[u8], columns: usize, out: &mut [T]) {
    const FEW: usize = 64;
    for (out, tokens) in out.chunks_mut(FEW * columns).zip(tokens.chunks(FEW)) {
        out.fill(T::COUNTS[0]);
        for (hot, &token) in out.chunks_exact_mut(columns).zip(tokens) {
            if let Some(value) = hot.get_mut(usize::from(token)) {
                *value = T::COUNTS[1];
            }
        }
    }
}

/// Symbols that share the columns of the four bases.
fn genotypes<T: Hot>(alphabet: &Alphabet, tokens: &[u8], layout: Layout, out: &mut [T]) {
    // Tables of 16, so that four bits of a token never point outside: there are 11 tokens.
    const LOW: u8 = 15;
    let mut tables = [[T::COUNTS[0]; LOW as usize + 1]; 4];
    for (base, table) in tables.iter_mut().enumerate() {
        for token in 0..alphabet.unknown() {
            table[usize::from(token)] = T::COUNTS[usize::from(alphabet.hot(token)[base])];
        }
    }
    match layout {
        Layout::Nlc => {
            for (hot, &token) in out.chunks_exact_mut(4).zip(tokens) {
                for (value, table) in hot.iter_mut().zip(&tables) {
                    *value = table[usize::from(token & LOW)];
                }
            }
        }
        Layout::Ncl => {
            for (values, table) in out.chunks_exact_mut(tokens.len()).zip(&tables) {
                for (value, &token) in values.iter_mut().zip(tokens) {
                    *value = table[usize::from(token & LOW)];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alphabet::BAD;
    use crate::encode::{from_one_hot, N};
    use proptest::prelude::*;

    fn names() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["dna", "rna", "protein", "diploid", "symbols:01X-"])
    }

    fn layouts() -> impl Strategy<Value = Layout> {
        prop::sample::select(vec![Layout::Nlc, Layout::Ncl])
    }

    /// One-hot by its definition.
    fn reference<T: Hot>(
        alphabet: &Alphabet,
        tokens: &[u8],
        length: usize,
        layout: Layout,
    ) -> Vec<T> {
        let columns = alphabet.columns();
        let mut out = vec![T::COUNTS[0]; tokens.len() * columns];
        for (place, &token) in tokens.iter().enumerate() {
            let (row, position) = (place / length, place % length);
            for (column, &count) in alphabet.hot(token).iter().enumerate() {
                let within = match layout {
                    Layout::Nlc => position * columns + column,
                    Layout::Ncl => column * length + position,
                };
                out[row * length * columns + within] = T::COUNTS[usize::from(count)];
            }
        }
        out
    }

    /// By tokens, by symbols, by row and back: the same in every dtype.
    fn check<T: Hot + PartialEq + std::fmt::Debug>(
        alphabet: &Alphabet,
        tokens: &[u8],
        length: usize,
        layout: Layout,
        threads: usize,
    ) {
        let wanted = reference::<T>(alphabet, tokens, length, layout);
        let mut symbols = crate::encode::decode(alphabet, tokens);
        symbols
            .iter_mut()
            .step_by(2)
            .for_each(u8::make_ascii_lowercase);
        for (code, source) in [(Code::Tokens, tokens), (Code::Symbols, &symbols)] {
            let mut out = vec![T::COUNTS[2]; wanted.len()];
            let done = one_hot(alphabet, (code, source), length, layout, &mut out, threads);
            assert_eq!((done, &out), (Ok(()), &wanted));
        }
        let mut out = vec![T::COUNTS[2]; wanted.len()];
        one_hot_rows(alphabet, tokens, length, layout, &mut out);
        assert_eq!(out, wanted);
        let mut back = vec![BAD; tokens.len()];
        from_one_hot(alphabet, &wanted, length, layout, &mut back, threads).unwrap();
        assert_eq!(back, tokens);
    }

    #[test]
    fn one_hot_of_each_layout() {
        let dna = Alphabet::dna();
        let tokens = (Code::Tokens, &[0, 3, N][..]);
        let mut nlc = [9u8; 12];
        one_hot(&dna, tokens, 3, Layout::Nlc, &mut nlc, 1).unwrap();
        assert_eq!(nlc, [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        let mut ncl = [9f32; 12];
        one_hot(&dna, tokens, 3, Layout::Ncl, &mut ncl, 1).unwrap();
        assert_eq!(ncl, [1., 0., 0., 0., 0., 0., 0., 0., 0., 0., 1., 0.]);
    }

    #[test]
    fn a_row_of_no_symbols_has_no_one_hot() {
        for layout in [Layout::Nlc, Layout::Ncl] {
            for alphabet in [Alphabet::dna(), Alphabet::protein(), Alphabet::diploid()] {
                one_hot_rows::<u8>(&alphabet, &[], 1, layout, &mut []);
            }
        }
    }

    proptest! {
        #[test]
        fn one_hot_is_that_of_the_reference_and_goes_back(
            name in names(),
            layout in layouts(),
            length in 1usize..70,
            values in prop::collection::vec(any::<u8>(), 0..300),
            threads in 1usize..4,
        ) {
            let alphabet = Alphabet::named(name).unwrap();
            let whole = values.len() / length * length;
            let fold = |value: &u8| value % (alphabet.unknown() + 1);
            let tokens: Vec<u8> = values[..whole].iter().map(fold).collect();
            check::<u8>(&alphabet, &tokens, length, layout, threads);
            check::<F16>(&alphabet, &tokens, length, layout, threads);
            check::<f32>(&alphabet, &tokens, length, layout, threads);
        }

        #[test]
        fn the_first_byte_that_is_no_symbol_is_placed(
            name in names(),
            layout in layouts(),
            place in 0usize..60,
            length in prop::sample::select(vec![1usize, 5, 20, 60]),
            threads in 1usize..4,
        ) {
            let alphabet = Alphabet::named(name).unwrap();
            for (code, fine, bad) in [(Code::Tokens, 0, alphabet.unknown() + 1), (Code::Symbols, alphabet.symbol(0), b'\n')] {
                let mut source = vec![fine; 60];
                source[place..].fill(bad);
                let mut out = vec![0u8; 60 * alphabet.columns()];
                let found = one_hot(&alphabet, (code, &source), length, layout, &mut out, threads);
                prop_assert_eq!(found, Err(place));
            }
        }
    }
}
