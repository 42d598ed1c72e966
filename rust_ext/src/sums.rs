//! Sums over the entries of a sparse matrix of cells and features.

/// Entries of consecutive lines of a matrix. The lines are cells if `by_cell`, otherwise features;
/// `lengths` are their numbers of entries, `across` the places of these on the other axis.
pub struct Entries<'a> {
    pub by_cell: bool,
    pub lengths: &'a [i64],
    pub across: &'a [i64],
    pub values: &'a [f64],
}

/// What values are.
#[derive(Debug, PartialEq)]
pub struct Values {
    pub largest: f64,
    pub integers: bool,
    /// The first that is negative, infinite or NaN.
    pub bad: Option<usize>,
}

/// Where the values of a cell are added: the first element of a row of `Tables::by_group` and of
/// `Tables::squares` and `products`; negative for a cell that is not used.
pub struct Cells<'a> {
    pub group: &'a [i64],
    pub kind: &'a [i64],
    pub totals: &'a [f64],
}

/// Sums of values by group of cells; of their squares, and of their products with the cell's total,
/// by kind of cell. The latter two may be empty, and are then left out.
pub struct Tables<'a> {
    pub by_group: &'a mut [f64],
    pub squares: &'a mut [f64],
    pub products: &'a mut [f64],
}

fn is_good(value: f64) -> bool {
    (0.0..f64::INFINITY).contains(&value)
}

impl Entries<'_> {
    /// Adds the values to the totals of their lines, and to `across_totals` of the other axis.
    pub fn add_totals(&self, line_totals: &mut [f64], across_totals: &mut [f64]) -> Values {
        let (mut largest, mut integers, mut good) = (0.0f64, true, true);
        let mut start = 0;
        for (&length, line) in self.lengths.iter().zip(line_totals) {
            let entries = start..start + length as usize;
            start = entries.end;
            let mut sum = 0.0;
            for (&value, &at) in self.values[entries.clone()]
                .iter()
                .zip(&self.across[entries])
            {
                good &= is_good(value);
                largest = largest.max(value);
                integers &= value == value.trunc();
                sum += value;
                across_totals[at as usize] += value;
            }
            *line += sum;
        }
        let bad = (!good).then(|| self.values.iter().position(|&value| !is_good(value)));
        let bad = bad.flatten();
        Values {
            largest,
            integers,
            bad,
        }
    }

    /// Adds the values to `tables`. `first`: the first line; `place`: of every feature, the column
    /// of the tables, negative for one that is not used.
    pub fn add(&self, first: usize, place: &[i64], cells: &Cells, tables: &mut Tables) {
        let mut lines: Vec<_> = (0..self.lengths.len()).collect();
        let ends = self.ends();
        if self.by_cell {
            // Cells of a group one after the other: their row of the tables stays in the cache.
            lines.sort_by_key(|&line| (cells.kind[first + line], cells.group[first + line]));
        }
        for line in lines {
            let entries = ends[line] - self.lengths[line] as usize..ends[line];
            let across = self.across[entries.clone()].iter().map(|&at| at as usize);
            let pairs = across.zip(self.values[entries].iter().copied());
            if self.by_cell {
                let mut row = tables.of(cells, first + line);
                for (column, value) in pairs {
                    row.add(place[column], value);
                }
            } else {
                for (cell, value) in pairs {
                    tables.of(cells, cell).add(place[first + line], value);
                }
            }
        }
    }

    /// Where the entries of each line end.
    fn ends(&self) -> Vec<usize> {
        let mut end = 0;
        self.lengths
            .iter()
            .map(|&length| {
                end += length as usize;
                end
            })
            .collect()
    }
}

/// The rows of the tables that a cell is added to; empty where there are none.
struct Row<'a> {
    sums: &'a mut [f64],
    squares: &'a mut [f64],
    products: &'a mut [f64],
    total: f64,
}

impl Tables<'_> {
    #[inline(always)]
    fn of(&mut self, cells: &Cells, cell: usize) -> Row<'_> {
        Row {
            sums: from(self.by_group, cells.group[cell]),
            squares: from(self.squares, cells.kind[cell]),
            products: from(self.products, cells.kind[cell]),
            total: cells.totals[cell],
        }
    }
}

#[inline(always)]
fn from(table: &mut [f64], start: i64) -> &mut [f64] {
    let start = usize::try_from(start).unwrap_or(usize::MAX);
    table.get_mut(start..).unwrap_or_default()
}

impl Row<'_> {
    /// Nothing is added at a negative place, or where there is no row.
    #[inline(always)]
    fn add(&mut self, place: i64, value: f64) {
        let at = place as usize;
        if let Some(sum) = self.sums.get_mut(at) {
            *sum += value;
        }
        if let (Some(square), Some(product)) = (self.squares.get_mut(at), self.products.get_mut(at))
        {
            *square += value * value;
            *product += value * self.total;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDTH: usize = 4;

    /// Cells × features, dense; cells' groups, each its own kind; places of features.
    fn matrices() -> impl Strategy<Value = (Vec<Vec<f64>>, Vec<i64>, Vec<i64>)> {
        (1usize..6, 1usize..7).prop_flat_map(|(cells, features)| {
            let row =
                prop::collection::vec(prop::sample::select(vec![0.0, 1.0, 2.5, 7.0]), features);
            (
                prop::collection::vec(row, cells),
                prop::collection::vec(-1i64..3, cells),
                prop::collection::vec(-1i64..WIDTH as i64, features),
            )
        })
    }

    /// Lengths, places and values of what is not 0, line by line.
    fn sparse(lines: &[Vec<f64>]) -> (Vec<i64>, Vec<i64>, Vec<f64>) {
        let (mut lengths, mut across, mut values) = (vec![], vec![], vec![]);
        for line in lines {
            let before = values.len();
            for (at, &value) in line.iter().enumerate().filter(|(_, value)| **value != 0.0) {
                across.push(at as i64);
                values.push(value);
            }
            lengths.push((values.len() - before) as i64);
        }
        (lengths, across, values)
    }

    proptest! {
        #[test]
        fn sums_are_those_of_the_dense_matrix((dense, groups, place) in matrices(), by_cell: bool) {
            let features = place.len();
            let turned: Vec<Vec<f64>> =
                (0..features).map(|f| dense.iter().map(|row| row[f]).collect()).collect();
            let lines = if by_cell { &dense } else { &turned };
            let (lengths, across, values) = sparse(lines);
            let entries = Entries { by_cell, lengths: &lengths, across: &across, values: &values };
            let (mut of_lines, mut of_others) =
                (vec![0.0; lines.len()], vec![0.0; lines[0].len()]);
            let found = entries.add_totals(&mut of_lines, &mut of_others);
            let largest = values.iter().copied().fold(0.0, f64::max);
            prop_assert_eq!(&found, &Values { largest, integers: !values.contains(&2.5), bad: None });
            let totals = if by_cell { &of_lines } else { &of_others };
            for (row, &total) in dense.iter().zip(totals) {
                prop_assert_eq!(row.iter().sum::<f64>(), total);
            }

            let starts: Vec<i64> = groups.iter().map(|&g| if g < 0 { -1 } else { g * WIDTH as i64 }).collect();
            let (mut sums, mut squares, mut products) =
                (vec![0.0; 3 * WIDTH], vec![0.0; 3 * WIDTH], vec![0.0; 3 * WIDTH]);
            let mut wanted = (sums.clone(), sums.clone(), sums.clone());
            for (cell, row) in dense.iter().enumerate() {
                for (feature, &value) in row.iter().enumerate() {
                    if groups[cell] >= 0 && place[feature] >= 0 {
                        let at = groups[cell] as usize * WIDTH + place[feature] as usize;
                        wanted.0[at] += value;
                        wanted.1[at] += value * value;
                        wanted.2[at] += value * totals[cell];
                    }
                }
            }
            let cells = Cells { group: &starts, kind: &starts, totals };
            // In two parts, the second of which begins at another line.
            let half = lines.len() / 2;
            let cut = lengths[..half].iter().sum::<i64>() as usize;
            for (first, lengths, range) in
                [(0, &lengths[..half], 0..cut), (half, &lengths[half..], cut..values.len())]
            {
                let part = Entries { by_cell, lengths, across: &across[range.clone()], values: &values[range] };
                let mut tables =
                    Tables { by_group: &mut sums, squares: &mut squares, products: &mut products };
                part.add(first, &place, &cells, &mut tables);
            }
            prop_assert_eq!((sums, squares, products), wanted);
        }
    }

    #[test]
    fn the_first_bad_value_is_found() {
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            let values = [1.0, bad, 2.0, bad];
            let entries = Entries {
                by_cell: true,
                lengths: &[1, 3],
                across: &[0, 0, 1, 2],
                values: &values,
            };
            let found = entries.add_totals(&mut [0.0; 2], &mut [0.0; 3]);
            assert_eq!(found.bad, Some(1));
        }
    }
}
