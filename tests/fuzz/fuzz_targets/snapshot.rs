//! libFuzzer's way to `fuzz::targets::snapshot`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::snapshot(data));
