//! The time by which a call has its answer: one for all that it proposes and reads.

use std::time::Duration;

use tokio::time::Instant;

/// How long a call waits for consensus before it is told that the outcome is unknown.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

tokio::task_local! {
    static END: Instant;
}

/// Does the work of one call: however often it proposes and reads, it waits for consensus no longer than for
/// one of them.
pub async fn one_call<W: Future>(work: W) -> W::Output {
    END.scope(Instant::now() + PATIENCE, work).await
}

/// When who asks now is to be answered.
pub(super) fn end() -> Instant {
    END.try_with(|end| *end).unwrap_or_else(|_| Instant::now() + PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_has_one_deadline_whatever_it_does_and_others_have_their_own() {
        let (first, second) = one_call(async { (end(), end()) }).await;
        assert_eq!(first, second);
        assert!(first <= Instant::now() + PATIENCE && first < end());
    }
}
