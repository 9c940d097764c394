//! libFuzzer's way to `fuzz::targets::labels`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::labels(data));
