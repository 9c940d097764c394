//! libFuzzer's way to `fuzz::targets::certificate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::certificate(data));
