//! Alphabets of four symbols: comparing beats looking up, and compilers do it many at a time.

use super::Hot;

/// Bytes taken at a time: the loops over them become vector instructions of any machine.
const LANES: usize = 16;

/// The bytes of four symbols, and for the unknown one, after `mask` is applied.
#[derive(Clone, Copy, Debug)]
pub struct Four {
    pub mask: u8,
    pub symbols: [u8; 4],
    pub unknown: u8,
}

impl Four {
    /// Tokens are unchanged.
    pub const TOKENS: Four = Four {
        mask: 0xFF,
        symbols: [0, 1, 2, 3],
        unknown: 4,
    };

    /// Symbols of A…Z in either case: the mask clears the bit of lower case.
    pub fn either_case(symbols: [u8; 4], unknown: u8) -> Self {
        Four {
            mask: 0xDF,
            symbols,
            unknown,
        }
    }

    #[inline(always)]
    fn knows(self, byte: u8) -> bool {
        let byte = byte & self.mask;
        let known = self.symbols.map(|symbol| byte == symbol);
        known[0] | known[1] | known[2] | known[3] | (byte == self.unknown)
    }

    /// One-hot of `source` symbol by symbol; returns whether every byte is one of the five. Others are all
    /// zero.
    #[inline]
    pub fn by_symbol<T: Hot>(self, source: &[u8], out: &mut [T]) -> bool {
        let mut known = true;
        let whole = source.len() / LANES * LANES;
        let (source, rest) = source.split_at(whole);
        let (out, rest_out) = out.split_at_mut(4 * whole);
        for (out, source) in out
            .chunks_exact_mut(4 * LANES)
            .zip(source.chunks_exact(LANES))
        {
            known &= self.lanes(source, out);
        }
        if !rest.is_empty() {
            let (mut padded, mut hot) = ([self.unknown; LANES], [T::COUNTS[0]; 4 * LANES]);
            padded[..rest.len()].copy_from_slice(rest);
            known &= self.lanes(&padded, &mut hot);
            rest_out.copy_from_slice(&hot[..rest_out.len()]);
        }
        known
    }

    #[inline(always)]
    fn lanes<T: Hot>(self, source: &[u8], out: &mut [T]) -> bool {
        let mut known = [0; LANES];
        for lane in 0..LANES {
            let byte = source[lane] & self.mask;
            known[lane] = u8::from(byte == self.unknown);
            for column in 0..4 {
                let same = byte == self.symbols[column];
                out[4 * lane + column] = T::one_if(same);
                known[lane] |= u8::from(same);
            }
        }
        known.iter().fold(1, |all, one| all & one) == 1
    }

    /// One-hot of `source` column by column; returns whether every byte is one of the five. Others are all
    /// zero.
    pub fn by_column<T: Hot>(self, source: &[u8], out: &mut [T]) -> bool {
        for (column, symbol) in out.chunks_exact_mut(source.len()).zip(self.symbols) {
            for (value, byte) in column.iter_mut().zip(source) {
                *value = T::one_if(byte & self.mask == symbol);
            }
        }
        source
            .iter()
            .fold(true, |all, &byte| all & self.knows(byte))
    }

    /// Tokens of `source`; is every byte one of the five? Others are the unknown symbol's token.
    pub fn tokens(self, source: &[u8], out: &mut [u8]) -> bool {
        let mut known = true;
        for (token, &byte) in out.iter_mut().zip(source) {
            let same = |place: usize| u8::from(byte & self.mask == self.symbols[place]);
            *token = 4 - 4 * same(0) - 3 * same(1) - 2 * same(2) - same(3);
            known &= self.knows(byte);
        }
        known
    }
}
