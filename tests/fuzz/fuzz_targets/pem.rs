//! libFuzzer's way to `fuzz::targets::pem`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::pem(data));
