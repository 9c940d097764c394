//! libFuzzer's way to `fuzz::targets::join_token`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::join_token(data));
