//! Rows of a buffer distributed over threads.

use std::ops::Range;
use std::panic::resume_unwind;
use std::thread;

/// Call `work(row index, row)` for every `width`-long row of `out` on up to `threads` threads.
///
/// What is written does not depend on the number of threads. `width` must be above 0; the last row
/// is shorter if it does not divide the length of `out`.
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
    map_parts(out, width, threads, |first, part| {
        let mut scratch = scratch();
        for (index, row) in part.chunks_mut(width).enumerate() {
            work(&mut scratch, first + index, row);
        }
    });
}

/// Call `work(first row, rows)` for the share of every thread; returns their results, in order.
pub fn map_parts<T, R, F>(out: &mut [T], width: usize, threads: usize, work: F) -> Vec<R>
where
    T: Send,
    R: Send,
    F: Fn(usize, &mut [T]) -> R + Sync,
{
    let rows = out.len().div_ceil(width);
    let share = rows.div_ceil(threads.max(1)).max(1);
    if share >= rows {
        return vec![work(0, out)];
    }
    thread::scope(|scope| {
        let parts = out.chunks_mut(share * width).enumerate();
        let start = |(part, rows)| {
            let work = &work;
            scope.spawn(move || work(part * share, rows))
        };
        let threads: Vec<_> = parts.map(start).collect();
        threads.into_iter().map(joined).collect()
    })
}

/// Call `work` with the share of `rows` of every thread; returns their results, in order.
pub fn map_shares<R, F>(rows: Range<u64>, threads: usize, work: F) -> Vec<R>
where
    R: Send,
    F: Fn(Range<u64>) -> R + Sync,
{
    let share = (rows.end - rows.start)
        .div_ceil(threads.max(1) as u64)
        .max(1);
    if share >= rows.end - rows.start {
        return vec![work(rows)];
    }
    thread::scope(|scope| {
        let start = |start: u64| {
            let (work, end) = (&work, rows.end.min(start + share));
            scope.spawn(move || work(start..end))
        };
        let threads: Vec<_> = rows.clone().step_by(share as usize).map(start).collect();
        threads.into_iter().map(joined).collect()
    })
}

fn joined<R>(thread: thread::ScopedJoinHandle<R>) -> R {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
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

    #[test]
    fn shares_hold_every_row_once_and_in_order() {
        for threads in [1, 2, 3, 8, 100] {
            let found = map_shares(3..10, threads, |rows| rows.collect::<Vec<_>>());
            assert_eq!(found.concat(), (3..10).collect::<Vec<_>>());
            assert!(found.len() <= threads);
        }
        assert_eq!(map_shares(5..5, 2, |rows| rows.count()), [0]);
    }
}
