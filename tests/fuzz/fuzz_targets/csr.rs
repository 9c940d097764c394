//! libFuzzer's way to `fuzz::targets::request`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::request(data));
