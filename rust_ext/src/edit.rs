//! Windows of a contig with edits.

use crate::parallel::for_rows;
use crate::windows::cut;

/// One window: `symbols`, from column `place` on, replace [start, end) of the contig.
#[derive(Clone, Copy, Debug)]
pub struct Edit<'a> {
    pub start: i64,
    pub end: i64,
    pub place: usize,
    pub symbols: &'a [u8],
}

/// Write the window of every one of `edits` into its `length`-long row of `out`.
///
/// To the left of the symbols is the contig up to `start`, to their right the contig from `end`;
/// positions outside of the contig are N. The symbols must be within the window, and `length`
/// above 0.
pub fn edited(contig: &[u8], edits: &[Edit], length: usize, out: &mut [u8], threads: usize) {
    for_rows(out, length, threads, |index, row| {
        let edit = &edits[index];
        let (left, rest) = row.split_at_mut(edit.place);
        let (middle, right) = rest.split_at_mut(edit.symbols.len());
        cut(
            contig,
            edit.start.saturating_sub_unsigned(left.len() as u64),
            left,
        );
        middle.copy_from_slice(edit.symbols);
        cut(contig, edit.end, right);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::N;
    use proptest::prelude::*;

    fn window(contig: &[u8], edit: Edit, length: usize) -> Vec<u8> {
        let mut out = vec![9; length];
        edited(contig, &[edit], length, &mut out, 1);
        out
    }

    #[test]
    fn symbols_stand_in_place_of_others_and_the_flanks_close_up() {
        let contig = [0, 1, 2, 3];
        let edit = |start, end, place, symbols| Edit {
            start,
            end,
            place,
            symbols,
        };
        assert_eq!(window(&contig, edit(1, 2, 2, &[3]), 5), [N, 0, 3, 2, 3]);
        assert_eq!(window(&contig, edit(1, 3, 1, &[]), 4), [0, 3, N, N]);
        assert_eq!(window(&contig, edit(2, 2, 1, &[0, 0]), 4), [1, 0, 0, 2]);
        assert_eq!(window(&contig, edit(4, 4, 0, &[]), 2), [N, N]);
    }

    proptest! {
        #[test]
        fn a_window_is_cut_from_the_edited_contig(
            contig in prop::collection::vec(0u8..=N, 0..30),
            symbols in prop::collection::vec(0u8..=N, 0..5),
            (from, to, place, rest) in (0usize..30, 0usize..30, 0usize..40, 1usize..40),
        ) {
            let (start, end) = (from.min(to).min(contig.len()), from.max(to).min(contig.len()));
            let length = place + symbols.len() + rest;
            let edit = Edit { start: start as i64, end: end as i64, place, symbols: &symbols };
            let far = vec![N; length];
            let whole = [&far, &contig[..start], &symbols, &contig[end..], &far].concat();
            let first = length + start - place;
            prop_assert_eq!(window(&contig, edit, length), &whole[first..][..length]);
        }
    }
}
