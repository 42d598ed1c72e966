//! Rows of a buffer shared out among threads.

use std::thread;

/// Call `work(row index, row)` for every `width`-long row of `out` on up to `threads` threads.
///
/// What is written does not depend on the number of threads. `width` must be above 0; where it does
/// not divide the length of `out` the last row is shorter.
pub fn for_rows<T, F>(out: &mut [T], width: usize, threads: usize, work: F)
where
    T: Send,
    F: Fn(usize, &mut [T]) + Sync,
{
    for_rows_with(
        out,
        width,
        threads,
        || (),
        |(), index, row| work(index, row),
    );
}

/// `for_rows`, with a scratch that every thread makes once: `work(scratch, row index, row)`.
pub fn for_rows_with<T, S, M, F>(out: &mut [T], width: usize, threads: usize, scratch: M, work: F)
where
    T: Send,
    M: Fn() -> S + Sync,
    F: Fn(&mut S, usize, &mut [T]) + Sync,
{
    let rows = out.len().div_ceil(width);
    let share = rows.div_ceil(threads.max(1)).max(1);
    let run = |first: usize, part: &mut [T]| {
        let mut scratch = scratch();
        for (index, row) in part.chunks_mut(width).enumerate() {
            work(&mut scratch, first + index, row);
        }
    };
    if share >= rows {
        return run(0, out);
    }
    thread::scope(|scope| {
        for (part, rows) in out.chunks_mut(share * width).enumerate() {
            let run = &run;
            scope.spawn(move || run(part * share, rows));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_visited_once_whatever_the_threads() {
        for threads in [1, 2, 3, 8, 100] {
            let mut out = vec![0usize; 7 * 3];
            for_rows(&mut out, 3, threads, |index, row| {
                row.iter_mut().for_each(|v| *v += index + 1)
            });
            let wanted: Vec<usize> = (0..7).flat_map(|index| [index + 1; 3]).collect();
            assert_eq!(out, wanted);
        }
    }
}
