//! Tokens in as few bits as the alphabet needs.
//!
//! Token i of a row takes the bits from i × `bits` of the row, bit k of a row being bit k % 8 (from
//! the least significant) of its byte k / 8. Rows are padded to full bytes with zeros. Unknown
//! symbols are zero too, and listed separately.

use crate::alphabet::Alphabet;
use crate::parallel::map_parts;

/// Tokens taken at a time: whatever the bits of a token, they fill full bytes.
const GROUP: usize = 8;

/// Bits of a token: 2 for DNA and RNA, 4 for genotypes, 5 for protein, at most 6.
pub fn bits(alphabet: &Alphabet) -> usize {
    let most = alphabet.size() - 1;
    (usize::BITS - most.leading_zeros()).max(1) as usize
}

/// Bytes of a packed row of `length` tokens; None for more than memory can address.
pub fn packed_width(alphabet: &Alphabet, length: usize) -> Option<usize> {
    Some(length.checked_mul(bits(alphabet))?.div_ceil(8))
}

/// Pack rows of `length` (above 0, an i32) tokens into `out`, rows of `packed_width`.
///
/// Returns (row, position) of the unknown symbols, in order.
pub fn pack(
    alphabet: &Alphabet,
    tokens: &[u8],
    length: usize,
    out: &mut [u8],
    threads: usize,
) -> Vec<(i64, i32)> {
    let bits = bits(alphabet);
    let width = (length * bits).div_ceil(8);
    let parts = map_parts(out, width, threads, |first, part| {
        let (mut places, mut known) = (Vec::new(), Vec::new());
        for (row, out) in (first..).zip(part.chunks_exact_mut(width)) {
            let tokens = &tokens[row * length..][..length];
            if tokens.iter().fold(0, |most, &token| most.max(token)) < alphabet.unknown() {
                PACK[bits - 1](tokens, out);
            } else {
                let positions = set_apart(alphabet.unknown(), tokens, &mut known);
                places.extend(positions.map(|position| (row as i64, position as i32)));
                PACK[bits - 1](&known, out);
            }
        }
        places
    });
    parts.concat()
}

/// Copy `tokens` to `known` with zeros for the `unknown` ones; returns their positions.
fn set_apart<'a>(
    unknown: u8,
    tokens: &'a [u8],
    known: &mut Vec<u8>,
) -> impl Iterator<Item = usize> + 'a {
    let zeroed = |&token: &u8| if token == unknown { 0 } else { token };
    known.clear();
    known.extend(tokens.iter().map(zeroed));
    (0..tokens.len()).filter(move |&position| tokens[position] == unknown)
}

/// Why packed tokens cannot be unpacked; rows and positions are 0-based.
#[derive(Debug, PartialEq, Eq)]
pub enum UnpackError {
    /// A value that is not a symbol of the alphabet.
    Value { row: usize, position: usize },
    /// An unknown symbol outside of the rows: its place in the list of them.
    Outside(usize),
}

/// Unpack `data`, rows of `packed_width`, into rows of `length` (above 0) tokens.
///
/// `rows` and `positions`, equally long, are the places of unknown symbols, in any order.
pub fn unpack(
    alphabet: &Alphabet,
    data: &[u8],
    length: usize,
    (rows, positions): (&[i64], &[i32]),
    out: &mut [u8],
    threads: usize,
) -> Result<(), UnpackError> {
    let bits = bits(alphabet);
    let width = (length * bits).div_ceil(8);
    let parts = map_parts(out, length, threads, |first, part| {
        for (row, tokens) in (first..).zip(part.chunks_exact_mut(length)) {
            UNPACK[bits - 1](&data[row * width..][..width], tokens);
            if tokens.iter().fold(0, |most, &token| most.max(token)) >= alphabet.unknown() {
                let at = tokens.iter().position(|&token| token >= alphabet.unknown());
                return at.map_or(Ok(()), |position| Err(UnpackError::Value { row, position }));
            }
        }
        Ok(())
    });
    parts.into_iter().collect::<Result<(), _>>()?;
    for (index, (&row, &position)) in rows.iter().zip(positions).enumerate() {
        let row = usize::try_from(row)
            .ok()
            .and_then(|row| out.chunks_exact_mut(length).nth(row));
        let token = row.and_then(|row| row.get_mut(usize::try_from(position).ok()?));
        *token.ok_or(UnpackError::Outside(index))? = alphabet.unknown();
    }
    Ok(())
}

/// By the bits of a token, from 1.
type Row = fn(&[u8], &mut [u8]);
const PACK: [Row; 6] = [
    pack_row::<1>,
    pack_row::<2>,
    pack_row::<3>,
    pack_row::<4>,
    pack_row::<5>,
    pack_row::<6>,
];
const UNPACK: [Row; 6] = [
    unpack_row::<1>,
    unpack_row::<2>,
    unpack_row::<3>,
    unpack_row::<4>,
    unpack_row::<5>,
    unpack_row::<6>,
];

fn pack_row<const BITS: usize>(tokens: &[u8], out: &mut [u8]) {
    let whole = tokens.len() / GROUP;
    let (tokens, rest) = tokens.split_at(whole * GROUP);
    let (out, rest_out) = out.split_at_mut(whole * BITS);
    for (out, tokens) in out.chunks_exact_mut(BITS).zip(tokens.chunks_exact(GROUP)) {
        out.copy_from_slice(&squeeze::<BITS>(tokens)[..BITS]);
    }
    let mut last = [0; GROUP];
    last[..rest.len()].copy_from_slice(rest);
    rest_out.copy_from_slice(&squeeze::<BITS>(&last)[..rest_out.len()]);
}

fn unpack_row<const BITS: usize>(data: &[u8], tokens: &mut [u8]) {
    let whole = tokens.len() / GROUP;
    let (data, rest) = data.split_at(whole * BITS);
    let (tokens, rest_tokens) = tokens.split_at_mut(whole * GROUP);
    for (tokens, data) in tokens.chunks_exact_mut(GROUP).zip(data.chunks_exact(BITS)) {
        tokens.copy_from_slice(&spread::<BITS>(data));
    }
    rest_tokens.copy_from_slice(&spread::<BITS>(rest)[..rest_tokens.len()]);
}

/// Lanes of 16, 32 and 64 bits, as masks of their lower halves.
const LOW: [u64; 3] = [0x00FF_00FF_00FF_00FF, 0x0000_FFFF_0000_FFFF, 0xFFFF_FFFF];

/// The low `BITS` of 8 bytes side by side: neighbours move together, then pairs, then fours.
#[inline(always)]
fn squeeze<const BITS: usize>(tokens: &[u8]) -> [u8; GROUP] {
    let mut group = [0; GROUP];
    group.copy_from_slice(tokens);
    let mut word = u64::from_le_bytes(group);
    for (step, low) in LOW.into_iter().enumerate() {
        word = (word & low) | (word >> (8 << step) & low) << (BITS << step);
    }
    word.to_le_bytes()
}

/// The inverse of `squeeze`, of `BITS` bytes or fewer.
#[inline(always)]
fn spread<const BITS: usize>(data: &[u8]) -> [u8; GROUP] {
    let mut group = [0; GROUP];
    group[..data.len()].copy_from_slice(data);
    let mut word = u64::from_le_bytes(group);
    for (step, low) in LOW.into_iter().enumerate().rev() {
        // In every lane the lower `BITS << step` bits of its lower half.
        let kept = low & (low >> ((8 - BITS) << step));
        word = (word & kept) | (word >> (BITS << step) & kept) << (8 << step);
    }
    word.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bit by bit, by the definition.
    fn reference(tokens: &[u8], unknown: u8, bits: usize) -> Vec<u8> {
        let mut out = vec![0; (tokens.len() * bits).div_ceil(8)];
        for (index, &token) in tokens.iter().enumerate() {
            for bit in (0..bits).filter(|bit| token != unknown && token >> bit & 1 == 1) {
                let place = index * bits + bit;
                out[place / 8] |= 1 << (place % 8);
            }
        }
        out
    }

    fn of_size(size: usize) -> Alphabet {
        let symbols: Vec<u8> = (b'@'..=b'`').chain(b'!'..=b'>').take(size).collect();
        Alphabet::custom(&symbols).unwrap()
    }

    #[test]
    fn bits_are_as_few_as_the_symbols_need() {
        for (size, wanted) in [
            (1, 1),
            (2, 1),
            (3, 2),
            (4, 2),
            (5, 3),
            (16, 4),
            (33, 6),
            (62, 6),
        ] {
            assert_eq!(bits(&of_size(size)), wanted, "{size}");
        }
        assert_eq!(
            [Alphabet::dna(), Alphabet::protein(), Alphabet::diploid()].map(|a| bits(&a)),
            [2, 5, 4]
        );
        assert_eq!(packed_width(&Alphabet::dna(), usize::MAX), None);
    }

    #[test]
    fn what_no_packing_gives_is_refused() {
        let (protein, mut out) = (Alphabet::protein(), [0; 4]);
        let unpack = |data: &[u8], rows: &[i64], positions: &[i32], out: &mut [u8]| {
            unpack(&protein, data, 2, (rows, positions), out, 1)
        };
        let value = UnpackError::Value {
            row: 1,
            position: 0,
        };
        assert_eq!(unpack(&[0, 0, 20, 0], &[], &[], &mut out), Err(value));
        for (row, position) in [(2, 0), (-1, 0), (0, 2), (0, -1), (i64::MAX, i32::MAX)] {
            let found = unpack(&[0; 4], &[0, row], &[0, position], &mut out);
            assert_eq!(found, Err(UnpackError::Outside(1)));
        }
    }

    proptest! {
        #[test]
        fn packing_is_by_the_definition_and_undone_exactly(
            size in 1usize..=62,
            length in 1usize..40,
            values in prop::collection::vec(any::<u8>(), 0..400),
            often in any::<bool>(),
            threads in 1usize..4,
        ) {
            let alphabet = of_size(size);
            let (unknown, bits) = (alphabet.unknown(), bits(&alphabet));
            let fold = |value: &u8| value % (unknown + u8::from(often));
            let whole = values.len() / length * length;
            let tokens: Vec<u8> = values[..whole].iter().map(fold).collect();
            let width = packed_width(&alphabet, length).unwrap();
            let mut data = vec![9; tokens.len() / length * width];
            let places = pack(&alphabet, &tokens, length, &mut data, threads);
            let wanted: Vec<u8> = tokens.chunks(length).flat_map(|row| reference(row, unknown, bits)).collect();
            prop_assert_eq!(&data, &wanted);
            let (rows, positions): (Vec<_>, Vec<_>) = places.into_iter().unzip();
            prop_assert!(rows.iter().zip(&positions).is_sorted());
            let mut back = vec![9; tokens.len()];
            let done = unpack(&alphabet, &data, length, (&rows, &positions), &mut back, threads);
            prop_assert_eq!((done, back), (Ok(()), tokens));
        }
    }
}
