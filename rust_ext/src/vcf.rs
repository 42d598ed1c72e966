//! Lines of a VCF to alleles: the first five columns, one allele an alternative.

use std::fmt;

/// What an alternative is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Symbols of ACGTN, unlike REF.
    Symbols,
    /// "."
    None,
    /// "*": a deletion that another line tells of.
    Overlapped,
    /// As <DEL>.
    Symbolic,
    /// As G]17:198982], G. or .G
    Breakend,
    /// The symbols of REF.
    Reference,
}

/// A broken rule, with the line of the file it stands in.
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

/// Columns of alleles. Text is joined: a line feed stands after every value.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Alleles {
    /// Line of the file.
    pub line: Vec<i64>,
    /// POS as it stands there, from 1; 0 is the telomere before the first base.
    pub pos: Vec<i64>,
    /// `Kind` as a number.
    pub kind: Vec<u8>,
    pub chrom: Vec<u8>,
    pub id: Vec<u8>,
    /// Upper case.
    pub reference: Vec<u8>,
    /// Upper case where they are symbols.
    pub alternative: Vec<u8>,
}

/// The alleles of whole lines of a VCF, the first of which is line `first` of the file.
///
/// Empty lines and those that begin with "#" are passed over.
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
        if !is_symbols(reference) {
            return Err(("REF must be symbols of ACGTN", reference));
        }
        for alternative in alternatives.split(|&byte| byte == b',') {
            let kind = kind(reference, alternative).ok_or((
                "ALT must be symbols of ACGTN, '.', '*', <NAME> or a breakend",
                alternative,
            ))?;
            self.pos.push(pos);
            self.kind.push(kind as u8);
            push(&mut self.chrom, chrom);
            push(&mut self.id, id);
            push_symbols(&mut self.reference, reference);
            match kind {
                Kind::Symbols | Kind::Reference => push_symbols(&mut self.alternative, alternative),
                _ => push(&mut self.alternative, alternative),
            }
        }
        Ok(())
    }
}

fn push(column: &mut Vec<u8>, value: &[u8]) {
    column.extend_from_slice(value);
    column.push(b'\n');
}

fn push_symbols(column: &mut Vec<u8>, value: &[u8]) {
    column.extend(value.iter().map(u8::to_ascii_uppercase));
    column.push(b'\n');
}

fn position(text: &[u8]) -> Option<i64> {
    let digits = std::str::from_utf8(text).ok()?;
    // `parse` takes a sign, a position has none.
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

fn is_symbols(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| b"ACGTNacgtn".contains(byte))
}

/// What `alternative` is; none when it is nothing that a VCF may hold.
fn kind(reference: &[u8], alternative: &[u8]) -> Option<Kind> {
    let ends = |text: &[u8]| text.iter().any(|byte| b"[]".contains(byte));
    match alternative {
        b"." => Some(Kind::None),
        b"*" => Some(Kind::Overlapped),
        symbols if is_symbols(symbols) => Some(match symbols.eq_ignore_ascii_case(reference) {
            true => Kind::Reference,
            false => Kind::Symbols,
        }),
        [b'<', name @ .., b'>'] if !name.is_empty() => Some(Kind::Symbolic),
        [b'.', symbols @ ..] | [symbols @ .., b'.'] if is_symbols(symbols) => Some(Kind::Breakend),
        text if ends(text) => Some(Kind::Breakend),
        _ => None,
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
        let text = b"#x\n1\t0\trs1\ta\tG,.,*\t.\r\n\nX\t9\t.\tAC\tac,a,<DEL>,A[1:2[,.C,G.";
        let found = alleles(text, 3).unwrap();
        assert_eq!(found.line, [4, 4, 4, 6, 6, 6, 6, 6, 6]);
        assert_eq!(found.pos, [0, 0, 0, 9, 9, 9, 9, 9, 9]);
        assert_eq!(found.kind, [0, 1, 2, 5, 0, 3, 4, 4, 4]);
        assert_eq!(lines(&found.chrom).join(""), "111XXXXXX");
        assert_eq!(lines(&found.id)[2..4], ["rs1", "."]);
        assert_eq!(lines(&found.reference)[2..4], ["A", "AC"]);
        assert_eq!(
            lines(&found.alternative),
            ["G", ".", "*", "AC", "A", "<DEL>", "A[1:2[", ".C", "G."]
        );
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
            ("1\t5\t.\tR\tC", "REF", "R"),
            ("1\t5\t.\t\tC", "REF", ""),
            ("1\t5\t.\tA\tC,", "ALT", ""),
            ("1\t5\t.\tA\tC-", "ALT", "C-"),
            ("1\t5\t.\tA\t<>", "ALT", "<>"),
        ] {
            let bad = alleles(format!("#\n{line}\n").as_bytes(), 1).unwrap_err();
            assert_eq!((bad.line, bad.value.as_str()), (2, value));
            assert!(bad.rule.starts_with(rule), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall_over(text in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = alleles(&text, 1);
        }

        #[test]
        fn all_columns_are_equally_long(text in "([1X]\t[0-9]{1,3}\t[a;]{0,2}\t[AcN]{1,2}\t[AcN.*,<>]{1,5}\t?\r?\n){0,5}") {
            if let Ok(found) = alleles(text.as_bytes(), 1) {
                for column in [&found.chrom, &found.id, &found.reference, &found.alternative] {
                    prop_assert_eq!(lines(column).len(), found.line.len());
                }
                prop_assert_eq!(found.pos.len(), found.line.len());
            }
        }
    }
}
