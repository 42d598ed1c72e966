//! Lines of a VCF to alleles: the first five columns, one allele per alternative.

use std::fmt;

/// What a pair of REF and one alternative is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Both are bases (ACGTN), and they differ.
    Bases,
    /// "."
    None,
    /// "*": a deletion that another line describes.
    Overlapped,
    /// As <DEL>.
    Symbolic,
    /// As G]17:198982], G. or .G
    Breakend,
    /// The bases of REF.
    Reference,
    /// One of them has IUPAC ambiguity codes.
    Iupac,
    /// One of them is nothing that a VCF may contain.
    Malformed,
}

/// A broken rule, with its line of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct BadLine {
    pub line: i64,
    pub rule: &'static str,
    pub value: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}: '{}'", self.line, self.rule, self.value)
    }
}

/// Columns of alleles. Text is joined, with a line feed after every value.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Alleles {
    /// Line of the file.
    pub line: Vec<i64>,
    /// POS of the file, from 1; 0 is the telomere before the first base.
    pub pos: Vec<i64>,
    /// `Kind` as a number.
    pub kind: Vec<u8>,
    pub chrom: Vec<u8>,
    pub id: Vec<u8>,
    /// Upper case where they are bases.
    pub reference: Vec<u8>,
    /// Upper case where they are bases.
    pub alternative: Vec<u8>,
}

/// The alleles of complete lines of a VCF, the first of which is line `first` of the file.
///
/// Empty lines and those that begin with "#" are skipped.
pub fn alleles(lines: &[u8], first: i64) -> Result<Alleles, BadLine> {
    let mut found = Alleles::default();
    for (number, line) in (first..).zip(lines.split(|&byte| byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() && line[0] != b'#' {
            found.add_line(line).map_err(|(rule, value)| BadLine {
                line: number,
                rule,
                value: shown(value),
            })?;
            found.line.resize(found.kind.len(), number);
        }
    }
    Ok(found)
}

/// The beginning of `value` for a message.
fn shown(value: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(value).chars().take(60).collect();
    text.escape_debug().to_string()
}

type Broken<'a> = (&'static str, &'a [u8]);

impl Alleles {
    fn add_line<'a>(&mut self, line: &'a [u8]) -> Result<(), Broken<'a>> {
        let mut fields = line.split(|&byte| byte == b'\t');
        let mut next = || {
            let field = fields.next();
            field.ok_or(("fewer than 5 tab-separated fields", line))
        };
        let [chrom, pos, id, reference, alternatives] =
            [next()?, next()?, next()?, next()?, next()?];
        let pos = position(pos).ok_or(("POS must be a whole number, 0 or more", pos))?;
        for alternative in alternatives.split(|&byte| byte == b',') {
            self.pos.push(pos);
            self.kind.push(kind(reference, alternative) as u8);
            push(&mut self.chrom, chrom);
            push(&mut self.id, id);
            push_allele(&mut self.reference, reference);
            push_allele(&mut self.alternative, alternative);
        }
        Ok(())
    }
}

fn push(column: &mut Vec<u8>, value: &[u8]) {
    column.extend_from_slice(value);
    column.push(b'\n');
}

fn push_allele(column: &mut Vec<u8>, value: &[u8]) {
    let start = column.len();
    push(column, value);
    if is_bases(value) {
        column[start..].make_ascii_uppercase();
    }
}

fn position(text: &[u8]) -> Option<i64> {
    let digits = std::str::from_utf8(text).ok()?;
    // `parse` takes a sign, a position has none.
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

fn is_bases(text: &[u8]) -> bool {
    is_of(b"ACGTN", text)
}

fn is_of(symbols: &[u8], text: &[u8]) -> bool {
    let known = |byte: &u8| symbols.contains(&byte.to_ascii_uppercase());
    !text.is_empty() && text.iter().all(known)
}

fn kind(reference: &[u8], alternative: &[u8]) -> Kind {
    match (kind_alone(reference), kind_alone(alternative)) {
        (Kind::Iupac, _) => Kind::Iupac,
        (Kind::Bases, Kind::Bases) if alternative.eq_ignore_ascii_case(reference) => {
            Kind::Reference
        }
        (Kind::Bases, found) => found,
        _ => Kind::Malformed,
    }
}

/// What an allele is, whatever the other one is.
fn kind_alone(allele: &[u8]) -> Kind {
    let has_bracket = |text: &[u8]| text.iter().any(|byte| b"[]".contains(byte));
    match allele {
        b"." => Kind::None,
        b"*" => Kind::Overlapped,
        bases if is_bases(bases) => Kind::Bases,
        codes if is_of(b"ACGTNRYSWKMBDHV", codes) => Kind::Iupac,
        [b'<', name @ .., b'>'] if !name.is_empty() => Kind::Symbolic,
        [b'.', bases @ ..] | [bases @ .., b'.'] if is_bases(bases) => Kind::Breakend,
        text if has_bracket(text) => Kind::Breakend,
        _ => Kind::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(column: &[u8]) -> Vec<&str> {
        std::str::from_utf8(column).unwrap().lines().collect()
    }

    #[test]
    fn every_alternative_is_an_allele() {
        let text = b"#x\n1\t0\trs1\ta\tG,.,*\t.\r\n\nX\t9\t.\tAC\tac,a,<DEL>,A[1:2[,.C,G.,y,*A";
        let found = alleles(text, 3).unwrap();
        assert_eq!(found.line, [4, 4, 4, 6, 6, 6, 6, 6, 6, 6, 6]);
        assert_eq!(found.pos, [0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9]);
        assert_eq!(found.kind, [0, 1, 2, 5, 0, 3, 4, 4, 4, 6, 7]);
        assert_eq!(lines(&found.chrom).join(""), "111XXXXXXXX");
        assert_eq!(lines(&found.id)[2..4], ["rs1", "."]);
        assert_eq!(lines(&found.reference)[2..4], ["A", "AC"]);
        assert_eq!(
            lines(&found.alternative),
            ["G", ".", "*", "AC", "A", "<DEL>", "A[1:2[", ".C", "G.", "y", "*A"]
        );
    }

    #[test]
    fn odd_alleles_are_named_and_the_others_of_their_line_are_kept() {
        let bases = Kind::Bases;
        for (reference, alternatives, kinds) in [
            ("A", "C,R,G", [bases, Kind::Iupac, bases]),
            ("m", "A,<DEL>,.", [Kind::Iupac; 3]),
            ("A", "*ACG,C-,", [Kind::Malformed; 3]),
            ("A", "<>,<DEL,0", [Kind::Malformed; 3]),
            (".", "C,*,.", [Kind::Malformed; 3]),
            ("<DEL>", "C,A,<DEL>", [Kind::Malformed; 3]),
            ("", "C,,AU", [Kind::Malformed; 3]),
            (
                "AC",
                "<*>,*,aC",
                [Kind::Symbolic, Kind::Overlapped, Kind::Reference],
            ),
        ] {
            let line = format!("1\t5\t.\t{reference}\t{alternatives}");
            let found = alleles(line.as_bytes(), 1).unwrap();
            assert_eq!(found.kind, kinds.map(|kind| kind as u8), "{line}");
        }
    }

    #[test]
    fn a_broken_rule_is_named_with_its_line_and_value() {
        for (line, rule, value) in [
            ("1\t2\t.\tA", "fewer than 5", "1\\t2\\t.\\tA"),
            ("1\t-1\t.\tA\tC", "POS", "-1"),
            ("1\t+5\t.\tA\tC", "POS", "+5"),
            (
                "1\t99999999999999999999\t.\tA\tC",
                "POS",
                "99999999999999999999",
            ),
            ("1\t\t.\tA\tC", "POS", ""),
        ] {
            let bad = alleles(format!("#\n{line}\n").as_bytes(), 1).unwrap_err();
            assert_eq!((bad.line, bad.value.as_str()), (2, value));
            assert!(bad.rule.starts_with(rule), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = alleles(&text, 1);
        }

        #[test]
        fn all_columns_are_equally_long(text in "([1X]\t[0-9]{1,3}\t[a;]{0,2}\t[AcNr]{1,2}\t[AcNr.*,<>]{1,5}\t?\r?\n){0,5}") {
            if let Ok(found) = alleles(text.as_bytes(), 1) {
                for column in [&found.chrom, &found.id, &found.reference, &found.alternative] {
                    prop_assert_eq!(lines(column).len(), found.line.len());
                }
                prop_assert_eq!(found.pos.len(), found.line.len());
            }
        }
    }
}
