//! libFuzzer's way to `fuzz::targets::log_segment`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::log_segment(data));
