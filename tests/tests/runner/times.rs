//! What a task costs. Prints it; nothing is tested.

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::fixture::{DYNAMIC, spec, start};
use crate::look::{field, parent_of};

/// Prints what a task costs: not a test.
pub(crate) fn time_launches() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut took = Vec::new();
        for _ in 0..200 {
            let start_at = Instant::now();
            let mut task = start(&spec(DYNAMIC, &["/bin/true"])).await.unwrap();
            let started = start_at.elapsed();
            task.wait().await;
            took.push((started, start_at.elapsed()));
        }
        took.sort();
        println!("p50 (started, reaped) {:?}, p99 {:?}", took[100], took[198]);
        let at = Instant::now();
        let spec = spec(DYNAMIC, &["sleep", "1000"]);
        let tasks = (0..100).map(|_| {
            let spec = spec.clone();
            tokio::spawn(async move { start(&spec).await })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut running = Vec::new();
        for task in tasks {
            running.push(task.await.unwrap().unwrap());
        }
        println!("100 at once: {:?}", at.elapsed());
        let init = running[0].init_pid();
        for pid in [parent_of(init), init] {
            let status = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
            let fields = ["Rss", "Pss", "Private_Dirty"].map(|name| field(&status, name));
            println!("{pid}: {fields:?}");
        }
        let at = Instant::now();
        for task in &running {
            task.stop_handle().stop(9, Duration::from_secs(1)).await.unwrap();
        }
        for task in &mut running {
            task.wait().await;
        }
        println!("100 ended: {:?}", at.elapsed());
    });
    ExitCode::SUCCESS
}
