//! Writes the digest of the checkout's code into the extension (`CODE_DIGEST`).
//!
//! sha256 over the sorted relative paths of all files under `python/` and `rust_ext/`, each as
//! path, NUL, content, NUL; without hidden names, `target`, `__pycache__` and compiled files.

use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-env-changed=CARGO_FEATURE_FFI");
    if env::var_os("CARGO_FEATURE_FFI").is_none() {
        println!("cargo:rerun-if-changed=build.rs");
        return;
    }
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let root = manifest.parent().expect("rust_ext must be in the checkout");
    let mut files = Vec::new();
    for folder in ["python", "rust_ext"] {
        collect(&root.join(folder), folder, &mut files);
    }
    files.sort();
    let mut hash = Sha256::new();
    for name in &files {
        hash.update(name.as_bytes());
        hash.update(b"\0");
        hash.update(fs::read(root.join(name)).expect("readable code file"));
        hash.update(b"\0");
    }
    println!("cargo:rustc-env=CODE_DIGEST={:x}", hash.finalize());
    // A folder is watched with all below it, so that new files count; `target` must stay outside.
    println!("cargo:rerun-if-changed={}", root.join("python").display());
    for name in files.iter().filter(|name| name.starts_with("rust_ext/")) {
        println!("cargo:rerun-if-changed={}", root.join(name).display());
    }
    println!("cargo:rerun-if-changed={}", manifest.join("src").display());
}

/// Add the paths of the code files under `folder`, relative to the checkout with "/" between.
fn collect(folder: &Path, relative: &str, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("readable code folder") {
        let entry = entry.expect("readable code folder");
        let name = entry.file_name().into_string().expect("UTF-8 file name");
        if left_out(&name) {
            continue;
        }
        let relative = format!("{relative}/{name}");
        if entry.path().is_dir() {
            collect(&entry.path(), &relative, files);
        } else {
            files.push(relative);
        }
    }
}

fn left_out(name: &str) -> bool {
    name.starts_with('.')
        || ["target", "__pycache__"].contains(&name)
        || [".so", ".pyc", ".pyd"]
            .iter()
            .any(|end| name.ends_with(end))
}
