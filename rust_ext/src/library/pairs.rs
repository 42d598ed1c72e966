//! Every pair of substitutions, one in each of two windows.

use super::{refuse, Refused, Scratch, Site, Substitutions, Target};

/// The wild type, then the single substitutions if requested, then the pairs.
///
/// Rows are ordered by the position in the first window, its symbol, the position in the second window,
/// its symbol.
pub struct Pairs {
    first: Target,
    second: Target,
    singles: bool,
}

impl Pairs {
    /// `first` and `second` are windows of the same wild type that do not overlap.
    pub fn new(first: Target, second: Target, singles: bool) -> Result<Self, Refused> {
        let shared = |site: &Site| {
            let positions = second
                .sites
                .binary_search_by_key(&site.position, |s| s.position);
            positions.is_ok()
        };
        if first.wild != second.wild || first.sites.iter().any(shared) {
            return refuse("the windows of a pair must not overlap, and be in one sequence");
        }
        Ok(Pairs {
            first,
            second,
            singles,
        })
    }
}

/// Substitutions in a window.
fn choices(window: &Target) -> u64 {
    window.sites.len() as u64 * u64::from(window.others())
}

/// The `index`-th substitution in a window.
#[inline]
fn substitution(window: &Target, index: u64) -> (u32, u8) {
    let others = u64::from(window.others());
    let site = window.sites[(index / others) as usize];
    (site.position, site.other((index % others) as u32))
}

impl Substitutions for Pairs {
    fn rows(&self) -> u64 {
        let (first, second) = (choices(&self.first), choices(&self.second));
        1 + u64::from(self.singles) * (first + second) + first * second
    }

    fn wild_type(&self) -> &[u8] {
        &self.first.wild
    }

    #[inline]
    fn mutate(&self, row: u64, _: &mut Scratch, put: &mut impl FnMut(u32, u8)) {
        let Some(row) = row.checked_sub(1) else {
            return;
        };
        let (first, second) = (choices(&self.first), choices(&self.second));
        let mut put = |window, index| {
            let (position, symbol) = substitution(window, index);
            put(position, symbol);
        };
        match row.checked_sub(u64::from(self.singles) * (first + second)) {
            Some(pair) => {
                put(&self.first, pair / second);
                put(&self.second, pair % second);
            }
            None if row < first => put(&self.first, row),
            None => put(&self.second, row - first),
        }
    }
}
