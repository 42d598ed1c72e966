//! Sequence reading and encoding. Symbols are tokens by their place in the alphabet; of DNA A, C, G,
//! T are 0…3 and N is 4.
//!
//! The core modules do not depend on Python; `ffi` is the only module that uses PyO3.

pub mod alphabet;
pub mod background;
pub mod detectors;
pub mod edit;
pub mod encode;
pub mod fasta;
pub mod kmers;
pub mod library;
pub mod parallel;
pub mod phi;
pub mod rng;
pub mod shuffle;
#[cfg(target_arch = "x86_64")]
mod simd;
pub mod sums;
pub mod vcf;
pub mod windows;

#[cfg(feature = "ffi")]
mod ffi;
