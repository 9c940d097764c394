//! libFuzzer's way to `fuzz::targets::disk_key`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::disk_key(data));
