//! Fuzzing without libFuzzer: every target for `COFFER_FUZZ_SECS` seconds (1 unless told), or those named
//! as arguments, one on each processor. A panic ends it with the input as hex; `COFFER_FUZZ_INPUT=HEX` runs that input alone.

use std::fs;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fuzz::mutate::mutant;
use fuzz::targets::{ALL, Hostile};
use tests::disk::chance::Chance;

fn main() -> ExitCode {
    let named: Vec<String> = std::env::args().skip(1).collect();
    let seconds = std::env::var("COFFER_FUZZ_SECS").ok().and_then(|text| text.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(1));
    let seed = Chance::seed();
    println!("COFFER_SEED={seed}, {time:?} for each target");
    let is_wanted = |name: &str| named.is_empty() || named.iter().any(|wanted| wanted == name);
    let wanted = Mutex::new(ALL.iter().filter(|(name, ..)| is_wanted(name)));
    let is_sound = AtomicBool::new(true);
    let work = || {
        while let Some((name, target, vectors)) = next(&wanted) {
            let inputs = match std::env::var("COFFER_FUZZ_INPUT") {
                Ok(hex) => vec![from_hex(&hex)],
                Err(_) => corpus(name, vectors),
            };
            if let Err(input) = fuzz(name, *target, &inputs, time, seed) {
                println!("{name}: panic, COFFER_FUZZ_INPUT={}", hex(&input));
                is_sound.store(false, Ordering::Relaxed);
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    if is_sound.into_inner() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The next one that nobody has taken.
fn next<T>(all: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    all.lock().expect("nobody panics with it").next()
}

/// Runs a target on all inputs, then on mutants until the time is over. Gives back what it fell over.
fn fuzz(
    name: &str,
    target: Hostile,
    inputs: &[Vec<u8>],
    time: Duration,
    seed: u64,
) -> Result<(), Vec<u8>> {
    let run = |input: Vec<u8>| catch_unwind(AssertUnwindSafe(|| target(&input))).map_err(|_| input);
    inputs.iter().cloned().try_for_each(run)?;
    if std::env::var_os("COFFER_FUZZ_INPUT").is_some() {
        return Ok(());
    }
    let (mut chance, started, mut runs) = (Chance::new(seed), Instant::now(), 0_u64);
    while started.elapsed() < time {
        run(mutant(inputs, &mut chance))?;
        runs += 1;
    }
    println!("{name}: {} inputs, {runs} mutants", inputs.len());
    Ok(())
}

/// The files of a target's folder, and the golden vectors.
fn corpus(name: &str, vectors: &[&str]) -> Vec<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = here.join("corpus").join(name);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("the folder can be listed").path())
        .collect();
    paths.sort();
    let read = |path: &Path| fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut inputs: Vec<_> = paths.iter().map(|path| read(path)).collect();
    for vector in vectors {
        let path = here.join("../../vault/vectors").join(format!("{vector}.hex"));
        let text = String::from_utf8(read(&path)).expect("vectors are text");
        inputs.push(from_hex(&text));
    }
    inputs
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let byte = |pair: &[u32]| u8::try_from(pair[0] * 16 + pair[1]).expect("two digits are a byte");
    digits.chunks_exact(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
