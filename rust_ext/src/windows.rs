//! Windows cut from a contig, on either strand, padded with N past its ends.

use crate::alphabet::PAIRS;
use crate::encode::{turn, N};
use crate::parallel::for_rows;

/// Cut `length`-long windows of `contig` that begin at `starts` (0-based, forward strand).
///
/// Where `minus` is set the window is given on the reverse strand. Positions outside of the
/// contig are N. `out` has one row per window; `length` must be above 0.
pub fn windows(
    contig: &[u8],
    starts: &[i64],
    minus: &[bool],
    length: usize,
    out: &mut [u8],
    threads: usize,
) {
    for_rows(out, length, threads, |index, row| {
        cut(contig, starts[index], row);
        if minus[index] {
            turn(row, &PAIRS);
        }
    });
}

/// Fill `row` with the contig from `start`; positions outside of it are N.
pub fn cut(contig: &[u8], start: i64, row: &mut [u8]) {
    let inside = |position: i64| position.clamp(0, contig.len() as i64) as usize;
    let end = start.saturating_add(row.len() as i64);
    let source = &contig[inside(start)..inside(end)];
    let before = start.saturating_neg().clamp(0, row.len() as i64) as usize;
    row.fill(N);
    row[before..][..source.len()].copy_from_slice(source);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ends_are_padded_and_minus_is_turned() {
        let contig = [0, 1, 2, 3, 0];
        let mut out = [9; 12];
        windows(
            &contig,
            &[-2, 1, 3, 50],
            &[false, true, false, true],
            3,
            &mut out,
            2,
        );
        assert_eq!(out, [N, N, 0, 0, 1, 2, 3, 0, N, N, N, N]);
    }

    proptest! {
        #[test]
        fn every_position_is_the_contig_or_n(
            contig in prop::collection::vec(0u8..=N, 0..60),
            starts in prop::collection::vec(prop_oneof![-90i64..90, Just(i64::MIN), Just(i64::MAX)], 1..20),
            length in 1usize..70,
            minus in any::<bool>(),
            threads in 1usize..4,
        ) {
            let mut out = vec![9; starts.len() * length];
            windows(&contig, &starts, &vec![minus; starts.len()], length, &mut out, threads);
            for (row, &start) in out.chunks(length).zip(&starts) {
                for (offset, &token) in row.iter().enumerate() {
                    let offset = if minus { length - 1 - offset } else { offset };
                    let position = i128::from(start) + offset as i128;
                    let wanted = usize::try_from(position).ok().and_then(|p| contig.get(p).copied());
                    let wanted = wanted.unwrap_or(N);
                    prop_assert_eq!(token, if minus { PAIRS[usize::from(wanted)] } else { wanted });
                }
            }
        }
    }
}
