//! Sequence reading and encoding. Bases A, C, G, T are tokens 0…3, N is 4.
//!
//! The core modules know nothing of Python; `ffi` is the only door to it.

pub mod alphabet;
pub mod edit;
pub mod encode;
pub mod fasta;
pub mod parallel;
pub mod rng;
pub mod vcf;
pub mod windows;

#[cfg(feature = "ffi")]
mod ffi;
