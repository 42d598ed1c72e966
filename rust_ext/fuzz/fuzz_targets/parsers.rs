//! Readers of external bytes: whatever the input, they refuse it or what they return can be converted
//! back.
//!
//! The first byte of an input selects the reader of the rest, and the alphabet.

#![no_main]

use geneq_ext::alphabet::{Alphabet, BAD};
use geneq_ext::encode::{self, Code, Layout};
use geneq_ext::fasta::{FastaError, Record, Scanner};
use geneq_ext::vcf;
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 6] = [
    "dna",
    "rna",
    "protein",
    "diploid",
    "symbols:01NX-*",
    "symbols:Z",
];

fuzz_target!(|input: &[u8]| {
    let Some((&first, rest)) = input.split_first() else {
        return;
    };
    let name = NAMES[usize::from(first / 4) % NAMES.len()];
    let alphabet = Alphabet::named(name).expect("a name from the list");
    match first % 4 {
        0 => text(&alphabet, rest),
        1 => symbols(&alphabet, rest),
        2 => packed(&alphabet, rest),
        _ if first / 4 % 2 == 0 => fasta(rest),
        _ => variants(rest),
    }
});

/// The first byte, as a number from 1, and the rest.
fn number(input: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = input.split_first()?;
    Some((usize::from(first) + 1, rest))
}

fn text(alphabet: &Alphabet, text: &[u8]) {
    match encode::tokens(alphabet, text) {
        Ok(tokens) => {
            let symbols = encode::decode(alphabet, &tokens);
            assert_eq!(encode::tokens(alphabet, &symbols), Ok(tokens));
        }
        Err(bad) => {
            let line = text.split(|&byte| byte == b'\n').nth(bad.row - 1);
            assert_eq!(line.map(|line| line[bad.column - 1]), Some(bad.byte));
            assert_eq!(alphabet.token(bad.byte), BAD);
        }
    }
}

fn symbols(alphabet: &Alphabet, input: &[u8]) {
    let Some((length, symbols)) = number(input) else {
        return;
    };
    let symbols = &symbols[..symbols.len() / length * length];
    let mut tokens = vec![0; symbols.len()];
    let read = encode::symbols(alphabet, symbols, &mut tokens, 1);
    for layout in [Layout::Nlc, Layout::Ncl] {
        let mut hot = vec![9u8; symbols.len() * alphabet.columns()];
        let source = (Code::Symbols, symbols);
        let made = encode::one_hot(alphabet, source, length, layout, &mut hot, 1);
        assert_eq!(made, read);
        if made.is_ok() {
            let mut back = vec![BAD; symbols.len()];
            let went = encode::from_one_hot(alphabet, &hot, length, layout, &mut back, 1);
            assert_eq!((went, &back), (Ok(()), &tokens));
        }
    }
}

/// Length, number of unknown symbols, their rows and positions (both may be -1), packed rows.
fn packed(alphabet: &Alphabet, input: &[u8]) {
    let Some(((length, listed), data)) = number(input).and_then(|(length, rest)| {
        let (&listed, rest) = rest.split_first()?;
        let (listed, data) = rest.split_at_checked(2 * usize::from(listed))?;
        Some(((length, listed), data))
    }) else {
        return;
    };
    let rows: Vec<i64> = listed
        .iter()
        .step_by(2)
        .map(|&row| i64::from(row) - 1)
        .collect();
    let places: Vec<i32> = listed
        .iter()
        .skip(1)
        .step_by(2)
        .map(|&at| i32::from(at) - 1)
        .collect();
    let width = encode::packed_width(alphabet, length).expect("a short row");
    let data = &data[..data.len() / width * width];
    let mut tokens = vec![BAD; data.len() / width * length];
    if encode::unpack(alphabet, data, length, (&rows, &places), &mut tokens, 1).is_err() {
        return;
    }
    assert_eq!(Code::Tokens.check(alphabet, &tokens), Ok(()));
    let mut again = vec![0; data.len()];
    let (rows, places): (Vec<i64>, Vec<i32>) =
        encode::pack(alphabet, &tokens, length, &mut again, 1)
            .into_iter()
            .unzip();
    let mut back = vec![BAD; tokens.len()];
    let done = encode::unpack(alphabet, &again, length, (&rows, &places), &mut back, 1);
    assert_eq!((done, back), (Ok(()), tokens));
}

type Scan = Result<(Vec<u8>, Vec<Record>), FastaError>;

fn scan(text: &[u8], chunk: usize) -> Scan {
    let (mut scanner, mut out) = (Scanner::new(), Vec::new());
    for part in text.chunks(chunk) {
        scanner.feed(part, &mut out)?;
    }
    let records = scanner.finish(&mut out)?;
    Ok((out, records))
}

fn fasta(input: &[u8]) {
    let Some((chunk, text)) = number(input) else {
        return;
    };
    let whole = scan(text, text.len().max(1));
    assert_eq!(scan(text, chunk), whole);
    if let Ok((canonical, records)) = whole {
        let (again, same) = scan(&canonical, chunk).expect("canonical text is FASTA");
        assert_eq!((again, same.len()), (canonical, records.len()));
        assert!(same.iter().all(|record| record.even));
    }
}

/// Alleles read from a VCF are the same after they are written with one alternative per line.
fn variants(text: &[u8]) {
    let Ok(alleles) = vcf::alleles(text, 1) else {
        return;
    };
    let columns = [
        &alleles.chrom,
        &alleles.id,
        &alleles.reference,
        &alleles.alternative,
    ];
    let [chrom, id, reference, alternative] = columns.map(|column| {
        let values: Vec<&[u8]> = column.split(|&byte| byte == b'\n').collect();
        assert_eq!(values.len(), alleles.pos.len() + 1);
        values
    });
    let mut lines = Vec::new();
    for (row, pos) in alleles.pos.iter().enumerate() {
        let pos = pos.to_string();
        for value in [
            chrom[row],
            pos.as_bytes(),
            id[row],
            reference[row],
            alternative[row],
        ] {
            lines.extend_from_slice(value);
            lines.push(b'\t');
        }
        lines.push(b'\n');
    }
    let mut again = vcf::alleles(&lines, 1).expect("what was read can be read");
    assert!(again.line.iter().copied().eq(1..=alleles.pos.len() as i64));
    again.line = alleles.line.clone();
    assert_eq!(again, alleles);
}
