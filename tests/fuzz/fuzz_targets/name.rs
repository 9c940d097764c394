//! libFuzzer's way to `fuzz::targets::name`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::name(data));
