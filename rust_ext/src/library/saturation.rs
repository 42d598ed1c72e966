//! Every single edit of a sequence: substitutions, deletions, insertions.

use super::{refuse, Refused, Rows, Scratch, Site, Target};

/// Which side of an edit stays in place when symbols are deleted or inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The sequence to its left; the right end takes symbols of the right flank, or loses some.
    Left,
    /// The sequence to its right; the left end takes symbols of the left flank, or loses some.
    Right,
}

/// Which edits to make; the lengths are the longest ones, 0 for none.
#[derive(Clone, Copy, Debug)]
pub struct Edits {
    pub substitutions: bool,
    pub deletions: usize,
    pub insertions: usize,
}

/// One edit: `deleted` symbols from `position` on are replaced by `inserted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    pub position: usize,
    pub deleted: usize,
    pub inserted: Vec<u8>,
}

/// The edits of one type and length.
struct Group {
    /// Row of the first one.
    first: u64,
    deleted: usize,
    inserted: usize,
    /// Where they begin, and how many there are at each place.
    sites: Vec<Site>,
    spellings: u64,
}

/// The wild type if requested, the substitutions, the deletions of 1… symbols, the insertions of
/// 1… symbols before a position; each type by length, then position, then symbols.
pub struct Saturation {
    target: Target,
    /// Left flank, sequence and right flank.
    context: Vec<u8>,
    offset: usize,
    unknown: u8,
    keep: Keep,
    wild_first: bool,
    groups: Vec<Group>,
    rows: u64,
}

impl Saturation {
    /// `left` and `right` are the symbols before and after the sequence; beyond them all is
    /// unknown.
    pub fn new(
        target: Target,
        edits: Edits,
        (left, right): (&[u8], &[u8]),
        keep: Keep,
        wild_first: bool,
    ) -> Result<Self, Refused> {
        if edits.deletions.max(edits.insertions) > target.wild.len() {
            return refuse("insertions and deletions must not be longer than the sequence");
        }
        let mut library = Saturation {
            context: [left, &target.wild, right].concat(),
            offset: left.len(),
            unknown: target.size,
            keep,
            wild_first,
            groups: Vec::new(),
            rows: u64::from(wild_first),
            target,
        };
        let substitution = edits.substitutions.then_some((1, 1));
        let deletions = (1..=edits.deletions).map(|length| (length, 0));
        let insertions = (1..=edits.insertions).map(|length| (0, length));
        for (deleted, inserted) in substitution.into_iter().chain(deletions).chain(insertions) {
            library.add(deleted, inserted)?;
        }
        Ok(library)
    }

    fn add(&mut self, deleted: usize, inserted: usize) -> Result<(), Refused> {
        let symbols = u64::from(self.target.size) - deleted.min(inserted) as u64;
        let sites = self.sites(deleted.max(1));
        let rows = symbols
            .checked_pow(inserted as u32)
            .and_then(|spellings| Some((spellings, spellings.checked_mul(sites.len() as u64)?)))
            .and_then(|(spellings, rows)| Some((spellings, self.rows.checked_add(rows)?)));
        let Some((spellings, end)) = rows else {
            return refuse(format!("insertions of {inserted} symbols are 2^64 or more"));
        };
        self.groups.push(Group {
            first: self.rows,
            deleted,
            inserted,
            sites,
            spellings,
        });
        self.rows = end;
        Ok(())
    }

    /// Sites from which on `span` symbols may change.
    fn sites(&self, span: usize) -> Vec<Site> {
        let runs = self.target.sites.windows(span);
        runs.filter(|run| (run[span - 1].position - run[0].position) as usize == span - 1)
            .map(|run| run[0])
            .collect()
    }

    /// The edit of `row`; None for the wild type.
    pub fn edit(&self, row: u64) -> Option<Edit> {
        if row == 0 && self.wild_first {
            return None;
        }
        let group = &self.groups[self.groups.partition_point(|group| group.first <= row) - 1];
        let index = row - group.first;
        let site = group.sites[(index / group.spellings) as usize];
        let spelling = index % group.spellings;
        let inserted = if group.deleted == group.inserted {
            vec![site.other(spelling as u32)]
        } else {
            self.word(spelling, group.inserted)
        };
        Some(Edit {
            position: site.position as usize,
            deleted: group.deleted,
            inserted,
        })
    }

    /// The `number`-th word of `length` symbols.
    fn word(&self, mut number: u64, length: usize) -> Vec<u8> {
        let mut word = vec![0; length];
        for symbol in word.iter_mut().rev() {
            *symbol = (number % u64::from(self.target.size)) as u8;
            number /= u64::from(self.target.size);
        }
        word
    }
}

impl Rows for Saturation {
    fn rows(&self) -> u64 {
        self.rows
    }

    fn length(&self) -> usize {
        self.target.wild.len()
    }

    fn fill(&self, row: u64, _: &mut Scratch, out: &mut [u8]) {
        let Some(edit) = self.edit(row) else {
            return out.copy_from_slice(&self.target.wild);
        };
        let cut = self.offset + edit.position;
        let shift = match self.keep {
            Keep::Left => 0,
            Keep::Right => edit.inserted.len() as isize - edit.deleted as isize,
        };
        let start = self.offset as isize + shift;
        out.fill(self.unknown);
        paste(out, &self.context[..cut], -start);
        paste(out, &edit.inserted, cut as isize - start);
        let after = (cut + edit.inserted.len()) as isize - start;
        paste(out, &self.context[cut + edit.deleted..], after);
    }
}

/// Copy `piece` to `at` in `out`, clipped to `out`.
fn paste(out: &mut [u8], piece: &[u8], at: isize) {
    let skip = at.saturating_neg().clamp(0, piece.len() as isize) as usize;
    let at = at.max(0) as usize;
    if at < out.len() {
        let end = piece.len().min(skip + out.len() - at);
        out[at..][..end - skip].copy_from_slice(&piece[skip..end]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alphabet::Alphabet;

    fn rows(edits: (bool, usize, usize), keep: Keep) -> Vec<String> {
        let dna = Alphabet::dna();
        let target = Target::new(vec![0, 1, 2, 3], &[1, 2], &dna).unwrap();
        let edits = Edits {
            substitutions: edits.0,
            deletions: edits.1,
            insertions: edits.2,
        };
        let library = Saturation::new(target, edits, (&[3, 3], &[0]), keep, true).unwrap();
        let mut scratch = Scratch::default();
        let row = |row| {
            let mut out = vec![9; 4];
            library.fill(row, &mut scratch, &mut out);
            out.iter()
                .map(|&token| char::from(dna.symbol(token)))
                .collect()
        };
        (0..library.rows()).map(row).collect()
    }

    #[test]
    fn substitutions_deletions_and_insertions_by_hand() {
        let substituted = ["ACGT", "AAGT", "AGGT", "ATGT", "ACAT", "ACCT", "ACTT"];
        assert_eq!(rows((true, 0, 0), Keep::Left), substituted);
        // TT ACGT A: the sequence with its flanks.
        assert_eq!(
            rows((false, 2, 0), Keep::Left),
            ["ACGT", "AGTA", "ACTA", "ATAN"]
        );
        assert_eq!(
            rows((false, 2, 0), Keep::Right),
            ["ACGT", "TAGT", "TACT", "TTAT"]
        );
        let left = [
            "ACGT", "AACG", "ACCG", "AGCG", "ATCG", "ACAG", "ACCG", "ACGG", "ACTG",
        ];
        assert_eq!(rows((false, 0, 1), Keep::Left), left);
        let right = [
            "ACGT", "ACGT", "CCGT", "GCGT", "TCGT", "CAGT", "CCGT", "CGGT", "CTGT",
        ];
        assert_eq!(rows((false, 0, 1), Keep::Right), right);
    }
}
