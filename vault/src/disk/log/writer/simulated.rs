//! The writer as a task instead of a thread: in a simulation everything happens in one thread, and a flush
//! takes as long as the simulated disk says. Others go on meanwhile, and a crash may come in between.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};

use super::{Fault, IDLE, Submission, Writer};
use crate::world::Simulation;

/// Starts it. It ends with the sender.
pub(super) fn start(
    mut writer: Writer,
    fault: Box<dyn FnOnce(Fault) + Send>,
    simulation: &'static dyn Simulation,
) -> UnboundedSender<Submission> {
    let (queue, mut submissions) = unbounded_channel();
    tokio::spawn(async move {
        let Err(failed) = run(&mut writer, &mut submissions, simulation).await else { return };
        fault(failed);
        while let Some(submission) = submissions.recv().await {
            submission.refuse();
        }
    });
    queue
}

async fn run(
    writer: &mut Writer,
    submissions: &mut UnboundedReceiver<Submission>,
    simulation: &'static dyn Simulation,
) -> Result<(), Fault> {
    loop {
        let next = match timeout(IDLE, submissions.recv()).await {
            Ok(next) => next,
            Err(_) => {
                writer.beating(Writer::seal_when_idle)?;
                submissions.recv().await
            }
        };
        let Some(first) = next else { return writer.beating(Writer::seal_when_idle) };
        let pulse = writer.pulse.clone();
        let _busy = pulse.begin();
        let purged_before = writer.state.purged;
        let (records, waiting) = writer.gather(first, || submissions.try_recv().ok());
        let put = writer.put(&records);
        sleep(simulation.flush_takes()).await;
        writer.answer(put, waiting, purged_before)?;
    }
}
