//! Events and audit records, as the test put them in.

use std::pin::Pin;

use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::stream;
use proto::v1;
use proto::v1::audit_server::Audit;
use proto::v1::events_server::Events;
use tonic::Request;
use tonic::Status;

use super::Answer;
use super::Answers;
use super::answer;

type Sent<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What is there, and then, unless it is to end, nothing for ever.
fn sent<T: Send + 'static>(messages: Vec<T>, ends: bool) -> Sent<T> {
    let messages = stream::iter(messages.into_iter().map(Ok));
    if ends { Box::pin(messages) } else { Box::pin(messages.chain(stream::pending())) }
}

#[tonic::async_trait]
impl Events for Answers {
    type WatchStream = Sent<v1::Event>;

    async fn watch(&self, request: Request<v1::WatchEventsRequest>) -> Answer<Self::WatchStream> {
        let kept = self.kept();
        let Some(after) = request.into_inner().after else {
            return answer(sent(Vec::new(), kept.events_end));
        };
        let first = kept.events.first().map_or(0, |event| event.index);
        if after != 0 && after + 1 < first {
            return Err(Status::out_of_range(format!("index {after} is no longer remembered")));
        }
        let is_behind = |event: &&v1::Event| event.index > after;
        let events = kept.events.iter().filter(is_behind).cloned().collect();
        answer(sent(events, kept.events_end))
    }
}

#[tonic::async_trait]
impl Audit for Answers {
    type TailStream = Sent<v1::AuditRecord>;

    async fn tail(&self, request: Request<v1::TailAuditRequest>) -> Answer<Self::TailStream> {
        let v1::TailAuditRequest { limit, follow: _ } = request.into_inner();
        let limit = if limit == 0 { 100 } else { usize::try_from(limit).expect("it fits") };
        let kept = self.kept();
        let first = kept.records.len().saturating_sub(limit);
        answer(sent(kept.records.iter().skip(first).cloned().collect(), true))
    }

    async fn verify(&self, _: Request<v1::VerifyAuditRequest>) -> Answer<v1::VerifyAuditResponse> {
        let kept = self.kept();
        answer(v1::VerifyAuditResponse {
            records: u64::try_from(kept.records.len()).expect("it fits"),
            first: kept.records.first().map_or(0, |record| record.number),
            last: kept.records.last().map_or(0, |record| record.number),
            broken: kept.broken.clone(),
        })
    }
}
