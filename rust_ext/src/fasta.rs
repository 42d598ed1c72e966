//! One pass over a FASTA file in chunks: checks it, records its layout, returns its canonical text.
//!
//! Canonical text: a line `>NAME` for every record, then its sequence in upper case, `WIDTH`
//! symbols a line. Whatever the case, line width and line ends of a file were, the same sequences
//! give the same canonical text.

use crate::alphabet::is_nucleotide;
use std::collections::HashSet;
use std::fmt;

/// Symbols a line of canonical text.
pub const WIDTH: u64 = 60;

/// A record and its place in the file that was read, as in a `.fai` index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Header without ">" and surrounding white space.
    pub header: String,
    /// Number of symbols.
    pub length: u64,
    /// Byte offset of the first symbol.
    pub offset: u64,
    /// Symbols of every full line.
    pub line_bases: u64,
    /// Bytes of every full line, its end included.
    pub line_width: u64,
    /// Whether all lines but the last are equally long, so that `.fai` can describe them.
    pub even: bool,
}

impl Record {
    /// The header up to the first white space.
    pub fn name(&self) -> &str {
        self.header.split_whitespace().next().unwrap_or_default()
    }
}

/// A violated rule of FASTA, with its 1-based row.
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
    offset: u64,
    line: Line,
}

/// The content of the current line of sequence so far.
#[derive(Default)]
struct Line {
    bytes: u64,
    bases: u64,
    /// A line unlike the first was seen: only the end of the record may follow.
    short: bool,
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
            self.offset += 1;
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
        self.end_of_line();
        self.end_of_record(out)?;
        if self.records.is_empty() {
            return self.fail("the file has no record (a line that begins with '>')");
        }
        Ok(self.records)
    }

    fn in_header(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), FastaError> {
        let header = self.header.get_or_insert_default();
        if byte != b'\n' {
            header.push(byte);
            return Ok(());
        }
        let Ok(header) = String::from_utf8(self.header.take().unwrap_or_default()) else {
            return self.fail("the header is not UTF-8 text");
        };
        let header = header.trim().to_owned();
        let record = Record {
            header,
            offset: self.offset,
            even: true,
            ..Default::default()
        };
        let name = record.name().to_owned();
        if name.is_empty() {
            return self.fail("a header without a name");
        }
        out.extend_from_slice(b">");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\n");
        if !self.names.insert(name.clone()) {
            return self.fail(&format!("the name '{name}' occurs twice"));
        }
        self.records.push(record);
        self.line = Line::default();
        self.row += 1;
        Ok(())
    }

    fn in_sequence(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), FastaError> {
        if byte == b'>' && self.line.bytes == 0 {
            self.end_of_record(out)?;
            self.header = Some(Vec::new());
            return Ok(());
        }
        self.line.bytes += 1;
        match byte {
            b'\n' => {
                self.end_of_line();
                self.row += 1;
            }
            b' ' | b'\t' | b'\r' => {}
            _ => self.symbol(byte, out)?,
        }
        Ok(())
    }

    fn symbol(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), FastaError> {
        let column = self.line.bytes;
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
        // Symbols after white space: `.fai` cannot describe such lines.
        record.even &= self.line.bytes == self.line.bases + 1;
        record.length += 1;
        self.line.bases += 1;
        out.push(byte.to_ascii_uppercase());
        if record.length % WIDTH == 0 {
            out.push(b'\n');
        }
        Ok(())
    }

    fn end_of_line(&mut self) {
        let line = &mut self.line;
        let Some(record) = self.records.last_mut() else {
            *line = Line::default();
            return;
        };
        if record.line_width == 0 && line.bases > 0 {
            (record.line_bases, record.line_width) = (line.bases, line.bytes);
        }
        let after_short = line.short && line.bases > 0;
        record.even &= !after_short && line.bases <= record.line_bases;
        let full = line.bases == record.line_bases && line.bytes == record.line_width;
        let short = line.short || !full;
        *line = Line {
            short,
            ..Line::default()
        };
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

    fn even(text: &str) -> bool {
        scan(text.as_bytes(), 3).unwrap().1[0].even
    }

    #[test]
    fn layout_is_that_of_a_fai_index() {
        let (_, records) = scan(b">a first\r\nACGT\r\nAC\r\n>b\r\nNNNN\r\nNNNN\r\n", 5).unwrap();
        let first = &records[0];
        assert_eq!((first.name(), first.header.as_str()), ("a", "a first"));
        assert_eq!(
            (
                first.length,
                first.offset,
                first.line_bases,
                first.line_width
            ),
            (6, 10, 4, 6)
        );
        let second = &records[1];
        assert_eq!((second.length, second.offset, second.even), (8, 24, true));
    }

    #[test]
    fn uneven_lines_are_noted() {
        assert!(even(">a\nACGT\nACGT\nAC"));
        assert!(even(">a\nACGT\nACGT\n\n"));
        for text in [
            ">a\nACGT\nAC\nACGT\n",
            ">a\nAC\nACG\n",
            ">a\nAC\n\nAC\n",
            ">a\n\nAC\n",
            ">a\nA C\n",
            ">a\nAC\r\nAC\nAC\n",
            ">a\n AC\n",
        ] {
            assert!(!even(text), "{text:?}");
        }
    }

    #[test]
    fn broken_rules_are_named_with_their_row() {
        for (text, row, part) in [
            ("", 1, "no record"),
            ("ACGT\n", 1, "before the first header"),
            (">a\nAC\nAXG\n", 3, "column 2: 'X'"),
            (">a\nAC>b\n", 2, "column 3: '>'"),
            (">a\nAC\n>a b\nAC\n", 3, "'a' occurs twice"),
            (">a\n>b\nAC\n", 2, "'a' has no sequence"),
            ("> \nAC\n", 1, "without a name"),
            (">a", 2, "'a' has no sequence"),
        ] {
            let error = scan(text.as_bytes(), 2).unwrap_err();
            assert_eq!(error.row, row, "{text:?}");
            assert!(error.rule.contains(part), "{error}");
        }
        assert!(scan(b">\xff\nA", 9).unwrap_err().rule.contains("UTF-8"));
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
                prop_assert!(record.even);
                prop_assert_eq!(record.length as usize, sequence.len());
                for (position, &symbol) in sequence.as_bytes().iter().enumerate() {
                    let (line, rest) = (position as u64 / record.line_bases, position as u64 % record.line_bases);
                    let at = record.offset + line * record.line_width + rest;
                    prop_assert_eq!(text[at as usize], symbol);
                }
            }
        }
    }
}
