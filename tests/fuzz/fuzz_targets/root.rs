//! libFuzzer's way to `fuzz::targets::root`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::root(data));
