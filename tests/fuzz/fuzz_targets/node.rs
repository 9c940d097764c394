//! libFuzzer's way to `fuzz::targets::node`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::node(data));
