//! One pass over a FASTA file in chunks: checks it and gives its canonical text.
//!
//! Canonical text: a line `>NAME` for every record, then its sequence in upper case, `WIDTH`
//! symbols per line. The same sequences give the same canonical text, whatever the case, line width
//! and line ends of the file.

use crate::alphabet::is_nucleotide;
use std::collections::HashSet;
use std::fmt;

/// Symbols per line of canonical text.
pub const WIDTH: u64 = 60;

/// Bytes of the longest header.
const LONGEST_HEADER: usize = 1 << 20;

/// A record of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Header without ">" and surrounding white space.
    pub header: String,
    /// Number of symbols.
    pub length: u64,
}

impl Record {
    /// The header up to the first white space.
    pub fn name(&self) -> &str {
        self.header.split_whitespace().next().unwrap_or_default()
    }
}

/// A broken rule of FASTA, with its 1-based row.
#[derive(Debug, PartialEq, Eq)]
pub struct FastaError {
    pub row: u64,
    pub rule: String,
}

impl fmt::Display for FastaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}: {}", self.row, self.rule)
    }
}

/// The state between chunks.
#[derive(Default)]
pub struct Scanner {
    records: Vec<Record>,
    names: HashSet<String>,
    header: Option<Vec<u8>>,
    row: u64,
    /// Bytes of the current line of sequence so far.
    column: u64,
}

impl Scanner {
    pub fn new() -> Self {
        Scanner {
            row: 1,
            ..Default::default()
        }
    }

    /// Read the next bytes of the file; appends their canonical text to `out`.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), FastaError> {
        out.reserve(chunk.len() + chunk.len() / WIDTH as usize + 1);
        for &byte in chunk {
            if self.header.is_some() {
                self.in_header(byte, out)?;
            } else {
                self.in_sequence(byte, out)?;
            }
        }
        Ok(())
    }

    /// End of the file; appends the rest of the canonical text and returns the records.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Vec<Record>, FastaError> {
        if self.header.is_some() {
            self.in_header(b'\n', out)?;
        }
        self.end_of_record(out)?;
        if self.records.is_empty() {
            return self.fail("the file has no record (a line that begins with '>')");
        }
        Ok(self.records)
    }

    fn in_header(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), FastaError> {
        let header = self.header.get_or_insert_default();
        if byte != b'\n' {
            if header.len() == LONGEST_HEADER {
                return self.fail("the header is longer than 1 MB");
            }
            header.push(byte);
            return Ok(());
        }
        let Ok(header) = String::from_utf8(self.header.take().unwrap_or_default()) else {
            return self.fail("the header is not UTF-8 text");
        };
        let header = header.trim().to_owned();
        let record = Record { header, length: 0 };
        let name = record.name().to_owned();
        if name.is_empty() {
            return self.fail("a header without a name");
        }
        out.extend_from_slice(b">");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\n");
        if !self.names.insert(name.clone()) {
            return self.fail(&format!("a second record is named '{name}'"));
        }
        self.records.push(record);
        self.column = 0;
        self.row += 1;
        Ok(())
    }

    fn in_sequence(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), FastaError> {
        if byte == b'>' && self.column == 0 {
            self.end_of_record(out)?;
            self.header = Some(Vec::new());
            return Ok(());
        }
        self.column += 1;
        match byte {
            b'\n' => {
                self.column = 0;
                self.row += 1;
            }
            b' ' | b'\t' | b'\r' => {}
            _ => self.symbol(byte, out)?,
        }
        Ok(())
    }

    fn symbol(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), FastaError> {
        let column = self.column;
        let Some(record) = self.records.last_mut() else {
            return self.fail("text before the first header (a line that begins with '>')");
        };
        if !is_nucleotide(byte) {
            let name = record.name().to_owned();
            let shown = byte.escape_ascii();
            let rule =
                format!("column {column}: '{shown}' is not a nucleotide symbol (record '{name}')");
            return self.fail(&rule);
        }
        record.length += 1;
        out.push(byte.to_ascii_uppercase());
        if record.length % WIDTH == 0 {
            out.push(b'\n');
        }
        Ok(())
    }

    fn end_of_record(&mut self, out: &mut Vec<u8>) -> Result<(), FastaError> {
        let Some(record) = self.records.last() else {
            return Ok(());
        };
        if record.length == 0 {
            let rule = format!("the record '{}' has no sequence", record.name());
            return self.fail(&rule);
        }
        if record.length % WIDTH != 0 {
            out.push(b'\n');
        }
        Ok(())
    }

    fn fail<T>(&self, rule: &str) -> Result<T, FastaError> {
        Err(FastaError {
            row: self.row,
            rule: rule.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(text: &[u8], chunk: usize) -> Result<(Vec<u8>, Vec<Record>), FastaError> {
        let (mut scanner, mut out) = (Scanner::new(), Vec::new());
        for part in text.chunks(chunk) {
            scanner.feed(part, &mut out)?;
        }
        let records = scanner.finish(&mut out)?;
        Ok((out, records))
    }

    #[test]
    fn records_have_header_and_length() {
        let (_, records) = scan(b">a first\r\nACGT\r\nA C\r\n\r\n>b\r\nNNNN\r\nNN", 5).unwrap();
        let found: Vec<_> = records
            .iter()
            .map(|record| (record.name(), record.header.as_str(), record.length))
            .collect();
        assert_eq!(found, [("a", "a first", 6), ("b", "b", 6)]);
    }

    #[test]
    fn broken_rules_are_named_with_their_row() {
        for (text, row, part) in [
            ("", 1, "no record"),
            ("ACGT\n", 1, "before the first header"),
            (">a\nAC\nAXG\n", 3, "column 2: 'X'"),
            (">a\nAC>b\n", 2, "column 3: '>'"),
            (">a\nAC\n>a b\nAC\n", 3, "a second record is named 'a'"),
            (">a\n>b\nAC\n", 2, "'a' has no sequence"),
            ("> \nAC\n", 1, "without a name"),
            (">a", 2, "'a' has no sequence"),
        ] {
            let error = scan(text.as_bytes(), 2).unwrap_err();
            assert_eq!(error.row, row, "{text:?}");
            assert!(error.rule.contains(part), "{error}");
        }
        assert!(scan(b">\xff\nA", 9).unwrap_err().rule.contains("UTF-8"));
        let endless = [b">".as_slice(), &[b'a'; LONGEST_HEADER + 1]].concat();
        assert!(scan(&endless, 4096).unwrap_err().rule.contains("longer"));
    }

    proptest! {
        #[test]
        fn canonical_text_depends_on_the_sequences_alone(
            sequences in prop::collection::vec("[ACGTNacgtnRY]{1,150}", 1..5),
            width in 1usize..90,
            chunk in 1usize..50,
            end in prop_oneof![Just("\n"), Just("\r\n")],
        ) {
            let wrapped = |width: usize, end: &str| -> Vec<u8> {
                let mut text = String::new();
                for (index, sequence) in sequences.iter().enumerate() {
                    text += &format!(">s{index}{end}");
                    for line in sequence.as_bytes().chunks(width) {
                        text += &String::from_utf8_lossy(line);
                        text += end;
                    }
                }
                text.into_bytes()
            };
            let text = wrapped(width, end);
            let (out, records) = scan(&text, chunk).unwrap();
            let mut wanted = wrapped(WIDTH as usize, "\n");
            wanted.iter_mut().for_each(|byte| if *byte != b's' { byte.make_ascii_uppercase() });
            prop_assert_eq!(out, wanted);
            for (record, sequence) in records.iter().zip(&sequences) {
                prop_assert_eq!(record.length as usize, sequence.len());
            }
        }
    }
}
